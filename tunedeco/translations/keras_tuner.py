"""Keras Tuner's ``hp`` and ``HyperModel``, after its ``engine/hyperparameters`` (version 1.4).

What ``hp`` declares goes to the group "default" under its full name, name scopes included. Three
things differ, since they are mistakes there: the same name with another range is an error and not
ignored, a default that is none of the values is one too (where none is given, the smallest value is
it), and ``Float(0, 1, step=0.1)`` includes 1.0.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, final

from tunedeco import domains
from tunedeco.declarations import DEFAULT_GROUP, UNSET
from tunedeco.domains import Domain, Value, plain, real
from tunedeco.errors import HyperparameterError, ModelFunctionError, TranslationError
from tunedeco.tracing import declare, name_of, value_of
from tunedeco.translations.numbers import stepped, whole


@dataclass(frozen=True)
class _Parent:
    """A condition: some hyperparameter has one of these values."""

    name: str
    values: tuple[Value, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        return self.name in values and values[self.name] in self.values


Number = TypeVar("Number", int, float)
_Conditions = tuple[_Parent, ...]


@final
class HyperParameters:
    """What a model function takes as ``hp``: it asks for hyperparameters, and returns their values.

    A hyperparameter whose conditions do not hold is not asked for, and is None.
    """

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._met: set[tuple[str, _Conditions]] = set()
        self._names: list[str] = []
        self._conditions: _Conditions = ()
        self._asks = True

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: object = None,
    ) -> Any:  # noqa: ANN401 (an int, or None where it is inactive)
        """An integer from ``min_value`` to ``max_value``, both included."""
        with self._under(parent_name, parent_values):
            return self._value(name, _given(default), _int, min_value, max_value, step, sampling)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: object = None,
    ) -> Any:  # noqa: ANN401 (a float, or None where it is inactive)
        """A float from ``min_value`` to ``max_value``, both included."""
        with self._under(parent_name, parent_values):
            return self._value(name, _given(default), _float, min_value, max_value, step, sampling)

    def Choice(
        self,
        name: str,
        values: Iterable[Value],
        ordered: bool | None = None,
        default: Value = None,
        parent_name: str | None = None,
        parent_values: object = None,
    ) -> Any:  # noqa: ANN401 (one of the values, or None where it is inactive)
        """One of the values; ``ordered`` is checked, and decides nothing there or here."""
        with self._under(parent_name, parent_values):
            return self._value(name, _given(default), _choice, values, ordered)

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: object = None,
    ) -> Any:  # noqa: ANN401 (a bool, or None where it is inactive)
        """False or True."""
        with self._under(parent_name, parent_values):
            return self._value(name, default, domains.Boolean)

    def Fixed(
        self,
        name: str,
        value: Value,
        parent_name: str | None = None,
        parent_values: object = None,
    ) -> Any:  # noqa: ANN401 (the value, or None where it is inactive)
        """One value."""
        with self._under(parent_name, parent_values):
            return self._value(name, UNSET, domains.Fixed, value)

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put ``name/`` before each name inside."""
        self._names.append(name)
        try:
            yield
        finally:
            self._names.pop()

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: object) -> Iterator[None]:
        """Make what is inside active only where the parent has one of the values.

        Raises:
            HyperparameterError: the parent has not been declared in the scope around this one.
        """
        parent = self._full(parent_name)
        if (parent, self._conditions) not in self._met:
            msg = f"{parent!r} must be declared, in the scope around it, before it is a parent"
            raise HyperparameterError(msg)
        several = isinstance(parent_values, (list, tuple))
        values = tuple(parent_values) if several else (parent_values,)  # type: ignore[arg-type]
        if not values or None in values:
            msg = f"parent_values of {parent!r} must be values of it, not {parent_values!r}"
            raise HyperparameterError(msg)
        outside = self._conditions
        condition = _Parent(parent, tuple(plain(value, "a parent value") for value in values))
        self._conditions = (*outside, condition)
        try:
            yield
        finally:
            self._conditions = outside

    @property
    def values(self) -> Mapping[str, Value]:
        """What has been asked for so far, and its values."""
        return MappingProxyType(self._values)

    def get(self, name: str) -> Any:  # noqa: ANN401 (whatever it is worth)
        """Return the value of a hyperparameter that has been declared.

        Raises:
            ValueError: it is inactive.
            KeyError: it has not been declared.
        """
        full = self._full(name)
        if full in self._values:
            return self._values[full]
        if any(full == met for met, _ in self._met):
            msg = f"{full} is currently inactive"
            raise ValueError(msg)
        msg = f"{full} does not exist"
        raise KeyError(msg)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self._values

    def is_active(self, name: str) -> bool:
        """Return whether a hyperparameter of this (full) name has been declared, and is active."""
        return any(self._hold(conditions) for met, conditions in self._met if met == name)

    def copy(self) -> "HyperParameters":
        """Return one with these values; what is new in it has its default, and is not asked for."""
        copied = HyperParameters()
        copied._values = dict(self._values)
        copied._met = set(self._met)
        copied._asks = False
        return copied

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (it always raises)
        msg = (
            f"hp.{name} is not translated; inside a model function hp has Int, Float, Choice, "
            "Boolean, Fixed, conditional_scope, name_scope, get, values, is_active and copy, and "
            "outside of it `tunable(function).space` is the space"
        )
        raise TranslationError(msg)

    def _value(
        self, name: str, default: object, kind: Callable[..., Domain], *args: object
    ) -> Value:
        full = self._full(name)
        hyperparameter = declare(full, DEFAULT_GROUP, default, kind, *args)
        if any(condition.name == full for condition in self._conditions):
            msg = f"{full} has the name of its own parent; give one of them another name"
            raise HyperparameterError(msg)
        self._met.add((full, self._conditions))
        if not self._hold(self._conditions):
            return None
        if not self._asks:
            return self._values.setdefault(full, hyperparameter.default)
        self._values[full] = value_of(hyperparameter)
        return self._values[full]

    def _under(self, parent_name: str | None, parent_values: object) -> Any:  # noqa: ANN401 (a context manager)
        if not parent_name:
            return nullcontext()
        return self.conditional_scope(parent_name, parent_values)

    def _hold(self, conditions: _Conditions) -> bool:
        return all(condition.holds(self._values) for condition in conditions)

    def _full(self, name: str) -> str:
        return "/".join([*self._names, str(name)])


