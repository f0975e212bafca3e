"""Successive halving and Hyperband: batches of trials, of which each rung keeps the top share.

Kevin Jamieson and Ameet Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016, for one bracket. Lisha Li, Kevin Jamieson, Giulia DeSalvo, Afshin
Rostamizadeh and Ameet Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization", JMLR 18 (2018), algorithm 1, for brackets that differ in how early they judge; after
the last one it begins again with the first.

Unlike there, the brackets share their rungs: with each batch of trials that has come to one, as
many go on as of a bracket, the best of all that wait there. So whom the first epochs misled about
has more than one chance; late in a search, when new trials are hardly better than those before,
some of these are worth more. Who is beaten by a batch of later ones has none left, and its
checkpoint can go.

While a batch is incomplete, new trials begin, so nobody is idle. Nothing is remembered: who stands
on which rung is read from the epochs that trials have been sent to.
"""

import operator
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

from tunedeco import pareto
from tunedeco.oracles.base import Continue, Start
from tunedeco.oracles.rungs import Rungs, best_first, competing
from tunedeco.oracles.wrapping import can_go_on
from tunedeco.trial import State, Trial

WAITING = 4
"""Of how many batches the latest trials of a rung may yet go on: hardly any waits longer."""


@dataclass(frozen=True)
class Bracket:
    """What one bracket is to be."""

    first: int
    """The rung where its trials begin, from 0."""
    size: int
    """How many trials begin in it."""


@dataclass(frozen=True)
class Stage:
    """Who stands on a rung."""

    rung: int
    waiting: Sequence[Trial]
    """Who may go on, the best first."""
    seats: int
    """How many of these do."""


@dataclass(frozen=True, kw_only=True)
class Brackets(Rungs, ABC):
    """Fills one bracket after the other, and lets the best of each batch go on."""

    @abstractmethod
    def bracket(self, number: int) -> Bracket:
        """Return what a bracket is to be, counted from 0."""

    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        """Return the numbers of the trials that it may yet continue."""
        stages = self._stages(trials)
        return {t.number for stage in stages for t in stage.waiting if can_go_on(t)}

    def _going(self, trials: Sequence[Trial]) -> Continue | None:
        stages = [*self._stages(trials)]
        return self._next(reversed(stages))

    def _completing(self, trials: Sequence[Trial]) -> Continue | None:
        return self._next(self._stages(trials, whole=False))

    def _next(self, stages: Iterable[Stage]) -> Continue | None:
        for stage in stages:
            for trial in filter(can_go_on, stage.waiting[: stage.seats]):
                rung = stage.rung + 1
                return Continue(trial.number, self.rungs[rung], rung - self._first(trial))
        return None

    def _begun(self, decision: Start, trials: Sequence[Trial]) -> Start:
        number, before = 0, sum(trial.bracket is not None for trial in competing(trials))
        while before >= (bracket := self.bracket(number)).size:
            number, before = number + 1, before - bracket.size
        return replace(decision, until=self.rungs[bracket.first], bracket=number, rung=0)

    def _first(self, trial: Trial) -> int:
        """Return the rung where a trial began."""
        assert trial.bracket is not None
        return self.bracket(trial.bracket).first

    def _stages(self, trials: Sequence[Trial], *, whole: bool = True) -> Iterator[Stage]:
        """Yield who stands on each rung but the last.

        Args:
            trials: all so far.
            whole: whether only whole batches send some on; else those there do, at least one.
        """
        known = [trial for trial in competing(trials) if trial.bracket is not None]
        passed: list[Trial] = []
        for rung, (epoch, after) in enumerate(pairwise(self.rungs)):
            here = [
                trial
                for trial in known
                if trial.until >= epoch
                and (trial.until >= after or _comparable(trial))
                and self._first(trial) <= rung
            ]
            stage = self._stage(rung, here, passed, whole=whole)
            yield stage
            passed = [t for t in stage.waiting[: stage.seats] if t.stopped_early]

    def _stage(
        self, rung: int, here: Sequence[Trial], passed: Sequence[Trial], *, whole: bool
    ) -> Stage:
        """Return who stands on a rung.

        Args:
            rung: from 0.
            here: who came there and has been compared, those that have gone on included.
            passed: who has stopped by itself further down, and would have come there.
            whole: as of `_stages`.
        """
        epoch, after = self.rungs[rung : rung + 2]
        batch = self.reduction ** (len(self.rungs) - 1 - rung)
        came = len(here) + len(passed)
        gone = [trial for trial in here if trial.until >= after]
        if whole:
            seats = came // batch * (batch // self.reduction) - len(gone)
        else:  # who came to grief on its way leaves its seat to another
            seats = max(came // self.reduction, 1) - sum(bool(trial.standing) for trial in gone)
        older, latest = here[: -WAITING * batch], here[-WAITING * batch :]
        stopped = [t for t in older if t.until < after and t.stopped_early]  # they hold their seats
        hopeful = _hopeful(latest, epoch, batch)
        waiting = [
            trial
            for trial in best_first([*passed, *stopped, *latest], epoch, Trial.point_at)
            if trial.until < after and (trial.stopped_early or trial.number in hopeful)
        ]
        return Stage(rung, waiting, max(seats, 0))


@final
@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(Brackets):
    """Brackets that are all alike: of ``reduction`` trials on a rung, the best one goes on.

    So many trials begin in each that one is trained to the last epoch.
    """

    def bracket(self, number: int) -> Bracket:  # noqa: ARG002 (all are alike)
        """Return what every bracket is to be."""
        return Bracket(0, self.reduction ** (len(self.rungs) - 1))


@final
@dataclass(frozen=True, kw_only=True)
class Hyperband(Brackets):
    """Brackets that begin at each rung in turn, from the lowest: about as many epochs in each.

    Where the first epochs say little of the last ones, the brackets that judge late make up for it.
    """

    def bracket(self, number: int) -> Bracket:
        """Return what a bracket is to be, counted from 0; see `Hyperband`."""
        rungs = len(self.rungs)
        first = number % rungs
        left = rungs - first  # the paper's s + 1
        return Bracket(first, -(-rungs * self.reduction ** (left - 1) // left))


def _comparable(trial: Trial) -> bool:
    """Return whether a trial has come to its end well: what went wrong takes no part."""
    return trial.state is State.COMPLETED and trial.loss is not None


def _hopeful(trials: Sequence[Trial], epoch: int, enough: int) -> set[int]:
    """Return the numbers of those than whom not enough later ones are better at a rung."""
    points = [trial.point_at(epoch) for trial in trials]
    return {
        trial.number
        for i, trial in enumerate(trials)
        if sum(_better(later, points[i]) for later in points[i + 1 :]) < enough
    }


def _better(one: pareto.Point, other: pareto.Point) -> bool:
    """Return whether no loss is more, and one is less; what has failed since was better once."""
    return not one or (one < other and all(map(operator.le, one, other)))
