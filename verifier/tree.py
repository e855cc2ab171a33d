"""The Merkle tree of RFC 6962, as far as its right edge."""

import hashlib


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hash(payload):
    return sha256(b"\0", payload)


class Tree:
    """Grows leaf by leaf; keeps the roots of its complete subtrees, the largest first."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def append(self, leaf):
        size = self.size
        while size & 1:
            leaf = sha256(b"\1", self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha256()
        root = self.peaks[-1]
        for left in reversed(self.peaks[:-1]):
            root = sha256(b"\1", left, root)
        return root
