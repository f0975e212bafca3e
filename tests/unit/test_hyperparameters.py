"""The functions users call: what they return, and what each says when it is called wrongly."""

import enum
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunedeco import (
    Boolean,
    Choice,
    Fixed,
    Float,
    Linear,
    Logarithmic,
    Range,
    domains,
    tunable,
)
from tunedeco.errors import HyperparameterClash, HyperparameterError

Call = Callable[[], Any]


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("call", "default"),
    [
        (lambda: Choice("x", [16, 8, 32]), 16),
        (lambda: Choice("x", [16, 8, 32], default=32), 32),
        (lambda: Choice("x", (None, "relu")), None),
        (lambda: Choice("x", ["relu", None], default=None), None),
        (lambda: Choice("x", [1, 1.0, True], default=True), True),
        (lambda: Choice("x", {"small": 1, "large": 2}), "small"),
        (lambda: Choice("x", (n for n in (3, 4))), 3),
        (lambda: Range("x", 8, 32, 8), 8),
        (lambda: Range("x", 8, 32, 8, default=32), 32),
        (lambda: Range("x", 2, 2), 2),
        (lambda: Range("x", -5, -1), -5),
        (lambda: Range("x", 3, 300, 3, log=True), 3),
        (lambda: Linear("x", 0, 0.5, 5), 0.0),
        (lambda: Linear("x", 0, 0.5, 6, default=0.1 + 0.2), 0.3),
        (lambda: Linear("x", 1, 1, 1), 1.0),
        (lambda: Logarithmic("x", 1e-4, 1e-2, 3), 1e-4),
        (lambda: Logarithmic("x", 1e-4, 1e-2, 3, default=0.001), 0.001),
        (lambda: Float("x", 0, 1), 0.0),
        (lambda: Float("x", 1e-5, 1, log=True, default=0.5), 0.5),
        (lambda: Float("x", 0.1, 1, log=True), 0.1),
        (lambda: Float("x", 0, 1, default=1), 1.0),
        (lambda: Boolean("x"), False),
        (lambda: Boolean("x", default=True), True),
        (lambda: Fixed("x", "adam"), "adam"),
        (lambda: Fixed("x", None), None),
    ],
)
def test_outside_a_trial_a_call_returns_its_default(call: Call, default: object) -> None:
    """Without `default=` the first value is the default, and a call returns it, type included."""
    value = call()
    assert (type(value), value) == (type(default), default)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda: Choice("x", np.array([8, 16])), 8),
        (lambda: Choice("x", [np.float64(0.5), np.str_("a"), np.bool_(True)]), 0.5),
        (lambda: Choice("x", [1, 2], default=np.int64(2)), 2),
        (lambda: Range("x", np.int32(3), np.int64(9), np.uint8(3)), 3),
        (lambda: Linear("x", np.float32(0.5), np.float64(1), np.int16(3)), 0.5),
        (lambda: Float("x", np.float16(0.25), 1, log=np.bool_(True)), 0.25),
        (lambda: Fixed("x", np.array(7)), 7),
        (lambda: Boolean("x", default=np.bool_(True)), True),
    ],
)
def test_numpy_scalars_are_unwrapped(call: Call, value: object) -> None:
    """A NumPy scalar is as good as the Python value in it, and the Python value is what returns."""
    result = call()
    assert (type(result), result) == (type(value), value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Choice("x", []), "the list of choices is empty; give at least one value"),
        (lambda: Choice("x", [1, 2, 1]), "1 is listed twice; give each choice once"),
        (lambda: Choice("x", [None, None]), "None is listed twice"),
        (lambda: Choice("x", "relu"), "choices must be a list of values, not 'relu'"),
        (lambda: Choice("x", {"a", "b"}), "choices must be a list of values, not {"),
        (lambda: Choice("x", 3), "choices must be a list of values, not 3"),
        (lambda: Choice("x", [(3, 3), (5, 5)]), "not the tuple (3, 3); name it with a string"),
        (lambda: Choice("x", [Colour.RED]), "not the Colour <Colour.RED: 'red'>"),
        (lambda: Choice("x", [math.nan]), "a choice must be finite, not nan"),
        (lambda: Choice("x", [1, 2], default=3), "the default 3 is not in 1, 2"),
        (lambda: Choice("x", [1, 2], default=True), "the default True is not in 1, 2"),
        (lambda: Choice("x", [1, 2], default="1"), "the default '1' is not in 1, 2"),
        (lambda: Choice("x", [1, 2], default=[1]), "the default must be a str, int, float"),
        (lambda: Range("x", 5, 1), "stop 1 lies below start 5; swap them"),
        (lambda: Range("x", 1, 5, 10), "step 10 is larger than the range from 1 to 5"),
        (lambda: Range("x", 1, 5, 0), "step 0 must be at least 1"),
        (lambda: Range("x", 1, 5, -1), "step -1 must be at least 1"),
        (lambda: Range("x", 0.5, 2), "start must be an integer, not 0.5; for floats there is Lin"),
        (lambda: Range("x", True, 2), "start must be an integer, not True"),
        (lambda: Range("x", 1, "5"), "stop must be an integer, not '5'"),
        (lambda: Range("x", 1, None), "stop must be an integer, not None"),
        (lambda: Range("x", 0, 2**60), "more than 2^50 values"),
        (lambda: Range("x", 0, 9, log=True), "a log scale reaches from 1 to 2^40, and not from 0"),
        (lambda: Range("x", 1, 2**41, 2, log=True), "leave log=True out"),
        (lambda: Range("x", 1, 9, log=1), "log must be True or False, not 1"),
        (lambda: Range("x", 8, 32, 8, default=12), "the default 12 is not in 8 to 32 step 8"),
        (lambda: Range("x", 1, 3, default=True), "the default True is not in 1 to 3"),
        (lambda: Linear("x", 1, 0, 3), "stop 0 lies below start 1; swap them"),
        (lambda: Linear("x", 0, 1, 1), "both ends are included, so give at least 2, or use Fixed"),
        (lambda: Linear("x", 1, 1, 2), "both ends are included"),
        (lambda: Linear("x", 0, 1, 0), "num_buckets must be an integer of at least 1, not 0"),
        (lambda: Linear("x", 0, 1, 2.5), "num_buckets must be an integer of at least 1, not 2.5"),
        (lambda: Linear("x", 0, 1, True), "num_buckets must be an integer of at least 1, not True"),
        (lambda: Linear("x", 0, math.inf, 3), "stop must be finite, not inf"),
        (lambda: Linear("x", math.nan, 1, 3), "start must be finite, not nan"),
        (lambda: Linear("x", "0", 1, 3), "start must be a number, not '0'"),
        (lambda: Linear("x", False, 1, 3), "start must be a number, not False"),
        (lambda: Linear("x", 0, 10**400, 3), "stop is too large for a float"),
        (lambda: Linear("x", -1e308, 1e308, 3), "lie too far apart; bring them closer"),
        (lambda: Linear("x", 1, 1 + 1e-9, 1000), "lie too close together to tell apart; give few"),
        (lambda: Linear("x", 0, 1, 3, default=0.3), "the default 0.3 is not in 0 to 1, 3 evenly"),
        (lambda: Logarithmic("x", 0, 1, 3), "start 0 must be above 0"),
        (lambda: Logarithmic("x", -4, -2, 3), "give the values themselves, not their exponents"),
        (lambda: Logarithmic("x", 1e-4, 1e-2, 3, default=0.002), "the default 0.002 is not in"),
        (lambda: Float("x", 1, 0), "high 0 lies below low 1; swap them"),
        (lambda: Float("x", 1, 1), "low and high are both 1.0; use Fixed for one value"),
        (lambda: Float("x", 0, 1, log=True), "low 0 must be above 0"),
        (lambda: Float("x", 0, 1, log=1), "log must be True or False, not 1"),
        (lambda: Float("x", 0, 1, default=2), "the default 2 is not in 0 to 1, continuous"),
        (lambda: Float("x", 0, 1, default=math.nan), "the default must be finite, not nan"),
        (lambda: Boolean("x", default=1), "the default 1 is not in False, True"),
        (lambda: Boolean("x", default="yes"), "the default 'yes' is not in False, True"),
        (lambda: Fixed("x", [1]), "the value must be a str, int, float, bool or None, not the lis"),
        (lambda: Fixed("x", math.inf), "the value must be finite, not inf"),
    ],
)
def test_a_wrong_declaration_names_the_hyperparameter_and_the_way_out(
    call: Call, says: str
) -> None:
    """The error stands at the call, and names group, name, line and what to do instead."""
    with pytest.raises(HyperparameterError) as raised:
        call()
    message = str(raised.value)
    assert message.startswith(f"default/x ({__file__}:")
    assert says in message
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Boolean(""), "the name of a hyperparameter must be a non-empty string, not ''"),
        (lambda: Boolean(" "), "the name of a hyperparameter must be a non-empty string, not ' '"),
        (lambda: Boolean(3), "the name of a hyperparameter must be a non-empty string, not 3"),  # type: ignore[arg-type]
        (lambda: Boolean("x", group=""), "the group of a hyperparameter must be a non-empty"),
        (lambda: Boolean("x", group=None), "the group of a hyperparameter must be a non-empty"),  # type: ignore[arg-type]
    ],
)
def test_names_and_groups_are_texts_with_something_in_them(call: Call, says: str) -> None:
    """A name or group that is empty, blank or no string is refused."""
    with pytest.raises(HyperparameterError, match=says):
        call()


