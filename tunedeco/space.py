"""The space: every hyperparameter of a model function, by group and name, in the order met.

Hyperparameters can be declared on a signature with this module's `Choice`, `Range` and so on: see
`tunedeco.declarations`.

A configuration is a nested dict, ``{group: {name: value}}``, the same in Python, in the journal and
in every JSON we print. A finite space answers by index, so that a grid, or a permutation of one,
costs the same for 10 configurations and for 10^30.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tunedeco import text
from tunedeco.declarations import (
    DEFAULT_GROUP,
    Boolean,
    Choice,
    Declaration,
    Fixed,
    Float,
    Linear,
    Logarithmic,
    Range,
    check_label,
)
from tunedeco.domains import Domain, Value, domain_from_json
from tunedeco.errors import HyperparameterClash, HyperparameterError

__all__ = [
    "DEFAULT_GROUP",
    "Boolean",
    "Choice",
    "Declaration",
    "Fixed",
    "Float",
    "Hyperparameter",
    "Linear",
    "Logarithmic",
    "Range",
    "Space",
    "Values",
    "canonical_json",
    "nested",
]

Values = Mapping[str, Mapping[str, Value]]
"""A configuration: group, then name, then value."""


@dataclass(frozen=True)
class Hyperparameter:
    """One thing that could be different: a name within a group, what it can be, and its default.

    Raises:
        HyperparameterError: the group or the name is not a non-empty string, or the default is
            not in the domain.
    """

    group: str
    name: str
    domain: Domain
    default: Value
    place: str = field(default="", compare=False)
    """Where it was declared, as ``file:line``, for errors."""

    def __post_init__(self) -> None:
        check_label(self.group, "group")
        check_label(self.name, "name")
        object.__setattr__(self, "default", self.domain.checked_default(self.default))

    @property
    def key(self) -> tuple[str, str]:
        """(group, name): its identity."""
        return self.group, self.name

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.group}/{self.name}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns back into an equal hyperparameter."""
        return {
            "group": self.group,
            "name": self.name,
            "domain": self.domain.to_json(),
            "default": self.default,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Hyperparameter":
        """Return the hyperparameter that `to_json` described."""
        return cls(data["group"], data["name"], domain_from_json(data["domain"]), data["default"])


@dataclass(frozen=True)
class Space:
    """An ordered set of hyperparameters; iterate over it, or ask it by group.

    Raises:
        HyperparameterClash: the same ``group/name`` occurs twice.
    """

    hyperparameters: tuple[Hyperparameter, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparameters", tuple(self.hyperparameters))
        labels = [h.label for h in self.hyperparameters]
        if len(set(labels)) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            msg = f"{twice} occurs twice in one space"
            raise HyperparameterClash(msg)

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.hyperparameters)

    def __len__(self) -> int:
        return len(self.hyperparameters)

    @cached_property
    def by_key(self) -> Mapping[tuple[str, str], Hyperparameter]:
        """The hyperparameters by (group, name)."""
        return {h.key: h for h in self.hyperparameters}

    @cached_property
    def groups(self) -> Mapping[str, tuple[Hyperparameter, ...]]:
        """The hyperparameters of each group, groups in the order met."""
        groups: dict[str, list[Hyperparameter]] = {}
        for hyperparameter in self:
            groups.setdefault(hyperparameter.group, []).append(hyperparameter)
        return {group: tuple(members) for group, members in groups.items()}

    @cached_property
    def size(self) -> int | None:
        """The number of configurations; None where a hyperparameter is continuous."""
        sizes = [h.domain.size for h in self]
        return None if None in sizes else math.prod(s for s in sizes if s is not None)

    @property
    def defaults(self) -> dict[str, dict[str, Value]]:
        """The configuration of all defaults: what plain code runs with."""
        return nested((h, h.default) for h in self)

    def at(self, index: int) -> dict[str, dict[str, Value]]:
        """Return the configuration at an index below ``size``; the last name turns fastest."""
        digits = []
        for hyperparameter in reversed(self.hyperparameters):
            size = hyperparameter.domain.size
            if size is None:
                msg = f"{hyperparameter.label} is continuous: the space cannot be listed"
                raise HyperparameterError(msg)
            index, digit = divmod(index, size)
            digits.append((hyperparameter, hyperparameter.domain.at(digit)))
        return nested(reversed(digits))

    def decode(self, positions: Iterable[float]) -> dict[str, dict[str, Value]]:
        """Return the configuration at a point of the unit cube, one coordinate a hyperparameter."""
        return nested((h, h.domain.decode(u)) for h, u in zip(self, positions, strict=True))

    def encode(self, values: Values) -> tuple[float, ...]:
        """Return where a configuration lies in the unit cube; what it lacks lies at its default."""
        return tuple(h.domain.encode(values.get(h.group, {}).get(h.name, h.default)) for h in self)

    def extended(self, met: Iterable[Hyperparameter]) -> "Space":
        """Return this space with more hyperparameters at its end."""
        return Space((*self.hyperparameters, *met))

    def complete(self, values: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
        """Return a full configuration: the given values, defaults for the rest.

        Args:
            values: ``{group: {name: value}}``, or ``{name: value}`` where only one group has
                that name, or both mixed.

        Raises:
            HyperparameterError: a name is unknown or stands in several groups, or a value is not
                in its domain.
        """
        given = self.checked(values)
        return nested((h, given.get(h.group, {}).get(h.name, h.default)) for h in self)

    def checked(self, values: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
        """Return the given values alone, each as its domain's own; see `complete`."""
        found: dict[tuple[str, str], Value] = {}
        for key, value in values.items():
            items = value.items() if isinstance(value, Mapping) else [(key, value)]
            group = key if isinstance(value, Mapping) else None
            for name, single in items:
                hyperparameter = self._named(group, name)
                try:
                    found[hyperparameter.key] = hyperparameter.domain.canonical(single)
                except HyperparameterError as error:
                    msg = f"{hyperparameter.label}: {error}"
                    raise HyperparameterError(msg) from None
        return nested((h, found[h.key]) for h in self if h.key in found)

    def _named(self, group: str | None, name: str) -> Hyperparameter:
        matches = [h for h in self if h.name == name and group in (None, h.group)]
        if len(matches) == 1:
            return matches[0]
        wanted = name if group is None else f"{group}/{name}"
        if matches:
            where = ", ".join(h.label for h in matches)
            msg = f"{name!r} stands in several groups: {where}; write {{group: {{name: value}}}}"
        else:
            known = ", ".join(h.label for h in self) or "none"
            msg = f"there is no hyperparameter {wanted!r}; the space has: {known}"
        raise HyperparameterError(msg)

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 of everything that makes this space what it is."""
        return hashlib.sha256(canonical_json(self.to_json()).encode()).hexdigest()

    def to_json(self) -> list[dict[str, Any]]:
        """Return a JSON array that `from_json` turns back into an equal space."""
        return [h.to_json() for h in self]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> "Space":
        """Return the space that `to_json` described."""
        return cls(tuple(Hyperparameter.from_json(item) for item in data))

    def __str__(self) -> str:
        if not self.hyperparameters:
            return "an empty space: no hyperparameter was asked for"
        rows = [
            (group if i == 0 else "", h.name, str(h.domain), repr(h.default), _count(h.domain.size))
            for group, members in self.groups.items()
            for i, h in enumerate(members)
        ]
        header = ("group", "name", "values", "default", "number")
        total = (
            f"{_plural(len(self), 'hyperparameter')} in {_plural(len(self.groups), 'group')}, "
            f"{_plural(self.size, 'configuration')}"
        )
        return f"{text.table(header, rows)}\n{total}"


def nested(items: Iterable[tuple[Hyperparameter, Value]]) -> dict[str, dict[str, Value]]:
    """Return (hyperparameter, value) pairs as ``{group: {name: value}}``."""
    values: dict[str, dict[str, Value]] = {}
    for hyperparameter, value in items:
        values.setdefault(hyperparameter.group, {})[hyperparameter.name] = value
    return values


def canonical_json(data: object) -> str:
    """Return JSON text that is equal for equal data, whatever the order of its keys."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _count(size: int | None) -> str:
    if size is None:
        return "infinite"
    return (
        f"{size:,}" if size < 10**15 else f"about {float(size):.2g}" if size < 10**300 else "huge"
    )


def _plural(size: int | None, noun: str) -> str:
    return f"{_count(size)} {noun}{'' if size == 1 else 's'}"
