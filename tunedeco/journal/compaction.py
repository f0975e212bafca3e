"""A shorter journal that amounts to the same search: one event for all the training of a trial.

What goes: the slices of trials that have ended, now one `Trained`; what a later event made void;
and the traces of interruptions (`Resumed`, and ``Stopped("interrupted")``). What stays is in order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunedeco.events import Built, Ended, Event, Resumed, Stopped, Trained
from tunedeco.journal.journal import FILE_NAME, TABLE, Journal, found
from tunedeco.journal.lock import Lock
from tunedeco.journal.search_state import SearchState
from tunedeco.journal.storage import rewrite
from tunedeco.trial import State


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
    latest: dict[tuple[type, int], int] = {}  # of each kind, the one of each trial that counts
    for place, event in enumerate(events):
        state.apply(event)
        if isinstance(event, (Built, Trained, Ended)):
            latest[type(event), event.trial] = place
    trials = [state.outside.get(trial.number, trial) for trial in state.trials]
    for place, event in enumerate(events):
        match event:
            case Built() | Trained() | Ended() | Resumed() if (
                trials[event.trial].state is State.RUNNING
            ):
                yield event
            case Resumed():
                continue
            case Stopped("interrupted") if place < len(events) - 1:
                continue
            case Built() | Ended() if latest[type(event), event.trial] != place:
                continue
            case Trained():
                trial = trials[event.trial]
                if latest[Trained, event.trial] == place and trial.checkpoints:
                    yield Trained(trial.number, trial.epochs, trial.checkpoints[-1])
            case _:
                yield event
