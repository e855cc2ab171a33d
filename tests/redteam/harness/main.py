#!/usr/bin/env python3
"""Runs corpora of attacks and of ordinary work through Postern, on a PostgreSQL of its own.

The corpus's own runner (../run.py) judges; this starts and restarts what it judges, and adds up.
The last line is the result, and the exit status 0 says that nothing leaked, that everything
disclosed was accounted, and that ordinary work came out as it should. Usage: make redteam, or
make redteam CORPUS="FOLDER FOLDER".
"""

import argparse
import contextlib
import json
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import threading

import servers
from servers import CORPUS, Failed, say

FOLDERS = ["open", "open-benign", "own", "own-benign"]

# The version that the corpora were made on; files may need what another one does not have.
CORPUS_MAJOR = "15"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folders", nargs="*", help="default: those beside the runner")
    add("--plain", action="store_true",
        help="without the gateway, where every attack must leak: checks the corpus")
    add("--only", action="append", default=[], metavar="GLOB", help="ids to run; repeat")
    add("--family", action="append", default=[], help="families to run; repeat")
    add("--verbose", action="store_true", help="show what was received")
    add("--quiet", action="store_true", help="show only what is wrong, and the sums")
    add("--grant-to-gate", action="store_true",
        help="give what an attack presupposes to the gateway's role instead of the agent's")
    add("--keep-log", type=pathlib.Path, metavar="FILE", help="copy the gateway's log there")
    add("--report", type=pathlib.Path, metavar="FILE", help="write what was found there, as JSON")
    options = parser.parse_args()
    given = [pathlib.Path(name).resolve() for name in options.folders]
    options.folders = given or [path for path in map(CORPUS.joinpath, FOLDERS) if path.exists()]
    for path in options.folders:
        if not (path.is_file() or any(path.rglob("*.yaml"))):
            parser.error(f"`{path}` holds no .yaml file")
    return options


class Resets:
    """Sees to it that a file's attacker meets budgets that nobody has spent.

    The runner takes another agent for each file. Whoever connects to the socket names the next
    one; if that one has been at work already, the gateway is restarted with an empty ledger."""

    def __init__(self, own, postern):
        self.path, self.postern, self.spent = str(own / "reset"), postern, set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            with client:
                try:
                    self.next(client.makefile().readline().strip())
                except Exception as error:
                    # The runner waits for an answer before each file: this must go on. Its control
                    # query fails then, and says so for the file.
                    self.postern.troubles.append(f"{type(error).__name__}: {error}")

    def next(self, agent):
        if agent in self.spent or not self.postern.lives():
            self.postern.restart()
            self.spent.clear()
        self.spent.add(agent)


class Runner:
    """The corpus's runner, pointed at our servers."""

    def __init__(self, own, postgres, options):
        self.own, self.options = own, options
        self.shared = [
            "--admin-dsn", postgres.dsn("postgres"), "--db-tmp", postgres.folder,
            "--bindir", servers.client_programs(),
        ]
        self.plain = ["--dsn", postgres.dsn(), "--mode", "plain"]
        self.gateway = None

    def guard(self, postern, resets):
        hook = [sys.executable, "-I", "-S", str(CORPUS / "harness/hook.py")]
        ledger = [*hook, "ledger", str(postern.binary),
                  str(postern.folder / "postern-data/ledger")]
        self.gateway = [
            "--dsn", postern.dsn(), "--mode", "gateway", "--budget", "500", "--rotate",
            "--ledger-cmd", shlex.join(ledger),
            "--reset-cmd", shlex.join([*hook, "reset", resets.path]),
        ]
        if self.options.grant_to_gate:
            self.gateway += ["--grant-to", servers.GATE]

    def run(self, folder, how, only=(), show=True):
        """What the runner says of each file, as it writes it to its report."""
        report = self.own / "report.json"
        report.unlink(missing_ok=True)
        argv = [sys.executable, str(CORPUS / "run.py"), "--dir", str(folder), *self.shared, *how,
                "--json", str(report)]
        argv += [word for glob in only or self.options.only for word in ("--only", glob)]
        argv += [word for name in self.options.family for word in ("--family", name)]
        argv += ["--verbose"] if self.options.verbose else []
        argv += ["--quiet"] if self.options.quiet else []
        said = None if show else subprocess.DEVNULL
        done = subprocess.run([str(word) for word in argv], stdout=said)
        if not report.exists():
            raise Failed(f"the runner ended with status {done.returncode} at `{folder}`")
        results = json.loads(report.read_text())["results"]
        return [result | {"folder": str(folder)} for result in results]

    def run_all(self, folder, how):
        """Runs a folder; if a file of it is too much for the runner, then each by itself."""
        try:
            return self.run(folder, how)
        except Failed as error:
            if folder.is_file():
                return [{"verdict": "error", "id": folder.stem, "file": str(folder),
                         "folder": str(folder), "why": str(error)}]
            say(f"{error}; now each file by itself")
        return [result for path in sorted(folder.rglob("*.yaml"))
                for result in self.run_all(path, how)]


