"""Claims about exploring: what is found, at what cost, and what it leaves behind."""

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, run_search

from tunedeco import Boolean, Choice, Float, Linear, Range
from tunedeco.errors import HyperparameterClash
from tunedeco.oracles import Grid
from tunedeco.space import Space
from tunedeco.tracing.exploring import explore


def when(space: Space) -> dict[str, str]:
    """Return the condition of each hyperparameter that has one, as its table shows it."""
    from tunedeco.conditions import describe

    return {h.name: describe(h.when, space.domains) for h in space if h.when}


def test_both_sides_of_a_branch() -> None:
    """What stands behind an ``if`` is found, with the values that lead there."""

    def program() -> None:
        if Choice("head", ["mlp", "conv"]) == "conv":
            Range("kernel", 3, 7, 2)

    space = explore(program)
    assert when(space) == {"kernel": "head is 'conv'"}
    assert space.size == 1 + 3
    assert "when" in str(space)
    assert "head is 'conv'" in str(space)


def test_a_loop_whose_length_is_a_hyperparameter() -> None:
    """Each turn of a loop asks for its own, from the length on that reaches it."""

    def program() -> None:
        for i in range(Range("layers", 1, 4)):
            Choice(f"units_{i}", [8, 16])

    space = explore(program)
    assert when(space) == {
        "units_1": "layers is 2 or 3 or 4",
        "units_2": "layers is 3 or 4",
        "units_3": "layers is 4",
    }
    assert space.size == 2 + 4 + 8 + 16


def test_helpers_comprehensions_and_constructors() -> None:
    """It does not matter where the question stands."""

    class Block:
        def __init__(self, number: int) -> None:
            self.units = Range(f"units_{number}", 1, 2)

    def helper(kind: str) -> list[Block]:
        return [Block(i) for i in range(Range("blocks", 1, 2))] if kind == "deep" else []

    def program() -> None:
        helper(Choice("kind", ["flat", "deep"]))

    assert explore(program).size == 1 + 2 + 4


def test_conditions_on_several_at_once() -> None:
    """A branch that takes two values together is found, however it is written."""

    def program() -> None:
        a, b = Boolean("a"), Boolean("b")
        if all([a, b]):
            Boolean("both")
        if a or b:
            Boolean("either")
        if a != b:
            Boolean("one")

    space = explore(program)
    assert space.size == 1 + 4 + 4 + 4
    assert space.coverage is not None
    assert space.coverage.complete


def test_what_decides_nothing_costs_little() -> None:
    """A hundred hyperparameters that no branch depends on take few runs, and leave no doubt."""

    def program() -> None:
        for i in range(100):
            Linear(f"h{i}", 0.0, 1.0, 20)

    space = explore(program)
    assert space.coverage is not None
    assert space.coverage.complete
    assert space.coverage.runs <= 20


def test_many_independent_branches() -> None:
    """Twenty branches that are independent are all found, of 3^20 configurations."""

    def program() -> None:
        for i in range(20):
            if Boolean(f"on_{i}"):
                Boolean(f"value_{i}")

    space = explore(program)
    assert space.size == 3**20
    assert space.coverage is not None
    assert space.coverage.complete
    assert len({str(space.at(index)) for index in range(0, 3**20, 3**14 + 1)}) == 729


def test_far_values_of_long_ranges() -> None:
    """Where a condition begins in a long range is found to within what was tried."""

    def program() -> None:
        if Range("units", 1, 64) > 37:
            Boolean("wide")

    assert explore(program).size == 37 + 2 * 27


def test_the_bound_is_told() -> None:
    """A table of a space that was explored up to the bound says so, and how to raise it."""

    def program() -> None:
        for i in range(Range("layers", 1, 60)):
            Boolean(f"bias_{i}")

    space = explore(program, limit=10)
    assert space.coverage is not None
    assert (space.coverage.runs, space.coverage.complete) == (10, False)
    assert "tracing stopped after 10 runs (the bound is max_traces=10)" in str(space)
    assert "max_traces" not in str(explore(program))


def test_what_depends_on_a_continuous_value_is_not_foretold() -> None:
    """A branch on a float is found, asked for always, and the doubt is told."""

    def program() -> None:
        if Float("rate", 0.0, 1.0) > 0.4:
            Boolean("high")

    space = explore(program)
    assert [h.name for h in space] == ["rate", "high"]
    assert when(space) == {}
    assert space.coverage is not None
    assert not space.coverage.complete


