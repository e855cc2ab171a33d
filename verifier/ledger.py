"""Verification of a whole ledger: see "Verifying" in docs/design/ledger.md."""

import os
import re

import entry
import note
from dictionary import SUBJECT, Dictionary, Epochs, KeyTrouble, NotNext, Twice, key_name
from stored import FRAME_BYTES, HEADER_BYTES, Damage, Malformed, entry_frame, header
from tree import Tree, leaf_hash, sha256

DICTIONARY = "dictionary.log"
# More entries than this can't follow in one segment.
ENTRIES_MAX = 64 << 20


class Folder:
    """A ledger's files on disk."""

    def __init__(self, path):
        self.path = path

    def read(self, name):
        path = os.path.join(self.path, name)
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            if not os.path.islink(path):
                raise
            # A volume that is not mounted is another thing than a file that is missing.
            to = os.readlink(path)
            raise OSError(f"{path} is a link to {to}, which is not there") from error

    def has(self, name):
        return os.path.exists(os.path.join(self.path, name))

    def segments(self):
        return os.listdir(os.path.join(self.path, "segments"))


class Memory:
    """A ledger's files by name."""

    def __init__(self, files):
        self.files = files

    def read(self, name):
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]

    def has(self, name):
        return name in self.files

    def segments(self):
        folder = "segments/"
        return [name[len(folder) :] for name in self.files if name.startswith(folder)]


def _read(files, name):
    try:
        return files.read(name)
    except FileNotFoundError as error:
        raise Damage("Missing", name) from error


def trusted_key(files, trusted=None):
    data = _read(files, "key.pub")
    try:
        text = data.decode("utf-8")
        if not text.endswith("\n"):
            raise ValueError("no line")
        key = note.parse_key(text[:-1])
    except ValueError as error:
        raise Damage("Key", "key.pub", why=str(error)) from error
    if trusted is not None and trusted != key:
        raise Damage("Key", "key.pub", why="not the trusted key")
    try:
        seed = files.read("key")
    except OSError:
        return key
    if not note.belongs(seed, key):
        raise Damage("Key", "key", why="does not belong to key.pub")
    return key


def _checkpoint(data, key, kind, file="checkpoint"):
    try:
        return note.parse_checkpoint(data, key)
    except ValueError as error:
        raise Damage(kind, file, why=str(error)) from error


def _witnessed(files, key):
    """The newest checkpoint that witnesses cosigned, if there is one."""
    try:
        data = files.read("witnessed")
    except FileNotFoundError:
        return None
    return _checkpoint(data, key, "Checkpoint", "witnessed")


def _segment_names(files):
    try:
        found = sorted(name for name in files.segments() if not name.endswith(".tmp"))
    except FileNotFoundError as error:
        raise Damage("Missing", "segments") from error
    for ordinal, name in enumerate(found):
        expected = f"{ordinal:010}.seg"
        if name == expected:
            continue
        if re.fullmatch(r".{10}\.seg", name):
            raise Damage("Missing", f"segments/{expected}")
        raise Damage("Stray", f"segments/{name}")
    if not found:
        raise Damage("Missing", "segments/0000000000.seg")
    return [f"segments/{name}" for name in found]


def _later_batch(data, start, expected):
    """Whether a good frame of a later batch than that of an entry stands behind a place."""
    for at in range(start + 1, len(data) - FRAME_BYTES - 10):
        sequence = int.from_bytes(data[at + 12 : at + 20], "little")
        if not expected < sequence <= expected + ENTRIES_MAX:
            continue
        frame = entry_frame(data, at)
        if frame and sequence - frame[0] > expected:
            return True
    return False


