"""The suites: what each needs, how it is run against one port, and what came of each test.

A result is {"outcome": passed, failed or skipped; "detail": what was seen or what went wrong;
"refused": whether the gateway refused something there}.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree

from servers import ROOT, Failed, command, server_programs

HERE = pathlib.Path(__file__).resolve().parent
SECONDS_MAX = 1800

# How a refusal looks in what drivers print. PostgreSQL itself refuses a superuser next to nothing.
REFUSED = re.compile(r"42501|InsufficientPrivilege|(for|by) this role|can't be set to this")


def result(outcome, detail=""):
    refused = bool(REFUSED.search(detail))
    return {"outcome": outcome, "detail": detail.strip(), "refused": refused}


def same(one, other):
    """Whether a client could not tell these apart.

    Two failures are not told apart by their words.
    """
    if other is None or one["outcome"] != other["outcome"]:
        return False
    return one["outcome"] != "passed" or one["detail"] == other["detail"]


def cause(direct, other):
    """One line under which equal differences are put together."""
    if other is None:
        return "not run"
    detail = other["detail"]
    if other["refused"]:
        at = REFUSED.search(detail).start()
        line = re.split(r'[\n"]', detail[max(0, at - 200) : at])[-1] + detail[at:].split("\n")[0]
        return re.sub(r"\d+", "N", line)[:110]
    if direct["outcome"] == other["outcome"] == "passed":
        return contrast(direct["detail"], detail)
    told = [line for line in detail.splitlines() if "Error" in line] or detail.splitlines()
    last = told[-1].strip() if told else ""
    return f"{direct['outcome']}, now {other['outcome']}: {re.sub(r'[0-9]+', 'N', last)}"[:160]


def contrast(one, other):
    """Where two texts begin to differ."""
    at = len(os.path.commonprefix([one, other]))
    before = max(0, at - 25)
    parts = [text[before : at + 25].replace("\n", " ") for text in (one, other)]
    return re.sub(r"\d+", "N", "seen {!r}, not {!r}".format(*reversed(parts)))


class Suite:
    """A suite with a folder of its own below `place`, which stays for the next run."""

    # The kinds of role that it is run through.
    kinds = ["pass_through", "accounted"]
    # Whether each run needs servers on which nothing has run before.
    wants_new_servers = False
    # How many tests may fail directly: they want what the run's server does not have.
    unsound_max = 0

    def __init__(self, place):
        self.place = place / self.NAME
        self.place.mkdir(parents=True, exist_ok=True)

    def virtual_environment(self, *packages):
        """Python with those packages, made once."""
        home = self.place / "venv"
        python = home / "bin/python"
        if not python.exists():
            command([sys.executable, "-m", "venv", home])
        command(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        )
        return python

    def lines(self, arguments, servers, target, only):
        """Runs a suite of ours, which prints a line of JSON for each test."""
        environment = servers.environment(target) | {"ONLY": only}
        done = subprocess.run(
            list(map(str, arguments)),
            env=environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        if done.returncode != 0:
            raise Failed(f"{self.NAME} ends with {done.returncode}: {done.stderr.strip()[:500]}")
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return {one["test"]: result(one["outcome"], one["detail"]) for one in told}


class Psycopg(Suite):
    """Our own, over all that psycopg 3 does: its package in the registry is without its tests."""

    NAME, RELEASE = "psycopg", "3.3.9"

    def prepare(self):
        self.python = self.virtual_environment(f"psycopg[binary]=={self.RELEASE}")

    def version(self):
        return self.RELEASE

    def run(self, servers, target, only):
        return self.lines([self.python, HERE / "psycopg/suite.py"], servers, target, only)


class NodePostgres(Suite):
    """Our own, over all that node-postgres does: its package is without its tests."""

    NAME, RELEASE = "node-postgres", "8.23.1"
    PACKAGES = [
        f"pg@{RELEASE}",
        "pg-cursor@2.22.0",
        "pg-query-stream@4.17.0",
        "pg-copy-streams@7.0.0",
    ]

    def prepare(self):
        command(
            [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                self.place,
                *self.PACKAGES,
            ]
        )
        # Modules are looked for from where the script lies.
        shutil.copy(HERE / "node-postgres/suite.js", self.place)

    def version(self):
        return self.RELEASE

    def run(self, servers, target, only):
        return self.lines(["node", self.place / "suite.js"], servers, target, only)


class Asyncpg(Suite):
    """Its own tests, from the source distribution, with the wheel of the same release."""

    NAME, RELEASE = "asyncpg", "0.32.0"

    # Those start servers of their own, which root can't.
    unsound_max = 5

    def prepare(self):
        self.python = self.virtual_environment(
            f"asyncpg=={self.RELEASE}", "pytest", "pytest-timeout", "distro"
        )
        if (self.place / "tests").exists():
            return
        command(
            [
                self.python,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--dest",
                self.place,
                f"asyncpg=={self.RELEASE}",
            ]
        )
        archive = self.place / f"asyncpg-{self.RELEASE}.tar.gz"
        with tarfile.open(archive) as packed:
            packed.extractall(self.place, filter="data")
        # Without the package beside them: what is tested is what is installed.
        shutil.move(self.place / f"asyncpg-{self.RELEASE}/tests", self.place / "tests")

    def version(self):
        return self.RELEASE

    # Those two are about the package's own files and version.
    LEFT_OUT = ["tests/test__sourcecode.py", "tests/test__environment.py"]

    def run(self, servers, target, only):
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "report.xml"
            words = [
                self.python,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "--timeout=60",
                # The other forms of a traceback break on how deep these are.
                "--tb=native",
                f"--junit-xml={report}",
                "tests",
            ]
            words += [f"--ignore={path}" for path in self.LEFT_OUT]
            words += ["-k", only] if only else []
            done = subprocess.run(
                list(map(str, words)),
                env=servers.environment(target),
                cwd=self.place,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
            )
            if not report.exists():
                raise Failed(f"asyncpg's tests do not run: {done.stdout.strip()[-500:]}")
            return dict(junit(report))


class Psql(Suite):
    """psql's commands that describe, and pg_dump, over a schema with something of everything."""

    NAME = "psql"

    def prepare(self):
        lines = (HERE / "psql/commands.txt").read_text().splitlines()
        self.commands = [line for line in lines if line and not line.startswith("#")]

    def version(self):
        return command(["psql", "--version"]).split()[2]

    def run(self, servers, target, only):
        if target == "direct":
            command(
                ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", HERE / "psql/schema.sql"],
                env=servers.environment(target),
            )
        return {
            line: self.told(line, servers.environment(target))
            for line in self.commands
            if only in line
        }

    def told(self, line, environment):
        words = line.split(" ")
        if line.startswith("\\"):
            words = ["psql", "-X", "-c", line]
        done = subprocess.run(
            words,
            env=environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        seen = (done.stdout + done.stderr).replace(environment["PGPORT"], "PORT")
        # Newer programs put a new word into each dump, and a database's size changes by itself.
        seen = re.sub(r"^\\(un)?restrict .*$|\d+ kB", "", seen, flags=re.M)
        # What is refused in both places is equal too.
        return result("passed", f"{done.returncode}\n{seen}")


class Regress(Suite):
    """PostgreSQL's own regression tests, from Debian's source package, one result for each file.

    What a file printed is compared, not whether it is what was expected: that depends on how the
    server was built. Judged roles can't make tables, with which nearly every file begins.
    """

    NAME = "regress"
    kinds = ["pass_through"]
    wants_new_servers = True

    PLACE = "src/test/regress"

    def prepare(self):
        self.programs = server_programs()
        self.release = command([self.programs / "postgres", "--version"]).split()[2]
        self.major = self.release.split(".")[0]
        self.source = self.place / self.release
        if (self.source / "ready").exists():
            return
        shutil.rmtree(self.source, ignore_errors=True)
        self.source.mkdir(parents=True)
        archive = self.download()
        with tarfile.open(archive) as packed:
            packed.extractall(self.source, filter="data")
        (tree,) = self.source.glob("postgresql-*/")
        tree.rename(self.source / "tree")
        self.build()
        (self.source / "ready").touch()

    def download(self):
        """Debian's source package, by apt's own means and without a change to its settings."""
        lists = self.place / "apt"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        release = re.search(r"VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text())
        sources = self.place / "sources.list"
        sources.write_text(
            f"deb-src [signed-by={keys}] http://deb.debian.org/debian " f"{release[1]} main\n"
        )
        options = [
            "-o",
            f"Dir::Etc::sourcelist={sources}",
            "-o",
            "Dir::Etc::sourceparts=-",
            "-o",
            f"Dir::State::lists={lists}",
            "-o",
            "APT::Sandbox::User=root",
        ]
        command(["apt-get", *options, "update"])
        command(
            ["apt-get", *options, "source", "--download-only", f"postgresql-{self.major}"],
            cwd=self.source,
        )
        (archive,) = self.source.glob("*.orig.tar.*[0-9a-z]")
        return archive

    def build(self):
        """The library of functions in C that the tests call; the server itself is Debian's."""
        tree = self.source / "tree"
        command(["./configure", "--quiet", "--without-readline", "--without-zlib"], cwd=tree)
        command(["make", "-C", "src/backend", "generated-headers"], cwd=tree)
        command(["make", "-C", self.PLACE, "regress.so"], cwd=tree)

    def version(self):
        return self.release

    def run(self, servers, target, only):
        tests = self.source / "tree" / self.PLACE
        (runner,) = pathlib.Path(f"/usr/lib/postgresql/{self.major}/lib/pgxs").rglob("pg_regress")
        # The server reads and writes files there, and it is not who runs this.
        output = servers.own / f"regress-{target}"
        shutil.copytree(tests, output)
        command(["chmod", "-R", "a+rwX", output])
        words = [
            runner,
            f"--inputdir={output}",
            f"--outputdir={output}",
            f"--dlpath={output}",
            f"--bindir={self.programs}",
            "--use-existing",
            "--dbname=postgres",
            "--host=127.0.0.1",
            f"--port={servers.targets[target]}",
            "--user=postgres",
            "--max-concurrent-tests=20",
        ]
        words += [*only.split()] if only else [f"--schedule={output}/parallel_schedule"]
        done = subprocess.run(
            list(map(str, words)),
            env=servers.environment(target),
            cwd=output,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        results = {}
        for path in sorted((output / "results").glob("*.out")):
            text = path.read_text(errors="replace")
            for private, public in [
                (str(output), "FOLDER"),
                (str(servers.own), "FOLDER"),
                (f"port {servers.targets[target]}", "port PORT"),
            ]:
                text = text.replace(private, public)
            results[path.stem] = result("passed", text)
        if not results:
            raise Failed(f"pg_regress does not run: {(done.stdout + done.stderr)[-500:]}")
        return results


def junit(report):
    """The tests of a report in JUnit's form, without how long they took."""
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        outcome, detail = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, detail = "failed", f"{child.get('message') or ''}\n{child.text or ''}"
            elif child.tag == "skipped":
                outcome = "skipped"
        yield f"{case.get('classname')}.{case.get('name')}", result(outcome, detail)


ALL = {suite.NAME: suite for suite in [Psycopg, Asyncpg, NodePostgres, Psql, Regress]}
