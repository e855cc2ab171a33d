"""Proofs of one entry: C2SP tlog-proof. "Proofs and tiles" in the format.

As a script it reads proofs from the standard input, each a JSON string in a line, and answers with
the number and kind of the entry, or why a proof does not hold: `proof.py KEY`, and behind it how
many witnesses are enough and their keys, if any count.
"""

import json
import re
import sys

import entry
import note
from stored import Cursor, Malformed
from tree import leaf_hash, sha256

FIRST_LINE = "c2sp.org/tlog-proof@v1"


class Refused(Exception):
    """A proof proves nothing."""


class Proof:
    """The parts of a proof; nothing of it is checked."""

    def __init__(self, text):
        head, gap, self.checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if not gap or lines.pop(0) != FIRST_LINE:
            raise Refused("not a proof")
        if not lines or not lines[0].startswith("extra "):
            raise Refused("it does not say what is proved")
        self.extra = note.decode_base64(lines.pop(0)[len("extra ") :])
        index = re.fullmatch(r"index (0|[1-9][0-9]*)", lines.pop(0) if lines else "")
        if not self.extra or not index or int(index[1]) >= 1 << 64:
            raise Refused("not a proof")
        self.index = int(index[1])
        self.hashes = [note.decode_base64(line) for line in lines]
        if any(len(one) != 32 for one in self.hashes):
            raise Refused("not a hash")


def _root(index, size, leaf, hashes):
    """The root of a tree that has the leaf there; RFC 6962, from the leaf's side upwards."""
    if size == 1:
        return leaf
    if not hashes:
        raise Refused("too few hashes")
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        inner = _root(index, left, leaf, hashes[:-1])
        return sha256(b"\1", inner, hashes[-1])
    inner = _root(index - left, size - left, leaf, hashes[:-1])
    return sha256(b"\1", hashes[-1], inner)


def _length(index, size):
    """How many hashes stand beside the way to a leaf."""
    length = 0
    while size > 1:
        left = 1 << (size - 1).bit_length() - 1
        index, size = (index, left) if index < left else (index - left, size - left)
        length += 1
    return length


def _content(extra):
    """What the leaf is the hash of, once what stands behind it is what it hides."""
    if extra[0] == 1:
        return extra
    cursor = Cursor(extra)
    content = cursor.take(cursor.u8())
    salt = cursor.take(16)
    at = entry.Open(Cursor(content)).closed_at
    if entry.closed(salt, cursor.take(cursor.left())) != content[at : at + 32]:
        raise Refused("what is shown of the entry is not what was recorded")
    return content


def check(text, key, witnesses=None):
    """What is proved, in a list of one, or Refused."""
    try:
        proof = Proof(text)
        content = _content(proof.extra)
        checkpoint = note.parse_checkpoint(proof.checkpoint.encode(), key)
        if proof.index >= checkpoint.size:
            raise Refused("behind the tree")
        if len(proof.hashes) != _length(proof.index, checkpoint.size):
            raise Refused("another number of hashes")
        root = _root(proof.index, checkpoint.size, leaf_hash(content), proof.hashes)
        if root != checkpoint.root:
            raise Refused("not in the tree that was signed")
        if witnesses:
            witnesses.demand(proof.checkpoint.encode())
        shown = entry.Open(Cursor(content))
        if shown.sequence != proof.index:
            raise Refused(f"entry {shown.sequence} in the place of {proof.index}")
        if shown.kind not in entry.KINDS:
            raise Refused("unknown kind")
    except (Malformed, ValueError) as error:
        raise Refused(str(error)) from error
    return [
        {
            "ledger": checkpoint.origin,
            "sequence": shown.sequence,
            "time": shown.time,
            "kind": entry.KINDS[shown.kind][0],
            "signed": checkpoint.size,
        }
    ]


def main():
    key, witnesses = note.parse_arguments(sys.argv[1:])
    for line in sys.stdin:
        try:
            [proved] = check(json.loads(line), key, witnesses)
            print(proved["sequence"], proved["kind"])
        except Refused as refused:
            print(f"refused: {refused}")


if __name__ == "__main__":
    main()
