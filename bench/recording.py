#!/usr/bin/env python3
"""Measures what recording costs: beside the disk alone, a relay that does the least, and pgaudit.

Starts everything itself, in throw-away folders, and interleaves what it compares in each round.
Writes docs/benchmarks-ledger.md. Usage: make bench, or bench/recording.py --help.
"""

import argparse
import contextlib
import pathlib
import re
import statistics
import subprocess
import sys

import measure
import report
import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODE = "prepared"
# All reads, with the time and the process before each line as Debian has it.
AUDIT = ["shared_preload_libraries=pgaudit", "pgaudit.log=read", "log_line_prefix=%m [%p] "]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seconds", type=int, default=5, help="length of a run (default: %(default)s)")
    add("--rounds", type=int, default=5, help="runs of each kind (default: %(default)s)")
    add("--scale", type=int, default=20, help="of pgbench's tables (default: %(default)s)")
    add("--output", type=pathlib.Path, default=ROOT / "docs/benchmarks-ledger.md",
        help="default: docs/benchmarks-ledger.md")
    return parser.parse_args()


def appends(options):
    """The table that the crate's own bench prints, and CPU times of an entry in microseconds."""
    servers.say("durable appends, beside the disk alone")
    done = servers.command(
        ["cargo", "bench", "--locked", "--quiet", "--package", "postern-ledger", "--bench",
         "append", "--", str(options.seconds)], cwd=ROOT)
    line = re.compile(r"(\d+) writers: +(\d+) entries a second, the disk alone +(\d+)")
    rates = {}
    for writers, own, disk in line.findall(done):
        rates.setdefault(int(writers), []).append((float(own), float(disk)))
    cpu = [float(text) for text in re.findall(r"CPU time of an entry: ([\d.]+)", done)]
    if not rates or not cpu:
        raise servers.Failed("the bench of appends printed no figures")
    return rates, cpu


def used_bytes(folder):
    """Bytes of the ledger's entries and names: files are longer, by zeroes that are to come."""
    ends = (file.read_bytes().rstrip(b"\0") for file in pathlib.Path(folder).rglob("*")
            if file.is_file())
    return sum(map(len, ends))


def latencies(options, stack):
    """What each adds for one client, by target; bytes of the ledger a statement."""
    servers.say("one client, beside a relay that records the least")
    postgres = stack.enter_context(servers.Postgres(ROOT, options.scale))
    postern = stack.enter_context(servers.Postern(ROOT, postgres))
    targets = {
        "direct": postgres,
        "relay": stack.enter_context(servers.Relay(ROOT, postgres)),
        "postern": postern,
    }
    for name, target in targets.items():
        target.check()
        measure.run(postgres, target, MODE, 1, seconds=1)
        servers.say(f"{name} answers")
    results, written, statements = {}, 0, 0
    for number in range(options.rounds):
        for name, target in targets.items():
            before = used_bytes(postern.folder / "postern-data/ledger")
            result = measure.run(postgres, target, MODE, 1, options.seconds)
            result.target, result.round = name, number
            servers.say(result.line())
            results.setdefault(name, []).append(result)
            if name == "postern":
                written += used_bytes(postern.folder / "postern-data/ledger") - before
                statements += result.tps * options.seconds
    return postgres, results, written / statements


def audited(options, plain, stack):
    """Bytes and CPU that pgaudit adds to a statement, in bytes and microseconds of the server."""
    servers.say("pgaudit, which logs the same reads and does not wait for the disk")
    postgres = stack.enter_context(servers.Postgres(ROOT, options.scale, AUDIT))
    measure.run(postgres, postgres, MODE, 8, seconds=1)
    added, size = [], []
    for number in range(options.rounds):
        without = measure.run(plain, plain, MODE, 8, options.seconds)
        before = postgres.log_bytes()
        logged = measure.run(postgres, postgres, MODE, 8, options.seconds)
        statements = logged.tps * options.seconds
        size.append((postgres.log_bytes() - before) / statements)
        added.append(logged.server - without.server)
        servers.say(f"round {number + 1}: {size[-1]:.0f} bytes, {added[-1]:.1f} us")
    return size, added


