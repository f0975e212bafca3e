"""Successive halving and Hyperband: batches of trials, of which each rung keeps the top share.

Kevin Jamieson and Ameet Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016, for one bracket. Lisha Li, Kevin Jamieson, Giulia DeSalvo, Afshin
Rostamizadeh and Ameet Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization", JMLR 18 (2018), algorithm 1, for brackets that differ in how early they judge; after
the last one it begins again with the first.

Unlike there, the brackets share their rungs: with each batch of trials that has come to one, one of
``reduction`` goes on, and these are the best of all that wait there. So whom the first epochs
misled about has more than one chance; late in a search, when new trials are hardly better than
those before, some of these are worth more. Who is beaten by a batch of later ones has none left,
and its checkpoint can go.

While a batch is incomplete, new trials begin, so nobody is idle. Nothing is remembered: who stands
on which rung is read from the epochs that trials have been sent to.
"""

import bisect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from tunedeco import pareto
from tunedeco.oracles.base import Continue, Start
from tunedeco.oracles.rungs import Rungs, best_first, competing
from tunedeco.oracles.wrapping import can_go_on, ended_well
from tunedeco.trial import Trial

LATEST = 4
"""Of how many batches, the latest of a rung, who goes on is among the top share."""


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

    waiting: Sequence[Trial]
    """Who may yet go on."""
    going: Sequence[Trial]
    """Who of these does, the best first."""


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
        return self._next(reversed([*self._stages(trials)]))

    def _completing(self, trials: Sequence[Trial]) -> Continue | None:
        return self._next(self._stages(trials, whole=False))

    def _next(self, stages: Iterable[Stage]) -> Continue | None:
        for trial in itertools.chain.from_iterable(stage.going for stage in stages):
            if can_go_on(trial):
                after = next(epoch for epoch in self.rungs if epoch > trial.until)
                return Continue(trial.number, after, (trial.rung or 0) + 1)
        return None

    def _begun(self, decision: Start, trials: Sequence[Trial]) -> Start:
        number, before = 0, sum(trial.bracket is not None for trial in competing(trials))
        while before >= (bracket := self.bracket(number)).size:
            number, before = number + 1, before - bracket.size
        return replace(decision, until=self.rungs[bracket.first], bracket=number, rung=0)

    def _stages(self, trials: Sequence[Trial], *, whole: bool = True) -> Iterator[Stage]:
        """Yield who stands on each rung but the last.

        Args:
            trials: all so far.
            whole: whether only whole batches send some on; else those there do, at least one.
        """
        rungs = self.rungs
        known = [trial for trial in competing(trials) if trial.bracket is not None]
        first = [bisect.bisect(rungs, t.until) - 1 - (t.rung or 0) for t in known]
        passed: list[Trial] = []
        for rung, (epoch, after) in enumerate(itertools.pairwise(rungs)):
            here = [
                trial
                for trial, lowest in zip(known, first, strict=True)
                if trial.until >= epoch
                and lowest <= rung
                and (trial.until >= after or ended_well(trial))
            ]
            batch = self.reduction ** (len(rungs) - 1 - rung)
            waiting = [*passed, *_waiting(here, epoch, after, batch)]
            gone = [trial for trial in here if trial.until >= after]
            came = len(here) + len(passed)
            latest = here[-LATEST * batch :]
            if whole:
                seats = came // batch * (batch // self.reduction) - len(gone)
                # `max_epochs` may have become more, and nobody have gone on from what was the last
                latest_share = (len(latest) + batch) // self.reduction
            else:  # who came to grief on its way leaves its seat to another
                seats = max(came // self.reduction, 1) - sum(bool(trial.standing) for trial in gone)
                latest_share = len(latest)
            going = _best(waiting, latest, epoch, latest_share)[: max(seats, 0)]
            yield Stage(waiting, going)
            passed = [trial for trial in going if trial.stopped_early]


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


def _waiting(here: Sequence[Trial], epoch: int, after: int, batch: int) -> list[Trial]:
    """Return who came to a rung and may yet go on.

    Who has stopped by itself holds the place it would have had.
    """
    beaten = pareto.beaten([trial.point_at(epoch) for trial in here], batch)
    return [
        trial
        for trial, has_lost in zip(here, beaten, strict=True)
        if trial.until < after and (trial.stopped_early or not has_lost)
    ]


def _best(waiting: Sequence[Trial], latest: Sequence[Trial], epoch: int, share: int) -> list[Trial]:
    """Return who of those that wait is among so many of the latest of a rung, the best first."""
    some = {trial.number: trial for trial in (*waiting, *latest)}
    ranked = best_first([*some.values()], epoch, Trial.point_at)
    waits, counts = ({trial.number for trial in group} for group in (waiting, latest))
    places = itertools.accumulate(trial.number in counts for trial in ranked)
    among = itertools.takewhile(lambda pair: pair[1] <= share, zip(ranked, places, strict=True))
    return [trial for trial, _ in among if trial.number in waits]