def wrong(result):
    return result["verdict"] not in ("safe", "ok")


def without_inapplicable(runner, results, version):
    """Takes out what does not run on this server even without a gateway, and says so."""
    if version.split(".")[0] == CORPUS_MAJOR:
        return results
    suspects = [r for r in results if r["verdict"] in ("error", "FAILED")]
    out = set()
    for folder in sorted({r["folder"] for r in suspects}):
        ids = [r["id"] for r in suspects if r["folder"] == folder]
        again = runner.run(folder, runner.plain, only=ids, show=False)
        out.update((folder, r["id"]) for r in again if r["verdict"] in ("error", "FAILED"))
    for folder, name in sorted(out):
        say(f"left out: {name} does not run on PostgreSQL {version} itself")
    return [r for r in results if (r["folder"], r["id"]) not in out]


def guarded(options, own, postgres, version):
    runner = Runner(own, postgres, options)
    with servers.Postern(own, postgres) as postern:
        runner.guard(postern, Resets(own, postern))
        results = []
        for folder in options.folders:
            say(f"{folder} through Postern, on PostgreSQL {version}")
            results += runner.run_all(folder, runner.gateway)
        results = without_inapplicable(runner, results, version)
    if options.keep_log:
        shutil.copy(postern.log, options.keep_log)
    return results, postern.troubles


def summary(results, troubles, version):
    """The last line, and whether all is well."""
    attacks = [r for r in results if not r.get("benign")]
    benign = [r for r in results if r.get("benign")]
    leaked = [r for r in attacks if r["verdict"] == "LEAKED"]
    unaccounted = [r for r in leaked if "not accounted" in r.get("why", "")]
    errors = [r for r in attacks if r["verdict"] == "error"]
    good = [r for r in benign if r["verdict"] == "ok"]
    line = (f"{len(leaked) - len(unaccounted)} leaked, {len(unaccounted)} unaccounted, "
            f"{len(errors) + len(troubles)} errors of {len(attacks)} attacks; "
            f"{len(good)} of {len(benign)} benign as expected (PostgreSQL {version})")
    return line, not any(map(wrong, results)) and not troubles


def plain(options, own, postgres):
    runner = Runner(own, postgres, options)
    results = [r for folder in options.folders for r in runner.run_all(folder, runner.plain)]
    dull = [r["id"] for r in results if r["verdict"] not in ("LEAKED", "ok")]
    for name in dull:
        say(f"neither leaks nor runs: {name}")
    return results, f"{len(results) - len(dull)} of {len(results)} leak or run unguarded", not dull


def run(options):
    with contextlib.ExitStack() as stack:
        own = servers.folder("postern-redteam-")
        stack.callback(shutil.rmtree, own, ignore_errors=True)
        postgres = stack.enter_context(servers.Postgres(own))
        version = postgres.version()
        for extension in postgres.seed():
            say(f"PostgreSQL {version} has no extension {extension} here: what needs it can't work")
        if options.plain:
            results, line, well = plain(options, own, postgres)
        else:
            results, troubles = guarded(options, own, postgres, version)
            for trouble in troubles:
                say(trouble)
            line, well = summary(results, troubles, version)
    if options.report:
        options.report.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    for result in filter(wrong, results if not options.plain else ()):
        say(f"{result['verdict']}: {result['file']}: {result.get('why', '')}")
    print(line)
    return 0 if well else 1


def main():
    try:
        return run(arguments())
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
