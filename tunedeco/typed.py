"""Whether a record holds what its annotations say: for data that comes from outside, as JSON.

Knows the annotations that this package's records have, and no others.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

R = TypeVar("R")

_LARGEST = 2**1023  # no whole number above it has a float

Test = Callable[[object], bool]


def checked(record: R) -> R:
    """Return an instance of a dataclass if each of its fields holds what it should.

    Raises:
        TypeError: one does not; names it.
    """
    kind: Any = type(record)
    for name, usual, fits in _fields(kind):
        value = getattr(record, name)
        if type(value) is not usual and not fits(value):
            msg = f"{name} is {value!r:.50}"
            raise TypeError(msg)
    return record


@cache
def _fields(kind: Any) -> list[tuple[str, Any, Test]]:  # noqa: ANN401 (a dataclass)
    """Return the name of each field, what it usually is, and what tells of all else if it fits."""
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind) if hints[f.name] is not Any]
    return [(name, hints[name], _test(hints[name])) for name in names]


def _test(hint: Any) -> Test:  # noqa: ANN401, PLR0911 (one for each annotation)
    """Return what tells whether a value fits an annotation."""
    origin, tests = get_origin(hint), [_test(a) for a in get_args(hint) if a is not Ellipsis]
    if origin is UnionType:
        return lambda value: any(test(value) for test in tests)
    if origin is tuple:
        return lambda value: isinstance(value, tuple) and all(map(tests[0], value))
    if origin is Mapping and get_args(hint)[1] is Any:
        return lambda value: isinstance(value, Mapping)
    if origin is Mapping:
        return lambda value: isinstance(value, Mapping) and all(map(tests[1], value.values()))
    if hint is float:
        return lambda value: type(value) is float or (type(value) is int and abs(value) < _LARGEST)
    if hint is int:  # and not bool, which is a subclass
        return lambda value: type(value) is int
    return lambda value: isinstance(value, object if hint is Any else hint)
