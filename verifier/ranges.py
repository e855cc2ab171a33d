"""Range proofs: that certain entries are all of an account. "Range proofs" in the format.

As a script it reads proofs from the standard input, each a JSON string in a line, and answers with
the number of the account's entries, or why a proof does not hold: `ranges.py KEY`, and behind it
how many witnesses are enough and their keys, if any count.
"""

import json
import re
import sys

import entry
import note
from dictionary import NAME, SUBJECT, TEXT, row
from stored import Cursor, Malformed
from tree import leaf_hash, sha256

FIRST_LINE = "postern ledger range 1"
NUMBER = re.compile(r"0|-?[1-9][0-9]*")


class Refused(Exception):
    """A proof proves nothing."""


class Leaf:
    """An entry of which at least the content is shown."""

    def __init__(self, content):
        self.content, self.opened, self.commitments, self.rows = content, None, [], []
        cursor = Cursor(content)
        self.open = entry.Open(cursor)


class Lines:
    """The lines of a proof, each beginning with a word."""

    def __init__(self, text):
        self.lines, self.at = text.split("\n"), 0

    def has(self, word):
        return self.at < len(self.lines) and self.lines[self.at].startswith(word + " ")

    def word(self, word):
        if not self.has(word):
            raise Refused(f"no line `{word}`")
        self.at += 1
        return self.lines[self.at - 1][len(word) + 1 :]

    def data(self, word):
        return note.decode_base64(self.word(word))

    def bound(self, word):
        text = self.word(word)
        return None if text == "-" else number(text, -(1 << 63), 1 << 63)

    def leaf(self):
        leaf = Leaf(self.data("leaf"))
        if self.has("open"):
            leaf.opened = self.data("open")
        if self.has("rows"):
            data = self.data("rows")
            if len(data) % 32:
                raise Refused("not commitments")
            leaf.commitments = [data[at : at + 32] for at in range(0, len(data), 32)]
            leaf.rows.append(self.data("row"))
            while self.has("row"):
                leaf.rows.append(self.data("row"))
        return leaf


def number(text, low, high):
    if not NUMBER.fullmatch(text) or not low <= int(text) < high:
        raise Refused("not a number")
    return int(text)


class Proof:
    """The parts of a proof; nothing of it is checked."""

    def __init__(self, text):
        head, gap, self.checkpoint = text.partition("\n\n")
        lines = Lines(head)
        if not gap or lines.lines[0] != FIRST_LINE:
            raise Refused("not a range proof")
        lines.at = 1
        self.actor = lines.data("account").decode("utf-8")
        self.since, self.until = lines.bound("since"), lines.bound("until")
        first, gap, end = lines.word("range").partition(" ")
        self.first, self.end = number(first, 0, 1 << 64), number(end, 0, 1 << 64)
        self.leaves, self.hashes = [], []
        while lines.has("leaf"):
            self.leaves.append(lines.leaf())
        while lines.has("hash"):
            self.hashes.append(lines.data("hash"))
            if len(self.hashes[-1]) != 32:
                raise Refused("not a hash")
        if lines.at != len(lines.lines):
            raise Refused("a line that is none")


def _root(start, size, shown, hashes):
    """The root of some leaves, of which those in `shown` are known and others are hashes."""
    if not shown:
        if not hashes:
            raise Refused("too few hashes")
        return hashes.pop(0)
    if size == 1:
        return shown[0][1]
    left = 1 << (size - 1).bit_length() - 1
    middle = start + left
    one = _root(start, left, [pair for pair in shown if pair[0] < middle], hashes)
    other = _root(middle, size - left, [pair for pair in shown if pair[0] >= middle], hashes)
    return sha256(b"\1", one, other)


def _check_tree(proof, checkpoint):
    shown = [(leaf.open.sequence, leaf_hash(leaf.content)) for leaf in proof.leaves]
    places = [place for place, _ in shown]
    if any(a >= b for a, b in zip(places, places[1:])) or not checkpoint.size:
        raise Refused("leaves out of order")
    if places and places[-1] >= checkpoint.size:
        raise Refused("a leaf behind the tree")
    hashes = list(proof.hashes)
    if _root(0, checkpoint.size, shown, hashes) != checkpoint.root or hashes:
        raise Refused("not the tree that was signed")


