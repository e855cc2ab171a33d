"""A client of PostgreSQL's protocol, as little of it as a benchmark of many connections needs."""

import base64
import hashlib
import hmac
import os
import socket
import struct

import servers


def message(tag, body):
    return tag + struct.pack("!I", len(body) + 4) + body


class Connection:
    """A session that has logged in; its socket can be waited for."""

    def __init__(self, port, user, password="", application=""):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        pairs = [b"user", user.encode(), b"database", servers.DATABASE.encode(),
                 b"application_name", application.encode(), b""]
        self.socket.sendall(message(b"", struct.pack("!I", 196608) + b"\0".join(pairs) + b"\0"))
        self.log_in(password.encode())

    def log_in(self, password):
        nonce = base64.b64encode(os.urandom(18))
        first = b"n=,r=" + nonce
        while True:
            tag, body = self.receive()
            if tag == b"Z":
                return
            if tag != b"R":
                continue
            kind = struct.unpack("!I", body[:4])[0]
            if kind == 10:
                initial = b"SCRAM-SHA-256\0" + struct.pack("!I", len(first) + 3) + b"n,," + first
                self.socket.sendall(message(b"p", initial))
            elif kind == 11:
                self.socket.sendall(message(b"p", proof(password, first, body[4:])))

    def receive(self):
        while True:
            if len(self.buffer) >= 5:
                end = struct.unpack("!I", self.buffer[1:5])[0] + 1
                if len(self.buffer) >= end:
                    tag, body = self.buffer[:1], self.buffer[5:end]
                    self.buffer = self.buffer[end:]
                    if tag == b"E":
                        raise servers.Failed(body.replace(b"\0", b" ").decode(errors="replace"))
                    return tag, body
            read = self.socket.recv(1 << 16)
            if not read:
                raise servers.Failed("the connection has ended")
            self.buffer += read

    def send(self, sql):
        self.socket.sendall(message(b"Q", sql.encode() + b"\0"))

    def query(self, sql):
        """The cells of all rows, as texts."""
        self.send(sql)
        rows = []
        while True:
            tag, body = self.receive()
            if tag == b"Z":
                return rows
            if tag == b"D":
                rows.append(cells(body))


def cells(body):
    found, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        found.append(body[at:at + max(length, 0)].decode())
        at += max(length, 0)
    return found


def proof(password, first, server_first):
    """The client's last message of SCRAM-SHA-256."""
    parts = dict(part.split(b"=", 1) for part in server_first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(parts[b"s"]),
                                 int(parts[b"i"]))

    def mac(key, text):
        return hmac.new(key, text, hashlib.sha256).digest()

    client_key = mac(salted, b"Client Key")
    last = b"c=biws,r=" + parts[b"r"]
    signature = mac(hashlib.sha256(client_key).digest(), first + b"," + server_first + b"," + last)
    mixed = bytes(one ^ other for one, other in zip(client_key, signature))
    return last + b",p=" + base64.b64encode(mixed)
