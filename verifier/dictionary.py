"""The dictionary: texts and their numbers, and what entries commit to."""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from stored import Cursor, HEADER_BYTES, Malformed, row_frame
from tree import sha256

SUBJECT, NAME, TEXT = 0, 1, 2
ROW, ERASED, SEALED = 1, 2, 3


class NotNext(Exception):
    """What stands at a place is not the next row."""


class Twice(Exception):
    """A name that is kept for ever has a row already."""


class KeyTrouble(Exception):
    """The key of an epoch is not there ("Missing") or another one ("Key")."""

    def __init__(self, kind, epoch):
        super().__init__(kind, epoch)
        self.kind, self.epoch = kind, epoch


class Epochs:
    """The keys of epochs, what entries say of them, and which epoch entries belong to."""

    def __init__(self, read):
        self.read, self.keys, self.committed = read, {}, {}
        self.current = self.kept = 0
        # How many subjects there were before the first.
        self.unsealed = 0

    def begin(self, epoch, commitment, subjects):
        if epoch != self.current + 1 or epoch >= 1 << 16:
            raise Malformed("an epoch out of order")
        if epoch == 1:
            self.unsealed = subjects
        self.current = epoch
        self.committed[epoch] = commitment
        self.keys[epoch] = self.read(key_name(epoch))

    def forget(self, before):
        if not self.kept < before <= self.current:
            raise Malformed("an epoch out of order")
        self.kept = before

    def key(self, epoch):
        key = self.keys.get(epoch)
        if key is None:
            raise KeyTrouble("Missing", epoch)
        number = epoch.to_bytes(2, "little")
        # A file of another length stands for a key of zeros.
        if len(key) != 32:
            key = bytes(32)
        if sha256(b"postern epoch key 1\n", number, key) != self.committed[epoch]:
            raise KeyTrouble("Key", epoch)
        return key


def key_name(epoch):
    return f"epoch-{epoch:05}"


def _apply(key, head, nonce, data):
    """ChaCha20 of RFC 8439, from block 0 on; the nonce is kind, number and what the row has."""
    whole = struct.pack("<I", 0) + head + nonce
    return Cipher(algorithms.ChaCha20(key, whole), mode=None).encryptor().update(data)


def _opened(head, kind, number, data):
    cursor = Cursor(data)
    salt = cursor.take(16)
    text = cursor.take(cursor.left())
    commitment = sha256(b"postern dictionary row 1\n", head, salt, text)
    try:
        return kind, number, text.decode("utf-8"), commitment, salt
    except UnicodeDecodeError as error:
        raise Malformed("text is not UTF-8") from error


def row(payload, epochs=None):
    """Kind, number, text (None: erased), commitment and salt."""
    cursor = Cursor(payload)
    form, kind = cursor.u8(), cursor.u8()
    head = payload[1:6]
    number = cursor.u32()
    if kind not in (SUBJECT, NAME, TEXT):
        raise Malformed("unknown kind of row")
    if form == ROW:
        return _opened(head, kind, number, cursor.take(cursor.left()))
    if form == ERASED:
        commitment = cursor.take(32)
        cursor.end()
        return kind, number, None, commitment, None
    if form == SEALED:
        epoch = int.from_bytes(cursor.take(2), "little")
        nonce = cursor.take(7)
        if epochs is None or epoch != epochs.current:
            raise Malformed("a row of another epoch")
        data = _apply(epochs.key(epoch), head, nonce, cursor.take(cursor.left()))
        return _opened(head, kind, number, data)
    raise Malformed("unknown form of row")


class Dictionary:
    """The file, read row by row."""

    def __init__(self, data, epochs):
        self.data, self.at, self.epochs = data, HEADER_BYTES, epochs
        self.rows = {SUBJECT: [], NAME: [], TEXT: []}
        # Of each subject the salt of the last row.
        self.salts = {}
        # The names that are kept for ever, and their numbers.
        self.lasting, self.lasting_numbers = set(), set()
        # The bytes at which subjects stand who have a name, and the numbers of those erased.
        self.named, self.erased = {}, set()

    def next_commitment(self):
        """Reads the next row; returns its commitment."""
        payload = row_frame(self.data, self.at)
        if payload is None:
            raise NotNext("no row")
        try:
            kind, number, text, commitment, salt = row(payload, self.epochs)
        except Malformed as error:
            raise NotNext(str(error)) from error
        column = self.rows[kind]
        if number != len(column):
            raise NotNext("another number")
        if kind == NAME and payload[0] == ROW:
            if text in self.lasting:
                raise Twice(text)
            self.lasting.add(text)
            self.lasting_numbers.add(number)
        column.append(f"erased {number}" if text is None else text)
        if kind == SUBJECT and text is not None:
            self.salts[text] = salt
            self.named[number] = self.at
        self.at += 8 + len(payload)
        return commitment

    def is_lasting(self, number):
        """Whether a number is a name's that is kept for ever, or no name's yet."""
        return number in self.lasting_numbers or number >= len(self.rows[NAME])

    def erase(self, number):
        """Takes note that a subject has to have no name; returns what it has."""
        text = self.text(SUBJECT, number)
        self.erased.add(number)
        return text

    def left_over(self):
        """The byte of the first subject who has a name though entries say that it is gone."""
        forgotten = self.epochs.unsealed if self.epochs.kept else 0
        places = (
            at
            for number, at in self.named.items()
            if number in self.erased or number < forgotten
        )
        return min(places, default=None)

    def text(self, kind, number):
        column = self.rows[kind]
        if number >= len(column):
            raise Malformed("names a row that does not exist")
        return column[number]

    def has_more(self):
        return any(self.data[self.at :])
