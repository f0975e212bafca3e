"""The oracle protocol: one pure function, and the two things it can answer.

An oracle has no clock, does no I/O and remembers nothing: given the same space, trials and seed it
answers the same, in any process, at any time. So a search is resumed by asking again. Draw random
numbers from `tunedeco.randomness.stream(seed, len(trials), "purpose")`.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, final, runtime_checkable

from tunedeco.space import Space, Values
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Start:
    """Begin a new trial."""

    values: Values
    """``{group: {name: value}}``."""
    until: int | None = None
    """Train it up to this epoch; None means the search's ``max_epochs``."""
    bracket: int | None = None
    """In which bracket it competes, from 0; for reports, and for the oracle itself."""
    rung: int | None = None
    """Which rung of the bracket that epoch is, from 0."""


@final
@dataclass(frozen=True)
class Continue:
    """Train a completed trial further, from its last checkpoint."""

    trial: int
    """Its number."""
    until: int
    """Train it up to this epoch."""
    rung: int | None = None
    """Which rung of its bracket that epoch is."""


@final
@dataclass(frozen=True)
class Wait:
    """Nothing can be said before one of the running trials ends."""


@final
@dataclass(frozen=True)
class Done:
    """There is nothing left to try."""


Decision = Start | Continue | Wait | Done


class Oracle(Protocol):
    """Anything with this method; a frozen dataclass with its settings as fields serves best."""

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Decision:
        """Return what to do next.

        Args:
            space: what can be chosen; it may grow during a search.
            trials: all trials in that space so far, in the order proposed, running ones included.
            seed: the search's seed.
        """
        ...


@runtime_checkable
class Scheduler(Oracle, Protocol):
    """An oracle that answers `Continue`: it decides how far each trial is trained."""

    def within(self, min_epochs: int, max_epochs: int) -> Self:
        """Return it for trials of so many epochs, at least and at most, where it says nothing."""
        ...

    def finish(self, trials: Sequence[Trial]) -> Continue | Wait | Done:
        """Return what to do next where no more trials may be started."""
        ...

    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        """Return the numbers of the trials that it may yet continue: their checkpoints are kept."""
        ...


def describe(oracle: Oracle) -> dict[str, Any]:
    """Return an oracle's name and settings as JSON, for the journal to compare."""
    settings: dict[str, Any] = {}
    if dataclasses.is_dataclass(oracle) and not isinstance(oracle, type):
        # what is no part of its repr is no setting
        settings = {f.name: getattr(oracle, f.name) for f in dataclasses.fields(oracle) if f.repr}
    else:
        settings = dict(getattr(oracle, "__dict__", {}))
    plain = {name: _plain(value) for name, value in settings.items()}
    return {"name": type(oracle).__name__.lower(), **plain}


def _plain(value: object) -> object:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    wrapped = callable(getattr(value, "next", None)) and not isinstance(value, type)
    return describe(value) if wrapped else repr(value)  # type: ignore[arg-type]  # an oracle
