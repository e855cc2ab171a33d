"""The dictionary: texts and their numbers, and what entries commit to."""

from stored import Cursor, HEADER_BYTES, Malformed, row_frame
from tree import sha256

SUBJECT, NAME, TEXT = 0, 1, 2
ROW, ERASED = 1, 2


class NotNext(Exception):
    """What stands at a place is not the next row."""


def row(payload):
    """Kind, number, text (None: erased) and commitment."""
    cursor = Cursor(payload)
    form, kind = cursor.u8(), cursor.u8()
    head = payload[1:6]
    number = cursor.u32()
    if kind not in (SUBJECT, NAME, TEXT):
        raise Malformed("unknown kind of row")
    if form == ROW:
        salt = cursor.take(16)
        text = cursor.take(cursor.left())
        commitment = sha256(b"postern dictionary row 1\n", head, salt, text)
        try:
            return kind, number, text.decode("utf-8"), commitment
        except UnicodeDecodeError as error:
            raise Malformed("text is not UTF-8") from error
    if form == ERASED:
        commitment = cursor.take(32)
        cursor.end()
        return kind, number, None, commitment
    raise Malformed("unknown form of row")


class Dictionary:
    """The file, read row by row."""

    def __init__(self, data):
        self.data, self.at = data, HEADER_BYTES
        self.rows = {SUBJECT: [], NAME: [], TEXT: []}

    def next_commitment(self):
        """Reads the next row; returns its commitment."""
        payload = row_frame(self.data, self.at)
        if payload is None:
            raise NotNext("no row")
        try:
            kind, number, text, commitment = row(payload)
        except Malformed as error:
            raise NotNext(str(error)) from error
        column = self.rows[kind]
        if number != len(column):
            raise NotNext("another number")
        column.append(f"erased {number}" if text is None else text)
        self.at += 8 + len(payload)
        return commitment

    def text(self, kind, number):
        column = self.rows[kind]
        if number >= len(column):
            raise Malformed("names a row that does not exist")
        return column[number]

    def has_more(self):
        return any(self.data[self.at :])
