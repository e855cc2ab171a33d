"""Sets of record numbers."""

import struct

from stored import Cursor, Malformed

GAPS, ROARING, ELIAS_FANO = 1, 2, 3
NUMBERS_MAX = 1 << 22
# Of the portable form of roaring bitmaps.
WITHOUT_RUNS, WITH_RUNS = 12346, 12347
OFFSETS_FROM = 4
ARRAY_MAX = 4096


def decode(cursor):
    """The numbers of a set, ascending."""
    tag = cursor.u8()
    if tag == GAPS:
        return _gaps(cursor)
    if tag == ROARING:
        return _roaring(Cursor(cursor.take(cursor.count())))
    if tag == ELIAS_FANO:
        return _elias_fano(cursor)
    raise Malformed("unknown tag of a set")


def _gaps(cursor):
    numbers, following = [], 0
    for _ in range(cursor.count()):
        number = following + cursor.varint()
        if number >= 1 << 32:
            raise Malformed("a record's number is too large")
        numbers.append(number)
        following = number + 1
    return numbers


def _bits(cursor, length):
    """So many bits as one number, the first one the lowest."""
    bits = int.from_bytes(cursor.take((length + 7) // 8), "little")
    if bits >> length:
        raise Malformed("the last byte of bits is not filled with zeros")
    return bits


def _elias_fano(cursor):
    count, last = cursor.varint(), cursor.varint()
    if not 0 < count <= NUMBERS_MAX or last >= 1 << 32:
        raise Malformed("not a set")
    low = max(((last + 1) // count).bit_length() - 1, 0)
    lows = _bits(cursor, count * low)
    highs = _bits(cursor, count + (last >> low))
    numbers = []
    for position in range(highs.bit_length()):
        if highs >> position & 1:
            index = len(numbers)
            number = (position - index) << low | lows >> index * low & (1 << low) - 1
            if numbers and numbers[-1] >= number:
                raise Malformed("a set does not ascend")
            numbers.append(number)
    if len(numbers) != count or numbers[-1] != last:
        raise Malformed("a set is not as long as it says")
    return numbers


def _roaring(cursor):
    cookie = cursor.u32()
    if cookie & 0xFFFF == WITH_RUNS:
        size = (cookie >> 16) + 1
        flags = int.from_bytes(cursor.take((size + 7) // 8), "little")
    elif cookie == WITHOUT_RUNS:
        size, flags = cursor.u32(), 0
    else:
        raise Malformed("not a bitmap")
    if size > 1 << 16:
        raise Malformed("too many containers")
    heads = [struct.unpack("<HH", cursor.take(4)) for _ in range(size)]
    if cookie == WITHOUT_RUNS or size >= OFFSETS_FROM:
        cursor.take(4 * size)
    numbers, total = [], 0
    for index, (key, less_one) in enumerate(heads):
        low = _container(cursor, flags >> index & 1, less_one + 1, NUMBERS_MAX - total)
        total += len(low)
        numbers.extend(key << 16 | number for number in low)
    cursor.end()
    if any(a >= b for a, b in zip(numbers, numbers[1:])):
        raise Malformed("a set does not ascend")
    return numbers


def _container(cursor, has_runs, count, room):
    if has_runs:
        low = []
        for _ in range(struct.unpack("<H", cursor.take(2))[0]):
            start, more = struct.unpack("<HH", cursor.take(4))
            if start + more > 0xFFFF:
                raise Malformed("a run is too long")
            low.extend(range(start, start + more + 1))
    elif count > ARRAY_MAX:
        bits = int.from_bytes(cursor.take(8192), "little")
        low = [number for number in range(1 << 16) if bits >> number & 1]
        if len(low) != count:
            raise Malformed("a container's count is another")
    else:
        low = struct.unpack(f"<{count}H", cursor.take(2 * count))
    if len(low) > room:
        raise Malformed("too many numbers")
    return low
