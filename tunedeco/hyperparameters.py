"""The functions a model function calls to name what could be different.

Each returns a plain Python value: the default outside of a search, the trial's value inside one.
All take ``group=``, under which the hyperparameter is searched, printed and exported, and
``default=``; without it the first value is the default. A hyperparameter *is* its (group, name):
asking twice in one run gives the same value, asking twice with different domains is an error.

Each raises `HyperparameterError` at the call, naming the hyperparameter and the line, when its
arguments are wrong, and `HyperparameterClash` when the same (group, name) meant something else
before.
"""

from collections.abc import Iterable
from typing import TypeVar, cast, overload

from tunedeco import domains
from tunedeco.declarations import DEFAULT_GROUP, UNSET, Unset
from tunedeco.domains import Value
from tunedeco.tracing import ask

T = TypeVar("T", bound=Value)


@overload
def Choice(name: str, values: Iterable[T], *, group: str = ..., default: T | Unset = ...) -> T: ...
@overload  # a list literal of different types is otherwise taken for a list of objects
def Choice(  # type: ignore[overload-cannot-match]
    name: str, values: Iterable[Value], *, group: str = ..., default: Value | Unset = ...
) -> Value: ...
def Choice(
    name: str,
    values: Iterable[Value],
    *,
    group: str = DEFAULT_GROUP,
    default: Value | Unset = UNSET,
) -> Value:
    """One of an explicit list of values.

    Args:
        name: its name, unique within the group.
        values: str, int, float, bool or None, each once. A list of rising or falling numbers is
            treated as ordered: oracles know that neighbours are alike.
        group: its group.
        default: one of the values; the first where it is not given.
    """
    return cast("Value", ask(name, group, default, domains.Choice, values))


def Range(
    name: str,
    start: int,
    stop: int,
    step: int = 1,
    *,
    log: bool = False,
    group: str = DEFAULT_GROUP,
    default: int | Unset = UNSET,
) -> int:
    """An integer from ``start`` to ``stop``, which is included when a step lands on it.

    Args:
        name: its name, unique within the group.
        start: the smallest value.
        stop: the largest value; ``Range("units", 8, 32, 8)`` is 8, 16, 24 or 32.
        step: the distance between values, at least 1.
        log: draw on a log scale: as often from 8 to 16 as from 512 to 1024; ``start`` must then
            be at least 1.
        group: its group.
        default: one of the values; ``start`` where it is not given.
    """
    return cast("int", ask(name, group, default, domains.Range, start, stop, step, log))


def Linear(
    name: str,
    start: float,
    stop: float,
    num_buckets: int,
    *,
    group: str = DEFAULT_GROUP,
    default: float | Unset = UNSET,
) -> float:
    """One of ``num_buckets`` evenly spaced floats from ``start`` to ``stop``, both included.

    Args:
        name: its name, unique within the group.
        start: the smallest value.
        stop: the largest value; ``Linear("rate", 0.0, 0.5, 3)`` is 0.0, 0.25 or 0.5.
        num_buckets: how many values there are, at least 2.
        group: its group.
        default: one of the values; ``start`` where it is not given.
    """
    return cast("float", ask(name, group, default, domains.Linear, start, stop, num_buckets))


def Logarithmic(
    name: str,
    start: float,
    stop: float,
    num_buckets: int,
    *,
    group: str = DEFAULT_GROUP,
    default: float | Unset = UNSET,
) -> float:
    """One of ``num_buckets`` floats from ``start`` to ``stop``, evenly spaced on a log scale.

    Args:
        name: its name, unique within the group.
        start: the smallest value itself, above 0; not an exponent.
        stop: the largest value; ``Logarithmic("lr", 1e-4, 1e-2, 3)`` is 0.0001, 0.001 or 0.01.
        num_buckets: how many values there are, at least 2.
        group: its group.
        default: one of the values; ``start`` where it is not given.
    """
    return cast("float", ask(name, group, default, domains.Logarithmic, start, stop, num_buckets))


def Float(
    name: str,
    low: float,
    high: float,
    *,
    log: bool = False,
    group: str = DEFAULT_GROUP,
    default: float | Unset = UNSET,
) -> float:
    """Any float from ``low`` to ``high``.

    Args:
        name: its name, unique within the group.
        low: the smallest value.
        high: the largest value.
        log: draw uniformly on a log scale; ``low`` must then be above 0.
        group: its group.
        default: a value from ``low`` to ``high``; ``low`` where it is not given.
    """
    return cast("float", ask(name, group, default, domains.Float, low, high, log))


def Boolean(name: str, *, group: str = DEFAULT_GROUP, default: bool | Unset = UNSET) -> bool:
    """False or True.

    Args:
        name: its name, unique within the group.
        group: its group.
        default: False where it is not given.
    """
    return cast("bool", ask(name, group, default, domains.Boolean))


def Fixed(name: str, value: T, *, group: str = DEFAULT_GROUP, default: T | Unset = UNSET) -> T:
    """One value that is named, grouped and exported with the others, and never searched.

    Args:
        name: its name, unique within the group.
        value: a str, int, float, bool or None.
        group: its group.
        default: nothing else than the value.
    """
    return cast("T", ask(name, group, default, domains.Fixed, value))
