"""Narrowing: search some hyperparameters, and hold the others where they are."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from tunedeco.conditions import Clause, Key
from tunedeco.domains import Fixed, Value
from tunedeco.errors import ConfigurationError, HyperparameterError
from tunedeco.space import Hyperparameter, Space, Values, flat


def pins(
    space: Space,
    groups: Collection[str] | None,
    freeze: Mapping[str, Any],
    best: Values,
) -> dict[Key, Value]:
    """Return the value of each hyperparameter that is not searched.

    Args:
        space: all of them.
        groups: those that are searched; None means all.
        freeze: values to hold, ``{group: {name: value}}`` or ``{name: value}``.
        best: the best known values, to hold all else at; what they lack is held at its default.

    Raises:
        ConfigurationError: there is no such group, hyperparameter or value.
    """
    if isinstance(groups, str) or (groups is not None and not groups):
        msg = f'groups is a list of names, such as groups=["optimizer"], not {groups!r}'
        raise ConfigurationError(msg)
    unknown = [group for group in groups or () if group not in space.groups]
    if unknown:
        msg = f"there is no group {unknown[0]!r}; the space has: {', '.join(space.groups)}"
        raise ConfigurationError(msg)
    try:
        frozen = flat(space.checked(freeze))
    except (HyperparameterError, AttributeError) as error:
        msg = f"freeze: {error}"
        raise ConfigurationError(msg) from None
    held = {
        h.key: best.get(h.group, {}).get(h.name, h.default)
        for h in space
        if groups is not None and h.group not in groups
    }
    pinned = held | frozen
    if pinned and all(h.key in pinned for h in space):
        msg = "nothing is left to search: groups and freeze hold every hyperparameter"
        raise ConfigurationError(msg)
    return pinned


def pinned(space: Space, values: Mapping[Key, Value]) -> Space:
    """Return a space with one value for some hyperparameters; what that rules out is gone.

    Args:
        space: all of them.
        values: each in its domain.
    """
    kept: list[Hyperparameter] = []
    known: set[Key] = set()
    for h in space:
        met = (_met(space, clause, values) for clause in h.when)
        # what is never asked for takes with it all that depends on it
        when = tuple(c for c in met if c is not None and all(a.key in known for a in c))
        if h.when and not when:
            continue
        if h.key in values:
            value = h.domain.canonical(values[h.key])
            kept.append(replace(h, domain=Fixed(value), default=value, when=when))
        else:
            kept.append(replace(h, when=when))
        known.add(h.key)
    return replace(space, hyperparameters=tuple(kept))


def _met(space: Space, clause: Clause, values: Mapping[Key, Value]) -> Clause | None:
    """Return what a clause requires when some values are given; None if they rule it out."""
    met = []
    for among in clause:
        if among.key in values:
            value = values[among.key]
            if not among.holds(space.domains[among.key], value):
                return None
            met.append(replace(among, runs=((value, value),)))
        else:
            met.append(among)
    return tuple(met)
