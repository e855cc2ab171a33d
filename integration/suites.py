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
REFUSED = re.compile(r"42501|InsufficientPrivilege|"
                     r"(is|are) not allowed|can't be (set|said)|not allowed for this role")


def result(outcome, detail=""):
    refused = bool(REFUSED.search(detail))
    return {"outcome": outcome, "detail": detail.strip(), "refused": refused}


def same(one, other):
    """Whether a client could not tell these apart; two failures are not told apart by their words."""
    if other is None or one["outcome"] != other["outcome"]:
        return False
    return one["outcome"] != "passed" or one["detail"] == other["detail"]


def cause(result):
    """One line under which equal differences are put together."""
    lines = result["detail"].splitlines() or ["nothing was said"]
    told = [line for line in lines if REFUSED.search(line)] if result["refused"] else []
    told = told or [line for line in lines if "Error" in line] or lines[-1:]
    return re.sub(r"\d+", "N", told[-1].strip())[:150]


class Suite:
    """A suite with a folder of its own below `place`, which stays for the next run."""

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
        command([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        return python

    def lines(self, arguments, servers, target, only):
        """Runs a suite of ours, which prints a line of JSON for each test."""
        environment = servers.environment(target) | {"ONLY": only}
        done = subprocess.run(list(map(str, arguments)), env=environment, cwd=self.place,
                              capture_output=True, text=True, timeout=SECONDS_MAX)
        if done.returncode != 0:
            raise Failed(f"{self.NAME} ends with {done.returncode}: {done.stderr.strip()[-500:]}")
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
    PACKAGES = [f"pg@{RELEASE}", "pg-cursor@2.22.0", "pg-query-stream@4.17.0",
                "pg-copy-streams@7.0.0"]

    def prepare(self):
        command(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", self.place,
                 *self.PACKAGES])
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
            f"asyncpg=={self.RELEASE}", "pytest", "pytest-timeout", "distro")
        if (self.place / "tests").exists():
            return
        command([self.python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary",
                 ":all:", "--dest", self.place, f"asyncpg=={self.RELEASE}"])
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
            words = [self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60",
                     # The other forms of a traceback break on how deep these are.
                     "--tb=native", f"--junit-xml={report}", "tests"]
            words += [f"--ignore={path}" for path in self.LEFT_OUT]
            words += ["-k", only] if only else []
            done = subprocess.run(list(map(str, words)), env=servers.environment(target),
                                  cwd=self.place, capture_output=True, text=True,
                                  timeout=SECONDS_MAX)
            if not report.exists():
                raise Failed(f"asyncpg's tests do not run: {done.stdout.strip()[-500:]}")
            return dict(junit(report))


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


ALL = {suite.NAME: suite for suite in [Psycopg, Asyncpg, NodePostgres]}
