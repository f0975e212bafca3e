"""The space: every hyperparameter of a model function, by group and name, in the order met.

A configuration is a nested dict, ``{group: {name: value}}``, the same in Python, in the journal and
in every JSON we print. It holds what is asked for with these values, and nothing else. A finite
space answers by index, so that a grid, or a permutation of one, costs the same for 10
configurations and for 10^30.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tunedeco import conditions, text
from tunedeco.conditions import Among, Condition, Connected, Key
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

# with what stands on signatures: space.Range(8, 64, 8)
__all__ = [
    "DEFAULT_GROUP",
    "Boolean",
    "Choice",
    "Coverage",
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
    "flat",
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
    when: Condition = ()
    """Under which values of others it is asked for; empty: always, as far as is known."""

    def __post_init__(self) -> None:
        check_label(self.group, "group")
        check_label(self.name, "name")
        object.__setattr__(self, "default", self.domain.checked_default(self.default))

    @property
    def key(self) -> Key:
        """(group, name): its identity."""
        return self.group, self.name

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.group}/{self.name}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns back into an equal hyperparameter."""
        data: dict[str, Any] = {
            "group": self.group,
            "name": self.name,
            "domain": self.domain.to_json(),
            "default": self.default,
        }
        if self.when:
            data["when"] = [[among.to_json() for among in clause] for clause in self.when]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Hyperparameter":
        """Return the hyperparameter that `to_json` described."""
        when = tuple(tuple(map(Among.from_json, clause)) for clause in data.get("when", ()))
        domain = domain_from_json(data["domain"])
        return cls(data["group"], data["name"], domain, data["default"], when=when)


@dataclass(frozen=True)
class Coverage:
    """How much of a function tracing has seen."""

    runs: int
    """How often it was run."""
    complete: bool
    """Whether every way that a change of values leads to was followed to its end."""
    limit: int
    """The most runs that were allowed."""
    problem: str | None = None
    """Why models could not be built without their weights; None where they could."""


