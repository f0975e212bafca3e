"""The one flipped bit of a damaged line: found by its checksum, at a cost linear in the line.

CRC-32 is linear: flipping a bit changes it by what depends on the bit's distance from the end
alone. So the difference between the checksum a line has and the one it should have is stepped
backwards over the line, byte by byte, until it is that of a single bit.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress

from tunedeco.journal import lines

# By how much a byte at the end of a message changes its checksum, for each change of the byte.
_CHANGE = [zlib.crc32(bytes([i])) ^ zlib.crc32(b"\0") for i in range(256)]
_ONE_BIT = {_CHANGE[1 << bit]: 1 << bit for bit in range(8)}
# A byte further on shifts that by eight bits and adds an entry, known by its highest byte: undone.
_BACK = {entry >> 24: (entry << 8 | i) & 0xFFFFFFFF for i, entry in enumerate(_CHANGE)}


def mended(data: bytearray, position: int, seq: int, crc: int) -> bool:
    """Put right the one bit that was flipped in a line; return False if it was not one.

    Args:
        data: lines; changed in that bit, or not at all.
        position: where the line begins.
        seq: the number it must have.
        crc: the checksum of the line before.
    """
    found = []
    for place, bit in list(_candidates(data, position, seq, crc)):
        data[place] ^= bit
        with suppress(ValueError):
            if lines.parsed(data, position, seq, crc) is not None:
                found.append((place, bit))
        data[place] ^= bit
    if len(found) != 1:  # none, or nobody can say which
        return False
    ((place, bit),) = found
    data[place] ^= bit
    return True


def _candidates(data: bytearray, position: int, seq: int, crc: int) -> Iterator[tuple[int, int]]:
    """Yield the few bits that it can be, as (place, mask); the line says itself where it ends."""
    yield from _in_head(data, position, seq)
    head = lines.HEAD.match(data, position)
    if head is None or int(head[1]) != seq:
        return
    end = head.end() + int(head[2])
    if not _closed(data, head):
        for place, right in enumerate(lines.END, end):
            if place < len(data) and data[place] ^ right in _ONE_BIT.values():
                yield place, data[place] ^ right
    elif data.count(b"\n", head.end(), end) <= 1:  # else lines of a hostile file could overlap
        body = bytes(data[head.end() : end])
        change = lines.checksum(seq, body, crc) ^ int(head[3], 16)
        for place in range(end - 1, head.end() - 1, -1):
            if change in _ONE_BIT:
                yield place, _ONE_BIT[change]
            change = (change & 0xFFFFFF) << 8 ^ _BACK[change >> 24]


def _in_head(data: bytearray, position: int, seq: int) -> Iterator[tuple[int, int]]:
    """Yield the bits without which a line has a head that fits."""
    for place in range(position, min(position + lines.LONGEST_HEAD, len(data))):
        for mask in _ONE_BIT.values():
            data[place] ^= mask
            head = lines.HEAD.match(data, position)
            if head and place < head.end() and int(head[1]) == seq and _closed(data, head):
                yield place, mask
            data[place] ^= mask


def _closed(data: bytearray, head: re.Match[bytes]) -> bool:
    """Return whether a line ends where its head says."""
    return data.startswith(lines.END, head.end() + int(head[2]))