def test_the_same_name_with_two_domains_shows_both_places() -> None:
    """One (group, name) with two meanings in one run is an error with both lines and meanings."""

    @tunable
    def model_fn() -> None:
        Range("units", 8, 32, 8, group="dense")
        Range("units", 8, 64, 8, group="dense")

    with pytest.raises(HyperparameterClash) as raised:
        model_fn.space  # noqa: B018 (asking for it runs the function)
    first = model_fn.function.__code__.co_firstlineno + 2
    message = str(raised.value)
    assert "dense/units means two things: range 8 to 32 step 8 with default 8" in message
    assert f"{__file__}:{first}," in message
    assert "range 8 to 64 step 8 with default 8" in message
    assert f"{__file__}:{first + 1};" in message
    assert "use another name or group for one of them" in message


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda: Range("x", 1, 3), lambda: Range("x", 1, 3, default=2)),
        (lambda: Range("x", 1, 3), lambda: Choice("x", [1, 2, 3])),
        (lambda: Choice("x", [1, 2]), lambda: Choice("x", [1.0, 2.0])),
        (lambda: Choice("x", [0, 1]), lambda: Choice("x", [False, True])),
        (lambda: Fixed("x", 1), lambda: Fixed("x", True)),
    ],
)
def test_another_default_or_type_is_another_meaning(one: Call, two: Call) -> None:
    """Asking again clashes when anything about the hyperparameter differs, type and default too."""
    with pytest.raises(HyperparameterClash):
        tunable(lambda: (one(), two())).space  # noqa: B018


