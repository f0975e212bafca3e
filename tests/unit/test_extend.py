"""`extend=True`: a search with another space, oracle or seed takes over what it can."""

from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, plain_fn, records, run_search

from tunedeco import Choice, Linear, Range
from tunedeco.errors import SearchMismatch
from tunedeco.executors.base import Interrupted
from tunedeco.journal.journal import FILE_NAME, load
from tunedeco.oracles import Aging, Grid, Oracle, Random
from tunedeco.trial import State

ORACLES: list[Oracle] = [Grid(), Random(), Aging(3, 2)]


def lower_fn() -> Curve:
    """Ask for the lower half of what `plain_fn` asks for."""
    return Curve(1.0, 0.9, parameters=Range("units", 1, 50))


def deeper_fn() -> Curve:
    """Ask for more, where a network is small."""
    curve = plain_fn()
    if curve.parameters <= 50:
        curve.start += Choice("depth", [0, 1, 2])
    return curve


def broken_fn() -> Curve:
    curve = plain_fn()
    curve.breaks = 1 if curve.parameters % 2 else None
    return curve


@pytest.mark.parametrize("oracle", ORACLES)
def test_a_smaller_space(tmp_path: Path, oracle: Oracle) -> None:
    """Trials outside a smaller space are set aside; new ones lie in it, and none is repeated."""
    before = run_search(tmp_path, oracle=Random(), max_trials=12, function=plain_fn).state.trials
    run = run_search(tmp_path, lower_fn, oracle=oracle, seed=1, max_trials=20, extend=True)
    units = [trial.values["default"]["units"] for trial in run.state.trials]
    for trial in before:
        now = run.state.trials[trial.number]
        inside = trial.values["default"]["units"] <= 50
        assert now.state == (trial.state if inside else State.OUTSIDE)
        assert (now.score is None) == (not inside)
        assert now.epochs == trial.epochs
    new = units[12:]
    carried = [u for u in units[:12] if u <= 50]
    assert len(carried) + len(new) == 20
    assert max(new) <= 50
    assert len(set(new) | set(carried)) == 20
    assert run.state.best.values["default"]["units"] <= 50
    assert run.state.epochs == 20 * 3


def test_what_is_asked_decides(tmp_path: Path) -> None:
    """A trial lies in the new space if the function asks for its values and no others."""
    run_search(tmp_path, plain_fn, max_trials=12)
    run = run_search(tmp_path, deeper_fn, max_trials=14, extend=True)
    for trial in run.state.trials[:12]:
        outside = trial.values["default"]["units"] <= 50
        assert (trial.state is State.OUTSIDE) == outside
    assert any("depth" in trial.values["default"] for trial in run.state.trials)


def test_what_carried_trials_ask_for_joins_the_space(tmp_path: Path) -> None:
    """Hyperparameters that only trials had met are known after the search was extended."""
    run_search(tmp_path, deeper_fn, max_trials=12)
    run = run_search(tmp_path, deeper_fn, oracle=Grid(), max_trials=12, extend=True)
    assert [h.label for h in run.state.space] == ["default/units", "default/depth"]
    assert not [t for t in run.state.trials if t.state is State.OUTSIDE]


def floats_fn() -> Curve:
    return Curve(1.0, 0.9, parameters=int(Linear("units", 1.0, 12.0, 12)))


def integers_fn() -> Curve:
    return Curve(1.0, 0.9, parameters=Range("units", 1, 16))


