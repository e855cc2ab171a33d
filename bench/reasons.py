#!/usr/bin/env python3
"""What it costs to keep the reasons of many active actors: share of a core, in gateway and server.

Each actor has a connection to the gateway (which shares few to the server) and reasons for so
many customers, by open tickets. The tickets change all the time, by a connection around the
gateway: each change gives a ticket to another actor. CPU is read from /proc over the time
measured: the gateway's process, and the server's processes without the one that makes the
changes (it has a column of its own), while the actors ask for nothing, by turns for nothing of
anybody's (`SELECT 1`), and for a customer of theirs: an answer that is masked says that the reasons
could not be read in time.

With `--told` the database tells which reasons have changed (`postern reasons`); what the triggers
cost is in the column of the changes. With `--without` there are no reasons, so that all is masked:
what the same statements cost where nothing is kept. The difference is the cost of keeping reasons.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import os
import pathlib
import platform
import sys
import threading
import time

import servers
import suspend
import wire

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")

CONFIGURATION = """
[gateway.limits]
connections_max = 20000
[roles.agent]
kind = "restricted"
[[tables]]
name = "public.customers"
subject = "id"
clear = ["id"]
[tables.columns.name]
class = "name"
mask = "***"
[[tables]]
name = "public.tickets"
subject = "customer"
clear = ["id", "customer", "assignee", "status"]
"""

REASONS = """
[[reasons]]
name = "assigned_ticket"
table = "public.tickets"
subject = "customer"
actor = "assignee"
where = "status = 'open'"
grade = "strong"
"""


class Postern(suspend.Postern):
    """Postern with many accounts whose tickets are reasons."""

    pool = 'pool = "transaction"'
    reasons, told = REASONS, False

    def postern_config(self):
        return self.common_config() + CONFIGURATION + self.reasons

    def run(self, *arguments, **options):
        done = super().run(*arguments, **options)
        if self.told and arguments[:2] == ("person", "add"):
            self.postgres.query(self.run("reasons"))
        return done


def schema(actors, keys):
    return f"""
        CREATE TABLE customers AS SELECT n AS id, 'Name ' || n AS name
            FROM generate_series(0, {actors * keys - 1}) n;
        ALTER TABLE customers ADD PRIMARY KEY (id);
        CREATE TABLE tickets AS SELECT n AS id, n AS customer, 'agent' || n / {keys} AS assignee,
            'open' AS status FROM generate_series(0, {actors * keys - 1}) n;
        ALTER TABLE tickets ADD PRIMARY KEY (id);
        CREATE INDEX ON tickets (assignee);
        ANALYZE;"""


def cpu(pids):
    """Seconds of CPU that the processes have used; those that are gone count no more."""
    used = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = pathlib.Path(f"/proc/{pid}/stat").read_text()
            fields = text[text.rindex(")") + 2:].split()
            used += int(fields[11]) + int(fields[12])
    return used / TICK


class Changes(threading.Thread):
    """Gives tickets to other actors, so many a second."""

    def __init__(self, postgres, actors, keys, rate):
        super().__init__(daemon=True)
        self.connection = wire.Connection(postgres.port, postgres.user)
        self.pid = int(self.connection.query("SELECT pg_backend_pid()")[0][0])
        self.actors, self.tickets, self.rate = actors, actors * keys, rate
        self.made, self.stopped = 0, threading.Event()

    def run(self):
        begun, number = time.monotonic(), 0
        while not self.stopped.is_set():
            due = int((time.monotonic() - begun) * self.rate)
            if number >= due:
                time.sleep(0.002)
                continue
            # Each actor keeps the first of their customers.
            ticket = number * 7919 % self.tickets
            ticket += ticket % (self.tickets // self.actors) == 0
            actor = number * 31 % self.actors
            self.connection.query(
                f"UPDATE tickets SET assignee = 'agent{actor}' WHERE id = {ticket}")
            number += 1
        self.made = number / (time.monotonic() - begun)


class Asking(threading.Thread):
    """All actors by turns, so many a second: each asks for a customer who is theirs all the time,
    or for nothing of anybody's."""

    def __init__(self, sessions, options, rate, plain):
        super().__init__(daemon=True)
        self.sessions, self.keys, self.rate, self.plain = sessions, options.keys, rate, plain
        self.stopped, self.numbers = threading.Event(), iter(range(10**9))
        self.waited, self.clear, self.masked, self.refused = [], 0, 0, 0

    def run(self):
        self.begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            for _ in range(8):
                threads.submit(self.ask)

    def ask(self):
        while not self.stopped.is_set():
            number = next(self.numbers)
            wait = self.begun + number / self.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            # A step that has nothing in common with how many there are.
            actor = number * 7919 % len(self.sessions)
            sql = f"SELECT name FROM customers WHERE id = {actor * self.keys}"
            begun = time.monotonic()
            try:
                ((cell,),) = self.sessions[actor].query("SELECT 1" if self.plain else sql)
            except (servers.Failed, ValueError):
                self.refused += 1
                continue
            self.waited.append(time.monotonic() - begun)
            self.clear += cell.startswith("Name")
            self.masked += cell == "***"


