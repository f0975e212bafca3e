"""Claims about searching some groups and holding the rest."""

import json
from pathlib import Path

import pytest
from fakes import Curve, Run, model_fn, records, run_search

from tunedeco import Boolean, Choice, Range
from tunedeco.cli import main
from tunedeco.errors import ConfigurationError
from tunedeco.journal.journal import FILE_NAME
from tunedeco.oracles import Aging, Grid, Random


def groups_fn() -> Curve:
    rate = Choice("rate", [0.9, 0.5, 0.7], group="optimizer")
    if Boolean("momentum", group="optimizer"):
        rate -= Choice("beta", [0.1, 0.2], group="optimizer")
    return Curve(Range("units", 1, 5, group="dense"), rate, parameters=1)


def test_one_group_is_searched_and_the_others_held_at_the_best(tmp_path: Path) -> None:
    """With groups=, new trials differ in these groups only; the rest is the best trial's."""
    first = run_search(tmp_path, groups_fn, max_trials=6)
    best = first.state.best.values["dense"]
    run = run_search(tmp_path, groups_fn, max_trials=12, groups=["optimizer"])
    new = run.state.trials[6:]
    assert len(new) == 6
    assert all(trial.values["dense"] == best for trial in new)
    assert len({trial.key for trial in run.state.trials}) == 12
    assert run.state.pinned == {"dense": best}


@pytest.mark.parametrize("oracle", [Grid(), Random(), Aging(3, 2)])
def test_a_group_is_searched_whole(tmp_path: Path, oracle: object) -> None:
    """What a search of one group ends with is every configuration of that group."""
    run = run_search(tmp_path, groups_fn, oracle=oracle, groups=["optimizer"], freeze={"units": 3})
    assert len(run.state.trials) == 3 * (1 + 2)
    assert {trial.values["dense"]["units"] for trial in run.state.trials} == {3}
    assert run.state.stopped == "exhausted"
    whole = run_search(tmp_path, groups_fn, oracle=oracle)
    assert len(whole.state.trials) == 5 * 3 * (1 + 2)


def test_status_says_what_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`status --json` has the values that the latest run does not search."""
    run_search(tmp_path, groups_fn, max_trials=2, groups=["optimizer"], freeze={"units": 2})
    assert main(["status", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pinned"] == {"dense": {"units": 2}}


def test_frozen_values_rule_out_what_depends_on_them(tmp_path: Path) -> None:
    """Behind a branch that a frozen value does not take, nothing is searched."""
    run = run_search(tmp_path, groups_fn, oracle=Grid(), freeze={"optimizer": {"momentum": False}})
    assert len(run.state.trials) == 3 * 5
    assert not any("beta" in trial.values["optimizer"] for trial in run.state.trials)


@pytest.mark.slow
def test_cut_anywhere_it_goes_on_with_what_it_held(tmp_path: Path) -> None:
    """Interrupted after any event, a narrowed search ends as it would have: the best moves on."""

    def second(directory: Path, interrupt_at: int | None = None) -> Run:
        return run_search(
            directory, oracle=Aging(3, 2), max_trials=12, groups=["default"], seed=3,
            interrupt_at=interrupt_at,
        )  # fmt: skip

    def first(directory: Path) -> None:
        run_search(directory, oracle=Aging(3, 2), max_trials=5, seed=3)

    first(tmp_path / "whole")
    reference = second(tmp_path / "whole")
    for number in range(1, len(reference.sizes)):
        directory = tmp_path / str(number)
        first(directory)
        second(directory, number)
        assert records(second(directory).state) == records(reference.state)


def test_another_wish_is_another_start(tmp_path: Path) -> None:
    """After the end of a narrowed search, the next holds the best of that time."""
    run_search(tmp_path, max_trials=4)
    run_search(tmp_path, max_trials=8, groups=["training"])
    before = (tmp_path / FILE_NAME).read_bytes()
    run = run_search(tmp_path, max_trials=8, groups=["default"])
    assert not run.worked
    assert (tmp_path / FILE_NAME).read_bytes() == before
    best = run.state.best
    run = run_search(tmp_path, max_trials=10, groups=["default"])
    assert {t.values["training"]["rate"] for t in run.state.trials[8:]} == {
        best.values["training"]["rate"]
    }


@pytest.mark.parametrize(
    ("groups", "freeze", "message"),
    [
        (["optimiser"], {}, "no group 'optimiser'; the space has: training, default"),
        ("training", {}, r'groups is a list of names, such as groups=\["optimizer"\]'),
        ([], {}, "groups is a list of names"),
        (None, {"unit": 8}, "freeze: there is no hyperparameter 'unit'"),
        (None, {"units": 9}, "freeze: default/units: 9 is not in 8 to 32 step 8"),
        (["default"], {"units": 8}, "nothing is left to search"),
    ],
)
def test_wrong_wishes_are_named(
    tmp_path: Path, groups: object, freeze: dict[str, object], message: str
) -> None:
    """An unknown group, name or value is an error that names it, before anything is begun."""
    with pytest.raises(ConfigurationError, match=message):
        raise run_search(tmp_path, model_fn, max_trials=1, groups=groups, freeze=freeze).error  # type: ignore[misc, arg-type]
    assert not run_search(tmp_path / "other", model_fn, max_trials=1).state.pinned
