#!/usr/bin/env python3
"""How fast a suspension is: until each session is cut, until nothing of it runs on the server.

All connections are open at once and do different things: most are idle, a tenth each stands in a
transaction, sleeps in the server, or is in mid-result with a client that reads nothing. Then
accounts are suspended one after the other through the control socket, as `postern suspend` does.
The clock starts before the order is sent. A session is cut when its client sees the end of the
connection, behind all that was on its way. The server is asked all the time, on a connection around
the gateway, for what the account still has there.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import selectors
import socket
import statistics
import sys
import threading
import time

import servers
import wire

ROOT = pathlib.Path(__file__).resolve().parent.parent

# How long anything may take before the benchmark has failed.
PATIENCE = 60

# What one connection in ten each does; the others are idle.
BUSY = [
    ("in a transaction", "BEGIN; UPDATE plain SET n = n WHERE n = {number}"),
    ("asleep", "SELECT pg_sleep(1000)"),
    ("in mid-result", "SELECT n, repeat('x', 1000) FROM generate_series(1, 100000000) n"),
]


class Postern(servers.Postern):
    """Postern with many accounts."""

    def __init__(self, root, postgres, binary, accounts):
        super().__init__(root, postgres)
        self.binary, self.accounts = binary or self.binary, accounts

    def postern_config(self):
        limits = "[gateway.limits]\nconnections_max = 10000\nstatement_timeout = \"1h\"\n"
        return super().postern_config() + limits + "idle_in_transaction_timeout = \"1h\"\n"

    def run(self, *arguments, **options):
        done = super().run(*arguments, **options)
        if arguments[:2] == ("person", "add"):
            # All have the same password, which is hashed once.
            file = self.folder / "postern-data/people.toml"
            one = file.read_text()
            others = [one.replace(f"actors.{self.user}", f"actors.{account}")
                      for account in self.accounts]
            file.write_text("\n".join([one, *others]))
        return done

    def check(self):
        self.await_ready()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--connections", type=int, default=2000, help="open at once (default: %(default)s)")
    add("--sessions", type=int, default=20, help="of each account (default: %(default)s)")
    add("--suspensions", type=int, default=50, help="of so many accounts (default: %(default)s)")
    add("--alone", type=int, default=1,
        help="then so many times with all connections of one account (default: %(default)s)")
    add("--binary", type=pathlib.Path, help="a postern that is there, instead of a new build")
    add("--output", type=pathlib.Path, default=ROOT / "docs/benchmarks-suspend.md",
        help="default: docs/benchmarks-suspend.md")
    return parser.parse_args()


def connect(target, account, count):
    """Sessions of one account, each at what it does."""
    sessions = []
    for number in range(count):
        session = wire.Connection(target.port, account, target.password, account)
        busy = number % 10
        if busy < len(BUSY):
            session.send(BUSY[busy][1].format(number=number))
        sessions.append(session)
    return sessions


class Server(threading.Thread):
    """Asks the server for what an account has there, until it is nothing."""

    def __init__(self, postgres, account):
        super().__init__()
        self.connection = wire.Connection(postgres.port, postgres.user)
        self.account, self.started = account, threading.Event()
        self.quiet = self.gone = self.failed = None

    def run(self):
        self.started.wait()
        sql = ("SELECT count(*) FILTER (WHERE state = 'active'), count(*) FROM pg_stat_activity "
               f"WHERE application_name = '{self.account}'")
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            active, there = map(int, self.connection.query(sql)[0])
            now = time.monotonic()
            if active == 0 and self.quiet is None:
                self.quiet = now
            if there == 0:
                self.gone = now
                self.connection.socket.close()
                return


def suspend(target, account, server):
    """When it began, and what the gateway answered when."""
    order = {"request": "suspend", "actor": account, "why": "benchmark"}
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(target.folder / "postern-data/control.sock"))
        begun = time.monotonic()
        server.started.set()
        control.sendall(json.dumps(order).encode() + b"\n")
        reply = control.makefile().readline()
        return begun, time.monotonic(), json.loads(reply)


def measure(postgres, target, account, sessions):
    """Milliseconds until each session was cut, the server was quiet, was rid of all, replied."""
    server = Server(postgres, account)
    server.start()
    answer = []
    ordering = threading.Thread(target=lambda: answer.extend(suspend(target, account, server)))
    waiting = selectors.DefaultSelector()
    for session in sessions:
        session.socket.setblocking(False)
        waiting.register(session.socket, selectors.EVENT_READ)
    ordering.start()
    server.started.wait()
    cut, left, limit = [], len(sessions), time.monotonic() + PATIENCE
    while left and time.monotonic() < limit:
        for key, _ in waiting.select(1):
            try:
                ended = not key.fileobj.recv(1 << 20)
            except ConnectionResetError:
                ended = True
            except BlockingIOError:
                continue
            if ended:
                cut.append(time.monotonic())
                waiting.unregister(key.fileobj)
                key.fileobj.close()
                left -= 1
    ordering.join()
    server.join()
    if left or server.gone is None:
        raise servers.Failed(f"{account}: {left} sessions are not cut, or the server has some")
    begun, replied, reply = answer
    if reply.get("sessions_cut") != len(sessions):
        raise servers.Failed(f"{account}: {reply}")

    def since(moment):
        return (moment - begun) * 1000

    cut = [since(moment) for moment in cut]
    return cut, since(server.quiet), since(server.gone), since(replied)


def run(options):
    servers.SETTINGS[:] = [f"max_connections={options.connections + 100}", "shared_buffers=128MB",
                           "autovacuum=off", "jit=off"]
    count = options.connections // options.sessions
    accounts = [f"agent{number}" for number in range(count)]
    alone = [f"alone{number}" for number in range(options.alone)]
    with contextlib.ExitStack() as stack:
        servers.say("starting PostgreSQL and the gateway")
        postgres = stack.enter_context(servers.Postgres(ROOT, 1))
        postgres.query("CREATE TABLE plain AS SELECT n FROM generate_series(0, 10000) n;")
        target = Postern(ROOT, postgres, options.binary, accounts + alone)
        stack.enter_context(target)
        target.check()
        many = [(account, connect(target, account, options.sessions)) for account in accounts]
        servers.say(f"{count * options.sessions} connections are open")
        few = [measure(postgres, target, *one) for one in many[:options.suspensions]]
        for _, sessions in many[options.suspensions:]:
            for session in sessions:
                session.socket.close()
        all_ = []
        for account in alone:
            wait_for_room(postgres)
            sessions = connect(target, account, options.connections)
            servers.say(f"{len(sessions)} connections of {account} are open")
            all_.append(measure(postgres, target, account, sessions))
        return few, all_, [target.version(), postgres.version()]


def wait_for_room(postgres):
    """Until what the earlier connections ran has ended."""
    limit = time.monotonic() + PATIENCE
    while int(postgres.query("SELECT count(*) FROM pg_stat_activity;")) > 100:
        if time.monotonic() > limit:
            raise servers.Failed("the server does not end what was left to it")
        time.sleep(0.5)


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def row(name, results):
    cut = [moment for result in results for moment in result[0]]
    figures = [len(cut), statistics.median(cut), quantile(cut, 0.99), max(cut)]
    figures += [max(result[part] for result in results) for part in (1, 2, 3)]
    return f"| {name} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |"


def markdown(options, few, all_, versions):
    commit = servers.command(["git", "describe", "--always", "--dirty"], cwd=ROOT).strip()
    load = os.getloadavg()[0]
    binary = options.binary or "a release build"
    lines = [
        "# How fast a suspension is", "",
        "Written by `bench/suspend.py`; don't edit. What is measured stands at its beginning.", "",
        f"- {datetime.date.today().isoformat()}, commit {commit}, {binary}",
        f"- {os.cpu_count()} cores, Linux {platform.release()}; clients, gateway and server share "
        f"them, with other work too: the load was {load:.1f} at the end",
        f"- {', '.join(versions)}; {options.connections} connections, each with a server process",
        "",
        "Milliseconds from the order to the end of the session as the client sees it; the slowest "
        "suspension until the server ran none of the account's statements, had none of its "
        "processes, and until the order was confirmed, which is when the ledger has it.", "",
        "| suspended | sessions | median | p99 | last | server quiet | server rid | confirmed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        row(f"one account with {options.sessions} sessions, {len(few)} times", few),
    ]
    if all_:
        lines.append(row(f"the account that has them all, {len(all_)} times", all_))
    return "\n".join(lines) + "\n"


def main():
    options = arguments()
    try:
        few, all_, versions = run(options)
    except servers.Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = markdown(options, few, all_, versions)
    options.output.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
