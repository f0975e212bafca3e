"""The journal of one search: typed events, appended to and read from a TinyDB file.

Anyone can open the file with ``TinyDB(path, storage=JournalStorage)`` and query the events.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tunedeco.errors import JournalError, SearchNotFound
from tunedeco.events import Event, event_from_json
from tunedeco.journal import lines
from tunedeco.journal.search_state import SearchState
from tunedeco.journal.storage import JournalDB, JournalStorage, no_collection

FILE_NAME = "journal.jsonl"
TABLE = JournalDB.default_table_name
"""The table of events; a database may have others, which are its owner's."""


class Journal:
    """The events of the search in a directory; reading takes no lock, the first write does."""

    def __init__(self, directory: Path) -> None:
        """Look at a directory; nothing is created before the first event is appended."""
        self.path = directory / FILE_NAME
        self._db = JournalDB(self.path)

    def lock(self) -> None:
        """Become the one writer.

        Raises:
            JournalLocked: another process is.
        """
        storage = self._db.storage
        assert isinstance(storage, JournalStorage)
        storage.lock()

    def append(self, event: Event) -> None:
        """Write an event; when this returns it is on disk.

        Raises:
            JournalError: it could not be written, or not be read again; the journal is as it was
                before.
        """
        document = event.to_json()
        line = lines.parsed(lines.encoded(0, document, 0)[0], 0, 0, 0)
        assert line is not None
        try:
            event_from_json(line.content)
        except JournalError as error:
            msg = f"{document!r:.200} is not written to {self.path}: {error}"
            raise JournalError(msg) from error
        self._db.insert(document)

    def record(self, event: Event, state: SearchState) -> None:
        """Write an event, then take it in; one that the state could not go on from is not written.

        Raises:
            JournalError: it contradicts those before it, or cannot be written.
        """
        changes = state.changes(event)
        self.append(event)
        state.take(changes)

    def events(self) -> Iterator[Event]:
        """Read all events, in order.

        Raises:
            JournalError: the file is damaged, or holds an event this version does not know.
        """
        # not by iterating over the database, which would make each a `Document`, to be thrown away
        for number, document in (self._db.storage.read() or {}).get(TABLE, {}).items():
            try:
                yield event_from_json(document)
            except JournalError as error:
                msg = f"{self.path}: event {number}: {error}"
                raise JournalError(msg) from error

    def state(self) -> SearchState:
        """Fold all events into the state of the search.

        Raises:
            JournalError: as `events`, or an event contradicts the ones before it.
        """
        state = SearchState()
        with no_collection():
            for event in self.events():
                try:
                    state.apply(event)
                except JournalError as error:
                    msg = (
                        f"{self.path}: {error}; `tunedeco doctor {self.path.parent}` says what can "
                        "be saved"
                    )
                    raise JournalError(msg) from error
        return state

    def others(self) -> list[tuple[str, int, Any]]:
        """Return the documents of other tables, as (table, id, document)."""
        return [
            (name, document.doc_id, dict(document))
            for name in sorted(self._db.tables() - {TABLE})
            for document in self._db.table(name)
        ]

    def close(self) -> None:
        """Close the file, and let another process write."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def found(directory: Path) -> Path:
    """Return the directory of a search, given that or its journal.

    Raises:
        SearchNotFound: there is none.
        JournalError: that cannot be told.
    """
    if directory.name == FILE_NAME:
        directory = directory.parent
    try:
        there = (directory / FILE_NAME).is_file()
    except OSError as error:
        msg = f"cannot read {directory}: {error.strerror or error}"
        raise JournalError(msg) from error
    if not there:
        msg = f"there is no search in {directory} (it would have a {FILE_NAME})"
        raise SearchNotFound(msg)
    return directory


def load(directory: Path) -> SearchState:
    """Return the state of the search in a directory, or with that journal; nothing is written.

    Raises:
        SearchNotFound: there is none.
        JournalError: it cannot be read.
    """
    with Journal(found(directory)) as journal:
        state = journal.state()
    if state.created is None:
        msg = f"the search in {directory} has not begun"
        raise SearchNotFound(msg)
    return state
