"""The journal file: a TinyDB storage that appends checksummed lines, and never rewrites.

Each line is a JSON object whose checks come first, in a fixed form::

    {"seq":17,"size":123,"crc":"9f3a2b1c","doc":["_default",17,{...}]}

``size`` is the length of what stands behind ``"doc":`` up to the last brace; ``crc`` is a CRC-32 of
seq, size and that, continued from the line before, so that a line that is missing or moved shows.
The first line is a header. A line cut short at the end of the file is what a crash leaves: readers
pass over it, and the next writer cuts it off. Anything else that fails its check is reported.
"""

import fcntl
import gc
import json
import os
import re
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, cast

from tinydb import TinyDB
from tinydb.queries import QueryLike
from tinydb.storages import Storage
from tinydb.table import Document, Table

from tunedeco.errors import JournalDamaged, JournalError, JournalLocked

SCHEMA = ["tunedeco-journal", 1]
_HEAD = re.compile(rb'\{"seq":(0|[1-9]\d{0,17}),"size":([1-9]\d{0,8}),"crc":"([0-9a-f]{8})","doc":')
_LONGEST_HEAD = 64
_MAX_LINE = 64 * 2**20

Documents = dict[str, dict[str, Any]]


class JournalStorage(Storage):
    """Tables of documents in an append-only file; what TinyDB's ordinary queries read.

    Readers take no lock and write nothing. The first `append` creates the file where there is none
    and makes this process the one writer until `close`.

    Args:
        path: the file.
        fsync: flush each append to disk before it returns; False is for measuring what that costs.
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = True) -> None:
        self._path = Path(path)
        self._fsync = fsync
        self._file: int | None = None
        self._lock: int | None = None
        self._writer = os.getpid()
        self._closed = False
        self.generation = 0
        """How often the tables have changed: what a cache of queries depends on."""
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the file."""
        self._tables: dict[str, Documents] = {}
        self._offset = self._seq = self._crc = 0
        self._identity: tuple[int, int] | None = None
        self.generation += 1

    def read(self) -> dict[str, Documents] | None:
        """Return all tables, with what any process has appended so far; None without a file.

        Raises:
            JournalDamaged: a line fails its check.
            JournalError: the file is no journal, or cannot be read.
        """
        if self._closed:
            msg = f"{self._path} has been closed"
            raise JournalError(msg)
        if self._file is None or not self._seq:  # else the writer knows: nobody else appends
            self._catch_up()
        return self._tables if self._seq else None

    def lock(self) -> None:
        """Become the one writer, and cut off what a crash left at the end.

        Raises:
            JournalLocked: another process is; says which.
            JournalError: the file cannot be opened for writing.
        """
        if self._file is not None:
            if self._writer != os.getpid():
                msg = f"{self._path} is written by process {self._writer}, of which this is a fork"
                raise JournalError(msg)
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            self._writer = os.getpid()
            self._catch_up()
            os.ftruncate(self._file, self._offset)
            self._flush_directory()
        except OSError as error:
            self._release()
            msg = f"cannot write {self._path}: {error.strerror or error}; choose another directory"
            raise JournalError(msg) from error
        except BaseException:
            self._release()
            raise

    def _take_lock(self) -> None:
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 1000, 0).decode(errors="replace").strip() or "another process"
            os.close(lock)
            msg = f"{self._path} is being written by {holder}; wait for it, or stop it"
            raise JournalLocked(msg) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(lock, 0)
        os.pwrite(
            lock, f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode(), 0
        )
        self._lock = lock

    def append(self, table: str, documents: Mapping[int, Mapping[str, Any]]) -> None:
        """Add documents to a table, all or none; when this returns they are on disk.

        Raises:
            JournalLocked: another process is writing.
            JournalError: a document is not JSON, or the file cannot be written; nothing of the
                documents is in it.
        """
        self.read()
        self.lock()
        lines: list[bytes] = []
        crc = self._crc
        for seq, (doc_id, document) in enumerate(documents.items(), max(self._seq, 1)):
            if not self._seq and not lines:
                line, crc = _line(0, SCHEMA, crc)
                lines.append(line)
            line, crc = _line(seq, [table, doc_id, document], crc)
            lines.append(line)
        self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            view = memoryview(data)
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, view[written:], self._offset + written)
            if self._fsync:
                os.fsync(self._file)
        except BaseException as error:
            os.ftruncate(self._file, self._offset)
            if isinstance(error, OSError):
                msg = (
                    f"cannot write {self._path}: {error.strerror or error}; nothing is lost: "
                    "make room and run the search again"
                )
                raise JournalError(msg) from error
            raise
        self._take(data)

    def write(self, data: dict[str, Documents]) -> None:
        """Take a whole database, as TinyDB's plain `Table` gives it, if it only adds documents.

        Raises:
            JournalError: it changes or removes something: the journal is append-only.
        """
        self._forget()  # TinyDB may have changed in place what it read
        self.generation += 1
        before = self.read() or {}
        kept = all(
            data.get(table, {}).get(i) == document
            for table, documents in before.items()
            for i, document in documents.items()
        )
        if not kept:
            _refuse()
        for table, documents in data.items():
            known = before.get(table, {})
            added = {int(i): doc for i, doc in documents.items() if i not in known}
            if added:
                self.append(table, added)

    def close(self) -> None:
        """Let another process write; nothing can be read or written through this one any more."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        for handle in (self._file, self._lock):
            if handle is not None:
                os.close(handle)
        self._file = self._lock = None

    def _flush_directory(self) -> None:
        handle = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _catch_up(self) -> None:
        """Read what has been appended since the last time."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if identity != self._identity or status.st_size < self._offset:
                    self._forget()
                    self._identity = identity
                if status.st_size > self._offset:
                    file.seek(self._offset)
                    with _no_collection():
                        self._take(file.read())
        except FileNotFoundError:
            if self._seq:
                self._forget()
        except OSError as error:
            msg = f"cannot read {self._path}: {error.strerror or error}"
            raise JournalError(msg) from error

    def _take(self, data: bytes) -> None:
        """Check lines that follow what is known, and add their documents to the tables."""
        position, seq, crc = 0, self._seq, self._crc
        found: list[tuple[str, str, dict[str, Any]]] = []
        while position < len(data):
            head = _HEAD.match(data, position)
            end = head.end() + int(head[2]) + 2 if head else 0
            if head is None or data[end - 2 : end] != b"}\n":
                if _torn(data[position:], head):
                    break
                self._damaged(seq, position, "it is not a line of a journal")
            assert head is not None
            body = data[head.end() : end - 2]
            crc = _crc(int(head[1]), body, crc)
            if int(head[1]) != seq or f"{crc:08x}".encode() != head[3]:
                self._damaged(seq, position, "its checksum or its number is wrong")
            try:
                content = _DECODER.decode(body.decode())
            except (ValueError, RecursionError) as error:
                self._damaged(seq, position, f"it is not JSON: {error}")
            if seq == 0:
                self._check_header(content)
            else:
                match content:
                    case [str(table), int(doc_id), dict(document)]:
                        found.append((table, str(doc_id), document))
                    case _:
                        self._damaged(seq, position, "it holds no document")
            position, seq = end, seq + 1
        for table, key, document in found:
            self._tables.setdefault(table, {})[key] = document
        self._offset += position
        self._seq, self._crc = seq, crc
        self.generation += bool(found)

    def _check_header(self, content: object) -> None:
        match content:
            case ["tunedeco-journal", 1]:
                return
            case ["tunedeco-journal", int(version)]:
                msg = f"{self._path} has version {version}; use a newer tunedeco to read it"
                raise JournalError(msg)
            case _:
                self._damaged(0, 0, "it is not the header of a journal")

    def _damaged(self, seq: int, position: int, problem: str) -> NoReturn:
        place = f"line {seq + 1}, at byte {self._offset + position}"
        msg = f"{self._path} is damaged in {place}: {problem}"
        raise JournalDamaged(msg)


