"""The lines of a journal: how a document becomes one, and how one is read and checked.

Each line is a JSON object whose checks come first, in a fixed form::

    {"seq":17,"size":123,"crc":"9f3a2b1c","doc":["_default",17,{...}]}

``size`` is the length of what stands behind ``"doc":`` up to the last brace; ``crc`` is a CRC-32 of
seq, size and that, continued from the line before, so that a line that is missing or moved shows.
The first line, with seq 0, is a header. A line cut short at the end of the file is what a crash
leaves: readers pass over it, and the next writer cuts it off.
"""

import json
import math
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from tunedeco.errors import JournalError

SCHEMA = ["tunedeco-journal", 1]
HEAD = re.compile(rb'\{"seq":(0|[1-9]\d{0,17}),"size":([1-9]\d{0,8}),"crc":"([0-9a-f]{8})","doc":')
LONGEST_HEAD = 64
END = b"}\n"
_MAX_LINE = 64 * 2**20
_WINDOW = 2**18  # bytes that are read at once: more would only take more memory
_MARK = b"%d" % secrets.randbits(60)
_MAX_DEPTH = 100  # of brackets in brackets; Python's own limit would strike who prints it


class Line(NamedTuple):
    """A line that passed its check."""

    content: Any
    """What JSON made of it."""
    end: int
    """Where the next one begins."""
    crc: int
    """From what the next one's checksum continues."""


class Lines(NamedTuple):
    """Lines that follow each other and passed their checks."""

    contents: list[Any]
    ends: list[int]
    """Where each one's successor begins."""
    crc: int
    """From what the checksum of the next one continues."""


def encoded(seq: int, content: object, crc: int) -> tuple[bytes, int]:
    """Return a line, and the checksum from which the next one continues.

    Args:
        seq: its number, from 0.
        content: anything that JSON can hold.
        crc: the checksum of the line before, 0 for the first.

    Raises:
        JournalError: JSON cannot hold it, or it is larger than 64 MiB.
    """
    try:
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        body = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"not a document that JSON can hold ({error}): {content!r:.200}"
        raise JournalError(msg) from error
    if len(body) > _MAX_LINE:
        msg = f"a document of {len(body)} bytes is too large; {_MAX_LINE} is the limit"
        raise JournalError(msg)
    if not _shallow(body, content):
        msg = f"a document is nested more than {_MAX_DEPTH} levels deep: {content!r:.200}"
        raise JournalError(msg)
    crc = checksum(seq, body, crc)
    return b'{"seq":%d,"size":%d,"crc":"%08x","doc":%b}\n' % (seq, len(body), crc, body), crc


def journal(documents: Iterable[tuple[str, int, Any]]) -> Iterator[bytes]:
    """Return the lines of a whole journal of (table, id, document)."""
    line, crc = encoded(0, SCHEMA, 0)
    yield line
    for seq, document in enumerate(documents, 1):
        line, crc = encoded(seq, document, crc)
        yield line


def parsed(data: bytes | bytearray, position: int, seq: int, crc: int) -> Line | None:
    """Read the line at a position; return None where a crash cut the rest of the data short.

    Args:
        data: lines, and the end of the file.
        position: where the line begins.
        seq: the number it must have.
        crc: the checksum of the line before.

    Raises:
        ValueError: it is not that line; says why.
    """
    head = HEAD.match(data, position)
    end = head.end() + int(head[2]) + 2 if head else 0
    if head is None or data[end - 2 : end] != END:
        if _torn(bytes(data[position:]), head):
            return None
        msg = "it is not a line of a journal"
        raise ValueError(msg)
    body = bytes(data[head.end() : end - 2])
    crc = checksum(int(head[1]), body, crc)
    if int(head[1]) != seq or crc != int(head[3], 16):
        msg = "its checksum or its number is wrong"
        raise ValueError(msg)
    if len(body) > _MAX_LINE:
        msg = f"it is larger than {_MAX_LINE} bytes"
        raise ValueError(msg)
    try:
        content = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        msg = f"it is not JSON: {error}"
        raise ValueError(msg) from error
    if not _shallow(body, content):
        msg = f"it is nested more than {_MAX_DEPTH} levels deep"
        raise ValueError(msg)
    return Line(content, end, crc)