@pytest.mark.parametrize("executions", [1, 2])
@pytest.mark.parametrize("oracle", ORACLES)
def test_equal_values_become_the_new_spaces_own(
    tmp_path: Path, oracle: Oracle, executions: int
) -> None:
    """Extended from floats to integers, the records say 8 and not 8.0, and none is tried again."""
    run_search(tmp_path, floats_fn, max_trials=6, executions=executions)
    options: dict[str, Any] = {"oracle": oracle, "executions": executions, "extend": True}
    run = run_search(tmp_path, integers_fn, max_trials=16, **options)
    units = [
        t.values["default"]["units"] for trial in run.state.trials for t in (trial, *trial.runs)
    ]
    assert {type(value) for value in units} == {int}
    assert sorted(set(units)) == list(range(1, 17))
    back = run_search(tmp_path, floats_fn, max_trials=12, **options).state.trials
    kept = [t.values["default"]["units"] for t in back if t.state is not State.OUTSIDE]
    assert sorted(kept) == list(range(1, 13))
    assert {type(value) for value in kept} == {float}


def test_there_and_back(tmp_path: Path) -> None:
    """Extended to a smaller space and back, a search has all its trials, as they were."""
    reference = run_search(tmp_path, plain_fn, max_trials=12)
    run_search(tmp_path, lower_fn, max_trials=1, extend=True)
    back = run_search(tmp_path, plain_fn, max_trials=12, extend=True)
    assert records(back.state)["trials"][:12] == records(reference.state)["trials"]
    assert back.state.epochs == sum(len(trial.epochs) for trial in back.state.trials)


def test_failed_trials_get_another_chance(tmp_path: Path) -> None:
    """Trials that had failed are not carried over: what has changed may have mended it."""
    run_search(tmp_path, broken_fn, oracle=Grid(), max_trials=6)
    run = run_search(tmp_path, plain_fn, oracle=Grid(), seed=1, max_trials=6, extend=True)
    states = [trial.state for trial in run.state.trials]
    assert states[:6] == [State.OUTSIDE, State.COMPLETED] * 3
    assert states[6:] == [State.COMPLETED] * 3
    units = [trial.values["default"]["units"] for trial in run.state.trials]
    assert not set(units[6:]) & {units[1], units[3], units[5]}


def test_an_interrupted_trial_goes_on(tmp_path: Path) -> None:
    """A trial under way is carried over, and goes on; or is set aside, and does not."""
    assert isinstance(
        run_search(tmp_path, plain_fn, max_trials=3, interrupt_at=5).error, Interrupted
    )
    (trial,) = load(tmp_path).trials
    epochs = len(trial.epochs)
    assert 0 < epochs < 3
    run = run_search(tmp_path, plain_fn, seed=1, max_trials=3, extend=True)
    assert [len(trial.epochs) for trial in run.state.trials] == [3, 3, 3]
    assert (0, epochs) not in run.executor.trained


@pytest.mark.parametrize("interrupt_at", range(1, 12))
def test_interrupted_it_is_not_extended_again(tmp_path: Path, interrupt_at: int) -> None:
    """A search that was extended and interrupted goes on, with extend=True or without."""
    for name in ("whole", "parted"):
        run_search(tmp_path / name, plain_fn, max_trials=4)
    options: dict[str, Any] = {"oracle": Aging(3, 2), "max_trials": 6}
    reference = run_search(tmp_path / "whole", lower_fn, extend=True, **options)
    run_search(tmp_path / "parted", lower_fn, extend=True, interrupt_at=interrupt_at, **options)
    again = run_search(tmp_path / "parted", lower_fn, extend=interrupt_at % 2 == 0, **options)
    assert records(again.state) == records(reference.state)


def test_another_objective_is_refused(tmp_path: Path) -> None:
    """The kept weights are the best by the objective, so that cannot change; nothing is written."""
    run_search(tmp_path, plain_fn, max_trials=1)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(SearchMismatch, match="objective: val_loss"):
        run_search(tmp_path, plain_fn, objective="loss", max_trials=1, extend=True)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_the_way_out_is_named(tmp_path: Path) -> None:
    """Without extend=True a changed space is refused, and the error names it."""
    run_search(tmp_path, plain_fn, max_trials=1)
    with pytest.raises(SearchMismatch, match="or extend=True to go on with those of its trials"):
        run_search(tmp_path, lower_fn, max_trials=1)
