"""Rungs: the epochs at which trials are compared, and a better share of them goes on.

The last rung is the most epochs a trial may have, each one before it ``reduction`` times fewer, as
long as that is at least ``min_epochs`` (Lisha Li et al., "Hyperband", JMLR 18 (2018), algorithm 1).
So 50 epochs by 3 have the rungs 2, 5, 16 and 50, and 5 epochs have 2 and 5.
"""

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunedeco import pareto
from tunedeco.oracles.wrapping import Wrapper
from tunedeco.trial import State, Trial

EARLIEST = 2
"""The lowest rung where nobody says otherwise: after one epoch, what leads is what learns fast."""


@dataclass(frozen=True, kw_only=True)
class Rungs(Wrapper, ABC):
    """Sends the best of each rung on to the next one.

    Args:
        reduction: of how many trials one goes on.
    """

    reduction: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("reduction", self.reduction, optional=False, least=2)

    @property
    def lowest(self) -> int:
        """The epoch below which there is no rung, unless a trial has no more."""
        return max(self._least, EARLIEST) if self.min_epochs is None else self._least

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epoch of each rung, from the lowest."""
        least, most = self.lowest, self._most
        epochs = [most]
        # rounded down; the lowest rung may be a little higher, as long as it halves the next one
        while 2 * (below := max(most // self.reduction ** len(epochs), least)) <= epochs[-1]:
            epochs.append(below)
        return tuple(reversed(epochs))


def standing(trial: Trial, epoch: int) -> pareto.Point:
    """Return by what a trial is compared at a rung: its losses at its best epoch so far.

    What went wrong has none.
    """
    return () if trial.state in (State.FAILED, State.DIVERGED) else trial.point_at(epoch)


def best_first(
    trials: Sequence[Trial], epoch: int, by: Callable[[Trial, int], pareto.Point] = standing
) -> list[Trial]:
    """Return trials from the best to the worst at a rung; where two are equal, the earlier first.

    Of several objectives: by fronts, and in each front the least crowded first (NSGA-II).
    """
    points = [by(trial, epoch) for trial in trials]
    keys: Sequence[object] = [(not point, point) for point in points]
    if any(len(point) > 1 for point in points):
        keys = pareto.ranks(points)
    by_key = sorted(zip(keys, (t.number for t in trials), trials, strict=True), key=lambda t: t[:2])
    return [trial for *_, trial in by_key]


def competing(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that count: those rejected were never trained, and cost nothing."""
    return [trial for trial in trials if trial.state is not State.REJECTED]
