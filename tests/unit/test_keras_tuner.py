"""Functions of Keras Tuner's `hp`, without Keras Tuner: tests/keras compares with the real one."""

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tunedeco import Choice, Tuner, domains, tracing, tunable
from tunedeco.conditions import describe
from tunedeco.errors import (
    HyperparameterClash,
    HyperparameterError,
    ModelFunctionError,
    TranslationError,
)
from tunedeco.translations.keras_tuner import HyperParameters

if TYPE_CHECKING:
    import keras_tuner as kt


def space_of(ask: Callable[[Any], object]) -> dict[str, domains.Domain]:
    """Return the domains that a function of `hp` asks for, by name."""
    return {h.name: h.domain for h in tunable(ask).space}


@pytest.mark.parametrize(
    ("ask", "domain"),
    [
        (lambda hp: hp.Int("x", 6, 12), domains.Range(6, 12)),
        (lambda hp: hp.Int("x", 6, 13, step=3), domains.Range(6, 13, 3)),
        (lambda hp: hp.Int("x", 6.0, 12.0, 2.0), domains.Range(6, 12, 2)),
        (lambda hp: hp.Int("x", 8, 10, step=32), domains.Range(8, 8)),
        (lambda hp: hp.Int("x", 8, 8, step=8), domains.Range(8, 8)),
        (lambda hp: hp.Int("x", 6, 12, sampling=None), domains.Range(6, 12)),
        (lambda hp: hp.Int("x", 6, 12, sampling="LOG"), domains.Range(6, 12, log=True)),
        (lambda hp: hp.Int("x", 5, 5, sampling="reverse_log"), domains.Range(5, 5)),
        (lambda hp: hp.Int("x", 2, 32, 2, "log"), domains.Choice((2, 4, 8, 16, 32))),
        (lambda hp: hp.Int("x", 3, 50, 4, "log"), domains.Choice((3, 12, 48))),
        (lambda hp: hp.Int("x", 2, 32, 4, "reverse_log"), domains.Choice((2, 26, 32))),
        (lambda hp: hp.Float("x", 0, 1), domains.Float(0, 1)),
        (lambda hp: hp.Float("x", 0.5, 0.5), domains.Fixed(0.5)),
        (lambda hp: hp.Float("x", 0, 1, step=0.1), domains.Linear(0, 1, 11)),
        (lambda hp: hp.Float("x", 0, 0.5, 0.2), domains.Linear(0, 0.4, 3)),
        (lambda hp: hp.Float("x", 0, 0.1, 0.2), domains.Fixed(0.0)),
        (lambda hp: hp.Float("x", 1e-4, 1, sampling="log"), domains.Float(1e-4, 1, log=True)),
        (lambda hp: hp.Float("x", 1e-3, 10, 10, "log"), domains.Logarithmic(1e-3, 10, 5)),
        (lambda hp: hp.Float("x", 1, 50, 10, "log"), domains.Logarithmic(1, 10, 2)),
        (lambda hp: hp.Float("x", 1, 5, 10, "log"), domains.Fixed(1.0)),
        (lambda hp: hp.Float("x", 0.1, 1, 10, "reverse_log"), domains.Choice((0.1, 1.0))),
        (lambda hp: hp.Float("x", 0.1, 1, 20, "reverse_log"), domains.Fixed(1.0)),
        (lambda hp: hp.Choice("x", [3, 1, 2], ordered=False), domains.Choice((3, 1, 2))),
        (lambda hp: hp.Choice("x", ["a", "b"]), domains.Choice(("a", "b"))),
        (lambda hp: hp.Boolean("x"), domains.Boolean()),
        (lambda hp: hp.Fixed("x", 3), domains.Fixed(3)),
    ],
)
def test_each_declaration_has_a_domain(ask: Callable[[Any], object], domain: Any) -> None:
    """What `hp` declares is the domain of ours that has the same values, spread the same way."""
    assert space_of(ask) == {"x": domain}