def test_asking_again_is_asking_the_same() -> None:
    """The same declaration twice in a run, or the same name in two groups, is no clash."""

    @tunable
    def model_fn() -> list[int]:
        units = [Range("units", 1, 9) for _ in range(3)]
        return [*units, Range("units", 1, 5, group="other")]

    assert len(model_fn.space) == 2
    assert model_fn.build({"default": {"units": 7}}) == [7, 7, 7, 1]


def test_a_file_beside_the_package_is_not_the_package(tmp_path: Path) -> None:
    """The line in an error is the user's, even in a directory that begins with our name."""
    place = Path(domains.__file__).parent
    code = compile("Range('x', 3, 1)", f"{place}_examples/own.py", "exec")
    with pytest.raises(HyperparameterError, match=r"tunedeco_examples/own\.py:1"):
        exec(code, {"Range": Range})


def test_values_are_as_settled() -> None:
    """`Range` includes its stop when a step lands on it; buckets include both ends exactly."""
    assert [domains.Range(8, 32, 8).at(i) for i in range(4)] == [8, 16, 24, 32]
    assert domains.Range(8, 35, 8).size == 4
    linear = domains.Linear(0, 0.5, 6)
    assert [linear.at(i) for i in range(6)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    crossing = domains.Linear(-0.1, 0.5, 7)
    assert [crossing.at(i) for i in range(7)] == [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [domains.Range(1, 9, 4, log=True).at(i) for i in range(3)] == [1, 5, 9]
    logarithmic = domains.Logarithmic(1e-4, 1, 5)
    assert [logarithmic.at(i) for i in range(5)] == [0.0001, 0.001, 0.01, 0.1, 1.0]


@pytest.mark.parametrize(
    ("domain", "foreign", "own"),
    [
        (domains.Linear(0, 1, 11), 0.30000000000000004, 0.3),
        (domains.Linear(0, 1, 11), 1, 1.0),
        (domains.Choice((0.5, 1.0)), 1, 1.0),
        (domains.Choice((1, 1.0)), 1.0, 1.0),
        (domains.Range(1, 5), 3.0, 3),
        (domains.Float(0, 1), 1, 1.0),
        (domains.Fixed(2.0), 2, 2.0),
        (domains.Boolean(), np.bool_(True), True),
    ],
)
def test_an_equal_value_becomes_the_domains_own(
    domain: domains.Domain, foreign: object, own: object
) -> None:
    """What JSON or arithmetic made of a value is taken for the value it was."""
    value = domain.canonical(foreign)
    assert (type(value), value) == (type(own), own)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (domains.Range(1, 9, 2, log=True), 2),
        (domains.Linear(0, 1, 11), 0.31),
        (domains.Linear(0, 1, 11), -1e-6),
        (domains.Range(1, 5), 2.5),
        (domains.Range(1, 5), 6),
        (domains.Range(1, 5), True),
        (domains.Choice((1, 2)), True),
        (domains.Choice(("1", "2")), 1),
        (domains.Float(0, 1), 1.01),
        (domains.Float(0, 1), "0.5"),
        (domains.Float(0, 1), False),
        (domains.Boolean(), 1),
        (domains.Fixed(None), False),
        (domains.Choice((1, 2)), [1]),
        (domains.Float(0, 1), math.nan),
    ],
)
def test_a_value_outside_is_refused(domain: domains.Domain, value: object) -> None:
    """A value that is not in the domain raises, and `contains` says so."""
    assert not domain.contains(value)
    with pytest.raises(HyperparameterError):
        domain.canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "range",
        {},
        {"kind": "nothing"},
        {"kind": ["range"]},
        {"kind": "range", "start": 1},
        {"kind": "range", "start": 1, "stop": 2, "step": 1, "more": 0},
        {"kind": "choice", "values": []},
        {"kind": "linear", "start": "a", "stop": 2, "num_buckets": 3},
    ],
)
def test_what_describes_no_domain_is_refused(data: Any) -> None:
    """JSON that is no description of a domain raises an error that shows it."""
    with pytest.raises(HyperparameterError, match="not a domain"):
        domains.domain_from_json(data)


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        ((1, 2, 3), True),
        ((0.1, 0.01, 0.001), True),
        ((1, 3, 2), False),
        (("a", "b"), False),
        ((False, True), False),
        ((1, None), False),
        ((5,), True),
    ],
)
def test_a_choice_of_rising_or_falling_numbers_is_ordered(
    values: tuple[Any, ...],
    ordered: bool,
) -> None:
    """Neighbours in a list are alike only if it is of numbers that rise or fall."""
    assert domains.Choice(values).ordered is ordered


