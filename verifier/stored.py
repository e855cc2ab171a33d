"""Integers, checksums and frames as docs/design/ledger.md has them."""

import functools
import struct

HEADER_BYTES = 64
FRAME_BYTES = 10
ROW_FRAME_BYTES = 8
PAYLOAD_BYTES = range(19, (64 << 20) + 1)
ROW_PAYLOAD_BYTES_MAX = 65567


class Malformed(Exception):
    """Bytes do not decode."""


class Damage(Exception):
    """What does not hold: the kind, the file, the byte in it, the first entry concerned."""

    def __init__(self, kind, file, offset=0, entry=None, why=""):
        super().__init__(kind, file, offset, entry, why)
        self.kind, self.file, self.offset, self.entry = kind, file, offset, entry
        self.why = why

    def __str__(self):
        entry = "" if self.entry is None else f", entry {self.entry}"
        why = f": {self.why}" if self.why else ""
        return f"{self.kind} in {self.file}, byte {self.offset}{entry}{why}"


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


@functools.lru_cache(maxsize=4096)
def crc32c(data):
    """CRC-32C (Castagnoli) of bytes."""
    table, crc = _TABLE, 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Cursor:
    """A position in a payload."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        end = self.at + count
        if end > len(self.data):
            raise Malformed("cut short")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def u8(self):
        if self.at >= len(self.data):
            raise Malformed("cut short")
        self.at += 1
        return self.data[self.at - 1]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def u64(self):
        return int.from_bytes(self.take(8), "little")

    def i64(self):
        return int.from_bytes(self.take(8), "little", signed=True)

    def double(self):
        return struct.unpack("<d", self.take(8))[0]

    def bool(self):
        value = self.u8()
        if value > 1:
            raise Malformed("neither 0 nor 1")
        return value == 1

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift > 0:
                    raise Malformed("a number is longer than it need be")
                break
            shift += 7
            if shift > 63:
                raise Malformed("a number is too long")
        if value >= 1 << 64:
            raise Malformed("a number is too large")
        return value

    def count(self):
        """A count of things of at least one byte each."""
        count = self.varint()
        if count > self.left():
            raise Malformed("a count is larger than what is left")
        return count

    def end(self):
        if self.left():
            raise Malformed("bytes are left over")


def entry_frame(data, at):
    """The frame of an entry at a place: its place in the batch and its payload, or None."""
    if at + FRAME_BYTES > len(data):
        return None
    checksum, length, place = struct.unpack_from("<IIH", data, at)
    end = at + FRAME_BYTES + length
    if length not in PAYLOAD_BYTES or end > len(data) or crc32c(data[at + 4 : end]) != checksum:
        return None
    return place, data[at + FRAME_BYTES : end]


def row_frame(data, at):
    """The payload of the dictionary's frame at a place, or None."""
    if at + ROW_FRAME_BYTES > len(data):
        return None
    checksum, length = struct.unpack_from("<II", data, at)
    end = at + ROW_FRAME_BYTES + length
    if length > ROW_PAYLOAD_BYTES_MAX or end > len(data):
        return None
    return data[at + ROW_FRAME_BYTES : end] if crc32c(data[at + 4 : end]) == checksum else None


def header(data, magic, ledger_id, versions=(1,)):
    """Numbers and salt of a file's header (None before version 2); ValueError: what is wrong."""
    if len(data) < HEADER_BYTES:
        raise ValueError("cut short")
    head = data[:HEADER_BYTES]
    found, version, owner, *numbers, salt, checksum = struct.unpack("<7sB16sQQQ12sI", head)
    if found != magic or version not in versions:
        raise ValueError("not a file of this kind and version")
    if crc32c(head[:60]) != checksum:
        raise ValueError("checksum does not hold")
    if owner != ledger_id:
        raise ValueError("belongs to another ledger")
    if version == 1 and any(salt):
        raise ValueError("fields that must be zero are not")
    return numbers, None if version == 1 else salt
