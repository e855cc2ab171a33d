#!/usr/bin/env python3
"""Replays a large made-up feed twice and says how fast that was, and with how much memory.

The feed is made once, by `postern-centre stream`, and used again while its size is the same. Both
replays must write the same bytes. Processor time is what counts on a machine with other work.
"""

import argparse
import filecmp
import os
import re
import subprocess
import sys
import time
from pathlib import Path


BUILT = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"


def make(feed: Path, args) -> str:
    """Makes the feed, unless it is there; gives what was written."""
    told = feed / f"made-{args.actors}-{args.subjects}-{args.events}.txt"
    if not told.exists():
        command = [str(BUILT / "postern-centre"), "stream", "--out", str(feed)]
        command += ["--agents", str(args.actors), "--customers", str(args.subjects)]
        made = subprocess.run(
            command + ["--events", str(args.events)], check=True, capture_output=True, text=True
        )
        for old in feed.glob("made-*.txt"):
            old.unlink()
        told.write_text(made.stdout)
    return told.read_text().strip()


def replay(feed: Path, findings: Path):
    """Replays; gives seconds, seconds of processor time and the most memory in MB."""
    command = [str(BUILT / "postern"), "replay", "--feed", str(feed), "--findings", str(findings)]
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"error: `{' '.join(command)}` ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("target/bench-replay"))
    parser.add_argument("--actors", type=int, default=10_000)
    parser.add_argument("--subjects", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=30_000_000)
    args = parser.parse_args()
    feed = args.folder / "feed"
    feed.mkdir(parents=True, exist_ok=True)
    made = make(feed, args)
    events, accesses = (int(number) for number in re.findall(r"\d+", made)[:2])
    print(f"{made}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| replay | s | accesses/s | events/s | processor s | µs an access | most MB |")
    print("|---|---|---|---|---|---|---|")
    written = [args.folder / f"findings-{turn}.jsonl" for turn in (1, 2)]
    for turn, findings in enumerate(written, 1):
        seconds, processor, megabytes = replay(feed, findings)
        print(
            f"| {turn} | {seconds:.1f} | {accesses / seconds:,.0f} | {events / seconds:,.0f} "
            f"| {processor:.1f} | {processor / accesses * 1e6:.2f} | {megabytes:.0f} |",
            flush=True,
        )
    if not filecmp.cmp(*written, shallow=False):
        sys.exit("error: the two replays wrote different findings")
    print("both wrote the same findings, byte by byte")


main()
