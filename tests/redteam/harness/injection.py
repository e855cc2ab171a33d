#!/usr/bin/env python3
"""Gives a page with a plain SQL injection to sqlmap, and looks for customers in what it gets.

The page's database account is a restricted actor behind Postern, with budgets that are never spent:
the masks alone must hold. What sqlmap wrote and every answer that the page gave is searched for
values of customers that are not that actor's own, taken from the database. Usage: make sqlmap, or
make sqlmap ARGS="--minutes 5".
"""

import argparse
import contextlib
import html
import http.server
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse

import servers
from servers import Failed, pgwire, say

ACTOR = "agent07"
PERSONAL = "name, email, phone, address, notes, metadata->>'ssn', metadata->>'token'"

# Values are found by so many characters at their beginning; shorter ones are not looked for.
PIECE = 7

# What sqlmap is asked for, and the share of the time that it gets for each. It finds out about the
# schema by itself in the first; the others tell it what somebody who works there knows.
WISHES = [
    (0.6, ["--all", "--exclude-sysdbs"]),
    (0.25, ["-D", "public", "-T", "customers,tickets", "--dump",
            "-C", "id,name,email,phone,address,notes,metadata,body,customer_id"]),
    (0.15, ["--sql-query", "SELECT email, phone, address FROM customers WHERE id = {target}"]),
]


class Page(http.server.BaseHTTPRequestHandler):
    """`/customer?id=…`, with the text after `id=` pasted into the statement."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        answer = self.server.customer(query.get("id", ["0"])[0])
        body = f"<html><body>{answer}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The answers are recorded where they are made."""


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, dsn, record):
        super().__init__(("127.0.0.1", 0), Page)
        self.dsn = dsn
        self.idle = queue.SimpleQueue()
        self.record = open(record, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.count = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """sqlmap hangs up when it has seen enough."""

    def customer(self, id):
        """Everything that the database says, errors and notices too: a careless page."""
        sql = "SELECT id, name, email, plan FROM customers WHERE id = " + id
        try:
            said = self.ask(sql)
        except (pgwire.WireError, OSError) as error:
            said = [f"<b>{html.escape(str(error))}</b>"]
        answer = "\n".join(said)
        with self.lock:
            self.count += 1
            self.record.write(html.unescape(answer) + "\n")
            self.record.flush()
        return answer

    def ask(self, sql):
        try:
            connection = self.idle.get_nowait()
        except queue.Empty:
            connection = pgwire.Conn(pgwire.parse_dsn(self.dsn), user=ACTOR,
                                     password=f"pw-{ACTOR}", timeout=20)
        try:
            events = connection.query(sql.replace("\0", ""))
        except BaseException:
            connection.abort()
            raise
        connection.events.clear()
        connection.raw_bytes = 0
        if connection.txstatus == "I":
            self.idle.put(connection)
        else:
            connection.close()
        return [line for event in events for line in lines(event)]


def lines(event):
    if event.t == "D":
        cells = ["" if cell is None else cell.decode("utf-8", "replace") for cell in event.v]
        yield "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
    elif event.t in "EN":
        yield "<b>" + html.escape(" ".join(event.v.values())) + "</b>"


class Values:
    """Personal values of customers, to be found again in a text."""

    def __init__(self, rows):
        self.rows = {value.casefold() for row in rows for value in row if value}
        # Short values would be found everywhere.
        self.rows = {value for value in self.rows if len(value) >= PIECE + 1}
        self.starts = {}
        for value in self.rows:
            self.starts.setdefault(value[:PIECE], []).append(value)

    def within(self, text):
        found = set()
        for line in set(text.casefold().splitlines()):
            for at in range(len(line) - PIECE):
                for value in self.starts.get(line[at:at + PIECE], ()):
                    if line.startswith(value, at):
                        found.add(value)
        return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, default=30, help="how long sqlmap may take (default: 30)")
    add("--plain", action="store_true",
        help="without the gateway, where sqlmap must succeed: checks the check")
    add("--keep", type=pathlib.Path, metavar="DIR", help="copy sqlmap's output and answers there")
    return parser.parse_args()