@dataclass(frozen=True)
class Space:
    """An ordered set of hyperparameters; iterate over it, or ask it by group.

    Raises:
        HyperparameterClash: the same ``group/name`` occurs twice.
        HyperparameterError: a condition is about what does not come earlier.
    """

    hyperparameters: tuple[Hyperparameter, ...] = ()
    coverage: Coverage | None = field(default=None, compare=False, repr=False)
    """What tracing has seen of the function; None for a space that was not traced."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparameters", tuple(self.hyperparameters))
        labels = [h.label for h in self.hyperparameters]
        if len(set(labels)) < len(labels):
            twice = next(label for label in labels if labels.count(label) > 1)
            msg = f"{twice} occurs twice in one space"
            raise HyperparameterClash(msg)
        earlier: set[Key] = set()
        for hyperparameter in self:
            if any(a.key not in earlier for clause in hyperparameter.when for a in clause):
                msg = f"{hyperparameter.label} has a condition on what does not come before it"
                raise HyperparameterError(msg)
            earlier.add(hyperparameter.key)

    def __iter__(self) -> Iterator[Hyperparameter]:
        return iter(self.hyperparameters)

    def __len__(self) -> int:
        return len(self.hyperparameters)

    @cached_property
    def by_key(self) -> Mapping[Key, Hyperparameter]:
        """The hyperparameters by (group, name)."""
        return {h.key: h for h in self.hyperparameters}

    @cached_property
    def groups(self) -> Mapping[str, "Space"]:
        """The space of each group by itself, groups in the order met.

        What depends on a hyperparameter of another group is always asked for in it.
        """
        members: dict[str, list[Hyperparameter]] = {}
        for h in self:
            inside = all(a.group == h.group for clause in h.when for a in clause)
            members.setdefault(h.group, []).append(h if inside else replace(h, when=()))
        return {group: Space(tuple(hyperparameters)) for group, hyperparameters in members.items()}

    @cached_property
    def domains(self) -> Mapping[Key, Domain]:
        """The domain of each (group, name)."""
        return {h.key: h.domain for h in self}

    @cached_property
    def conditional(self) -> bool:
        """Whether some hyperparameters are asked for under some values of others only."""
        return any(h.when for h in self)

    @cached_property
    def size(self) -> int | None:
        """The number of distinct configurations; None where a hyperparameter is continuous."""
        if any(h.domain.size is None for h in self):
            return None
        return math.prod(part.size for part in self.parts)

    @cached_property
    def parts(self) -> list[Connected]:
        """The hyperparameters in parts that no condition connects; all domains must be finite."""
        return conditions.connected(
            [h.key for h in self], self.domains, {h.key: h.when for h in self}
        )

    @property
    def defaults(self) -> dict[str, dict[str, Value]]:
        """The configuration of all defaults: what plain code runs with."""
        return self.asked(self.assigned({}))

    def assigned(self, values: Mapping[Key, Value]) -> dict[Key, Value]:
        """Return a value for every hyperparameter: the given one, or its default."""
        return {h.key: values.get(h.key, h.default) for h in self}

    def at(self, index: int) -> dict[str, dict[str, Value]]:
        """Return the configuration at an index below ``size``; the last name turns fastest."""
        if self.size is None:
            label = next(h.label for h in self if h.domain.size is None)
            msg = f"{label} is continuous: the space cannot be listed"
            raise HyperparameterError(msg)
        values: dict[Key, Value] = {}
        for part in reversed(self.parts):
            index, turn = divmod(index, part.size)
            values |= part.at(turn)
        return nested((h, values[h.key]) for h in self if h.key in values)

    def asked(self, values: Mapping[Key, Value]) -> dict[str, dict[str, Value]]:
        """Return the part of a full assignment that is asked for."""
        if not self.conditional:
            return nested((h, values[h.key]) for h in self)
        active: dict[Key, Value] = {}
        for h in self:
            if conditions.holds(h.when, active, self.domains):
                active[h.key] = values[h.key]
        return nested((h, active[h.key]) for h in self if h.key in active)

    def decode(self, positions: Iterable[float]) -> dict[str, dict[str, Value]]:
        """Return the configuration at a point of the unit cube, one coordinate a hyperparameter."""
        return self.asked({h.key: h.domain.decode(u) for h, u in zip(self, positions, strict=True)})

    def encode(self, values: Values) -> tuple[float, ...]:
        """Return where a configuration lies in the unit cube; what it lacks lies at its default.

        Raises:
            HyperparameterError: a value is not in its domain.
        """
        given = [values.get(h.group, {}).get(h.name, h.default) for h in self]
        return tuple(
            h.domain.encode(h.domain.canonical(v)) for h, v in zip(self, given, strict=True)
        )

    def extended(self, met: Iterable[Hyperparameter]) -> "Space":
        """Return this space with more hyperparameters at its end."""
        return replace(self, hyperparameters=(*self.hyperparameters, *met))

    def unconditional(self, keys: Iterable[Key]) -> "Space":
        """Return this space with some hyperparameters that are always asked for."""
        loosened = set(keys)
        return replace(
            self,
            hyperparameters=tuple(replace(h, when=()) if h.key in loosened else h for h in self),
        )

    def complete(self, values: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
        """Return a configuration: the given values and defaults, as far as they are asked for.

        Args:
            values: ``{group: {name: value}}``, or ``{name: value}`` where only one group has
                that name, or both mixed.

        Raises:
            HyperparameterError: a name is unknown or stands in several groups, or a value is not
                in its domain.
        """
        return self.asked(self.assigned(flat(self.checked(values))))

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
        conditional = self.conditional
        rows = [
            (
                group if i == 0 else "",
                *(h.name, str(h.domain), repr(h.default), _count(h.domain.size)),
                *([conditions.describe(self.by_key[h.key].when, self.domains)] * conditional),
            )
            for group, members in self.groups.items()
            for i, h in enumerate(members)
        ]
        header = ("group", "name", "values", "default", "number", *(["when"] * conditional))
        sizes = ", ".join(
            f"{group} {_count(members.size)}" for group, members in self.groups.items()
        )
        total = (
            f"{_plural(len(self), 'hyperparameter')} in {_plural(len(self.groups), 'group')} "
            f"({sizes}), {_plural(self.size, 'configuration')}"
        )
        lines = [text.table(header, rows), total]
        if self.coverage is not None and not self.coverage.complete:
            lines.append(
                f"there may be more: tracing stopped after {self.coverage.runs} runs (the bound is "
                f"max_traces={self.coverage.limit}); what is met in a trial joins the space"
            )
        return "\n".join(lines)


def nested(items: Iterable[tuple[Hyperparameter, Value]]) -> dict[str, dict[str, Value]]:
    """Return (hyperparameter, value) pairs as ``{group: {name: value}}``."""
    values: dict[str, dict[str, Value]] = {}
    for hyperparameter, value in items:
        values.setdefault(hyperparameter.group, {})[hyperparameter.name] = value
    return values


def flat(values: Values) -> dict[Key, Value]:
    """Return ``{group: {name: value}}`` as ``{(group, name): value}``."""
    return {(group, name): v for group, names in values.items() for name, v in names.items()}


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
