"""Rungs: the epochs at which trials are compared, and a better share of them goes on.

The last rung is the most epochs a trial may have, each one before it ``reduction`` times fewer, as
long as that is at least ``min_epochs`` (Lisha Li et al., "Hyperband", JMLR 18 (2018), algorithm 1).
So 50 epochs by 3 have the rungs 2, 5, 16 and 50, and 5 epochs have 2 and 5.
"""

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass

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


def standing(trial: Trial, epoch: int) -> tuple[float, int]:
    """Return by what a trial is compared at a rung: its least loss so far, then its number.

    What went wrong is infinitely bad.
    """
    wrong = trial.state in (State.FAILED, State.DIVERGED)
    loss = None if wrong else trial.loss_at(epoch)
    return math.inf if loss is None else loss, trial.number


def competing(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that count: those rejected were never trained, and cost nothing."""
    return [trial for trial in trials if trial.state is not State.REJECTED]
