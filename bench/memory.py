#!/usr/bin/env python3
"""Measures the memory that an idle client takes: of Postern in transaction mode, and of pgbouncer.

Opens many connections that have each run one query and now wait, over TCP without TLS, and divides
what the proxy's memory (Pss, from /proc) has grown by. Usage: bench/memory.py --clients 2000.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import os
import pathlib
import resource
import socket
import struct
import sys
import time

import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--clients", type=int, default=2000, help="default: %(default)s")
    add("--servers", type=int, default=20, help="default: %(default)s")
    add("--query", default="SELECT abalance FROM pgbench_accounts WHERE aid = 7",
        help="what each has run (default: %(default)s)")
    return parser.parse_args()


class Client:
    """One connection: SCRAM, a query, and then nothing."""

    def __init__(self, target, query):
        self.socket = socket.create_connection(("127.0.0.1", target.port))
        self.buffer = b""
        names = b"user\0" + target.user.encode() + b"\0database\0" + servers.DATABASE.encode()
        body = struct.pack("!i", 196608) + names + b"\0\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.log_in(target.password)
        self.send(b"Q", query.encode() + b"\0")
        self.until_ready()

    def send(self, tag, body):
        self.socket.sendall(tag + struct.pack("!i", len(body) + 4) + body)

    def message(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + self.length():
            read = self.socket.recv(65536)
            if not read:
                raise servers.Failed("the proxy has closed the connection")
            self.buffer += read
        end = 1 + self.length()
        tag, body, self.buffer = self.buffer[:1], self.buffer[5:end], self.buffer[end:]
        if tag == b"E":
            raise servers.Failed(body.replace(b"\0", b" ").decode(errors="replace"))
        return tag, body

    def length(self):
        return struct.unpack("!i", self.buffer[1:5])[0]

    def until_ready(self):
        while self.message()[0] != b"Z":
            pass

    def log_in(self, password):
        self.message()
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        first = ("n,," + bare).encode()
        self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
        challenge = self.message()[1][4:].decode()
        parts = dict(part.split("=", 1) for part in challenge.split(","))
        salted = salted_password(password, parts["s"], int(parts["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        bare_last = f"c=biws,r={parts['r']}"
        signed = ",".join([bare, challenge, bare_last]).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.send(b"p", f"{bare_last},p={base64.b64encode(proof).decode()}".encode())
        self.until_ready()


SALTED = {}


def salted_password(password, salt, iterations):
    """The same for all clients of one account."""
    if salt not in SALTED:
        raw = base64.b64decode(salt)
        SALTED[salt] = hashlib.pbkdf2_hmac("sha256", password.encode(), raw, iterations)
    return SALTED[salt]


def memory(target):
    """Bytes of the proxy's processes."""
    total = 0
    for pid in target.pids():
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def measure(target, options):
    """KiB for each idle client; the first ones warm the proxy up."""
    warm = [Client(target, options.query) for _ in range(50)]
    time.sleep(1)
    before = memory(target)
    clients = [Client(target, options.query) for _ in range(options.clients)]
    time.sleep(1)
    each = (memory(target) - before) / options.clients / 1024
    for client in clients + warm:
        client.socket.close()
    return each


def main():
    options = arguments()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    room = options.clients + 100
    targets = {
        "pgbouncer": lambda postgres: servers.SharedPgBouncer(postgres, options.servers),
        "nothing protected": lambda postgres: servers.SharedUnprotected(
            ROOT, postgres, options.servers, room),
        "guarded": lambda postgres: servers.Shared(ROOT, postgres, options.servers, room),
    }
    try:
        with contextlib.ExitStack() as stack:
            postgres = stack.enter_context(servers.Postgres(ROOT, 1))
            print("| proxy | KiB for each idle client |\n|---|--:|")
            for name, start in targets.items():
                with start(postgres) as target:
                    target.check()
                    print(f"| {name} | {measure(target, options):.1f} |", flush=True)
    except servers.Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
