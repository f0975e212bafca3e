"""What ends a search: epochs, time, a target; and how a larger budget goes on."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, Run, model_fn, plain_fn, records, run_search

from tunedeco import Range, Tuner
from tunedeco.errors import ConfigurationError
from tunedeco.journal.journal import FILE_NAME
from tunedeco.oracles import Aging, Oracle, Random
from tunedeco.trial import State
from tunedeco.units import seconds_in

ORACLES: list[Oracle] = [Random(), Aging(3, 2)]


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("first", range(1, 15))
def test_a_larger_budget_goes_on_as_one_that_was_larger_from_the_beginning(
    tmp_path: Path, oracle: Oracle, first: int
) -> None:
    """Whatever the first budget cut, two runs train the trials and epochs that one would have."""
    run_search(tmp_path / "two", oracle=oracle, epoch_budget=first, seed=14)
    two = run_search(tmp_path / "two", oracle=oracle, epoch_budget=15, seed=14)
    one = run_search(tmp_path / "one", oracle=oracle, epoch_budget=15, seed=14)
    assert records(two.state) == records(one.state)
    assert two.state.epochs == 15


def test_what_the_budget_cuts_is_paused_and_scored(tmp_path: Path) -> None:
    """A trial that the budget cuts short says so, and its score counts."""
    run = run_search(tmp_path, plain_fn, epoch_budget=5, max_epochs=3)
    assert [t.state for t in run.state.trials] == [State.COMPLETED, State.PAUSED]
    cut = run.state.trials[1]
    assert (len(cut.epochs), cut.until, cut.score) == (2, 3, cut.epochs[1].logs["val_loss"])


@pytest.mark.parametrize("budget", range(2, 20))
@pytest.mark.parametrize("capacity", [1, 3])
def test_no_trial_is_begun_with_less_than_min_epochs(
    tmp_path: Path, budget: int, capacity: int
) -> None:
    """What is left at the end is less than `min_epochs`, and every trial got as many at least."""
    run = run_search(
        tmp_path, plain_fn, epoch_budget=budget, min_epochs=2, max_epochs=4, capacity=capacity
    )
    assert budget - 2 < run.state.epochs <= budget
    assert all(len(trial.epochs) >= 2 for trial in run.state.trials)


@pytest.mark.parametrize("executions", [2, 3])
@pytest.mark.parametrize("budget", range(1, 20, 2))
def test_executions_cost_what_they_train(tmp_path: Path, executions: int, budget: int) -> None:
    """Every execution's epochs count, and the budget holds to the epoch."""
    run = run_search(tmp_path, plain_fn, epoch_budget=budget, executions=executions)
    assert run.state.epochs == budget == sum(trial.trained for trial in run.state.trials)


@dataclass
class Slow(Curve):
    """A curve whose epochs take time."""

    def train(self, epoch: int, noise: Any) -> dict[str, float]:
        time.sleep(0.02)
        return super().train(epoch, noise)


def slow_fn() -> Curve:
    return Slow(1.0, 0.9, parameters=Range("units", 1, 100))


def test_the_time_budget_holds_over_all_sessions(tmp_path: Path) -> None:
    """When the time is up the search rests, at once; run again it says so; more time goes on."""

    def search(directory: Path, seconds: float | None) -> Run:
        return run_search(directory, slow_fn, time_budget=seconds, max_trials=8, max_epochs=4)

    first = search(tmp_path / "two", 0.3)
    assert first.error is None
    assert first.state.stopped == "time_budget"
    assert 0.3 <= first.state.elapsed < 0.6
    assert 0 < first.state.epochs < 8 * 4
    assert State.RUNNING not in {trial.state for trial in first.state.trials}
    before = (tmp_path / "two" / FILE_NAME).read_bytes()
    assert search(tmp_path / "two", 0.3).worked is False
    assert (tmp_path / "two" / FILE_NAME).read_bytes() == before
    more = search(tmp_path / "two", 60.0)
    assert more.state.stopped == "max_trials"
    assert more.state.elapsed > first.state.elapsed
    assert records(more.state) == records(search(tmp_path / "one", None).state)


@pytest.mark.parametrize("capacity", [1, 3])
def test_a_target_ends_the_search_at_the_epoch_that_reaches_it(
    tmp_path: Path, capacity: int
) -> None:
    """After the target is reached nothing is trained but what is under way, to its next epoch."""
    options: dict[str, Any] = {"oracle": Random(), "max_trials": 6, "capacity": capacity}
    whole = run_search(tmp_path / "whole", **options)
    losses = sorted(loss for trial in whole.state.trials for loss in trial.losses)
    target = losses[len(losses) // 3]
    run = run_search(tmp_path / "run", target=target, **options)
    assert run.state.stopped == "target"
    reached = [e.logs["val_loss"] for t in run.state.trials for e in t.epochs]
    assert 1 <= sum(loss <= target for loss in reached) <= capacity
    assert State.RUNNING not in {trial.state for trial in run.state.trials}
    again = run_search(tmp_path / "run", target=target, **options)
    assert again.worked is False
    on = run_search(tmp_path / "run", **options)
    assert records(on.state) == records(whole.state)


TIMES: dict[Any, float] = {
    90: 90,
    1.5: 1.5,
    "90": 90,
    "90s": 90,
    "90m": 5400,
    "8h": 28800,
    "1d": 86400,
    "1h 30m": 5400,
    "1H30M": 5400,
    "0.5h": 1800,
    " 2 min ": 120,
}


@pytest.mark.parametrize("text", TIMES)
def test_amounts_of_time(text: float | str) -> None:
    """Time is seconds, or text with the units that people use."""
    assert seconds_in(text) == TIMES[text]


@pytest.mark.parametrize(
    "text", [0, -1, "", "m", "90x", "1.5.2h", "h8", True, None, [], float("nan")]
)
def test_what_is_no_amount_of_time(text: Any) -> None:
    """Anything else is refused, with examples of what is not."""
    with pytest.raises(ConfigurationError, match=r"time_budget must be seconds, .* '90m'"):
        seconds_in(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "give epoch_budget=, max_trials=, time_budget= or target="),
        ({"epoch_budget": 5, "min_epochs": 4, "max_epochs": 3}, "max_epochs is only 3"),
        ({"epoch_budget": 5, "min_epochs": 0}, "min_epochs must be a whole number"),
        ({"time_budget": "soon"}, "time_budget must be seconds"),
        ({"target": "high"}, "target must be a number that the score can reach, not 'high'"),
        ({"target": float("inf")}, "target must be a number"),
        (
            {"epoch_budget": 5, "max_retries": -1},
            "max_retries must be a whole number",
        ),
        ({"epoch_budget": 5, "executions_per_trial": 0}, "executions_per_trial must be"),
    ],
)
def test_wrong_budgets_are_refused(arguments: dict[str, Any], says: str) -> None:
    """A budget that makes no sense is an error when the tuner is made, and says which."""
    with pytest.raises(ConfigurationError, match=says):
        Tuner(model_fn, "val_loss", **arguments)


@pytest.mark.parametrize("arguments", [{"time_budget": "8h"}, {"target": 0.9}])
def test_each_budget_is_enough_alone(arguments: dict[str, Any]) -> None:
    """A search that anything ends may be made."""
    assert Tuner(model_fn, "val_loss", **arguments).budgets.epoch_budget is None
