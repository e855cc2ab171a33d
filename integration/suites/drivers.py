"""Suites of drivers: ours where a driver's package holds none."""

import json
import pathlib
import re
import shutil
import subprocess
import zipfile

from servers import PASSWORD, Failed, command

from .base import HERE, SECONDS_MAX, Suite, result


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




class TokioPostgres(Suite):
    """Its own tests, which are in its package; their words for where to connect are changed."""

    NAME, RELEASE = "tokio-postgres", "0.7.18"
    FEATURES = """
        array-impls with-bit-vec-0_9 with-chrono-0_4 with-eui48-1 with-geo-types-0_7 with-jiff-0_2
        with-serde_json-1 with-smol_str-01 with-time-0_3 with-uuid-1
    """.split()

    def prepare(self):
        tree = self.place / self.RELEASE
        if not (tree / "ready").exists():
            shutil.rmtree(tree, ignore_errors=True)
            shutil.copytree(self.package(), tree)
            self.change(tree)
            (tree / "ready").touch()
        told = command(
            [
                "cargo",
                "test",
                "--test=test",
                "--no-run",
                "--message-format=json",
                f"--features={','.join(self.FEATURES)}",
                f"--target-dir={self.place}/target",
            ],
            cwd=tree,
        )
        built = [json.loads(line) for line in told.splitlines()]
        (self.program,) = [one["executable"] for one in built if one.get("executable")]

    def package(self):
        """Where cargo keeps the package."""
        asking = self.place / "asking"
        (asking / "src").mkdir(parents=True, exist_ok=True)
        (asking / "src/lib.rs").touch()
        (asking / "Cargo.toml").write_text(
            '[package]\nname = "asking"\nedition = "2021"\n\n[workspace]\n\n'
            f'[dependencies]\ntokio-postgres = "={self.RELEASE}"\n'
        )
        told = command(["cargo", "metadata", "--format-version=1"], cwd=asking)
        (found,) = [one for one in json.loads(told)["packages"] if one["name"] == self.NAME]
        return pathlib.Path(found["manifest_path"]).parent

    def change(self, tree):
        """One account with one password for all tests, and a port that is known at run time."""
        manifest = tree / "Cargo.toml"
        text = re.sub(r"\[\[bench\]\]\n[^\[]*", "", manifest.read_text())
        text = re.sub(r"\[dev-dependencies\.criterion\]\n[^\[]*", "", text)
        manifest.write_text(text + "\n[workspace]\n")
        for file in (tree / "tests").rglob("*.rs"):
            text = file.read_text()
            text = text.replace("user=postgres", f"user=postgres password={PASSWORD}")
            text = re.sub(r"user=(pass|md5|scram)_user", "user=postgres", text)
            text = text.replace("password=password", f"password={PASSWORD}")
            text = re.sub(
                r'(TcpStream|tokio_postgres)::connect\(\s*(s|"[^"]*")',
                r"\1::connect(&crate::place(\2)",
                text,
            )
            file.write_text(text)
        with open(tree / "tests/test/main.rs", "a") as file:
            file.write(
                "\nfn place(text: &str) -> String {\n"
                '    text.replace("5433", &std::env::var("PGPORT").unwrap())\n}\n'
            )

    def version(self):
        return self.RELEASE

    def run(self, servers, target, only):
        for extension in ["hstore", "citext", "ltree"]:
            command(
                ["psql", "-X", "-q", "-c", f"CREATE EXTENSION IF NOT EXISTS {extension}"],
                env=servers.environment("direct"),
            )
        # Some tests use the same names for what they make.
        words = [self.program, "--test-threads=1", *only.split()]
        done = subprocess.run(
            words,
            env=servers.environment(target),
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        details = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)\n\n", done.stdout, re.M | re.S))
        outcomes = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
        line = r"^test (\S+) (?:- .*)?\.\.\. (?:.*?)(ok|FAILED|ignored)"
        told = re.findall(line, done.stdout, re.M)
        return {name: result(outcomes[word], details.get(name, "")) for name, word in told}


class Pgjdbc(Suite):
    """Our own, over all that pgjdbc does; the driver and what it needs are Debian's."""

    NAME = "pgjdbc"

    def prepare(self):
        self.driver = pathlib.Path("/usr/share/java/postgresql.jar")
        if not self.driver.exists():
            raise Failed("no driver; run: scripts/setup integration")
        source = HERE / "pgjdbc/Suite.java"
        command(["javac", "-nowarn", "-cp", self.driver, "-d", self.place, source])

    def version(self):
        return re.search(
            r"Implementation-Version: (\S+)",
            zipfile.ZipFile(self.driver).read("META-INF/MANIFEST.MF").decode(),
        )[1]

    def run(self, servers, target, only):
        words = ["java", "-cp", f"{self.driver}:{self.place}", "Suite"]
        return self.lines(words, servers, target, only)
