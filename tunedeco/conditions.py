"""Under which values of others a hyperparameter is asked for, and how many configurations that is.

A condition is an *or* of *ands*: alternatives, each a set of requirements on hyperparameters that
come earlier. Without a condition a hyperparameter is always asked for.

Counting never lists. Hyperparameters that no condition connects are independent, so the number of
configurations is a product over connected groups; within one, a configuration is a path through
layers of states, a state being what its conditions have come to after the values so far.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, final

from tunedeco.domains import Domain, Value
from tunedeco.errors import HyperparameterError

Key = tuple[str, str]
"""(group, name)."""


@final
@dataclass(frozen=True)
class Among:
    """A requirement: this hyperparameter is asked for, and its value lies in one of these runs."""

    group: str
    name: str
    runs: tuple[tuple[Value, Value], ...]
    """First and last value of each run, in the order of the domain, both included."""

    def __eq__(self, other: object) -> bool:
        # to Python 1, 1.0 and True are equal, and as values of a choice they are not
        return isinstance(other, Among) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash((self.group, self.name, self.runs))

    @property
    def key(self) -> Key:
        """(group, name) of what is required of."""
        return self.group, self.name

    def spans(self, domain: Domain) -> list[tuple[int, int]]:
        """Return the runs as indices of a domain; values that it has no longer are left out."""
        spans = []
        for first, last in self.runs:
            try:
                spans.append((_index(domain, first), _index(domain, last)))
            except HyperparameterError:
                continue
        return spans

    def holds(self, domain: Domain, value: Value) -> bool:
        """Return whether a value of the domain is among them."""
        index = domain.index(value)
        return any(first <= index <= last for first, last in self.spans(domain))

    def describe(self, domain: Domain) -> str:
        """Return the requirement as text, such as ``head is 'conv'``."""
        values: list[str] = []
        for first, last in self.spans(domain):
            if last - first < 3:  # noqa: PLR2004 (more are shown as a range)
                values += [repr(domain.at(index)) for index in range(first, last + 1)]
            else:
                values.append(f"{domain.at(first)!r} to {domain.at(last)!r}")
        return f"{self.name} is {' or '.join(values)}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns back into an equal requirement."""
        return {"group": self.group, "name": self.name, "runs": [list(run) for run in self.runs]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Among":
        """Return the requirement that `to_json` described."""
        return cls(data["group"], data["name"], tuple((run[0], run[1]) for run in data["runs"]))


Clause = tuple[Among, ...]
"""Requirements that must all hold."""

Condition = tuple[Clause, ...]
"""Alternatives of which one must hold; none at all means: always."""


def holds(condition: Condition, values: Mapping[Key, Value], domains: Mapping[Key, Domain]) -> bool:
    """Return whether a hyperparameter is asked for, given the values of those before it."""
    return not condition or any(
        all(a.key in values and a.holds(domains[a.key], values[a.key]) for a in clause)
        for clause in condition
    )


def describe(condition: Condition, domains: Mapping[Key, Domain]) -> str:
    """Return a condition as text; nothing where there is none."""
    return ", or ".join(
        " and ".join(a.describe(domains[a.key]) for a in clause) for clause in condition
    )


_MOST_STATES = 20_000  # beyond, conditions are ignored: their configurations are counted too often

_Literal = tuple[int, tuple[tuple[int, int], ...]]  # place in the group, spans of its values
_Open = frozenset[frozenset[_Literal]]  # alternatives that may still come true
_Pending = bool | _Open
_State = tuple[_Pending, ...]  # for each hyperparameter from a place on, what its condition came to


@dataclass(frozen=True)
class _Step:
    """What values of one hyperparameter lead to: a run of them, or none since it is inactive."""

    first: int
    number: int
    """How many values; 0 where the hyperparameter is not asked for."""
    state: _State


@final
@dataclass(frozen=True)
class Connected:
    """Hyperparameters that conditions connect, in order, and the paths through them."""

    keys: tuple[Key, ...]
    domains: tuple[Domain, ...]
    conditions: tuple[Condition, ...]

    @property
    def size(self) -> int:
        """The number of configurations; all domains are finite."""
        layers, counts = self._paths
        return counts[0][next(iter(layers[0]))] if layers else 1

    def at(self, index: int) -> dict[Key, Value]:
        """Return the configuration at an index below `size`; the last name turns fastest."""
        layers, counts = self._paths
        values: dict[Key, Value] = {}
        state = next(iter(layers[0])) if layers else ()
        for place, (key, domain) in enumerate(zip(self.keys, self.domains, strict=True)):
            for step in layers[place][state]:
                below = counts[place + 1][step.state]
                if index < (step.number or 1) * below:
                    break
                index -= (step.number or 1) * below
            if step.number:
                turn, index = divmod(index, below)
                values[key] = domain.at(step.first + turn)
            state = step.state
        return values

    @cached_property
    def _paths(self) -> tuple[list[dict[_State, list[_Step]]], list[dict[_State, int]]]:
        """Return for each place the steps from each state, and the number of paths from there."""
        places = {key: place for place, key in enumerate(self.keys)}
        start = tuple(
            frozenset(frozenset(self._literal(a, places) for a in clause) for clause in condition)
            or True
            for condition in self.conditions
        )
        layers = self._layers(start)
        if layers is None:
            layers = self._layers((True,) * len(self.keys))
            assert layers is not None
        counts: list[dict[_State, int]] = [{(): 1}]
        for layer in reversed(layers):
            after = counts[0]
            counts.insert(
                0,
                {
                    state: sum((step.number or 1) * after[step.state] for step in steps)
                    for state, steps in layer.items()
                },
            )
        return layers, counts

    def _literal(self, among: Among, places: Mapping[Key, int]) -> _Literal:
        place = places[among.key]
        return place, tuple(among.spans(self.domains[place]))

    def _layers(self, start: _State) -> list[dict[_State, list[_Step]]] | None:
        """Return the steps from each state that can be reached; None if there are too many."""
        layers: list[dict[_State, list[_Step]]] = []
        reached: dict[_State, None] = {start: None}
        states = 0
        for place, domain in enumerate(self.domains):
            layer = {state: list(_steps(place, domain, state)) for state in reached}
            states += len(layer)
            if states > _MOST_STATES:
                return None
            layers.append(layer)
            reached = {step.state: None for steps in layer.values() for step in steps}
        return layers


def connected(
    keys: Sequence[Key], domains: Mapping[Key, Domain], conditions: Mapping[Key, Condition]
) -> list[Connected]:
    """Return hyperparameters in groups that are independent of each other, in order.

    Args:
        keys: in order; what a condition requires comes before what it is the condition of.
        domains: of each.
        conditions: of each; none where it is always asked for.
    """
    group_of = {key: [key] for key in keys}
    for key in keys:
        for parent in {among.key for clause in conditions[key] for among in clause}:
            ours, theirs = group_of[key], group_of[parent]
            if ours is not theirs:
                theirs += ours
                for moved in ours:
                    group_of[moved] = theirs
    order = {key: place for place, key in enumerate(keys)}
    groups = {id(group): sorted(group, key=order.__getitem__) for group in group_of.values()}
    return [
        Connected(
            tuple(group),
            tuple(domains[key] for key in group),
            tuple(conditions[key] for key in group),
        )
        for group in sorted(groups.values(), key=lambda group: order[group[0]])
    ]


def _steps(place: int, domain: Domain, state: _State) -> Iterator[_Step]:
    condition, *rest = state
    if condition is False:
        yield _Step(0, 0, tuple(_decided(pending, place, None) for pending in rest))
        return
    size = domain.size
    assert size is not None
    ends = {0, size}
    for pending in rest:
        if not isinstance(pending, bool):
            spans = (s for clause in pending for at, runs in clause if at == place for s in runs)
            ends.update(end for first, last in spans for end in (first, last + 1))
    borders = sorted(ends)
    for first, after in pairwise(borders):
        after_it = tuple(_decided(pending, place, first) for pending in rest)
        yield _Step(first, after - first, after_it)


def _decided(pending: _Pending, place: int, index: int | None) -> _Pending:
    """Return what a condition comes to when a hyperparameter has a value, or is inactive."""
    if isinstance(pending, bool):
        return pending
    still = []
    for clause in pending:
        spans = [spans for at, spans in clause if at == place]
        if index is None and spans:
            continue
        if index is not None and not all(any(f <= index <= n for f, n in runs) for runs in spans):
            continue
        rest = frozenset(literal for literal in clause if literal[0] != place)
        if not rest:
            return True
        still.append(rest)
    return frozenset(still) or False


def _index(domain: Domain, value: Value) -> int:
    return domain.index(domain.canonical(value))
