"""Suites of PostgreSQL's own programs, and those that its source package holds."""

import pathlib
import re
import shutil
import subprocess
import tarfile

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
