"""What all suites have in common, and what came of a test.

A result is {"outcome": passed, failed or skipped; "detail": what was seen or what went wrong;
"refused": whether the gateway refused something there}.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree

from servers import Failed, command

HERE = pathlib.Path(__file__).resolve().parent.parent
SECONDS_MAX = 1800

# How a refusal looks in what drivers print. PostgreSQL itself refuses a superuser next to nothing.
REFUSED = re.compile(r"\b42501\b|InsufficientPrivilege|(for|by) this role|can't be set to this")


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

    # What all others are compared with: PostgreSQL itself, or a gateway as in `kinds`.
    first = "direct"
    # The kinds of role that it is run through; with `+protected` a table is protected that no
    # test touches.
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

    def source(self, python, package, release):
        """The source distribution of a package in PyPI, unpacked once: its folder."""
        folder = self.place / f"{package}-{release}"
        if folder.exists():
            return folder
        command(
            [
                python,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--dest",
                self.place,
                f"{package}=={release}",
            ]
        )
        with tempfile.TemporaryDirectory(dir=self.place) as half:
            with tarfile.open(f"{folder}.tar.gz") as packed:
                packed.extractall(half, filter="data")
            (pathlib.Path(half) / folder.name).rename(folder)
        return folder

    def pytest(self, python, arguments, servers, target, folder):
        """Runs pytest there, returns its results."""
        with tempfile.TemporaryDirectory() as own:
            report = pathlib.Path(own) / "report.xml"
            words = [python, "-s", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            words += ["--timeout=60", f"--junit-xml={report}", *arguments]
            done = subprocess.run(
                list(map(str, words)),
                env=servers.environment(target),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
            )
            if not report.exists():
                raise Failed(f"{self.NAME}'s tests do not run: {done.stdout.strip()[-500:]}")
            return dict(junit(report))

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


