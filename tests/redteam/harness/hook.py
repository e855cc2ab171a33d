#!/usr/bin/env python3
"""What the corpus's runner calls around each file.

  hook.py reset SOCKET           sees to it that the budgets of RT_USER are untouched
  hook.py ledger BINARY FOLDER   prints the customers accounted for RT_USERS since RT_SINCE
"""

import os
import socket
import sys

# What only one of the two needs is imported there: the other is called before every file.


def reset(path):
    """Waits for the harness to have done it; it answers nothing and hangs up."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(os.environ["RT_USER"].encode() + b"\n")
        while client.recv(1):
            pass


def moment(text):
    import datetime

    # Nanoseconds and `Z` are beyond fromisoformat before Python 3.11.
    text, _, fraction = text.replace("Z", "+00:00").partition(".")
    digits = fraction.split("+")[0][:6]
    zone = "" if "+" in text else "+00:00"
    return datetime.datetime.fromisoformat(text + (f".{digits:0<6}" if digits else "") + zone)


def ledger(binary, folder):
    import json
    import subprocess

    users = os.environ["RT_USERS"].split(",")
    since = moment(os.environ["RT_SINCE"])
    shown = subprocess.run([binary, "ledger", "show", "--json", "--ledger", folder],
                           capture_output=True, text=True, check=True).stdout
    subjects = set()
    for line in shown.splitlines():
        entry = json.loads(line)
        if moment(entry["time"]) >= since and set(entry["actors"]) & set(users):
            for group in entry.get("disclosed", ()):
                subjects.update(group["subjects"])
    print("\n".join(sorted(subjects)))


if __name__ == "__main__":
    {"reset": reset, "ledger": ledger}[sys.argv[1]](*sys.argv[2:])
