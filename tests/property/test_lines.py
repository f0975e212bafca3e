"""Lines that are read many at once are those that are read one by one."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tunedeco.journal import lines

# what is JSON alone and not among others, or the other way round, or not at all
ODD = (
    b"1],[2",
    b"[1",
    b"2]",
    b"1,2",
    b"",
    b" [1] ",
    b"[1]\n",
    b"NaN",
    b"1e999",
    b"\xff",
    b"[" * 101 + b"]" * 101,
)
bodies = st.sampled_from(ODD) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
).map(lambda content: json.dumps(content).encode())


def written(texts: list[bytes]) -> bytes:
    """Return lines that hold any texts, with checksums that are right."""
    found, crc = b"", 0
    for seq, text in enumerate(texts):
        crc = lines.checksum(seq, text, crc)
        found += b'{"seq":%d,"size":%d,"crc":"%08x","doc":%b}\n' % (seq, len(text), crc, text)
    return found


def read(data: bytes, window: int | None) -> tuple[list[tuple[Any, int]], int, str]:
    """Return the contents and ends of the lines of some data, the checksum, and what is wrong."""
    found: list[tuple[Any, int]] = []
    position = crc = 0
    while position < len(data):
        try:
            if window is None:
                line = lines.parsed(data, position, len(found), crc)
                more = [] if line is None else [(line.content, line.end)]
                crc = crc if line is None else line.crc
            else:
                contents, ends, crc = lines.several(data, position, len(found), crc, window)
                more = list(zip(contents, ends, strict=True))
        except ValueError as error:
            return found, crc, str(error)
        if not more:
            return found, crc, "torn"
        found += more
        position = found[-1][1]
    return found, crc, ""


@given(st.lists(bodies, max_size=8), st.integers(1, 400), st.integers(0, 800), st.integers(0, 255))
@example([b"[1", b"2]", b"1],[2"], 400, 0, 0)
def test_they_are_those_read_one_by_one(
    texts: list[bytes], window: int, place: int, change: int
) -> None:
    """Sound, torn, damaged or no JSON: the same lines, and the same verdict on the first other."""
    whole = written(texts)
    damaged = bytearray(whole)
    if place < len(whole):
        damaged[place] ^= change
    for data in (whole, bytes(damaged), whole[:place]):
        assert read(data, window) == read(data, None)
