"""Suites of PostgreSQL's own programs, and those that its source package holds."""

import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

from servers import Failed, command, server_programs

from .base import HERE, SECONDS_MAX, Suite, result


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


class Sourced(Suite):
    """A suite that is in Debian's source package of the server that is there."""

    PLACE = "src/test/regress"

    def __init__(self, place):
        super().__init__(place)
        self.shared = place / "postgresql-source"
        self.shared.mkdir(exist_ok=True)

    def prepare(self):
        self.programs = server_programs()
        self.release = command([self.programs / "postgres", "--version"]).split()[2]
        self.major = self.release.split(".")[0]
        self.source = self.shared / self.release
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
        lists = self.shared / "apt"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        release = re.search(r"VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text())
        sources = self.shared / "sources.list"
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

    def schedule(self, servers, target, runner, schedule, only=""):
        """Runs files of tests, all of a schedule or those that are named; what each printed."""
        tests = self.source / "tree" / self.PLACE
        (runner,) = pathlib.Path(f"/usr/lib/postgresql/{self.major}/lib/pgxs").rglob(runner)
        # The server reads and writes files there, and it is not who runs this.
        output = servers.own / f"{self.NAME}-{target}"
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
        words += [*only.split()] if only else [f"--schedule={output}/{schedule}"]
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
            raise Failed(f"{runner.name} does not run: {(done.stdout + done.stderr)[-500:]}")
        return results


class Regress(Sourced):
    """PostgreSQL's own regression tests, one result for each file.

    What a file printed is compared, not whether it is what was expected: that depends on how the
    server was built.
    """

    NAME = "regress"
    kinds = ["pass_through"]
    wants_new_servers = True

    def run(self, servers, target, only):
        return self.schedule(servers, target, "pg_regress", "parallel_schedule", only)


class RegressBeside(Regress):
    """The same where tables are protected that no test touches, through both kinds of role.

    What accounted roles are refused makes nearly every file differ from a direct run, so theirs is
    compared with a gateway that protects nothing.
    """

    NAME = "regress-beside"
    first = "accounted"
    kinds = ["accounted+protected"]

    def run(self, servers, target, only):
        if "test_setup" not in only:
            # What all other files need. It makes functions, which judged roles can't.
            self.schedule(servers, "direct", "pg_regress", "parallel_schedule", "test_setup")
        return super().run(servers, target, only)


class Isolation(Sourced):
    """PostgreSQL's tests of what transactions at the same time see of each other."""

    NAME = "isolation"
    PLACE = "src/test/isolation"
    kinds = ["pass_through"]
    wants_new_servers = True

    def run(self, servers, target, only):
        return self.schedule(servers, target, "pg_isolation_regress", "isolation_schedule", only)


class Libpq(Sourced):
    """libpq's own tests of pipelines and its examples, with what went over the wire.

    Of the examples without testlo64, which writes gigabytes.
    """

    NAME = "libpq"
    wants_new_servers = True
    MODULE = "src/test/modules/libpq_pipeline"
    TEST_SECONDS = 300

    def prepare(self):
        super().prepare()
        tree = self.source / "tree"
        command(["make", "-s", "-C", "src/interfaces/libpq"], cwd=tree)
        command(["make", "-s", "-C", self.MODULE], cwd=tree)
        command(["make", "-s", "-C", "src/test/examples"], cwd=tree)

    def run(self, servers, target, only):
        tree = self.source / "tree"
        program = tree / self.MODULE / "libpq_pipeline"
        names = [f"pipeline {name}" for name in command([program, "tests"]).split()]
        names += [f"example {name}" for name in ["testlibpq", "testlibpq3", "testlo"]]
        command(
            ["psql", "-X", "-q", "-f", tree / "src/test/examples/testlibpq3.sql"],
            env=servers.environment("direct"),
        )
        return {name: self.told(name, servers, target) for name in names if only in name}

    def told(self, name, servers, target):
        kind, name = name.split(" ")
        with tempfile.TemporaryDirectory() as own:
            trace = pathlib.Path(own) / "trace"
            trace.touch()
            if kind == "pipeline":
                program = self.source / "tree" / self.MODULE / "libpq_pipeline"
                words = [program, "-r", "700", "-t", trace, name, "dbname=postgres"]
            else:
                words = [self.source / "tree/src/test/examples" / name]
            if name == "testlo":
                (pathlib.Path(own) / "in").write_bytes(bytes(range(256)) * 100)
                words += ["postgres", "in", "out"]
            # One that waits for what never comes is a failure, and the others go on.
            limited = ["timeout", "--signal=KILL", str(self.TEST_SECONDS), *words]
            done = subprocess.run(
                list(map(str, limited)),
                # Its own libpq, which is the one that is tested.
                env=servers.environment(target)
                | {"LD_LIBRARY_PATH": str(self.source / "tree/src/interfaces/libpq")},
                cwd=own,
                capture_output=True,
                text=True,
                errors="replace",
            )
            wire = trace.read_text()
        if name == "uniqviol":
            # It sends until the socket is full, which is as much as it happens to be.
            wire = done.stdout = done.stderr = ""
        seen = f"{done.returncode}\n{done.stdout}{done.stderr}\n{wire}"
        # Ports, and what a server counts up by itself.
        seen = seen.replace(str(servers.targets[target]), "PORT")
        seen = re.sub(r"large object \d+", "large object N", seen)
        return result("failed" if done.returncode else "passed", seen)


class Dump(Suite):
    """pg_dump in each format, and pg_restore of what was dumped directly."""

    NAME = "dump"
    wants_new_servers = True

    FORMATS = {"plain": [], "custom": [], "tar": [], "directory": ["--jobs=2"]}

    def prepare(self):
        self.schema = HERE / "psql/schema.sql"

    def version(self):
        return command(["pg_dump", "--version"]).split()[2]

    def run(self, servers, target, only):
        direct, other = servers.environment("direct"), servers.environment(target)
        command(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", self.schema], env=direct
        )
        results = {}
        with tempfile.TemporaryDirectory() as own:
            for form, more in self.FORMATS.items():
                for name, act in [("dump", self.dump), ("restore", self.restore)]:
                    if only in f"{name} {form}":
                        place = pathlib.Path(own) / f"{name}-{form}"
                        results[f"{name} {form}"] = act(form, more, place, direct, other)
        return results

    def dump(self, form, more, place, direct, other):
        """What a dump through there holds, as a script."""
        done = self.act(["pg_dump", f"--format={form}", *more, f"--file={place}"], other)
        held = ""
        if done.returncode == 0 and form == "plain":
            held = place.read_text()
        elif done.returncode == 0:
            held = self.act(["pg_restore", "--file=-", place], direct).stdout
        return self.told(done, held)

    def restore(self, form, more, place, direct, other):
        """What is in the database after it was restored through there over what is there."""
        cleaning = ["--clean", "--if-exists"]
        words = ["pg_dump", f"--format={form}", *more, f"--file={place}"]
        command(words + cleaning * (form == "plain"), env=direct)
        if form == "plain":
            done = self.act(["psql", "-X", "-q", "-f", place], other)
        else:
            jobs = more if form != "tar" else []
            done = self.act(["pg_restore", *cleaning, *jobs, "--dbname=postgres", place], other)
        return self.told(done, self.act(["pg_dump"], direct).stdout)

    def act(self, words, environment):
        return subprocess.run(
            list(map(str, words)),
            env=environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )

    def told(self, done, held):
        # Each dump has a word of its own.
        held = re.sub(r"^\\(un)?restrict .*$|^-- Dumped|^-- Started.*$", "", held, flags=re.M)
        seen = re.sub(r"port \d+", "port PORT", f"{done.returncode}\n{done.stderr}\n{held}")
        seen = re.sub(r"/tmp/\S+|^; Archive created .*$", "PLACE", seen, flags=re.M)
        return result("passed", seen)
