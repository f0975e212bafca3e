"""Hyperparameters on a signature: where they are found, and which argument a function gets."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import annotated
import pytest

from tunedeco import Choice, Range, Tuner, space, tracing, tunable
from tunedeco.errors import HyperparameterClash, HyperparameterError, ModelFunctionError
from tunedeco.space import Declaration


@tunable
def build(
    filters: Annotated[int, space.Range(8, 64, 8, group="cnn")] = 32,
    lr: Annotated[float, space.Choice([1e-3, 1e-4])] = 1e-3,
) -> tuple[int, float]:
    """Build what the design's example builds."""
    return filters, lr


def plain(units=32, lr=1e-3):
    return units, lr


def labels(function: Any) -> dict[str, tuple[str, object]]:
    """Return what a function asks for: label -> (domain, default)."""
    return {h.label: (str(h.domain), h.default) for h in tunable(function).space}


def test_the_designs_signature() -> None:
    """An annotated parameter is a hyperparameter: its name, its group, its default, its line."""
    assert labels(build) == {
        "cnn/filters": ("8 to 64 step 8", 32),
        "default/lr": ("0.001, 0.0001", 1e-3),
    }
    assert build() == (32, 1e-3)
    assert build.build({"filters": 64, "lr": 1e-4}) == (64, 1e-4)
    line = build.function.__code__.co_firstlineno
    assert {h.place for h in build.space} == {f"{__file__}:{line}"}


def test_code_that_must_not_change_is_declared_by_the_decorator() -> None:
    """`@tunable(name=...)` declares parameters; their own defaults stay the defaults."""
    function = tunable(
        units=space.Range(8, 64, 8, group="cnn"), lr=space.Choice([1e-4, 1e-3], default=1e-4)
    )(plain)
    assert labels(function) == {
        "cnn/units": ("8 to 64 step 8", 32),
        "default/lr": ("0.0001, 0.001", 1e-3),
    }
    assert function() == plain()
    assert function.build({"cnn": {"units": 8}}) == (8, 1e-3)
    assert list(inspect.signature(function).parameters) == ["units", "lr"]
    again = tunable(function, lr=space.Fixed(1e-3))
    assert labels(again)["default/lr"] == ("0.001", 1e-3)
    assert labels(again)["cnn/units"] == labels(function)["cnn/units"]
    assert tunable(plain)() == plain()  # it has not been touched


def test_the_decorator_goes_before_the_annotation() -> None:
    """Where both declare a parameter, the decorator's word counts."""
    narrower = tunable(build.function, lr=space.Fixed(1e-3, group="optimizer"))
    assert list(labels(narrower)) == ["cnn/filters", "optimizer/lr"]


def test_a_declared_parameter_needs_no_default() -> None:
    """Without a default of its own, it is the declaration's, else the first value."""

    def needs(
        units: Annotated[int, space.Range(2, 5)],
        rate: Annotated[float, space.Linear(0, 1, 3, default=0.5)],
    ) -> tuple[int, float]:
        return units, rate

    assert tunable(needs)() == (2, 0.5)
    assert Tuner(needs, "val_loss", max_trials=1).space.defaults == {
        "default": {"units": 2, "rate": 0.5}
    }

    def half(units, rate):
        return units, rate

    with pytest.raises(ModelFunctionError, match=r"missing a required argument: 'rate'.*@tunable"):
        tunable(half, units=space.Range(1, 2)).space  # noqa: B018 (asking for it runs the function)


def test_what_the_caller_passes_is_not_asked_for() -> None:
    """An explicit argument wins over the trial, by position or by name, and is no part of it."""
    answer = tracing.from_values({"cnn": {"filters": 64}, "default": {"lr": 1e-4}}, _none)
    for call, result, asked in [
        (build, (64, 1e-4), ["filters", "lr"]),
        (lambda: build(8), (8, 1e-4), ["lr"]),
        (lambda: build(lr=0.5), (64, 0.5), ["filters"]),
        (lambda: build(1, 2), (1, 2), []),
    ]:
        got, trace = tracing.run(call, answer)
        assert (got, [h.name for h in trace.space]) == (result, asked)


