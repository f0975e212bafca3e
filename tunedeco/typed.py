"""Records that hold what their annotations say, made of data from outside, as JSON.

Knows the annotations that this package's records have, and no others.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import cache
from types import UnionType
from typing import Any, NoReturn, TypeVar, cast, get_args, get_origin, get_type_hints

R = TypeVar("R")

_LARGEST = 2**1023  # no whole number above it has a float

Test = Callable[[object], bool]
Kinds = frozenset[type]
"""Types of which each instance fits: nearly all that is read is of one of them."""


def made(kind: type[R], data: Mapping[str, Any]) -> R:
    """Return the record with these fields, if each holds what it should.

    As ``kind(**data)`` is, in half the time: each line of a journal is one, or several.

    Args:
        kind: a dataclass without a ``__post_init__``.
        data: its fields; those with a default may be missing.

    Raises:
        TypeError: a field does not hold what it should, is missing or unknown; names it.
    """
    record = object.__new__(kind)
    there = record.__dict__
    there.update(data)
    fields = _fields(cast("Any", kind))
    for name, value in there.items():
        if name not in fields:
            msg = f"{name!r:.50} is none of its fields"
            raise TypeError(msg)
        usual, fits, _ = fields[name]
        if type(value) not in usual and not fits(value):
            msg = f"{name} is {value!r:.50}"
            raise TypeError(msg)
    if len(there) < len(fields):
        there.update((name, fields[name][-1]()) for name in fields if name not in there)
    return record


@cache
def _fields(kind: Any) -> dict[str, tuple[Kinds, Test, Callable[[], Any]]]:  # noqa: ANN401 (a dataclass)
    """Return for each field what it usually is, what tells if all else fits, and its default."""
    hints = get_type_hints(kind)
    return {f.name: (*_test(hints[f.name]), _default(f)) for f in dataclasses.fields(kind)}


def _default(field: dataclasses.Field[Any]) -> Callable[[], Any]:
    """Return what makes the value of a field that is missing, or raises."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is not dataclasses.MISSING:
        return lambda: field.default

    def missing() -> NoReturn:
        msg = f"{field.name} is missing"
        raise TypeError(msg)

    return missing


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
