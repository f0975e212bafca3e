"""Declarations: what a parameter of a function can be, for its annotation or its decorator.

`Choice`, `Range` and so on, as `tunedeco.space` has them: the same arguments as the functions that
are called in a body, but no name, which is the parameter's::

    from tunedeco import space, tunable

    @tunable
    def build(units: Annotated[int, space.Range(8, 64, 8, group="dense")] = 32): ...

    @tunable(units=space.Range(8, 64, 8, group="dense"))  # where the code must not change
    def build(units=32): ...

Each returns a `Declaration`, and raises `HyperparameterError` at the call when its arguments are
wrong. The parameter's own default goes before ``default=``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tunedeco import domains
from tunedeco.domains import Domain, Value
from tunedeco.errors import HyperparameterError

DEFAULT_GROUP = "default"


class Unset:
    """The type of `UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()
"""The absence of a default: None is a value like any other."""


@dataclass(frozen=True)
class Declaration:
    """A hyperparameter that has no name yet.

    Raises:
        HyperparameterError: the group is not a non-empty string, or the default is not in the
            domain.
    """

    domain: Domain
    group: str = DEFAULT_GROUP
    default: Value | Unset = UNSET

    def __post_init__(self) -> None:
        check_label(self.group, "group")
        if not isinstance(self.default, Unset):
            object.__setattr__(self, "default", self.domain.checked_default(self.default))


def check_label(label: object, what: str) -> None:
    """Raise `HyperparameterError` unless a name or a group is a string with something in it."""
    if not isinstance(label, str) or not label.strip():
        msg = f"the {what} of a hyperparameter must be a non-empty string, not {label!r}"
        raise HyperparameterError(msg)


def Choice(
    values: Iterable[Value], *, group: str = DEFAULT_GROUP, default: Value | Unset = UNSET
) -> Declaration:
    """One of an explicit list of values; see `tunedeco.Choice`."""
    # an iterable of any kind: the domain makes a tuple of it
    return Declaration(domains.Choice(values), group, default)  # type: ignore[arg-type]


def Range(
    start: int,
    stop: int,
    step: int = 1,
    *,
    log: bool = False,
    group: str = DEFAULT_GROUP,
    default: int | Unset = UNSET,
) -> Declaration:
    """An integer from ``start`` to ``stop``, which is included; see `tunedeco.Range`."""
    return Declaration(domains.Range(start, stop, step, log), group, default)


def Linear(
    start: float,
    stop: float,
    num_buckets: int,
    *,
    group: str = DEFAULT_GROUP,
    default: float | Unset = UNSET,
) -> Declaration:
    """One of ``num_buckets`` evenly spaced floats; see `tunedeco.Linear`."""
    return Declaration(domains.Linear(start, stop, num_buckets), group, default)


def Logarithmic(
    start: float,
    stop: float,
    num_buckets: int,
    *,
    group: str = DEFAULT_GROUP,
    default: float | Unset = UNSET,
) -> Declaration:
    """One of ``num_buckets`` floats, evenly spaced on a log scale; see `tunedeco.Logarithmic`."""
    return Declaration(domains.Logarithmic(start, stop, num_buckets), group, default)


def Float(
    low: float,
    high: float,
    *,
    log: bool = False,
    group: str = DEFAULT_GROUP,
    default: float | Unset = UNSET,
) -> Declaration:
    """Any float from ``low`` to ``high``; see `tunedeco.Float`."""
    return Declaration(domains.Float(low, high, log), group, default)


def Boolean(*, group: str = DEFAULT_GROUP, default: bool | Unset = UNSET) -> Declaration:
    """False or True; see `tunedeco.Boolean`."""
    return Declaration(domains.Boolean(), group, default)


def Fixed(
    value: Value, *, group: str = DEFAULT_GROUP, default: Value | Unset = UNSET
) -> Declaration:
    """One value, never searched; see `tunedeco.Fixed`."""
    return Declaration(domains.Fixed(value), group, default)
