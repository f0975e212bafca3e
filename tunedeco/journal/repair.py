"""What can be saved of a damaged journal: `examined` reads past the damage, `repair` writes it.

A line in which one bit was flipped is put right: of all bits, only one makes its checksum true.
Any other damaged line is lost, and what it said is not known. It may have been about any trial that
was under way, so what the journal says later of those is given up too: they go on from what is
before the damage, and are trained again. All else that still makes sense in order is kept.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunedeco.errors import JournalError, TunedecoError
from tunedeco.events import event_from_json
from tunedeco.journal import lines, mending
from tunedeco.journal.journal import FILE_NAME, TABLE, found
from tunedeco.journal.lock import Lock
from tunedeco.journal.search_state import SearchState
from tunedeco.journal.storage import rewrite
from tunedeco.trial import State

_MOST = 100  # damaged lines in which a flipped bit is looked for


@dataclass(frozen=True)
class Damage:
    """One line that failed its check."""

    line: int
    """Its number, from 1."""
    byte: int
    """Where in the file it begins."""
    problem: str
    mended: bool
    """Whether it was one flipped bit, which has been put right."""


@dataclass(frozen=True)
class Examination:
    """What a journal holds, and what is wrong with it."""

    path: Path
    documents: tuple[tuple[str, int, dict[str, Any]], ...]
    """What can be saved: (table, id, document) in order."""
    damages: tuple[Damage, ...]
    given_up: int
    """Events that can be read, and no longer make sense."""
    torn: int
    """Bytes at the end that a crash cut short; the next search cuts them off."""
    state: SearchState
    """What the saved events amount to."""
    aside: Path | None = None
    """Where `repair` put the damaged journal."""

    @property
    def sound(self) -> bool:
        """Whether all of it can be read, and makes sense."""
        return not self.damages and not self.given_up


def examined(directory: Path) -> Examination:
    """Read a journal, past whatever is damaged in it; nothing is written.

    Raises:
        SearchNotFound: there is none.
        JournalError: it cannot be read, or is of a newer version.
    """
    path = found(directory) / FILE_NAME
    try:
        data = bytearray(path.read_bytes())
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise JournalError(msg) from error
    damages: list[Damage] = []
    documents: list[tuple[str, int, dict[str, Any]] | None] = []
    position, number, crc = 0, 0, 0
    known = True  # whether the line before is, with whose checksum this one's continues
    torn = 0
    while position < len(data):
        try:
            if not known:
                msg = "it cannot be checked, since the line before it is damaged"
                raise ValueError(msg)  # noqa: TRY301 (a line that is lost, as any other)
            line = lines.parsed(data, position, number, crc)
            if line is None:
                torn = len(data) - position
                break
            if number == 0:
                _check_header(line.content, path)
            else:
                documents.append(lines.document(line.content))
            position, number, crc = line.end, number + 1, line.crc
        except ValueError as problem:
            end = data.find(b"\n", position) + 1 or len(data)
            tries = known and len(damages) < _MOST
            mended = tries and mending.mended(data, position, number, crc)
            place = data.count(b"\n", 0, position) + 1
            damages.append(Damage(place, position, str(problem), mended))
            if mended:
                continue
            documents.append(None)
            head = lines.HEAD.match(data, position)
            position, known = end, number == 0 or head is not None
            if number == 0:  # what it said is known
                number, crc = 1, lines.encoded(0, lines.SCHEMA, 0)[1]
            elif head is not None:
                number, crc = int(head[1]) + 1, int(head[3], 16)
    kept, given_up, state = _sensible(documents)
    return Examination(path, tuple(kept), tuple(damages), given_up, torn, state)


def repair(directory: Path) -> Examination:
    """Write what can be saved into a new journal; the damaged one is kept beside it.

    Returns:
        What was found; a sound journal is left as it is.

    Raises:
        SearchNotFound: there is none.
        JournalLocked: a search is writing it.
        JournalError: it cannot be read or written, or nothing can be saved.
    """
    path = found(directory) / FILE_NAME
    with Lock(path):
        result = examined(directory)
        if result.sound:
            return result
        if result.state.created is None:
            msg = f"nothing can be saved of {path}: its first events are damaged"
            raise JournalError(msg)
        names = (path.with_name(f"{path.name}.damaged-{i}") for i in itertools.count(1))
        aside = next(name for name in names if not name.exists())
        rewrite(path, result.documents, aside=aside)
    return replace(result, aside=aside)


def _check_header(content: object, path: Path) -> None:
    try:
        lines.check_header(content)
    except JournalError as error:
        msg = f"{path} cannot be read: {error}"
        raise JournalError(msg) from None


def _sensible(
    documents: Iterable[tuple[str, int, dict[str, Any]] | None],
) -> tuple[list[tuple[str, int, dict[str, Any]]], int, SearchState]:
    """Return the documents that still make sense, how many do not, and what they amount to.

    Args:
        documents: in order, and None where some are lost.
    """
    state = SearchState()
    kept = []
    doubtful: set[int] = set()
    given_up = 0
    for item in documents:
        if item is None:
            doubtful |= {t.number for t in state.trials if t.state is State.RUNNING}
            continue
        table, _, document = item
        if table == TABLE:
            try:
                event = event_from_json(document)
                if getattr(event, "trial", None) in doubtful:
                    given_up += 1
                    continue
                state.apply(event)
            except TunedecoError:
                given_up += 1
                continue
        kept.append(item)
    return kept, given_up, state