class Pass:
    """One pass over all entries in order."""

    def __init__(self, files, key):
        self.files, self.id = files, key.ledger_id()
        self.tree, self.time, self.torn = Tree(), None, False
        self.names = _segment_names(files)
        rows = _read(files, DICTIONARY)
        try:
            numbers, _ = header(rows, b"PSTNDIC", self.id)
            if any(numbers):
                raise ValueError("fields that must be zero are not")
        except ValueError as error:
            raise Damage("Header", DICTIONARY, why=str(error)) from error
        self.epochs = Epochs(self._optional)
        self.dictionary = Dictionary(rows, self.epochs)
        self.name, self.at, self.salt = self.names[0], HEADER_BYTES, None

    def _optional(self, name):
        return self.files.read(name) if self.files.has(name) else None

    def damage(self, kind, why=""):
        return Damage(kind, self.name, self.at, self.tree.size, why)

    def _open(self, ordinal):
        self.name, self.at = self.names[ordinal], 0
        data = _read(self.files, self.name)
        try:
            numbers, self.salt = header(data, b"PSTNSEG", self.id, (1, 2))
            if numbers != [ordinal, self.tree.size, len(data)]:
                raise ValueError("another ordinal, first entry or length")
        except ValueError as error:
            raise self.damage("Header", str(error)) from error
        self.at = HEADER_BYTES
        return data

    def payloads(self):
        last = len(self.names) - 1
        for ordinal in range(len(self.names)):
            data = self._open(ordinal)
            while True:
                frame = entry_frame(data, self.at)
                if frame is None:
                    break
                yield frame[1]
                self.at += FRAME_BYTES + len(frame[1])
            if not any(data[self.at :]):
                continue
            if ordinal < last or _later_batch(data, self.at, self.tree.size):
                raise self.damage("Frame")
            self.torn = True

    def entries(self):
        for payload in self.payloads():
            try:
                head = entry.head(payload)
            except Malformed as error:
                raise self.damage("Entry", str(error)) from error
            if (head.version == 1) != (self.salt is None):
                raise self.damage("Entry", "of another version than its segment")
            if head.sequence != self.tree.size:
                raise self.damage("Sequence", f"{head.sequence} in the place of {self.tree.size}")
            if self.time is not None and head.time < self.time:
                raise self.damage("Time")
            binding = self._rows(head)
            if head.account is not None and not self.dictionary.is_lasting(head.account):
                raise self.damage("Entry", "the account's name is not kept for ever")
            try:
                decoded = entry.decode(head, self.dictionary)
                self._turn(decoded)
            except Malformed as error:
                raise self.damage("Entry", str(error)) from error
            self.time = head.time
            content = entry.content(head, payload, self.salt, binding)
            self.tree.append(leaf_hash(content))
            yield decoded

    def _turn(self, decoded):
        if decoded["kind"] == "epoch":
            subjects = len(self.dictionary.rows[SUBJECT])
            commitment = bytes.fromhex(decoded["commitment"])
            self.epochs.begin(decoded["number"], commitment, subjects)
        if decoded["kind"] == "forgotten":
            self.epochs.forget(decoded["before"])

    def old_key(self):
        """The first key that is there though its epoch is past retention."""
        names = (key_name(epoch) for epoch in range(1, self.epochs.kept))
        return next((name for name in names if self.files.has(name)), None)

    def left_over(self):
        """Where something stands of which entries say that it is gone: a key, or who is named."""
        key = self.old_key()
        if key:
            return [key, 0]
        at = self.dictionary.left_over()
        return None if at is None else [DICTIONARY, at]

    def _rows(self, head):
        if not head.rows:
            return b""
        first, commitments = self.dictionary.at, []
        for _ in range(head.rows):
            try:
                commitments.append(self.dictionary.next_commitment())
            except KeyTrouble as error:
                name = key_name(error.epoch)
                raise Damage(error.kind, name, entry=self.tree.size) from error
            except (NotNext, Twice) as error:
                at, kind = self.dictionary.at, "Twice" if isinstance(error, Twice) else "Row"
                raise Damage(kind, DICTIONARY, at, self.tree.size, str(error)) from error
        binding = sha256(*commitments)
        if not binding.startswith(head.binding):
            raise Damage("Binding", DICTIONARY, first, self.tree.size)
        return binding


def _compare(walk, roots, checkpoint, whose):
    if checkpoint.size not in roots:
        if walk.torn:
            raise walk.damage("Frame")
        raise walk.damage("Behind", f"the {whose} says {checkpoint.size}")
    if roots[checkpoint.size] != checkpoint.root:
        raise walk.damage("Root", f"not the entries of the {whose}")


def verify(files, against=None, trusted=None, clean=True, each=None):
    """Checks all of a ledger. Returns what it has, or raises Damage."""
    key = trusted_key(files, trusted)
    own = _checkpoint(_read(files, "checkpoint"), key, "Checkpoint")
    witnessed = _witnessed(files, key)
    kept = None if against is None else _checkpoint(against, key, "Kept")
    walk = Pass(files, key)
    wanted = {checkpoint.size for checkpoint in (own, witnessed, kept) if checkpoint}
    roots = {0: walk.tree.root()}
    for decoded in walk.entries():
        if walk.tree.size in wanted:
            roots[walk.tree.size] = walk.tree.root()
        if each:
            each(decoded)
    _compare(walk, roots, own, "checkpoint")
    if witnessed:
        _compare(walk, roots, witnessed, "witnessed checkpoint")
    if kept:
        _compare(walk, roots, kept, "checkpoint kept elsewhere")
    if clean and walk.old_key():
        raise Damage("Stray", walk.old_key())
    if clean and walk.torn:
        raise walk.damage("TornTail")
    if clean and walk.dictionary.has_more():
        raise Damage("UnusedRows", DICTIONARY, walk.dictionary.at, walk.tree.size)
    return {
        "entries": walk.tree.size,
        "signed": own.size,
        "kept": kept.size if kept else None,
        "last": walk.time,
        "root": walk.tree.root().hex(),
        # File and byte of what entries say is gone.
        "left_over": walk.left_over(),
    }
