"""Verifies many versions of one small ledger, for the test that compares both verifiers.

The first line of the standard input is a ledger, {NAME: HEX}. Each further line says what is other
in a version: {NAME: null} for a file that is not there, {NAME: HEX} for one with that content, and
{NAME: [OFFSET, HEX]} for one with these bytes there. A file called `kept` is a checkpoint that
somebody else kept. For each the answer is a line: `holds`, or kind, file, offset and entry of the
damage.
"""

import json
import sys

from ledger import Memory, verify
from stored import Damage


def version(whole, changes):
    files = dict(whole)
    for name, change in changes.items():
        if change is None:
            files.pop(name, None)
        elif isinstance(change, str):
            files[name] = bytes.fromhex(change)
        else:
            offset, content = change[0], bytes.fromhex(change[1])
            old = files[name]
            files[name] = old[:offset] + content + old[offset + len(content) :]
    return files


def answer(files):
    against = files.pop("kept", None)
    try:
        left_over = verify(Memory(files), against)["left_over"]
    except Damage as damage:
        entry = "-" if damage.entry is None else damage.entry
        return f"{damage.kind} {damage.file} {damage.offset} {entry}"
    return "holds" if left_over is None else "holds, and not gone is {} {}".format(*left_over)


def main():
    whole = version({}, json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        print(answer(version(whole, json.loads(line))))


if __name__ == "__main__":
    main()
