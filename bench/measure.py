"""One run of pgbench against one target: throughput, latencies, and whose CPU it took."""

import dataclasses
import glob
import os
import pathlib
import re
import resource
import subprocess
import tempfile
import time

import servers

HERTZ = os.sysconf("SC_CLK_TCK")

# The share of transactions whose latency is logged: enough for a p99, too few to be felt.
SAMPLED = 0.2

# pgbench's own select-only, as a file: its built-in scripts ask the catalogue about partitions
# first.
SCRIPT = """\\set aid random(1, 100000 * :scale)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
"""


@dataclasses.dataclass
class Result:
    """Times are microseconds, CPU is microseconds per transaction, `foreign` is in cores."""

    mode: str
    clients: int
    tps: float
    p50: float
    p99: float
    proxy_user: float
    proxy_system: float
    server: float
    foreign: float
    target: str = ""
    round: int = 0

    @property
    def proxy(self):
        return self.proxy_user + self.proxy_system

    def line(self):
        return (f"{self.mode:9} clients {self.clients:3}  round {self.round + 1}  "
                f"{self.target:10} {self.tps:8.0f} tps  p50 {self.p50:6.0f}  p99 {self.p99:6.0f}  "
                f"proxy {self.proxy:5.1f}  foreign {self.foreign:.2f}")


@dataclasses.dataclass
class Cpu:
    """CPU seconds since some moment in the past."""

    proxy_user: float
    proxy_system: float
    server: float
    client: float
    machine: float
    moment: float


def cpu(postgres, target):
    proxy_user, proxy_system = times(target.pids())
    client = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, interrupt, soft = map(int, fields[:7])
    return Cpu(proxy_user, proxy_system, sum(times(postgres.server_pids())),
               client.ru_utime + client.ru_stime,
               (user + nice + system + interrupt + soft) / HERTZ, time.monotonic())


def times(pids):
    """User and system seconds of these processes and of their children that have ended."""
    user = system = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text[text.rindex(")") + 2:].split()
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / HERTZ, system / HERTZ


def run(postgres, target, mode, clients, seconds):
    """Runs pgbench for that long; raises Failed unless every transaction went well."""
    with tempfile.TemporaryDirectory(prefix="postern-bench-") as folder:
        script = pathlib.Path(folder, "select.sql")
        script.write_text(SCRIPT)
        arguments = [
            servers.program("pgbench"), "-n", *how(mode), "-c", str(clients),
            "-j", str(min(clients, os.cpu_count() or 1)), "-T", str(seconds),
            "-D", f"scale={postgres.scale}", "-f", str(script),
            "-l", "--log-prefix", f"{folder}/log", "--sampling-rate", str(SAMPLED),
            *target.connection(), servers.DATABASE,
        ]
        before = cpu(postgres, target)
        done = subprocess.run(arguments, env=target.environment(), capture_output=True, text=True)
        # Processes of the server that have just ended are counted once their parent has noticed.
        time.sleep(0.2)
        after = cpu(postgres, target)
        latencies = sorted(read_latencies(folder))
    return result(done, latencies, before, after, mode, clients)


def how(mode):
    """Of `connect` each transaction has a connection of its own; its latencies leave that out."""
    return ["-C", "-M", "simple"] if mode == "connect" else ["-M", mode]


def read_latencies(folder):
    """Microseconds, the third column of pgbench's log."""
    for name in glob.glob(f"{folder}/log*"):
        with open(name) as log:
            for line in log:
                yield int(line.split()[2])


def result(done, latencies, before, after, mode, clients):
    count = re.search(r"transactions actually processed: (\d+)", done.stdout)
    tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    failed = re.search(r"failed transactions: ([1-9]\d*)", done.stdout)
    if done.returncode != 0 or not count or not tps or failed or not latencies:
        said = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["nothing"]
        raise servers.Failed(f"pgbench -M {mode} -c {clients} failed: {said[-1]}")
    each = 1e6 / int(count[1])
    proxy_user = after.proxy_user - before.proxy_user
    proxy_system = after.proxy_system - before.proxy_system
    server, client = after.server - before.server, after.client - before.client
    explained = proxy_user + proxy_system + server + client
    elapsed = after.moment - before.moment
    return Result(
        mode=mode, clients=clients, tps=float(tps[1]),
        p50=percentile(latencies, 0.50), p99=percentile(latencies, 0.99),
        proxy_user=proxy_user * each, proxy_system=proxy_system * each, server=server * each,
        foreign=(after.machine - before.machine - explained) / elapsed)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
