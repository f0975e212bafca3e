"""Configurations as rows of numbers, for the oracles that compute with many at once.

A row has a place in the unit interval for each hyperparameter, where its domain encodes it, and NaN
for what the configuration does not ask for.

Hyperparameters without an order are alike when they have the same domain, and names and groups that
differ in numbers alone: the choices of layers. What an option does in one layer it mostly does in
another, so a point also says how many have each.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

import numpy as np

from tunedeco.domains import Domain
from tunedeco.space import Space, Values, flat

Rows = np.ndarray[Any, np.dtype[np.float64]]
"""Numbers; mostly (configurations, hyperparameters)."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.intp]]

_Clause = tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
"""Other hyperparameters, and the runs of indices in which they must lie."""

_HALF = 0.5**0.5  # so far from zero, in two directions, are points at a distance of 1
_ALONE = 0.95  # and so far from a place in the unit interval, seen from its middle
_BY_ITSELF = 0.25  # how much each of several that are alike counts beside them all together
_LISTED = 4096  # values up to which an uneven domain's places are listed


@dataclass(frozen=True, eq=False)
class Encoding:
    """What is computed once for a space."""

    space: Space
    ordered: Flags
    """For each hyperparameter, whether places that are near each other mean what is alike."""
    sizes: tuple[int | None, ...]
    searched: tuple[int, ...]
    """The hyperparameters with more than one value."""
    places: tuple[Rows | None, ...]
    """Where an uneven domain's values lie, if they are few enough to list."""
    conditions: tuple[tuple[_Clause, ...], ...]
    """For each hyperparameter the alternatives under which it is asked for; none means always."""
    alike: tuple[tuple[int, ...], ...]
    """Sets of hyperparameters that are alike."""

    def rows(self, configurations: Sequence[Values]) -> Rows:
        """Return the rows of configurations."""
        found = np.full((len(configurations), len(self.space)), np.nan)
        for row, values in zip(found, configurations, strict=True):
            asked = flat(values)
            for i, h in enumerate(self.space):
                if h.key in asked:
                    row[i] = h.domain.encode(h.domain.canonical(asked[h.key]))
        return found

    def values(self, row: Rows) -> Values:
        """Return the configuration of a row."""
        return self.space.decode(0.5 if place != place else place for place in row.tolist())  # noqa: PLR0124 (not NaN)

    @cached_property
    def dimensions(self) -> tuple[int, ...]:
        """To which hyperparameter, or set of alike ones, each column of `points` belongs."""
        widths = [*self._widths, *(self._columns(i) for i, *_ in self.alike)]
        return tuple(i for i, width in enumerate(widths) for _ in range(width))

    @cached_property
    def _decisive(self) -> set[int]:
        """The hyperparameters on whose values others depend."""
        return {i for alternatives in self.conditions for clause in alternatives for i, _ in clause}

    @cached_property
    def _widths(self) -> list[int]:
        """How many columns a hyperparameter has."""
        conditional = [bool(alternatives) for alternatives in self.conditions]
        return [self._columns(i) + also for i, also in enumerate(conditional)]

    def _columns(self, i: int) -> int:
        """Return how many columns say a hyperparameter's value."""
        return 1 if self.ordered[i] else self.sizes[i] or 1

    def points(self, rows: Rows) -> Rows:
        """Return rows as points whose distances say how alike they are, (n, columns).

        Values without an order are all at a distance of 1, and so is what is not asked for, about,
        from what is. Those of alike ones are nearer, since most of what they say is in how many
        have each option, which comes last.
        """
        points = np.zeros((len(rows), sum(self._widths)))
        column = 0
        own = []
        for i, (width, size) in enumerate(zip(self._widths, self.sizes, strict=True)):
            row, missing = rows[:, i], np.isnan(rows[:, i])
            if self.ordered[i]:
                points[:, column] = np.where(missing, 0.5, row)
            else:
                index = np.where(missing, 0, row * (size or 1)).astype(np.int64)
                points[np.arange(len(rows)), column + index] = np.where(missing, 0.0, _HALF)
            if self.conditions[i]:
                points[:, column + width - 1] = missing * (_ALONE if self.ordered[i] else _HALF)
            own.append(points[:, column : column + self._columns(i)])
            column += width
        together = [sum(own[i] for i in alike) / len(alike) ** 0.5 for alike in self.alike]
        for i in chain.from_iterable(self.alike):
            own[i] *= _BY_ITSELF
        return np.concatenate([points, *together], axis=1)

    def settled(self, points: Rows) -> Rows:
        """Return points of the unit cube as rows: at the values there are, NaN where not asked."""
        rows = points.copy()
        indices: dict[int, Any] = {}
        for i, (h, places) in enumerate(zip(self.space, self.places, strict=True)):
            size = self.sizes[i]
            if size is None:
                continue
            if places is not None:
                indices[i] = np.searchsorted((places[1:] + places[:-1]) / 2, points[:, i])
                rows[:, i] = places[indices[i]]
            elif h.domain.even:
                indices[i] = np.minimum(points[:, i] * size, size - 1).astype(np.int64)
                rows[:, i] = (indices[i] + 0.5) / size
            elif i in self._decisive:
                values = [h.domain.decode(place) for place in points[:, i].tolist()]
                indices[i] = np.array([h.domain.index(value) for value in values])
                rows[:, i] = [h.domain.encode(value) for value in values]
        for i, alternatives in enumerate(self.conditions):
            if alternatives:
                asked = np.zeros(len(rows), bool)
                for clause in alternatives:
                    holds = np.ones(len(rows), bool)
                    for other, spans in clause:
                        among = [(a <= indices[other]) & (indices[other] <= b) for a, b in spans]
                        holds &= ~np.isnan(rows[:, other]) & np.any(among, axis=0)
                    asked |= holds
                rows[~asked, i] = np.nan
        return rows


@lru_cache(maxsize=4)
def encoding(space: Space) -> Encoding:
    """Return the encoding of a space."""
    places = {h.key: i for i, h in enumerate(space)}
    domains = [h.domain for h in space]
    return Encoding(
        space,
        np.array([domain.ordered for domain in domains], bool),
        tuple(domain.size for domain in domains),
        tuple(i for i, domain in enumerate(domains) if domain.size != 1),
        tuple(map(_places, domains)),
        tuple(
            tuple(
                tuple((places[a.key], tuple(a.spans(space.domains[a.key]))) for a in clause)
                for clause in h.when
            )
            for h in space
        ),
        _alike(space),
    )


def _alike(space: Space) -> tuple[tuple[int, ...], ...]:
    """Return the sets of hyperparameters that are alike, by their places in the space."""
    sets: dict[Any, list[int]] = {}
    for i, h in enumerate(space):
        if not h.domain.ordered and h.domain.size != 1:
            group, name = (re.sub(r"_?\d+", "", part) for part in h.key)
            sets.setdefault((group, name, h.domain), []).append(i)
    return tuple(tuple(alike) for alike in sets.values() if len(alike) > 1)


def _places(domain: Domain) -> Rows | None:
    if domain.even or domain.size is None or domain.size > _LISTED:
        return None
    return np.array([domain.encode(domain.at(index)) for index in range(domain.size)])