def figure(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def middle(values):
    values = sorted(values)
    least, most = figure(values[0]), figure(values[-1])
    return f"{figure(statistics.median(values))} ({least} to {most})"


def markdown(options, lines, rates, cpu, results, size, audit):
    parts = [
        "# Benchmarks of recording\n",
        "Written by `make bench`; don't edit. Medians, with the least and the most of the rounds "
        "in brackets.\n",
        "\n".join(f"- {line}" for line in lines) + "\n",
        f"```\nbench/recording.py --seconds {options.seconds} --rounds {options.rounds} "
        f"--scale {options.scale}\n```\n",
        "## Durable appends\n",
        "Entries of one record each, by as many threads as there are writers, each of which waits "
        "for its receipt; beside them\nas many that append 66 bytes to a file that was written "
        "before and share its `fdatasync`, whoever comes first for all\nthat wait. In turns, on "
        "one disk (`cargo bench -p postern-ledger --bench append`).\n",
        "| writers | entries a second | the disk alone | ratio |\n|--:|--:|--:|--:|",
    ]
    for writers, pairs in rates.items():
        own, disk = zip(*pairs)
        ratio = middle([one / two for one, two in pairs])
        parts.append(f"| {writers} | {middle(own)} | {middle(disk)} | {ratio} |")
    parts += [
        f"\nCPU time of an entry of one record, syncs included, the making of drafts not: "
        f"{middle(cpu)} us.\n",
        "## One client\n",
        "pgbench's select-only, prepared, one row a transaction: through Postern, which records it "
        "durably before it leaves, and\nthrough `bench/relay.c`, which writes and syncs 96 bytes "
        "before it passes it on and does nothing else.\n",
        "| | p50 us | p99 us | p50 beyond direct, us | CPU of the proxy, us | foreign |\n"
        "|---|--:|--:|--:|--:|--:|",
    ]
    direct = {result.round: result.p50 for result in results["direct"]}
    for name, own in results.items():
        each = [middle([getattr(result, field) for result in own]) for field in ["p50", "p99"]]
        beyond = middle([result.p50 - direct[result.round] for result in own])
        used = middle([result.proxy for result in own])
        foreign = middle([result.foreign for result in own])
        parts.append(f"| {name} | {' | '.join(each)} | {beyond} | {used} | {foreign} |")
    relay = {result.round: result.p50 for result in results["relay"]}
    more = middle([result.p50 - relay[result.round] for result in results["postern"]])
    parts.append(f"\nPostern's p50 is that of the relay and {more} us.\n")
    parts.append("## Bytes\n")
    parts.append(f"A statement of one record that is known takes {size:.1f} bytes of the ledger, "
                 "with signatures and all else that was written meanwhile.\n")
    if audit is not None:
        bytes_, added = audit
        parts.append(
            f"pgaudit (`{' '.join(AUDIT[:2])}`) writes {middle(bytes_)} bytes a statement to the "
            f"server's log, without saying which\nrecord and without waiting for the disk, and "
            f"takes {middle(added)} us of the server's CPU time (8 clients).\n")
    return "\n".join(parts)


def has_pgaudit():
    folder = servers.command([servers.program("pg_config"), "--pkglibdir"]).strip()
    return pathlib.Path(folder, "pgaudit.so").exists()


def main():
    options = arguments()
    try:
        rates, cpu = appends(options)
        with contextlib.ExitStack() as stack:
            postgres, results, size = latencies(options, stack)
            audit = audited(options, postgres, stack) if has_pgaudit() else None
            lines = report.conditions(ROOT, postgres, {})[:3]
    except (servers.Failed, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = markdown(options, lines, rates, cpu, results, size, audit)
    report.publish(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
