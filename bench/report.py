"""From results to docs/benchmarks.md."""

import datetime
import os
import pathlib
import platform
import statistics

import servers

# Cores of CPU that none of the measured processes explains, above which throughput is not quoted.
FOREIGN_MAX = 0.15


def conditions(root, postgres, targets):
    """What a reader must know to judge the figures, as lines."""
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    commit = servers.command(["git", "describe", "--always", "--dirty"], cwd=root).strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [target.version() for name, target in targets.items() if name != "direct"]
    versions = dict.fromkeys(versions)
    return [
        f"{datetime.date.today().isoformat()}, commit {commit}",
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}; client, "
        "proxy and server share them",
        ", ".join([postgres.version(), *versions])
        + f"; all connections over TCP on loopback, without TLS; pgbench scale {postgres.scale}",
        f"PostgreSQL with {', '.join(servers.SETTINGS)}",
        "Postern guards pgbench_accounts: each of its rows is recorded, durably, before it leaves; "
        f"{servers.REASONS} accounts are clear to the actor, the others masked; *postern* has "
        "recorded every account before, *cold* none, *unprotected* protects no table",
    ]


def publish(output, text):
    """Puts a document in its place and prints it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)
    print(text)
    servers.say(f"written to {output}")


def markdown(options, results, lines):
    command = (f"bench/run.py --seconds {options.seconds} --rounds {options.rounds} "
               f"--scale {options.scale} --clients {','.join(map(str, options.clients))} "
               f"--modes {','.join(options.modes)} --targets {','.join(options.targets)}")
    parts = [
        "# Benchmarks\n",
        "pgbench's select-only (`SELECT abalance FROM pgbench_accounts WHERE aid = :aid`), one row "
        "a transaction.\nWritten by `make bench`; don't edit.\n",
        "\n".join(f"- {line}" for line in lines) + "\n",
        f"Each figure is the median of {options.rounds} interleaved rounds of {options.seconds} s; "
        f"the ratio is that to {options.targets[0]} in the\nsame round. CPU is that of the proxy's "
        "processes per transaction (user / system). *Foreign* is CPU, in\ncores, that none of the "
        f"measured processes explains; throughput is in brackets where it is above {FOREIGN_MAX}.\n"
        "(A little less than zero is the grain of the kernel's clocks.)\n",
        f"```\n{command}\n```\n",
    ]
    for mode in options.modes:
        parts.append(table(options, [r for r in results if r.mode == mode], mode))
    return "\n".join(parts)


def table(options, results, mode):
    rows = [
        f"## {mode}\n",
        "| clients | target | transactions/s | ratio | p50 µs | p99 µs | proxy CPU µs | foreign |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for clients in options.clients:
        for target in options.targets:
            chosen = [r for r in results if r.clients == clients and r.target == target]
            base = {r.round: r.tps for r in results
                    if r.clients == clients and r.target == options.targets[0]}
            rows.append(row(target, chosen, base))
    return "\n".join(rows) + "\n"


def row(target, chosen, base):
    def median(field):
        return statistics.median(getattr(result, field) for result in chosen)

    ratio = statistics.median(result.tps / base[result.round] for result in chosen)
    foreign = median("foreign")
    tps = f"{median('tps'):.0f}"
    if foreign > FOREIGN_MAX:
        tps = f"({tps})"
    proxy = "–"
    if any(result.proxy for result in chosen):
        parts = f"{median('proxy_user'):.1f} / {median('proxy_system'):.1f}"
        proxy = f"{median('proxy'):.1f} ({parts})"
    return (f"| {chosen[0].clients} | {target} | {tps} | {ratio:.2f} | {median('p50'):.0f} | "
            f"{median('p99'):.0f} | {proxy} | {foreign:.2f} |")