def _none(hyperparameter: Any) -> Any:
    pytest.fail(f"{hyperparameter.label} is asked for")


def test_signature_and_body_mix() -> None:
    """What the signature declares and what the body asks for are one space."""

    @tunable
    def both(units: Annotated[int, space.Range(1, 9)] = 3) -> tuple[int, int, str]:
        return units, Range("units", 1, 9, default=3), Choice("activation", ["relu", "tanh"])

    assert both.build({"units": 5, "activation": "tanh"}) == (5, 5, "tanh")

    @tunable(units=space.Range(1, 9))
    def clash(units: int = 3) -> tuple[int, int]:
        return units, Choice("units", [1, 2])

    with pytest.raises(HyperparameterClash, match="means two things: range 1 to 9 with default 3"):
        clash.space  # noqa: B018 (asking for it runs the function)


def test_annotations_may_be_text() -> None:
    """`from __future__ import annotations` changes nothing; names only a checker knows are fine."""
    assert labels(annotated.build) == {
        "dense/units": ("8 to 64 step 8", 32),
        "dense/rate": ("0 to 0.5, 6 evenly spaced", 0.1),
    }
    assert tunable(annotated.build).build({"units": 64}) == (None, 64, 0.1)


def test_text_that_cannot_be_read_is_an_error() -> None:
    """An annotation that says Annotated and cannot be evaluated is not passed over."""
    with pytest.raises(
        HyperparameterError, match=r"'units' of wrong \(.*annotated\.py:\d+\).*nowh"
    ):
        tunable(annotated.wrong)
    with pytest.raises(HyperparameterError, match=r"'units' of reversed_ends .*stop 8 lies"):
        tunable(annotated.reversed_ends)


def test_every_kind_of_parameter_is_filled_in() -> None:
    """Positional only, keyword only, beside ``*args``, and within ``**kwargs``."""
    unit = Annotated[int, space.Range(1, 9)]

    def kinds(a=1, b: unit = 2, /, c=3, *rest, d: unit = 4, **more):
        return a, b, c, rest, d, more

    function = tunable(kinds, e=space.Range(5, 9), c=space.Range(1, 9))
    assert [h.name for h in function.space] == ["b", "c", "d", "e"]
    assert function() == (1, 2, 3, (), 4, {"e": 5})
    assert function(7, f=0) == (7, 2, 3, (), 4, {"e": 5, "f": 0})
    assert function(7, 8, 9, 10, e=0) == (7, 8, 9, (10,), 4, {"e": 0})
    assert function.build({"b": 9, "e": 6}) == (1, 9, 3, (), 4, {"e": 6})


def test_methods_and_callable_objects() -> None:
    """A method's parameters are declared as a function's are, decorated or not, and a class's."""

    class Family:
        def __init__(self, most: int = 5) -> None:
            self.most = most

        @tunable(rate=space.Linear(0, 1, 3))
        def build(self, units: Annotated[int, space.Range(1, 9)] = 2, rate: float = 0) -> Any:
            return self.most, units, rate

        def undecorated(self, units: Annotated[int, space.Range(1, 9)] = 2) -> Any:
            return self.most, units

        __call__ = undecorated

    family = Family(7)
    assert family.build() == (7, 2, 0)
    assert family.build.build({"units": 9, "rate": 0.5}) == (7, 9, 0.5)
    assert Family.build(family, 4) == (7, 4, 0)
    for function in (family.undecorated, family):
        assert tunable(function).build({"units": 9}) == (7, 9)
        assert __file__ in next(iter(tunable(function).space)).place
    made = tunable(Family, most=space.Range(1, 9)).build({"most": 9})
    assert isinstance(made, Family)
    assert made.most == 9


