"""A shorter journal that amounts to the same search: one event for all the training of a trial.

What goes: the slices of trials that have ended, now one `Trained`; the rungs they were sent to on
the way; what a later event made void; and the traces of interruptions (`Resumed`, `Lost`, and
``Stopped("interrupted")``). What stays is in order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunedeco.events import (
    Built,
    Continued,
    Ended,
    Event,
    Lost,
    Proposed,
    Resumed,
    Started,
    Stopped,
    Trained,
)
from tunedeco.journal.journal import FILE_NAME, TABLE, Journal, found
from tunedeco.journal.lock import Lock
from tunedeco.journal.search_state import SearchState
from tunedeco.journal.storage import rewrite
from tunedeco.trial import UNFINISHED


@dataclass(frozen=True)
class Compaction:
    """What was gained."""

    events: int
    """How many there are now."""
    dropped: int
    """How many there are no more."""
    bytes_before: int
    bytes_after: int


def compact(directory: Path) -> Compaction:
    """Rewrite the journal of a search, atomically.

    Raises:
        SearchNotFound: there is none.
        JournalLocked: a search is writing it.
        JournalError: it cannot be read or written; it is as it was.
    """
    path = found(directory) / FILE_NAME
    with Lock(path), Journal(path.parent) as journal:
        events = list(journal.events())
        before = path.stat().st_size
        fewer = list(compacted(events))
        kept = [(TABLE, i, event.to_json()) for i, event in enumerate(fewer, 1)]
        rewrite(path, [*kept, *journal.others()])
    after = path.stat().st_size
    return Compaction(len(fewer), len(events) - len(fewer), before, after)


def compacted(events: Sequence[Event]) -> Iterator[Event]:
    """Yield fewer events of which the fold is the same, but for counts of interruptions.

    Raises:
        JournalError: the events contradict each other.
    """
    state = SearchState()
    latest: dict[tuple[type, int, int], int] = {}  # of each kind, the one of each training
    elapsed: list[float] = []  # seconds of the search so far, after each event
    for place, event in enumerate(events):
        state.apply(event)
        elapsed.append(state.elapsed)
        if isinstance(event, (Built, Trained, Ended)):
            latest[type(event), event.trial, event.execution] = place
    short = SearchState()
    for place, event in enumerate(events):
        kept = _kept(event, place, latest, state)
        if kept is None and isinstance(event, Stopped) and place == len(events) - 1:
            kept = event
        session_ends = place == len(events) - 1 or isinstance(events[place + 1], Started)
        for one in (kept,) if kept is not None else ():
            short.apply(one)
            yield one
        if session_ends and short.elapsed != elapsed[place]:  # what has gone told of the time
            seconds = {"elapsed": elapsed[place] - short.elapsed_before}
            rest = Stopped("interrupted", seconds)
            short.apply(rest)
            yield rest


def _kept(  # noqa: PLR0911 (one for each kind of event)
    event: Event, place: int, latest: Mapping[tuple[type, int, int], int], state: SearchState
) -> Event | None:
    """Return what stays of an event."""
    if isinstance(event, Stopped):
        return None if event.reason == "interrupted" else event
    if not isinstance(event, (Proposed, Continued, Resumed, Built, Trained, Lost, Ended)):
        return event
    trial = state.outside.get(event.trial, state.trials[event.trial])
    if trial.state in UNFINISHED:  # it goes on from where it is
        return event
    match event:
        case Proposed():
            return replace(event, until=trial.until, rung=trial.rung)
        case Continued() | Resumed() | Lost():
            return None
        case Built() | Trained() | Ended():
            if latest[type(event), event.trial, event.execution] != place:
                return None
            run = trial.runs[event.execution]
            if isinstance(event, Trained):
                last = run.checkpoints[-1:]
                return replace(event, epochs=run.epochs, checkpoint=last[0]) if last else None
            return event
