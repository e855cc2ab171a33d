#!/usr/bin/env python3
"""Measures pgbench's select-only through Postern, through pgbouncer and directly.

Starts everything itself, in throw-away folders, and interleaves the targets in each round, so that
whatever else the machine does hits all of them alike. Writes docs/benchmarks.md. Usage: make bench,
or bench/run.py --help.
"""

import argparse
import contextlib
import pathlib
import sys

import measure
import report
import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODES = ["simple", "extended", "prepared", "connect"]
TARGETS = ["direct", "pgbouncer", "unprotected", "postern", "cold"]
# In transaction mode. Debian 12's pgbouncer has no prepared statements in it.
SHARED = ["pgbouncer-shared", "unprotected-shared", "postern-shared"]


def names(allowed):
    """A parser of comma-separated lists of some of these names."""

    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"`{name}` is not one of {', '.join(allowed)}")
        return chosen

    return parse


def numbers(text):
    return [int(number) for number in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seconds", type=int, default=10, help="length of a run (default: %(default)s)")
    add("--rounds", type=int, default=3, help="runs of each kind (default: %(default)s)")
    add("--scale", type=int, default=20, help="of pgbench's tables (default: %(default)s)")
    add("--clients", type=numbers, default=[1, 8, 32], help="default: 1,8,32")
    add("--modes", type=names(MODES), default=MODES, help="default: " + ",".join(MODES))
    add("--targets", type=names(TARGETS + SHARED), default=TARGETS,
        help="the first is what the others are compared with; default: " + ",".join(TARGETS)
        + "; there are also " + ",".join(SHARED))
    add("--servers", type=int, default=4,
        help="connections to the server that the clients of *-shared have together "
        "(default: %(default)s)")
    add("--output", type=pathlib.Path, default=ROOT / "docs/benchmarks.md",
        help="default: docs/benchmarks.md")
    return parser.parse_args()


def run(options):
    """One result per target, mode, number of clients and round."""
    with contextlib.ExitStack() as stack:
        servers.say("starting PostgreSQL and loading pgbench's tables")
        postgres = stack.enter_context(servers.Postgres(ROOT, options.scale))
        start = {
            "direct": lambda: postgres,
            "pgbouncer": lambda: stack.enter_context(servers.PgBouncer(postgres)),
            "unprotected": lambda: stack.enter_context(servers.Unprotected(ROOT, postgres)),
            "postern": lambda: stack.enter_context(servers.Postern(ROOT, postgres)),
            "cold": lambda: stack.enter_context(servers.Cold(ROOT, postgres)),
            "pgbouncer-shared": lambda: stack.enter_context(
                servers.SharedPgBouncer(postgres, options.servers)),
            "unprotected-shared": lambda: stack.enter_context(
                servers.SharedUnprotected(ROOT, postgres, options.servers)),
            "postern-shared": lambda: stack.enter_context(
                servers.Shared(ROOT, postgres, options.servers)),
        }
        targets = {name: start[name]() for name in options.targets}
        for name, target in targets.items():
            target.check()
            servers.say(f"{name} answers on port {target.port}")
        results = []
        for mode in options.modes:
            for clients in options.clients:
                for target in targets.values():
                    measure.run(postgres, target, mode, clients, seconds=1)
                for number in range(options.rounds):
                    for name, target in targets.items():
                        result = measure.run(postgres, target, mode, clients, options.seconds)
                        result.target, result.round = name, number
                        results.append(result)
                        servers.say(result.line())
        return results, report.conditions(ROOT, postgres, targets)


def main():
    options = arguments()
    try:
        results, conditions = run(options)
    except servers.Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report.publish(options.output, report.markdown(options, results, conditions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