def test_two_meanings_in_two_branches_are_an_error() -> None:
    """The same (group, name) with another domain on the other side of a branch shows both lines."""

    def program() -> None:
        if Boolean("wide"):
            Range("units", 64, 256, 64)
        else:
            Range("units", 8, 32, 8)

    with pytest.raises(HyperparameterClash, match=r"(?s)64 to 256.*8 to 32|8 to 32.*64 to 256"):
        explore(program)


def test_an_error_in_the_first_run_passes_through() -> None:
    """What the function raises with its defaults is the user's to see."""

    def program() -> None:
        Boolean("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        explore(program)


def test_an_error_in_another_run_is_a_trial_that_fails() -> None:
    """Values that a function cannot be built with do not end exploring, nor hide other branches."""

    def program() -> None:
        kind = Choice("kind", ["a", "broken", "c"])
        if kind == "broken":
            raise ZeroDivisionError
        if kind == "c":
            Boolean("more")
        Boolean("last")

    space = explore(program)
    assert when(space) == {"more": "kind is 'c'"}


def test_output_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A function that prints does so while it runs with its defaults, and not for each try."""

    def program() -> None:
        Choice("a", ["p", "q"])
        sys.stdout.write("building")

    explore(program)
    assert 1 <= capsys.readouterr().out.count("building") <= 2


def test_nothing_is_left_behind() -> None:
    """No trace function, no random state and no output redirection outlives exploring."""
    before = random.getstate(), sys.gettrace(), sys.stdout

    def program() -> None:
        if Boolean("a"):
            raise ValueError

    explore(program)
    assert (random.getstate(), sys.gettrace(), sys.stdout) == before


def test_a_debugger_is_left_alone() -> None:
    """Where something already follows the code, it goes on, and branches are found all the same."""
    seen: list[str] = []

    def debugger(frame: Any, event: str, arg: Any) -> None:
        seen.append(frame.f_code.co_name)

    def program() -> None:
        if Choice("head", ["mlp", "conv"]) == "conv":
            Range("kernel", 3, 7, 2)

    sys.settrace(debugger)
    try:
        space = explore(program)
        assert sys.gettrace() is debugger
    finally:
        sys.settrace(None)
    assert when(space) == {"kernel": "head is 'conv'"}
    assert "program" in seen


def test_a_function_that_goes_another_way_each_time() -> None:
    """Chance and caches in the user's code cost runs, and hide no branch."""
    calls: list[int] = []

    def program() -> None:
        calls.append(1)
        for _ in calls:
            pass
        if Choice("head", ["mlp", "conv"]) == "conv":
            Range("kernel", 3, 7, 2)

    assert explore(program).size == 1 + 3


def hidden_fn() -> Curve:
    """Ask for more where no single change leads to."""
    total = sum(Range(f"digit_{i}", 0, 4) for i in range(3))
    if total == 11:
        return Curve(1.0, 1 / Range("divisor", 2, 4))
    return Curve(2.0, 0.9)


def test_what_exploring_missed_is_met_in_a_trial(tmp_path: Path) -> None:
    """A hyperparameter first met in a trial is drawn, joins the space, and is gone through too."""
    run = run_search(tmp_path, hidden_fn, oracle=Grid(), max_epochs=1, traces=1)
    met = [trial for trial in run.state.trials if "divisor" in trial.values["default"]]
    assert len(run.state.trials) == 125 - 3 + 3 * 3
    assert len({trial.key for trial in run.state.trials}) == len(run.state.trials)
    assert len(met) == 3 * 3
    assert [h.name for h in run.state.space] == ["digit_0", "digit_1", "digit_2", "divisor"]


def flipped_fn() -> Curve:
    """Ask under a condition that learning from three runs gets wrong."""
    kind = Choice("kind", ["a", "b", "c", "d"])
    if kind in ("b", "c", "d"):
        Choice("more", [1, 2])
    return Curve(1.0, 0.9)


@pytest.mark.parametrize("traces", [1, 2, 3, 4, 5, 6])
def test_a_wrong_condition_is_dropped(tmp_path: Path, traces: int) -> None:
    """Asked for where nobody foresaw it, a hyperparameter loses its condition; none is missed."""
    run = run_search(tmp_path, flipped_fn, oracle=Grid(), max_epochs=1, traces=traces)
    assert sorted(trial.key for trial in run.state.trials) == sorted(
        {
            trial.key
            for trial in run_search(tmp_path / "all", flipped_fn, oracle=Grid()).state.trials
        }
    )
    assert len(run.state.trials) == 1 + 3 * 2