@pytest.mark.parametrize(
    ("ask", "default"),
    [
        (lambda hp: hp.Int("x", 1, 9), 1),
        (lambda hp: hp.Int("x", 0, 9, default=0), 0),
        (lambda hp: hp.Int("x", 1, 9, default=5), 5),
        (lambda hp: hp.Float("x", 1e-4, 1, sampling="log"), 1e-4),
        (lambda hp: hp.Float("x", 0, 1, 0.1, default=0.30000000000000004), 0.3),
        (lambda hp: hp.Int("x", 2, 32, 4, "reverse_log"), 2),
        (lambda hp: hp.Choice("x", [3, 1, 2]), 3),
        (lambda hp: hp.Choice("x", ["a", "b"], default="b"), "b"),
        (lambda hp: hp.Boolean("x"), False),
        (lambda hp: hp.Boolean("x", True), True),
        (lambda hp: hp.Fixed("x", "adam"), "adam"),
    ],
)
def test_defaults_are_theirs(ask: Callable[[Any], object], default: object) -> None:
    """Outside a trial a declaration returns its default, and `None` is no default."""
    value = tunable(ask)()
    assert (type(value), value) == (type(default), default)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda hp: hp.Int("x", 0.5, 2), "min_value must be an integer, not 0.5"),
        (lambda hp: hp.Int("x", 1, 9, step=0.5), "step must be an integer, not 0.5"),
        (lambda hp: hp.Int("x", 9, 1), "max_value 1 lies below min_value 9; swap them"),
        (lambda hp: hp.Int("x", 1, 9, step=0), "step 0 must be above 0"),
        (lambda hp: hp.Int("x", 1, 9, 1, "log"), "step 1 must be above 1, since it multiplies"),
        (lambda hp: hp.Int("x", 0, 9, sampling="log"), "min_value 0 must be above 0 on a log scal"),
        (lambda hp: hp.Int("x", 1, 9, sampling="cubic"), "sampling must be 'linear', 'log' or 're"),
        (lambda hp: hp.Float("x", 1, 9, sampling="reverse_log"), "1.0 + 9.0 - hp...(..., sampling"),
        (lambda hp: hp.Int("x", 8, 64, 8, default=30), "the default 30 is not in 8 to 64 step 8"),
        (lambda hp: hp.Float("x", 0, None), "max_value must be a number, not None"),
        (lambda hp: hp.Choice("x", []), "the list of choices is empty"),
        (lambda hp: hp.Choice("x", ["a"], ordered=True), "ordered=True is for numbers"),
        (lambda hp: hp.Boolean("x", default="yes"), "the default 'yes' is not in False, True"),
        (lambda hp: hp.Fixed("x", [1]), "the value must be a str, int, float, bool or None"),
    ],
)
def test_a_wrong_declaration_names_the_line(ask: Callable[[Any], object], says: str) -> None:
    """What Keras Tuner refuses, and what has no domain here, is an error with name and line."""
    with pytest.raises(HyperparameterError) as raised:
        space_of(ask)
    assert str(raised.value).startswith(f"default/x ({__file__}:")
    assert says in str(raised.value)


def by_name(hp: Any) -> Any:
    return hp.Int("x", 1, 9)


def by_long_name(hyperparameters: Any) -> Any:
    return hyperparameters.Int("x", 1, 9)


def by_annotation(theirs: "kt.HyperParameters") -> Any:
    return theirs.Int("x", 1, 9)


def after_others(width: int, hp: Any, depth: int = 1) -> Any:
    return hp.Int("x", width, 9) + depth - depth


class Plain:
    """Anything that builds with `hp`."""

    def build(self, hp):
        return hp.Int("x", 1, 9)


class Family:
    def method(self, hp):
        return hp.Int("x", 1, 9)


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (by_name, "by_name"),
        (by_long_name, "by_long_name"),
        (by_annotation, "by_annotation"),
        (functools.partial(after_others, 1), "partial"),
        (functools.partial(after_others, width=1), "partial"),
        (Family().method, "method"),
        (Plain, "Plain"),
        (Plain(), "Plain"),
    ],
)
def test_what_takes_hp_is_a_model_function(thing: Any, name: str) -> None:
    """A function by name or annotation, a method, a partial, and anything with `build(hp)`."""
    function = tunable(thing)
    assert function() == 1
    assert function.build({"x": 9}) == 9
    tuner = Tuner(thing, "val_loss", max_trials=1)
    assert tuner.name == name
    assert [h.label for h in tuner.space] == ["default/x"]


def test_an_hp_that_is_passed_is_used() -> None:
    """A decorated function still takes an `hp` from whoever calls it, theirs or ours."""
    inner = tunable(by_name)

    @tunable
    def outer(hp):
        with hp.name_scope("inner"):
            return inner(hp)

    assert [h.label for h in outer.space] == ["default/inner/x"]
    assert outer.build({"inner/x": 4}) == 4


