"""ASHA: successive halving that waits for nobody.

Liam Li, Kevin Jamieson, Afshin Rostamizadeh, Ekaterina Gonina, Jonathan Ben-tzur, Moritz Hardt,
Benjamin Recht and Ameet Talwalkar, "A System for Massively Parallel Hyperparameter Tuning", MLSys
2020, algorithm 2: from the highest rung down, a trial goes on that is among the best of its rung so
far and has not gone on yet; where there is none, a new one begins at the lowest rung.

Beside the paper: a rung's population is every trial whose loss there is known, also one that has
stopped early by itself, or was trained by another oracle. Only the latest ``RECENT`` of a rung can
go on, so that no more checkpoints than these are kept; what was not among the best for so long
hardly ever is later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

from tunedeco.oracles.base import Continue, Start
from tunedeco.oracles.rungs import Rungs, best_first, competing
from tunedeco.oracles.wrapping import can_go_on, reached
from tunedeco.trial import UNFINISHED, Trial

RECENT = 32
"""How many of the latest trials of a rung may yet go on."""


@final
@dataclass(frozen=True, kw_only=True)
class ASHA(Rungs):
    """Asynchronous successive halving: one of ``reduction`` trials goes on, as soon as it can."""

    reduction: int = 4
    """That of the paper's experiments."""

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epoch of each rung, counted from the lowest one up, as in the paper.

        The last is the most epochs a trial may have, at least twice those of the one before it: 50
        epochs by 4 have the rungs 2, 8 and 50.
        """
        most, epochs = self._most, []
        epoch = self.lowest
        while 2 * epoch <= most:
            epochs.append(epoch)
            epoch *= self.reduction
        return (*epochs, most)

    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        """Return the numbers of the trials that it may yet continue: the latest of each rung."""
        return {
            trial.number
            for epoch, after in pairwise(self.rungs)
            for trial in _recent(_population(trials, epoch))
            if _promotable(trial, epoch, after)
        }

    def _going(self, trials: Sequence[Trial], least: int = 0) -> Continue | None:
        rungs = self.rungs
        for rung in range(len(rungs) - 2, -1, -1):
            population = _population(trials, rungs[rung])
            share = max(len(population) // self.reduction, least)
            best = best_first(population, rungs[rung])[:share]
            recent = {trial.number for trial in _recent(population)}
            for trial in best:
                promotable = _promotable(trial, rungs[rung], rungs[rung + 1])
                if promotable and trial.number in recent:
                    return Continue(trial.number, rungs[rung + 1], rung + 1)
        return None

    def _begun(self, decision: Start, trials: Sequence[Trial]) -> Start:  # noqa: ARG002 (all begin alike)
        return replace(decision, until=self.rungs[0], bracket=0, rung=0)

    def _completing(self, trials: Sequence[Trial]) -> Continue | None:
        return self._going(trials, least=1)  # so that the best is trained to its last epoch


def _population(trials: Sequence[Trial], epoch: int) -> list[Trial]:
    """Return the trials whose loss at an epoch is known."""
    return [trial for trial in competing(trials) if _known(trial, epoch)]


def _known(trial: Trial, epoch: int) -> bool:
    if trial.state in UNFINISHED:
        return trial.until > epoch and reached(trial) >= epoch
    return trial.until >= epoch or trial.stopped_early


def _promotable(trial: Trial, epoch: int, after: int) -> bool:
    """Return whether a trial could go on from one rung to the next."""
    return can_go_on(trial) and trial.until < after and bool(trial.point_at(epoch))


def _recent(population: Sequence[Trial]) -> list[Trial]:
    return sorted(population, key=lambda trial: trial.number)[-RECENT:]