def several(
    data: bytes | bytearray, position: int, seq: int, crc: int, window: int = _WINDOW
) -> Lines:
    """Read the lines from a position on: many at once, in half the time of `parsed` for each.

    Args:
        data: lines, and the end of the file.
        position: where the first line begins.
        seq: the number it must have.
        crc: the checksum of the line before.
        window: how many bytes to look at; a longer line is read by itself.

    Returns:
        at least one line; none where a crash cut the rest of the data short.

    Raises:
        ValueError: the first one is not that line; says why.
    """
    bodies: list[bytes] = []
    ends, before = [position], crc
    # JSON has no line breaks of its own, unless somebody else wrote it: then `parsed` reads it
    for number, line in enumerate(data[position : position + window].split(b"\n")[:-1], seq):
        head, _, rest = bytes(line).partition(b',"doc":')
        body = rest[:-1]
        following = checksum(number, body, crc)
        same = head == b'{"seq":%d,"size":%d,"crc":"%08x"' % (number, len(body), following)
        if not same or rest[-1:] != b"}" or not _within_limits(body):
            break
        crc = following
        bodies.append(body)
        ends.append(ends[-1] + len(line) + 1)
    contents = _decoded(bodies) if bodies else None
    if contents is not None:
        return Lines(contents, ends[1:], crc)
    if len(bodies) > 1:
        return several(data, position, seq, before, (ends[-1] - position) // 2)
    single = parsed(data, position, seq, before)
    if single is None:
        return Lines([], [], before)
    return Lines([single.content], [single.end], single.crc)


def _decoded(bodies: Sequence[bytes]) -> list[Any] | None:
    """Return what JSON makes of each of some texts; None where not each is JSON by itself."""
    # one list of all, with a mark between two: none can contain what was drawn in this process
    text = b"[%b]" % (b",%b," % _MARK).join(bodies)
    try:
        contents = _DECODER.decode(text.decode())
    except (ValueError, RecursionError):
        return None
    found = contents[::2]
    marked = contents[1::2] == [int(_MARK)] * (len(bodies) - 1)
    return found if marked and len(found) == len(bodies) else None


def _within_limits(body: bytes) -> bool:
    """Return whether a document is within the limits, as can be seen without reading it."""
    return len(body) <= _MAX_LINE and body.count(b"[") + body.count(b"{") <= _MAX_DEPTH


def check_header(content: object) -> None:
    """Check the content of the first line.

    Raises:
        JournalError: it is of a version that is not known here.
        ValueError: it is no header.
    """
    match content:
        case ["tunedeco-journal", 1]:
            return
        case ["tunedeco-journal", int(version)]:
            msg = f"it has version {version}; use a newer tunedeco to read it"
            raise JournalError(msg)
        case _:
            msg = "it is not the header of a journal"
            raise ValueError(msg)


def document(content: object) -> tuple[str, int, dict[str, Any]]:
    """Return the (table, id, document) that a later line holds.

    Raises:
        ValueError: it holds none.
    """
    # each line comes here, and a match takes ten times as long
    if type(content) is list and [*map(type, content)] == [str, int, dict]:
        table, doc_id, fields = content
        return table, doc_id, fields
    msg = "it holds no document"
    raise ValueError(msg)


def checksum(seq: int, body: bytes, previous: int) -> int:
    """Return the checksum of a line, which continues that of the line before."""
    return zlib.crc32(body, zlib.crc32(b"%d,%d," % (seq, len(body)), previous))


def _torn(rest: bytes, head: re.Match[bytes] | None) -> bool:
    """Return whether the rest of a file is what a crash leaves of one line."""
    rest = rest.rstrip(b"\0")  # blocks that were never written
    if not rest:
        return True
    if head is None:
        start = b'{"seq":'
        return len(rest) < LONGEST_HEAD and b"\n" not in rest and rest[:7] == start[: len(rest)]
    return len(rest) < head.end() - head.start() + int(head[2]) + 2 and b"\n" not in rest


def _shallow(body: bytes, content: object) -> bool:
    """Return whether a document is nested no deeper than allowed."""
    if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH:  # nearly always, and at once
        return True
    level = [content]
    for _ in range(_MAX_DEPTH + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list, tuple))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return True
    return False


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        msg = f"{text:.50} is too large a number"
        raise ValueError(msg)
    return number


_DECODER = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite
)  # json.loads would make one for each line