def _check_complete(proof, size):
    times = {leaf.open.sequence: leaf.open.time for leaf in proof.leaves}
    if not proof.first <= proof.end <= size:
        raise Refused("not a range")
    before = -(1 << 63)
    for sequence in range(proof.first, proof.end):
        if sequence not in times:
            raise Refused(f"entry {sequence} is left out")
        time = times[sequence]
        early = proof.since is not None and time < proof.since
        late = proof.until is not None and time >= proof.until
        if early or late or time < before:
            raise Refused(f"entry {sequence} is of another time")
        before = time
    if proof.first > 0:
        neighbour = times.get(proof.first - 1)
        if neighbour is None or proof.since is None or neighbour >= proof.since:
            raise Refused("there may be more before")
    if proof.end < size:
        neighbour = times.get(proof.end)
        if neighbour is None or proof.until is None or neighbour < proof.until:
            raise Refused("there may be more behind")


class Texts:
    """The texts that a proof shows; what is not named is a number."""

    KINDS = {SUBJECT: "subject", NAME: "name", TEXT: "text"}

    def __init__(self, leaves):
        self.texts = {}
        for leaf in leaves:
            if leaf.rows:
                self._take(leaf)

    def _take(self, leaf):
        if sha256(*leaf.commitments) != _binding(leaf):
            raise Refused("not the rows that the entry brought")
        for payload in leaf.rows:
            kind, index, text, commitment, _ = row(payload)
            if text is None or commitment not in leaf.commitments:
                raise Refused("a row that the entry did not bring")
            self.texts[kind, index] = text

    def numbers_of(self, name):
        return {index for (kind, index), text in self.texts.items() if (kind, text) == (NAME, name)}

    def forget(self, kind):
        self.texts = {place: text for place, text in self.texts.items() if place[0] != kind}

    def erase(self, index):
        return self.text(SUBJECT, index)

    def text(self, kind, index):
        return self.texts.get((kind, index), f"{self.KINDS[kind]} {index}")


def _binding(leaf):
    if leaf.open.version == 1:
        return entry.head(leaf.content).binding
    return leaf.content[leaf.open.closed_at + 32 :]


def _opened(leaf, texts):
    salt, rest = leaf.opened[:16], leaf.opened[16:]
    at = leaf.open.closed_at
    if len(salt) < 16 or entry.closed(salt, rest) != leaf.content[at : at + 32]:
        raise Refused("not what was recorded")
    return entry.decode(entry.head(leaf.content[:at] + rest), texts)


def check(text, key, named=True, witnesses=None):
    """The account's entries, or Refused; unless `named`, all customers in them are numbers."""
    try:
        proof = Proof(text)
        checkpoint = note.parse_checkpoint(proof.checkpoint.encode(), key)
        if witnesses:
            witnesses.demand(proof.checkpoint.encode())
        _check_tree(proof, checkpoint)
        _check_complete(proof, checkpoint.size)
        texts = Texts(proof.leaves)
        accounts = texts.numbers_of(proof.actor)
        if not named:
            texts.forget(SUBJECT)
        if not accounts:
            raise Refused("nothing shows the account's number")
        entries = []
        for leaf in proof.leaves:
            inside = proof.first <= leaf.open.sequence < proof.end
            if inside and leaf.open.version == 1:
                raise Refused("whose entry it is can't be seen")
            wanted = inside and leaf.open.account in accounts
            if wanted != (leaf.opened is not None):
                raise Refused("an entry is not opened, or another's is")
            if wanted:
                entries.append(_opened(leaf, texts))
        return entries
    except (Malformed, ValueError) as error:
        raise Refused(str(error)) from error


def main():
    key, witnesses = note.parse_arguments(sys.argv[1:])
    for line in sys.stdin:
        try:
            print(len(check(json.loads(line), key, witnesses=witnesses)))
        except Refused as refused:
            print(f"refused: {refused}")


if __name__ == "__main__":
    main()