def personal(postgres):
    """Foreign values that no own customer shares, and the own ones."""
    def rows(condition):
        return postgres.rows(
            f"SELECT {PERSONAL} FROM customers c WHERE {condition} (SELECT FROM tickets t "
            f"WHERE t.customer_id = c.id AND t.assignee = '{ACTOR}')")
    own = {value for row in rows("EXISTS") for value in row}
    foreign = [[value for value in row if value not in own] for row in rows("NOT EXISTS")]
    return Values(foreign), Values([own])


def attack(site, own, target, options):
    """Runs sqlmap with each wish, none longer than its share; returns what it printed."""
    output = own / "sqlmap"
    base = ["sqlmap", "-u", f"http://127.0.0.1:{site.server_port}/customer?id={target['own']}",
            "-p", "id", "--batch", "--level", "5", "--risk", "3", "--dbms", "PostgreSQL",
            "--threads", "4", "--time-sec", "2", "--disable-coloring", "--output-dir", output]
    printed = ""
    for share, wish in WISHES:
        seconds = options.minutes * 60 * share
        wish = [word.format(**target) for word in wish]
        say(f"sqlmap {' '.join(wish[:5])} … for at most {seconds:.0f} s")
        try:
            done = subprocess.run([*map(str, base), *wish], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=seconds)
            said = done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"") + (late.stderr or b"")
        except OSError as error:
            raise Failed(f"cannot run sqlmap: {error.strerror}") from error
        printed += said.decode("utf-8", "replace")
    return printed, output


def everything(printed, output, record):
    texts = [printed, record.read_text(encoding="utf-8")]
    for path in sorted(output.rglob("*")):
        if path.is_file():
            texts.append(html.unescape(path.read_bytes().decode("utf-8", "replace")))
    return "\n".join(texts)


def judge(text, values, own_values, site):
    """Whether all is well. A run that reached nothing proves nothing, so that fails too."""
    # How sqlmap begins its list of what it can inject into; "injectable" it says where there is none.
    injectable = re.search(r"^Parameter: id \(GET\)", text, re.M)
    control = own_values.within(text)
    # Lena Brown, who is foreign, is found wherever Elena Brown, who is not, is shown.
    shown = "\n".join(own_values.rows)
    leaked = {value for value in values.within(text) if value not in shown}
    for value in sorted(leaked)[:20]:
        say(f"leaked: {value}")
    if not control:
        say("the page showed no own customer either: it did not work")
    if not injectable:
        say("sqlmap did not find the injection: it was not attacked")
    line = (f"{len(leaked)} foreign values in what sqlmap got; {site.count} answers, "
            f"{len(control)} own values")
    return line, bool(control and injectable), bool(leaked)


def run(options):
    troubles = []
    with contextlib.ExitStack() as stack:
        own = servers.folder("postern-sqlmap-")
        stack.callback(shutil.rmtree, own, ignore_errors=True)
        postgres = stack.enter_context(servers.Postgres(own))
        postgres.seed()
        dsn = postgres.dsn()
        if not options.plain:
            postern = servers.Postern(own, postgres, budgets=False)
            troubles = postern.troubles
            dsn = stack.enter_context(postern).dsn()
        values, own_values = personal(postgres)
        first = postgres.rows(f"SELECT min(customer_id) FROM tickets WHERE assignee = '{ACTOR}'")
        site = Site(dsn, own / "answers.txt")
        began = time.monotonic()
        target = {"own": first[0][0], "target": "13577"}
        printed, output = attack(site, own, target, options)
        say(f"sqlmap ended after {time.monotonic() - began:.0f} s")
        text = everything(printed, output, own / "answers.txt")
        if options.keep:
            shutil.copytree(own / "sqlmap", options.keep, dirs_exist_ok=True)
            shutil.copy(own / "answers.txt", options.keep)
            (options.keep / "printed.txt").write_text(printed)
    # The gateway has stopped by now, and its ledger is checked.
    for trouble in troubles:
        say(trouble)
    line, attacked, leaked = judge(text, values, own_values, site)
    print(line)
    return 0 if is_well(attacked, leaked, troubles, options.plain) else 1


def is_well(attacked, leaked, troubles, plain):
    return attacked and leaked == plain and not troubles


def main():
    try:
        return run(arguments())
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