def test_hp_and_our_own_functions_mix() -> None:
    """A function of `hp` can ask in our way as well."""

    @tunable
    def both(hp):
        return hp.Int("x", 1, 9), Choice("rate", [0.1, 0.2], group="optimizer")

    assert both.build({"x": 3, "rate": 0.2}) == (3, 0.2)


def test_names_that_only_look_alike_are_left_alone() -> None:
    """A parameter with a default, or annotated as something else, is not theirs."""

    def optional(hp=None):
        return hp

    def number(hp: int):
        return hp

    assert tunable(optional)() is None
    with pytest.raises(ModelFunctionError, match="number cannot be called without arguments"):
        tunable(number).space  # noqa: B018 (asking for it runs the function)


def conditional(hp: Any) -> dict[str, Any]:
    kind = hp.Choice("kind", ["mlp", "cnn"])
    found: dict[str, Any] = {"kind": kind}
    with hp.conditional_scope("kind", ["mlp"]):
        found["units"] = hp.Int("units", 8, 32, 8)
        found["deep"] = hp.Boolean("deep")
        with hp.conditional_scope("deep", [True]):
            found["layers"] = hp.Int("layers", 2, 4)
    with hp.conditional_scope("kind", "cnn"), hp.name_scope("cnn"):
        found["kernel"] = hp.Int("kernel", 3, 7, 2)
        found["pool"] = hp.Choice("pool", ["max", "mean"])
    found["size"] = hp.Int("size", 2, 3, parent_name="kind", parent_values=["cnn", "rnn"])
    found["known"] = dict(hp.values)
    return found


def test_what_is_inactive_is_none_and_not_asked_for() -> None:
    """Under a condition that does not hold, nothing is part of the trial, and all is None."""
    function = tunable(conditional)
    conditions = {h.name: describe(h.when, function.space.domains) for h in function.space}
    assert conditions == {
        "kind": "",
        "units": "kind is 'mlp'",
        "deep": "kind is 'mlp'",
        "layers": "deep is True",
        "cnn/kernel": "kind is 'cnn'",
        "cnn/pool": "kind is 'cnn'",
        "size": "kind is 'cnn'",
    }
    assert function()["known"] == {"kind": "mlp", "units": 8, "deep": False}
    assert function()["layers"] is function()["kernel"] is function()["size"] is None
    built = function.build({"kind": "cnn", "cnn/kernel": 5, "size": 3})
    assert built["known"] == {"kind": "cnn", "cnn/kernel": 5, "cnn/pool": "max", "size": 3}
    assert (built["units"], built["deep"], built["layers"]) == (None, None, None)
    deep = function.build({"deep": True, "layers": 4})
    assert deep["known"] == {"kind": "mlp", "units": 8, "deep": True, "layers": 4}


def test_names_get_their_scopes() -> None:
    """Name scopes nest, and go before the names of parents and of `get` too."""

    def scoped(hp):
        with hp.name_scope("a"):
            hp.Boolean("on", default=True)
            with hp.conditional_scope("on", True):
                hp.Int("units", 1, 9, default=3)
            assert hp.get("units") == hp["units"] == 3
            assert "units" in hp
            assert "a/units" not in hp
            with hp.name_scope("b"):
                hp.Int("units", 1, 9)
        assert "a/units" in hp
        assert hp.is_active("a/units")
        assert not hp.is_active("units")

    assert list(space_of(scoped)) == ["a/on", "a/units", "a/b/units"]


def test_get_tells_what_is_inactive_from_what_is_not_there() -> None:
    """`get` of an inactive hyperparameter is a ValueError, of an unknown one a KeyError."""

    def asks(hp):
        hp.Boolean("on")
        hp.Int("units", 1, 9, parent_name="on", parent_values=[True])
        assert "units" not in hp
        assert not hp.is_active("units")
        with pytest.raises(ValueError, match="units is currently inactive"):
            hp.get("units")
        with pytest.raises(KeyError, match="layers does not exist"):
            hp.get("layers")
        with pytest.raises(TypeError):
            hp.values["on"] = True

    tunable(asks)()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda hp: hp.Int("x", 1, 2, parent_name="y", parent_values=[1]), "'y' must be declared"),
        (
            lambda hp: hp.Int("x", 1, 2, parent_name="a", parent_values=[]),
            "parent_values of 'a' mu",
        ),
        (lambda hp: hp.Int("x", 1, 2, parent_name="a"), "must be values of it, not None"),
        (lambda hp: hp.Int("a", 1, 2, parent_name="a", parent_values=1), "name of its own parent"),
    ],
)
def test_wrong_conditions_are_refused(ask: Callable[[Any], object], says: str) -> None:
    """A parent must be known, have values, and be another hyperparameter."""

    def function(hp):
        hp.Int("a", 1, 2)
        ask(hp)

    with pytest.raises(HyperparameterError, match=says):
        space_of(function)


