"""The journal file: a TinyDB storage that appends checksummed lines, and never rewrites.

What a line is, `tunedeco.journal.lines` says. A line cut short at the end of the file is passed
over, and cut off by the next writer; anything else that fails its check is reported with its place.
"""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, cast

from tinydb import TinyDB
from tinydb.queries import QueryLike
from tinydb.storages import Storage
from tinydb.table import Document, Table

from tunedeco.errors import JournalDamaged, JournalError
from tunedeco.files import flush_directory, replacing
from tunedeco.journal import lines
from tunedeco.journal.lock import Lock

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
        self._lock: Lock | None = None
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
            self._lock = Lock(self._path)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            self._writer = os.getpid()
            self._catch_up()
            os.ftruncate(self._file, self._offset)
            flush_directory(self._path.parent)
        except OSError as error:
            self._release()
            msg = f"cannot write {self._path}: {error.strerror or error}; choose another directory"
            raise JournalError(msg) from error
        except BaseException:
            self._release()
            raise

    def append(self, table: str, documents: Mapping[int, Mapping[str, Any]]) -> None:
        """Add documents to a table, all or none; when this returns they are on disk.

        Raises:
            JournalLocked: another process is writing.
            JournalError: a document is not JSON, or the file cannot be written; nothing of the
                documents is in it.
        """
        self.read()
        self.lock()
        new: list[bytes] = []
        crc = self._crc
        if not self._seq:
            line, crc = lines.encoded(0, lines.SCHEMA, crc)
            new.append(line)
        for seq, (doc_id, document) in enumerate(documents.items(), max(self._seq, 1)):
            line, crc = lines.encoded(seq, [table, doc_id, document], crc)
            new.append(line)
        self._write(b"".join(new))

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        status = os.fstat(self._file)
        try:
            there = os.path.samestat(status, self._path.stat())
        except OSError:
            there = False
        if not there:
            msg = (
                f"{self._path} was moved or deleted while it was being written; nothing more is "
                "written: put it back, or run the search again to begin anew"
            )
            raise JournalError(msg)
        if status.st_size != self._offset:  # whoever deletes a lock's file lets a second writer in
            msg = (
                f"{self._path} was changed by another process while it was being written; nothing "
                "more is written here"
            )
            raise JournalError(msg)
        try:
            view = memoryview(data)
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, view[written:], self._offset + written)
            if self._fsync:
                os.fsync(self._file)
        except BaseException as error:
            with suppress(OSError):  # then the next writer cuts it off
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
        if self._file is not None:
            os.close(self._file)
        if self._lock is not None:
            self._lock.release()
        self._file = self._lock = None

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
                    with no_collection():
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
        found: dict[str, Documents] = {}
        while position < len(data):
            try:
                read = lines.several(data, position, seq, crc)
                if not read.contents:
                    break
                for content, end in zip(read.contents, read.ends, strict=True):
                    if seq == 0:
                        lines.check_header(content)
                    else:
                        table, doc_id, document = lines.document(content)
                        found.setdefault(table, {})[str(doc_id)] = document
                    position, seq = end, seq + 1
                crc = read.crc
            except ValueError as problem:
                place = f"line {seq + 1}, at byte {self._offset + position}"
                msg = (
                    f"{self._path} is damaged in {place}: {problem}; `tunedeco doctor "
                    f"{self._path.parent}` says what can be saved"
                )
                raise JournalDamaged(msg) from None
            except JournalError as error:
                msg = f"{self._path} cannot be read: {error}"
                raise JournalError(msg) from None
        for table, documents in found.items():
            self._tables.setdefault(table, {}).update(documents)
        self._offset += position
        self._seq, self._crc = seq, crc
        self.generation += bool(found)


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


def rewrite(
    path: Path, documents: Iterable[tuple[str, int, Any]], *, aside: Path | None = None
) -> None:
    """Replace a journal by one of these documents, atomically; the caller holds its `Lock`.

    Args:
        path: the journal.
        documents: (table, id, document), in order.
        aside: another name under which the replaced file is kept.

    Raises:
        JournalError: it cannot be written; the journal is as it was.
    """
    try:
        if aside is not None:
            os.link(path, aside)
        with replacing(path) as file:
            file.writelines(lines.journal(documents))
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}; it is as it was"
        raise JournalError(msg) from error


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking all documents again for each few hundred new ones."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # they are old from now on, without a walk that says so
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _refuse() -> NoReturn:
    msg = "a journal is append-only: documents are added, never changed or removed"
    raise JournalError(msg)
