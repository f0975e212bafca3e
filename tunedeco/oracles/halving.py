"""Successive halving and Hyperband: brackets of trials, of which each rung keeps the top share.

Kevin Jamieson and Ameet Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016, for one bracket. Lisha Li, Kevin Jamieson, Giulia DeSalvo, Afshin
Rostamizadeh and Ameet Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization", JMLR 18 (2018), algorithm 1, for brackets that differ in how early they judge; after
the last one it begins again with the first.

Unlike there, who just misses a rung has a second chance: the best of those that stay behind, as
many as go on, are compared with those of the next bracket as well. Late in a search, when new
trials are hardly better than those before, some of these are worth more.

While one bracket waits for trials that run, the next one begins, so nobody is idle. Nothing is
remembered: who stands on which rung is read from the epochs that trials have been sent to.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import final

from tunedeco import pareto
from tunedeco.oracles.base import Continue, Start
from tunedeco.oracles.rungs import Rungs, best_first, competing, standing
from tunedeco.oracles.wrapping import can_go_on
from tunedeco.trial import UNFINISHED, Trial

Standings = list[tuple[int, int, Sequence[Trial]]]
"""The number of a bracket, the epoch of one of its rungs, and who is to be trained up to that."""


@dataclass(frozen=True)
class Bracket:
    """What one bracket is to be."""

    rungs: tuple[int, ...]
    """The epoch of each, from the lowest."""
    size: int
    """How many trials begin in it."""


@dataclass(frozen=True, kw_only=True)
class Brackets(Rungs, ABC):
    """Fills one bracket after the other, and lets the best of each rung go on."""

    @abstractmethod
    def bracket(self, number: int) -> Bracket:
        """Return what a bracket is to be, counted from 0."""

    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        """Return the numbers of the trials that it may yet continue."""
        standings, waiting = self._raced(trials)
        latest = {number: there for number, _, there in standings}
        return {
            trial.number
            for some in (*latest.values(), waiting)
            for trial in some
            if can_go_on(trial) and trial.until < self.rungs[-1]
        }

    def _going(self, trials: Sequence[Trial], *, filled: bool = False) -> Continue | None:
        standings, _ = self._raced(trials, filled=filled)
        for _, epoch, there in standings:
            for trial in there:
                if can_go_on(trial) and trial.until < epoch:
                    assert trial.bracket is not None
                    rung = self.bracket(trial.bracket).rungs.index(epoch)
                    return Continue(trial.number, epoch, rung)
        return None

    def _begun(self, decision: Start, trials: Sequence[Trial]) -> Start:
        brackets = _by_bracket(trials)
        number = 0
        while self._filled(bracket := self.bracket(number), brackets.get(number, [])):
            number += 1
        return replace(decision, until=bracket.rungs[0], bracket=number, rung=0)

    def _completing(self, trials: Sequence[Trial]) -> Continue | None:
        return self._going(trials, filled=True)

    def _filled(self, bracket: Bracket, members: Sequence[Trial]) -> bool:
        """Return whether no more trials begin in a bracket: it has all, or some have gone on."""
        return len(members) >= bracket.size or any(t.until > bracket.rungs[0] for t in members)

    def _raced(
        self, trials: Sequence[Trial], *, filled: bool = False
    ) -> tuple[Standings, list[Trial]]:
        """Return who goes how far, as far as that is decided, and who just missed that and waits.

        Args:
            trials: all so far.
            filled: whether no more trials begin in any bracket.
        """
        standings: Standings = []
        waiting: list[Trial] = []
        missed: dict[int, list[Trial]] = {}  # at each epoch, of the latest bracket there
        for number, members in _by_bracket(trials).items():
            bracket, there = self.bracket(number), members
            for rung, epoch in enumerate(bracket.rungs):
                standings.append((number, epoch, there))
                if epoch == bracket.rungs[-1]:
                    break
                chances = missed.pop(epoch, [])
                if (
                    not (filled or self._filled(bracket, members))
                    or any(t.until <= epoch and t.state in UNFINISHED for t in there)
                    or any(t.until < epoch and can_go_on(t) for t in there)
                ):
                    # it is not known yet how they compare here, nor on the rungs above
                    waiting += chances
                    waiting += [t for e in bracket.rungs[rung + 1 :] for t in missed.pop(e, ())]
                    break
                kept = max(len(members) // self.reduction ** (rung + 1), 1)
                there, missed[epoch] = _parted(there, chances, epoch, kept)
        return standings, [*waiting, *itertools.chain.from_iterable(missed.values())]


@final
@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(Brackets):
    """Brackets that are all alike: of ``reduction`` trials on a rung, the best one goes on.

    So many trials begin in each that one is trained to the last epoch.
    """

    def bracket(self, number: int) -> Bracket:  # noqa: ARG002 (all are alike)
        """Return what every bracket is to be."""
        return Bracket(self.rungs, self.reduction ** (len(self.rungs) - 1))


@final
@dataclass(frozen=True, kw_only=True)
class Hyperband(Brackets):
    """Brackets that begin at each rung in turn, from the lowest: about as many epochs in each.

    Where the first epochs say little of the last ones, the brackets that judge late make up for it.
    """

    def bracket(self, number: int) -> Bracket:
        """Return what a bracket is to be, counted from 0; see `Hyperband`."""
        rungs = self.rungs
        skipped = number % len(rungs)
        left = len(rungs) - skipped  # rungs; the paper's s + 1
        size = -(-len(rungs) * self.reduction ** (left - 1) // left)
        return Bracket(rungs[skipped:], size)


def _by_bracket(trials: Sequence[Trial]) -> dict[int, list[Trial]]:
    """Return the trials of each bracket, brackets in order."""
    brackets: dict[int, list[Trial]] = {}
    for trial in competing(trials):
        if trial.bracket is not None:
            brackets.setdefault(trial.bracket, []).append(trial)
    return dict(sorted(brackets.items()))


def _parted(
    there: Sequence[Trial], chances: Sequence[Trial], epoch: int, kept: int
) -> tuple[list[Trial], list[Trial]]:
    """Return who goes on from a rung, and who just missed that and has a chance with the next.

    All of it is read from how far trials have been sent, and stays so, whoever ends later.

    Args:
        there: the trials of a bracket that came there.
        chances: those that just missed it with the bracket before.
        epoch: the rung's.
        kept: how many go on.
    """
    ranked = [trial for trial in best_first(there, epoch, _stood) if _stood(trial, epoch)]
    going = [trial for trial in chances if trial.until > epoch]
    # who has gone on, and is not of these, did so with the next bracket
    own = ranked[: kept - len(going)]
    # most rungs were settled long ago, and there is nothing to compare
    settled = len(own) + len(going) == kept and all(t.until > epoch for t in own[-1:])
    for trial in () if settled else best_first([t for t in chances if t.until <= epoch], epoch):
        if len(own) + len(going) == kept:
            if not own or own[-1].until > epoch or best_first([own[-1], trial], epoch)[0] != trial:
                break
            own.pop()
        going.append(trial)
    missed = [t for t in ranked[len(own) :] if t.until > epoch or can_go_on(t)]
    return [*own, *going], missed[:kept]


def _stood(trial: Trial, epoch: int) -> pareto.Point:
    """Return by what a trial was compared at a rung, whatever it came to above it."""
    return trial.point_at(epoch) if trial.until > epoch else standing(trial, epoch)