def test_the_same_name_again_is_the_same_hyperparameter() -> None:
    """Asked again it has the same value; asked again with another range it is an error."""

    def again(hp):
        return [hp.Int("x", 1, 9) for _ in range(3)]

    assert tunable(again).build({"x": 4}) == [4, 4, 4]
    with pytest.raises(HyperparameterClash, match="range 1 to 9 with default 1"):
        space_of(lambda hp: (hp.Int("x", 1, 9), hp.Int("x", 1, 8)))


def test_a_copy_asks_for_nothing_new() -> None:
    """In a copy what is known has its value, and what is new its default; no trace sees it."""

    def copies(hp):
        hp.Int("x", 1, 9)
        other = hp.copy()
        return other.Int("x", 1, 9), other.Int("y", 5, 9), other.get("y"), "y" in hp

    assert list(space_of(copies)) == ["x"]
    assert tunable(copies).build({"x": 3}) == (3, 5, 5, False)


@pytest.mark.parametrize("name", ["space", "merge", "get_config", "ensure_active_values", "to_pro"])
def test_what_is_not_translated_says_what_is(name: str) -> None:
    """Anything else of theirs is an error that names it, and what there is."""
    with pytest.raises(TranslationError, match=rf"hp\.{name} is not translated; .*Int, Float"):
        tunable(lambda hp: getattr(hp, name)).space  # noqa: B018
    assert not hasattr(HyperParameters(), name)
    copy.deepcopy(HyperParameters())


class HyperModel:
    """What Keras Tuner's base class does, as far as it matters here."""

    __module__ = "keras_tuner.src.engine.hypermodel"

    def __init__(self, name=None, tunable=True):
        self.name = name
        self.tunable = tunable
        self._build = self.build
        self.build = self._build_wrapper

    def build(self, hp):
        raise NotImplementedError

    def _build_wrapper(self, hp, *args, **kwargs):
        return self._build(hp if self.tunable else hp.copy(), *args, **kwargs)

    def declare_hyperparameters(self, hp):
        pass

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


class Own(HyperModel):
    """Build one."""

    def declare_hyperparameters(self, hp):
        hp.Int("first", 1, 9)

    def build(self, theirs):
        return self.name, theirs.get("first"), theirs.Int("units", 8, 32, 8)


def test_a_hypermodel_is_a_model_function() -> None:
    """A `HyperModel` works as a class or an instance, with what it declares beforehand."""
    for thing, name in ((Own, None), (Own("named"), "named")):
        function = tunable(thing)
        assert function() == (name, 1, 8)
        assert function.build({"first": 3, "units": 32}) == (name, 3, 32)
        assert repr(function) == "<tunable Own>"
        assert function.__doc__ == "Build one."
        assert [h.name for h in function.space] == ["first", "units"]
        assert Tuner(thing, "val_loss", max_trials=1).name == "Own"
    assert [h.name for h in tunable(Own(tunable=False)).space] == ["first"]


def test_a_hypermodel_that_cannot_be_honoured_is_refused() -> None:
    """One that trains by itself, or whose class needs arguments, is an error that says so."""

    class Trains(Own):
        def fit(self, hp, model, *args, **kwargs):
            return 0.0

    class Inherits(Trains):
        pass

    class Needs(Own):
        def __init__(self, width):
            super().__init__()

    for thing in (Trains, Inherits(), Inherits):
        with pytest.raises(
            ModelFunctionError, match=r"Trains\.fit cannot be used: tunedeco trains"
        ):
            tunable(thing)
    with pytest.raises(ModelFunctionError, match=r"Needs needs arguments .*'width'.*an inst"):
        tunable(Needs)
    assert tunable(Needs(3))() == (None, 1, 8)


def test_a_class_with_another_build_is_no_hypermodel() -> None:
    """A layer, or a model, has a `build` of its own, which takes no `hp`."""

    class Layer:
        def build(self, input_shape):
            raise NotImplementedError

    assert isinstance(tunable(Layer)(), Layer)
    assert tracing.name_of(Own) == tracing.name_of(Own()) == "Own"
