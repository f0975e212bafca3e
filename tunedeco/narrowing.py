"""Narrowing: search some hyperparameters, and hold the others where they are."""

from collections.abc import Collection, Mapping
from typing import Any

from tunedeco.conditions import Key
from tunedeco.domains import Value
from tunedeco.errors import ConfigurationError, HyperparameterError
from tunedeco.space import Space, Values, flat


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
