"""The oracle protocol: one pure function, and the two things it can answer.

An oracle has no clock, does no I/O and remembers nothing: given the same space, trials and seed it
answers the same, in any process, at any time. So a search is resumed by asking again. Draw random
numbers from `tunedeco.randomness.stream(seed, len(trials), "purpose")`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

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


@final
@dataclass(frozen=True)
class Done:
    """There is nothing left to try."""


Decision = Start | Done


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


def describe(oracle: Oracle) -> dict[str, Any]:
    """Return an oracle's name and settings as JSON, for the journal to compare."""
    settings: dict[str, Any] = {}
    if dataclasses.is_dataclass(oracle) and not isinstance(oracle, type):
        settings = {f.name: getattr(oracle, f.name) for f in dataclasses.fields(oracle)}
    else:
        settings = dict(getattr(oracle, "__dict__", {}))
    plain = {
        name: value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
        for name, value in settings.items()
    }
    return {"name": type(oracle).__name__.lower(), **plain}
