"""Whether a record holds what its annotations say: for data that comes from outside, as JSON.

Knows the annotations that this package's records have, and no others.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

R = TypeVar("R")

_LARGEST = 2**1023  # no whole number above it has a float

Test = Callable[[object], bool]
Kinds = frozenset[type]
"""Types of which each instance fits: nearly all that is read is of one of them."""


def checked(record: R) -> R:
    """Return an instance of a dataclass if each of its fields holds what it should.

    Raises:
        TypeError: one does not; names it.
    """
    kind: Any = type(record)
    for name, usual, fits in _fields(kind):
        value = record.__dict__[name]
        if type(value) not in usual and not fits(value):
            msg = f"{name} is {value!r:.50}"
            raise TypeError(msg)
    return record


@cache
def _fields(kind: Any) -> list[tuple[str, Kinds, Test]]:  # noqa: ANN401 (a dataclass)
    """Return the name of each field, what it usually is, and what tells of all else if it fits."""
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind) if hints[f.name] is not Any]
    return [(name, *_test(hints[name])) for name in names]


def _test(hint: Any) -> tuple[Kinds, Test]:  # noqa: ANN401, PLR0911 (one for each annotation)
    """Return which types fit an annotation, and what tells whether a value does."""
    origin, parts = get_origin(hint), [_test(a) for a in get_args(hint) if a is not Ellipsis]
    if origin is UnionType:
        tests = [test for _, test in parts]
        return frozenset[type]().union(*(usual for usual, _ in parts)), lambda value: any(
            test(value) for test in tests
        )
    if origin is tuple:
        inner = _each(*parts[0])
        return frozenset(), lambda value: isinstance(value, tuple) and inner(value)
    if origin is Mapping and get_args(hint)[1] is Any:
        return frozenset({dict}), lambda value: isinstance(value, Mapping)
    if origin is Mapping:
        inner = _each(*parts[1])
        return (
            frozenset(),
            lambda value: isinstance(value, (dict, Mapping)) and inner(value.values()),
        )
    if hint is float:
        return frozenset(
            {float}
        ), lambda value: type(value) is float or (type(value) is int and abs(value) < _LARGEST)
    if hint is int:  # and not bool, which is a subclass
        return frozenset({int}), lambda value: type(value) is int
    if hint is Any:
        return frozenset(), lambda _: True
    return frozenset({hint}), lambda value: isinstance(value, hint)


def _each(usual: Kinds, fits: Test) -> Callable[[Collection[object]], bool]:
    """Return what tells whether each of some values fits."""
    return lambda values: usual.issuperset(map(type, values)) or all(map(fits, values))
