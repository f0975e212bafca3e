"""Whatever trials come to, and in whatever order they end: epochs add up, and the best go on."""

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from fakes import Curve, run_search

from tunedeco import Range
from tunedeco.domains import Float
from tunedeco.oracles import (
    ASHA,
    Continue,
    Done,
    Hyperband,
    MedianStopping,
    PlateauStopping,
    Scheduler,
    Start,
    SuccessiveHalving,
    Wait,
)
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Epoch, State, Trial

SPACE = Space((Hyperparameter("g", "x", Float(0, 1), 0.0),))
brackets = st.builds(
    lambda kind, reduction: kind("random", reduction=reduction),
    st.sampled_from([SuccessiveHalving, Hyperband]),
    st.integers(2, 4),
)
ashas = st.builds(lambda reduction: ASHA("random", reduction=reduction), st.integers(2, 4))
schedulers: st.SearchStrategy[Scheduler] = st.one_of(
    brackets,
    ashas,
    st.builds(
        lambda n, i: MedianStopping("random", min_trials=n, interval=i), *[st.integers(1, 3)] * 2
    ),
    st.builds(lambda n: PlateauStopping("random", patience=n, min_delta=0.05), st.integers(1, 3)),
)


def curve_fn() -> Curve:
    """Ask for one number, which decides how training goes, and how it ends."""
    units = Range("units", 1, 200)
    return Curve(
        units % 13,
        0.9 - units % 3 / 10,
        breaks=2 if units % 11 == 0 else None,
        diverges=3 if units % 7 == 0 else None,
        stops=2 if units % 5 == 0 else None,
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(
    schedulers,
    st.lists(st.integers(1, 60), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(1, 3),
    st.lists(st.none() | st.integers(1, 80), min_size=1, max_size=3),
    st.integers(1, 2),
    st.integers(0, 99),
)
def test_epochs_add_up(
    oracle: Scheduler,
    budgets: list[int],
    max_epochs: int,
    capacity: int,
    interruptions: list[int | None],
    executions: int,
    seed: int,
) -> None:
    """Over any runs and interruptions, the journal has the epochs trained, and no more than paid.

    What is left at the end is nothing, and no epoch is trained twice.
    """
    trained: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(os, "fsync"):
        for budget, interrupt_at in itertools.product(sorted(budgets), (*interruptions, None)):
            run = run_search(
                Path(directory),
                curve_fn,
                oracle=oracle,
                epoch_budget=budget,
                max_epochs=max_epochs,
                capacity=capacity,
                executions=executions,
                interrupt_at=interrupt_at,
                seed=seed,
                traces=1,
                max_consecutive_failures=99,
            )
            trained += run.executor.trained
            assert run.state.epochs == sum(t.trained for t in run.state.trials) == len(trained)
            assert run.state.epochs <= budget
        assert run.state.epochs == max(budgets)
    assert max(trained.count(epoch) for epoch in trained) <= executions


Watch = Callable[[Start | Continue, Sequence[Trial]], None]


class Race:
    """A search in which several trials run at once, and end in an order drawn."""

    def __init__(
        self, oracle: Scheduler, draw: st.DataObject, watch: Watch, *, stops: bool = True
    ) -> None:
        self.oracle = oracle
        self.trials: list[Trial] = []
        self._draw = draw.draw
        self._watch = watch
        self._stops = stops
        self._closed: set[int] = set()

    def run(self, count: int, capacity: int) -> None:
        """Run until so many trials have begun, and then to the end."""
        while True:
            running = [t for t in self.trials if t.state is State.RUNNING]
            ended = {t.number for t in self.trials} - {t.number for t in running}
            self._closed |= ended - set(self.oracle.open(self.trials))
            decision = self._asked(count) if len(running) < capacity else Wait()
            match decision:
                case Start():
                    self._watch(decision, self.trials)
                    assert decision.until is not None
                    new = Trial(len(self.trials), decision.values, decision.until)
                    self.trials.append(replace(new, bracket=decision.bracket, rung=decision.rung))
                case Continue():
                    assert decision.trial not in self._closed  # its checkpoint is gone
                    self._watch(decision, self.trials)
                    self.trials[decision.trial] = replace(
                        self.trials[decision.trial],
                        until=decision.until,
                        rung=decision.rung,
                        state=State.RUNNING,
                    )
                case Wait():
                    self._end(self._draw(st.sampled_from(running)))
                case Done():
                    assert not running
                    return

    def _asked(self, count: int) -> Start | Continue | Wait | Done:
        if len(self.trials) < count:
            return self.oracle.next(SPACE, self.trials, 0)
        return self.oracle.finish(self.trials)

    def _end(self, trial: Trial) -> None:
        state = self._draw(st.sampled_from([State.COMPLETED] * 7 + [State.FAILED, State.DIVERGED]))
        stops = self._stops and state is State.COMPLETED and self._draw(st.integers(0, 9)) == 0
        length = max(trial.until - stops, len(trial.epochs))
        losses = (*trial.losses, *(self._draw(st.integers(0, 9)) for _ in range(length)))[:length]
        self.trials[trial.number] = replace(
            trial,
            state=state,
            losses=tuple(map(float, losses)),
            loss=float(min(losses)) if losses and state is not State.FAILED else None,
            epochs=tuple(Epoch(i + 1, {}) for i in range(length)),
        )


def place(trial: Trial, epoch: int) -> tuple[float, int]:
    """Return how a trial does at an epoch: what went wrong does worst."""
    lost = trial.state in (State.FAILED, State.DIVERGED)
    loss = None if lost else trial.loss_at(epoch)
    return (float("inf") if loss is None else loss), trial.number


@pytest.mark.slow
@settings(max_examples=40)
@given(ashas, st.integers(4, 30), st.integers(1, 30), st.integers(1, 4), st.data())
def test_asha_promotes_from_the_top_share(
    oracle: ASHA, epochs: int, count: int, capacity: int, data: st.DataObject
) -> None:
    """However trials end, who goes on is in the top share of its rung at that moment.

    The exception is the end, when nobody runs and none will come: the best one goes on.
    """
    oracle = oracle.within(1, epochs)

    def watch(decision: Start | Continue, trials: Sequence[Trial]) -> None:
        if isinstance(decision, Start):
            return
        assert decision.rung is not None
        rung = oracle.rungs[decision.rung - 1]
        assert decision.until == oracle.rungs[decision.rung]
        assert trials[decision.trial].until == rung
        ended = [t for t in trials if t.state is not State.RUNNING]
        known = [t for t in ended if t.until >= rung or t.stopped_early]
        known += [t for t in trials if t.state is State.RUNNING and t.until > rung]
        better = sum(place(t, rung) < place(trials[decision.trial], rung) for t in known)
        over = len(trials) >= count and len(ended) == len(trials)
        assert better < max(len(known) // oracle.reduction, over)

    race = Race(oracle, data, watch)
    race.run(count, capacity)
    assert len(race.trials) >= count
    alive = [t for t in race.trials if place(t, epochs)[0] < float("inf")]
    assert not alive or any(t.until == oracle.rungs[-1] or t.stopped_early for t in alive)


@settings(max_examples=80)
@given(
    brackets,
    st.integers(4, 30),
    st.integers(1, 60),
    st.integers(1, 9),
    st.booleans(),
    st.data(),
)
def test_each_batch_sends_its_share_on_and_the_best(
    oracle: SuccessiveHalving | Hyperband,
    epochs: int,
    count: int,
    capacity: int,
    stops: bool,
    data: st.DataObject,
) -> None:
    """However trials end, who goes on is the best that waits at its rung.

    With each batch that came to a rung its share goes on and nobody else: one at a time at once
    from the lowest, and not more than four batches late from others. Who is beaten by a batch of
    later ones does not wait. What went wrong is not counted; who stopped early by itself takes its
    place without a further epoch. At the end incomplete batches send on a share, at least one.
    """
    oracle = oracle.within(1, epochs)
    top = len(oracle.rungs) - 1

    def watch(decision: Start | Continue, trials: Sequence[Trial]) -> None:
        over = len(trials) >= count and all(t.state is not State.RUNNING for t in trials)
        for rung in range(top):
            epoch, after = oracle.rungs[rung : rung + 2]
            begun = [t for t in trials if first(oracle, t) <= rung]
            gone = [t for t in begun if t.until >= after]
            here = [t for t in begun if t.until >= after or (t.until == epoch and well(t))]
            batch = oracle.reduction ** (top - rung)
            share = len(here) // batch * batch // oracle.reduction
            waiting = [t for t in here if t.until == epoch and not t.stopped_early]
            waiting = [t for t in waiting if hopeful(t, here, epoch, batch)]
            if isinstance(decision, Start):
                late = (share - len(gone)) / (batch // oracle.reduction)
                assert stops or capacity > 1 or not waiting or late <= (4 if rung else 0)
            elif trials[decision.trial].until == epoch:
                assert trials[decision.trial] == min(waiting, key=lambda t: place(t, epoch))
                assert decision.until == after
                stopped = sum(t.stopped_early and t.until < epoch for t in begun)
                share = (len(here) + stopped) // batch * batch // oracle.reduction
                if over:
                    share = max((len(here) + stopped) // oracle.reduction, 1)
                    gone = [t for t in gone if well(t)]
                assert len(gone) < share

    race = Race(oracle, data, watch, stops=stops)
    race.run(count, capacity)
    assert len(race.trials) >= count
    alive = [t for t in race.trials if well(t)]
    assert not alive or any(t.until == oracle.rungs[-1] or t.stopped_early for t in alive)


def hopeful(trial: Trial, others: Sequence[Trial], epoch: int, enough: int) -> bool:
    """Return whether not so many later ones are better than a trial."""
    mine = trial.loss_at(epoch)
    assert mine is not None  # it came there well
    losses = [t.loss_at(epoch) for t in others if t.number > trial.number]
    return sum(loss is not None and loss < mine for loss in losses) < enough


def well(trial: Trial) -> bool:
    """Return whether a trial has come to its end well."""
    return trial.state is State.COMPLETED and trial.loss is not None


def first(oracle: SuccessiveHalving | Hyperband, trial: Trial) -> int:
    """Return the rung where a trial began."""
    assert trial.bracket is not None
    return oracle.bracket(trial.bracket).first