def test_what_a_partial_binds_is_passed() -> None:
    """An argument of `functools.partial` is as good as passed; the rest is still declared."""
    bound = functools.partial(build.function, lr=0.5)
    assert labels(bound) == {"cnn/filters": ("8 to 64 step 8", 32)}
    assert tunable(bound).build({"filters": 8}) == (8, 0.5)
    assert labels(functools.partial(build.function, 8)) == {"default/lr": ("0.001, 0.0001", 1e-3)}
    assert labels(functools.partial(plain, lr=0.5)) == {}
    declared = tunable(functools.partial(plain, lr=0.5), lr=space.Linear(0, 1, 3))
    assert labels(declared) == {"default/lr": ("0 to 1, 3 evenly spaced", 0.5)}
    assert declared.build({"lr": 1}) == (32, 1.0)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: tunable(plain, unitz=space.Range(1, 2)), "plain has no parameter 'unitz': it has"),
        (lambda: tunable(lambda: 0, x=space.Boolean()), "has no parameter 'x': it has none"),
        (lambda: tunable(plain, units=[1, 2]), r"units=\[1, 2\] declares nothing; use what tunede"),
        (lambda: tunable(plain, lr=Choice("lr", [1, 2])), "lr=1 declares nothing"),
        (lambda: tunable(plain, lr=True), "lr=True declares nothing"),
        (
            lambda: tunable(plain, units=space.Range(1, 9)),
            r"parameter 'units' of plain \(.*py:\d+\): the default 32 is not in 1 to 9",
        ),
        (
            lambda: tunable(annotation_twice),
            "'units' of annotation_twice .*: it is declared twice in one annotation",
        ),
        (lambda: space.Range(5, 1), "stop 1 lies below start 5"),
        (lambda: space.Choice([1, 2], default=3), "the default 3 is not in 1, 2"),
        (lambda: space.Boolean(group=""), "the group of a hyperparameter must be a non-empty str"),
        (lambda: space.Linear(0, 1, 1), "both ends are included"),
        (lambda: space.Range(0, 9, log=True), "a log scale reaches from 1 to 2"),
    ],
)
def test_wrong_declarations_raise_where_they_stand(
    declare: Callable[[], object], says: str
) -> None:
    """What is wrong is said when it is declared, with the function and the parameter."""
    with pytest.raises(HyperparameterError, match=says):
        declare()


def annotation_twice(units: Annotated[int, space.Range(1, 2), space.Range(1, 3)] = 1) -> int:
    return units


def test_a_wrong_call_is_the_functions_own_error() -> None:
    """A call that does not fit raises the TypeError that the plain function would."""
    for call in (lambda: build(1, 2, 3), lambda: build(nothing=1)):
        with pytest.raises(TypeError, match=r"build\(\) (takes|got)"):
            call()


def test_nothing_to_fill_in_is_the_function_itself() -> None:
    """Without declarations there is no frame between the caller and the function."""
    assert tunable(plain).alone is plain
    assert Tuner(plain, "val_loss", max_trials=1).model_fn is plain
    assert tunable(print).alone is print


def test_a_tuner_takes_what_is_not_decorated() -> None:
    """An annotated function works in `Tuner` undecorated, and keeps its name."""
    tuner = Tuner(annotated.build, "val_loss", max_trials=1)
    assert tuner.name == "build"
    assert [h.label for h in tuner.space] == ["dense/units", "dense/rate"]


def test_each_domain_can_be_declared() -> None:
    """The seven functions without a name make the domains that those with one ask for."""
    declarations = {
        "a": space.Choice(["x", None]),
        "b": space.Range(1, 9, 2, log=True, group="g"),
        "c": space.Linear(0, 1, 3),
        "d": space.Logarithmic(0.1, 10, 3, default=1),
        "e": space.Float(0.1, 1, log=True),
        "f": space.Boolean(default=True),
        "g": space.Fixed("x"),
    }
    assert all(isinstance(d, Declaration) for d in declarations.values())
    function = tunable(lambda **values: values, **declarations)
    assert [h.domain.kind for h in function.space] == [
        *("choice", "range", "linear", "logarithmic", "float", "boolean", "fixed")
    ]
    assert function() == {"a": "x", "b": 1, "c": 0, "d": 1, "e": 0.1, "f": True, "g": "x"}
