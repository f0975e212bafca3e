"""A line in which one bit was flipped is put right, wherever the bit and however long the line."""

import random

import pytest

from tunedeco.journal import lines
from tunedeco.journal.mending import mended

CRC = 0x12345678


def line_of(size: int) -> bytes:
    return lines.encoded(17, ["_default", 17, {"text": "ä\n" * size}], CRC)[0]


def cut_short(data: bytearray) -> bool:
    """Return whether a line looks like one that a crash cut short."""
    try:
        return lines.parsed(data, 0, 17, CRC) is None
    except ValueError:
        return False


@pytest.mark.parametrize("following", [b"", lines.encoded(18, 0, 0)[0]])
def test_every_bit_of_a_line(following: bytes) -> None:
    """Whichever bit was flipped, the line is as it was, and what follows it is untouched."""
    whole = line_of(3) + following
    for place in range(len(line_of(3))):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            if cut_short(data):
                assert not following
                continue
            assert mended(data, 0, 17, CRC)
            assert data == whole


def test_bits_of_a_long_line() -> None:
    """A line of a megabyte is put right at its beginning, at its end, and in between."""
    whole = line_of(2**17)
    assert len(whole) > 2**20
    draw = random.Random(0)
    for place in [0, 9, 30, 60, len(whole) - 1, len(whole) - 2, len(whole) - 3] + [
        draw.randrange(len(whole)) for _ in range(5)
    ]:
        data = bytearray(b"before\n" + whole)
        data[7 + place] ^= 1 << draw.randrange(8)
        assert mended(data, 7, 17, CRC)
        assert data == b"before\n" + whole


def test_more_than_one_bit() -> None:
    """Where two bits were flipped, or another line stands there, nothing is changed."""
    draw = random.Random(1)
    for _ in range(200):
        data = bytearray(line_of(50))
        for place in draw.sample(range(len(data)), 2):
            data[place] ^= 1 << draw.randrange(8)
        before = bytes(data)
        assert not mended(data, 0, 17, CRC)
        assert data == before
    other = bytearray(line_of(50))
    assert not mended(other, 0, 18, CRC)
    assert not mended(other, 0, 17, CRC + 1)