class _Additions:
    """What TinyDB's operations may do with a table here: look for an id, and add a new one."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self.added: dict[int, Mapping[str, Any]] = {}

    def __contains__(self, doc_id: object) -> bool:
        return str(doc_id) in self._known or doc_id in self.added

    def __setitem__(self, doc_id: int, document: Mapping[str, Any]) -> None:
        if doc_id in self:
            _refuse()
        self.added[doc_id] = document

    def __getitem__(self, doc_id: int) -> NoReturn:
        _refuse()

    def __delitem__(self, doc_id: int) -> NoReturn:
        _refuse()

    def __getattr__(self, name: str) -> NoReturn:
        _refuse()  # keys, pop, clear: the ways to change or remove


class JournalTable(Table):
    """A table whose insert appends one line, at the same cost however many there are."""

    _generation = -1

    @property
    def _journal(self) -> JournalStorage:
        return cast("JournalStorage", self._storage)

    def _update_table(self, updater: Callable[[Any], None]) -> None:
        additions = _Additions(self._read_table())
        updater(additions)
        if additions.added:
            self._journal.append(self.name, additions.added)

    def _read_table(self) -> dict[str, Mapping[Any, Any]]:
        tables = self._journal.read() or {}
        if self._generation != self._journal.generation:  # another process may have appended
            self._generation = self._journal.generation
            self.clear_cache()
        return cast("dict[str, Mapping[Any, Any]]", tables.get(self.name, {}))

    def search(self, cond: QueryLike) -> list[Document]:
        """Return the documents that match; see `tinydb.table.Table.search`."""
        self._read_table()  # a cached answer may be out of date
        return super().search(cond)


class JournalDB(TinyDB):
    """A TinyDB in a journal file: ``JournalDB(path).insert(document)`` appends a line."""

    table_class = JournalTable
    default_storage_class = JournalStorage  # type: ignore[assignment]  # TinyDB means any Storage


def _line(seq: int, content: object, crc: int) -> tuple[bytes, int]:
    """Return a line, and the checksum from which the next one continues."""
    try:
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        body = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"not a document that JSON can hold ({error}): {content!r:.200}"
        raise JournalError(msg) from error
    if len(body) > _MAX_LINE:
        msg = f"a document of {len(body)} bytes is too large; {_MAX_LINE} is the limit"
        raise JournalError(msg)
    crc = _crc(seq, body, crc)
    return b'{"seq":%d,"size":%d,"crc":"%08x","doc":%b}\n' % (seq, len(body), crc, body), crc


def _crc(seq: int, body: bytes, previous: int) -> int:
    return zlib.crc32(body, zlib.crc32(b"%d,%d," % (seq, len(body)), previous))


def _torn(rest: bytes, head: re.Match[bytes] | None) -> bool:
    """Return whether the rest of a file is what a crash leaves of one line."""
    rest = rest.rstrip(b"\0")  # blocks that were never written
    if not rest:
        return True
    if head is None:
        start = b'{"seq":'
        return len(rest) < _LONGEST_HEAD and b"\n" not in rest and rest[:7] == start[: len(rest)]
    return len(rest) < head.end() - head.start() + int(head[2]) + 2 and b"\n" not in rest


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking all documents again for each few hundred new ones."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _refuse() -> NoReturn:
    msg = "a journal is append-only: documents are added, never changed or removed"
    raise JournalError(msg)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # json.loads would make one for each line