def measure(postgres, target, options, sessions, what):
    """A row of the result: what was done, and the shares of a core in gateway and server."""
    changed, asked, plain = what
    changes = Changes(postgres, options.actors, options.keys, changed) if changed else None
    asking = Asking(sessions, options, asked, plain) if asked else None
    threads = [thread for thread in [changes, asking] if thread]
    for thread in threads:
        thread.start()
    time.sleep(3)
    gateway = target.pids()
    server = [pid for pid in postgres.server_pids() if not changes or pid != changes.pid]
    counted = [gateway, server, [changes.pid] if changes else []]
    begun, before = time.monotonic(), [cpu(pids) for pids in counted]
    time.sleep(options.seconds)
    took, after = time.monotonic() - begun, [cpu(pids) for pids in counted]
    for thread in threads:
        thread.stopped.set()
        thread.join()
    shares = [f"{(late - early) / took * 100:.1f} %" for early, late in zip(before, after)]
    told = ["–"] * 4
    if asking:
        waited = sorted(asking.waited) or [0]
        slow = waited[int(len(waited) * 0.99)] * 1000
        seen = f"{asking.clear} / {asking.masked}" if not plain else "–"
        rate = len(waited) / (time.monotonic() - asking.begun)
        told = [f"{rate:.0f} {'plain' if plain else 'own'}", seen, asking.refused, f"{slow:.0f} ms"]
    made = f"{changes.made:.0f}" if changes else "0"
    cells = [made, told[0], *shares, *told[1:]]
    return "| " + " | ".join(map(str, cells)) + " |"


def settle(pids):
    """Waits for what log-ins lead to, a minute at most."""
    for _ in range(30):
        before = cpu(pids)
        time.sleep(2)
        if cpu(pids) - before < 0.1:
            return
    servers.say("the gateway has not come to rest")


def connect(target, actors):
    """A session of each; many at once, since each waits for a reading."""
    def one(number):
        name = f"agent{number}"
        return wire.Connection(target.port, name, target.password, name)
    with concurrent.futures.ThreadPoolExecutor(200) as threads:
        return list(threads.map(one, range(actors)))


def run(options):
    servers.SETTINGS[:] = ["max_connections=200", "shared_buffers=1GB", "jit=off"]
    accounts = [f"agent{number}" for number in range(options.actors)]
    with contextlib.ExitStack() as stack:
        servers.say("starting PostgreSQL and the gateway")
        postgres = stack.enter_context(servers.Postgres(ROOT, 1))
        postgres.query(schema(options.actors, options.keys))
        Postern.reasons = "" if options.without else REASONS
        target = Postern(ROOT, postgres, options.binary, accounts)
        target.told = options.told
        stack.enter_context(target)
        target.check()
        begun = time.monotonic()
        sessions = connect(target, options.actors)
        servers.say(f"{len(sessions)} actors are connected, in {time.monotonic() - begun:.0f} s")
        settle(target.pids())
        rows, asks = [], options.asks
        for what in [(0, 0, True), (options.changes, 0, True), (options.changes, asks, True),
                     (options.changes, asks, False)]:
            rows.append(measure(postgres, target, options, sessions, what))
            servers.say(rows[-1])
        return rows, [target.version(), postgres.version()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--actors", type=int, default=10_000, help="default: %(default)s")
    add("--keys", type=int, default=100, help="customers of each (default: %(default)s)")
    add("--changes", type=int, default=500, help="a second (default: %(default)s)")
    add("--asks", type=int, default=333, help="statements a second (default: %(default)s)")
    add("--seconds", type=float, default=20, help="measured (default: %(default)s)")
    add("--told", action="store_true", help="the database tells what has changed")
    add("--without", action="store_true", help="no reasons: what the statements cost by themselves")
    add("--binary", type=pathlib.Path, help="a postern that is there, instead of a new build")
    options = parser.parse_args()
    try:
        rows, versions = run(options)
    except servers.Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{datetime.date.today()}, {', '.join(versions)}, {os.cpu_count()} cores, Linux "
          f"{platform.release()}, load {os.getloadavg()[0]:.1f}; {options.actors} actors with "
          f"{options.keys} customers each, {options.seconds:.0f} s\n")
    print("| changes/s | statements/s | gateway | server | the changes | own: clear / masked "
          "| failed | p99 |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
