"""Trials that are trained several times: budgets, failures and resuming, on a real journal."""

import os
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from fakes import Curve, Run, plain_fn, records, run_search
from test_search import assert_resumes

from tunedeco import Range
from tunedeco.errors import SearchMismatch, TooManyFailures
from tunedeco.executors.base import Interrupted
from tunedeco.oracles import Grid
from tunedeco.trial import State


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is written to the page cache: many searches run here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def test_the_score_is_the_mean(tmp_path: Path) -> None:
    """Each execution trains all epochs from a seed of its own; score and spread are of them all."""
    state = run_search(tmp_path, plain_fn, executions=3, max_trials=2, max_epochs=4).state
    for trial in state.trials:
        scores = [run.score for run in trial.executions]
        assert len(set(scores)) == 3
        assert trial.score == fmean(score for score in scores if score is not None)
        assert trial.spread == pytest.approx(stdev(s for s in scores if s is not None))
        assert [len(run.epochs) for run in trial.executions] == [4, 4, 4]
        assert [epoch.epoch for epoch in trial.epochs] == [1, 2, 3, 4]
    assert state.epochs == 2 * 3 * 4


@pytest.mark.parametrize("budget", [1, 4, 7, 9, 20])
@pytest.mark.parametrize("capacity", [1, 2])
def test_the_epoch_budget_is_spent_exactly(tmp_path: Path, budget: int, capacity: int) -> None:
    """Epochs of all executions count; what the budget cuts off is paused, and has no score yet."""
    run = run_search(
        tmp_path, plain_fn, executions=2, epoch_budget=budget, max_epochs=3, capacity=capacity
    )
    assert sum(trial.trained for trial in run.state.trials) == run.state.epochs == budget
    assert run.state.stopped == "epoch_budget"
    for trial in run.state.trials:
        whole = all(len(r.epochs) == 3 for r in trial.executions)
        assert trial.state is (State.COMPLETED if whole else State.PAUSED)
        assert (trial.score is None) == any(not r.epochs for r in trial.executions)


@pytest.mark.parametrize("budget", range(1, 19, 2))
def test_a_larger_budget_continues_to_the_same(tmp_path: Path, budget: int) -> None:
    """A search that rests in the middle of any execution ends as one with the whole budget."""
    options: dict[str, Any] = {"executions": 3, "max_epochs": 3, "oracle": Grid()}
    run_search(tmp_path / "two", plain_fn, epoch_budget=budget, **options)
    two = run_search(tmp_path / "two", plain_fn, epoch_budget=18, **options)
    one = run_search(tmp_path / "one", plain_fn, epoch_budget=18, **options)
    assert records(two.state) == records(one.state)
    assert len(two.executor.trained) == 18 - budget


def flaky_fn() -> Curve:
    number = Range("number", 0, 9)
    curve = Curve(1.0, 0.9, breaks=2 if number % 2 else None, diverges=3 if number == 4 else None)
    curve.parameters = 99 if number == 2 else 10
    return curve


def test_one_execution_that_fails_ends_the_trial(tmp_path: Path) -> None:
    """What goes wrong once has gone wrong: the trial fails, and its other executions are left."""
    state = run_search(tmp_path, flaky_fn, executions=2, oracle=Grid(), max_trials=6).state
    assert [str(t.state) for t in state.trials] == [
        *("completed", "failed", "completed", "failed", "diverged", "failed")
    ]
    assert [[len(r.epochs) for r in t.executions] for t in state.trials[:2]] == [[3, 3], [1, 0]]
    assert state.trials[1].score is None
    assert state.trials[1].error is not None
    assert state.trials[4].score is None  # the mean of one is no match for that of two


@pytest.mark.parametrize("capacity", [1, 3])
def test_failures_are_counted_by_trial(tmp_path: Path, capacity: int) -> None:
    """One execution that goes well does not hide that each trial fails, and several count once."""
    built: list[int] = []

    def second_breaks() -> Curve:
        Range("number", 0, 30)
        built.append(1)
        return Curve(1.0, 0.9, breaks=1 if len(built) % 2 == 0 and capacity == 1 else None)

    def each_breaks() -> Curve:
        Range("number", 0, 30)
        return Curve(1.0, 0.9, breaks=2)

    function = second_breaks if capacity == 1 else each_breaks
    run = run_search(
        tmp_path, function, executions=2 if capacity == 1 else 3, oracle=Grid(),
        max_consecutive_failures=3, capacity=capacity, traces=2,
    )  # fmt: skip
    assert isinstance(run.error, TooManyFailures)
    assert len([t for t in run.state.trials if t.state is State.FAILED]) == 3


@pytest.mark.slow
def test_cut_after_any_event_a_search_ends_the_same(tmp_path: Path) -> None:
    """Run again from any prefix of the journal, torn or not, all executions are the same."""

    def search(directory: Path) -> Run:
        options = {"epoch_budget": 13, "max_epochs": 3, "max_parameters": 24}
        return run_search(directory, flaky_fn, oracle=Grid(), executions=2, **options)

    reference = search(tmp_path / "whole")
    states = {trial.state for trial in reference.state.trials}
    assert states >= {State.COMPLETED, State.FAILED, State.REJECTED, State.PAUSED}
    assert_resumes(tmp_path / "whole", search, reference)


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [1, 2])
def test_interrupted_anywhere_a_search_goes_on(tmp_path: Path, capacity: int) -> None:
    """Interrupted after any event, a search of repeated trials ends with all its epochs."""
    options: dict[str, Any] = {"epoch_budget": 11, "executions": 2, "capacity": capacity}
    options["oracle"] = Grid()
    reference = run_search(tmp_path / "whole", plain_fn, **options)
    for number in range(1, len(reference.sizes)):
        run = run_search(tmp_path / str(number), plain_fn, interrupt_at=number, **options)
        assert run.error is None or isinstance(run.error, Interrupted)
        again = run_search(tmp_path / str(number), plain_fn, **options)
        assert again.state.epochs == 11
        if capacity == 1:
            assert records(again.state) == records(reference.state)


def test_how_often_trials_are_trained_is_part_of_the_search(tmp_path: Path) -> None:
    """Scores of one training and means of several are not compared: another search, refused."""
    run_search(tmp_path, plain_fn, max_trials=1)
    for extend in (False, True):
        with pytest.raises(SearchMismatch, match="executions: 1 there, 2 here"):
            run_search(tmp_path, plain_fn, max_trials=1, executions=2, extend=extend)