def test_a_choice_is_described_as_plain_json() -> None:
    """A domain's JSON is its kind and its fields."""
    described = json.loads(json.dumps(domains.Choice((1, "a", None)).to_json()))
    assert described == {"kind": "choice", "values": [1, "a", None]}


def test_a_range_on_a_log_scale_has_shares_of_factors() -> None:
    """From 1 to 1023 as much of the unit interval lies below 32 as above it."""
    scale = domains.Range(1, 1023, log=True)
    assert (scale.decode(0.0), scale.decode(0.4999), scale.decode(0.5001)) == (1, 31, 32)
    assert scale.decode(1.0) == 1023
    assert not scale.even
    assert domains.Range(1, 1023).even
    assert domains.Range(5, 5, log=True).decode(0.7) == 5


def test_a_range_without_a_log_scale_is_described_as_ever() -> None:
    """Journals of plain ranges are those of the versions before, and these are still read."""
    before = {"kind": "range", "start": 1, "stop": 9, "step": 2}
    assert domains.Range(1, 9, 2).to_json() == before
    assert domains.domain_from_json(before) == domains.Range(1, 9, 2)
    described = domains.Range(1, 9, 2, log=True).to_json()
    assert described == {**before, "log": True}
    assert domains.domain_from_json(described) == domains.Range(1, 9, 2, log=True)
    assert domains.Range(1, 9, 2, log=True) != domains.Range(1, 9, 2)
    assert str(domains.Range(1, 9, 2, log=True)) == "1 to 9 step 2, log scale"