def build_function(model: Any) -> Callable[..., Any]:  # noqa: ANN401 (whatever has a `build`)
    """Return a function of ``hp`` that does what a ``HyperModel`` does, named after its class.

    Args:
        model: an instance, or a class that can be instantiated without arguments.

    Raises:
        ModelFunctionError: the class needs arguments, or overrides ``fit``.
    """
    kind = model if isinstance(model, type) else type(model)
    owner = next((base for base in kind.__mro__ if "fit" in vars(base)), kind)
    if "fit" in vars(owner) and owner.__module__.partition(".")[0] != "keras_tuner":
        msg = (
            f"{owner.__name__}.fit cannot be used: tunedeco trains each epoch itself; return what "
            "it gives to fit beside the model, `return model, {'batch_size': 64}`, or give a loop "
            "of your own, Tuner(..., train_fn=train)"
        )
        raise ModelFunctionError(msg)
    if isinstance(model, type):
        try:
            inspect.signature(model).bind()
        except TypeError as error:
            msg = f"{name_of(model)} needs arguments ({error}); pass an instance of it"
            raise ModelFunctionError(msg) from None
        model = model()

    def build(hp: HyperParameters) -> object:
        if hasattr(model, "declare_hyperparameters"):
            model.declare_hyperparameters(hp)
        return model.build(hp)

    build.__name__ = build.__qualname__ = kind.__name__
    build.__doc__, build.__module__ = kind.__doc__, kind.__module__
    return build


def _given(default: object) -> object:
    return UNSET if default is None else default


def _int(min_value: object, max_value: object, step: object, sampling: object) -> Domain:
    low, high = whole(min_value, "min_value"), whole(max_value, "max_value")
    by = None if step is None else whole(step, "step")
    scale = _scale(sampling, low, high, by)
    if scale == "linear":
        only_one = low <= high < low + (by or 1)
        return domains.Range(low, low) if only_one else domains.Range(low, high, by or 1)
    if by is not None:
        powers = [low * by**index for index in range(_powers(low, high, by))]
        mirrored = scale == "reverse_log"
        return domains.Choice(_mirrored(powers, low, high) if mirrored else tuple(powers))
    return domains.Range(low, high, log=scale == "log")


def _float(min_value: object, max_value: object, step: object, sampling: object) -> Domain:
    low, high = real(min_value, "min_value"), real(max_value, "max_value")
    by = None if step is None else real(step, "step")
    scale = _scale(sampling, low, high, by)
    if low == high:
        return domains.Fixed(low)
    if by is None:
        return domains.Float(low, high, scale == "log")
    if scale == "linear":
        return stepped(low, high, by)
    number = _powers(low, high, by)
    if number == 1:
        return domains.Fixed(low if scale == "log" else high)
    if scale == "log":
        return domains.Logarithmic(low, _rounded(low * by ** (number - 1)), number)
    powers = [low * by**index for index in range(number)]
    return domains.Choice(tuple(map(_rounded, _mirrored(powers, low, high))))


def _scale(sampling: object, low: float, high: float, step: float | None) -> str:
    scale = "linear" if sampling is None else str(sampling).lower()
    if scale not in ("linear", "log", "reverse_log"):
        msg = f"sampling must be 'linear', 'log' or 'reverse_log', not {sampling!r}"
        raise HyperparameterError(msg)
    if step is not None and step <= (scale != "linear"):
        least = "1, since it multiplies" if scale != "linear" else "0"
        msg = f"step {step} must be above {least}"
        raise HyperparameterError(msg)
    if high < low:
        msg = f"max_value {high} lies below min_value {low}; swap them"
        raise HyperparameterError(msg)
    if scale != "linear" and low <= 0:
        msg = f"min_value {low} must be above 0 on a log scale"
        raise HyperparameterError(msg)
    if scale == "reverse_log" and step is None and low < high:
        msg = (
            "sampling='reverse_log' needs a step here; without one, ask for the distance from the "
            f"other end: {low} + {high} - hp...(..., sampling='log')"
        )
        raise HyperparameterError(msg)
    return scale


def _choice(values: Iterable[Value], ordered: object) -> Domain:
    choice = domains.Choice(values)  # type: ignore[arg-type] # it makes a tuple of any iterable
    if ordered and isinstance(choice.values[0], str):
        msg = "ordered=True is for numbers; leave it out"
        raise HyperparameterError(msg)
    return choice


def _powers(low: float, high: float, step: float) -> int:
    """Return how many powers of a step lead from one end to the other, as Keras Tuner counts."""
    return int(math.log(high / low, step) + 1e-8) + 1


def _mirrored(values: Sequence[Number], low: Number, high: Number) -> tuple[Number, ...]:
    """Return rising values as far from the other end, rising too."""
    return tuple(high + low - value for value in reversed(values))


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")
