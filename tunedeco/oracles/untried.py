"""Configurations that no trial has had: the first of some candidates, or what a space has left.

What counts as tried, `tunedeco.trials` says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from random import Random as Stream

from tunedeco.domains import Domain, Value
from tunedeco.errors import HyperparameterError
from tunedeco.oracles.base import Done, Start
from tunedeco.space import Space, Values, nested
from tunedeco.trial import Trial
from tunedeco.trials import tried

LOOK = 64
"""How many candidates to offer: more would cost more than to search the space for what is left."""


def first_untried(
    space: Space, trials: Sequence[Trial], candidates: Iterable[Values], draw: Stream | None
) -> Start | Done:
    """Return the first candidate that no trial has had; without one, whatever the space has left.

    Args:
        space: what can be chosen.
        trials: all trials so far.
        candidates: configurations in the order preferred.
        draw: picks from what is left at random; None for the first in order.
    """
    known = tried(trials)
    for values in candidates:
        if known.had(values) is None:
            return Start(values)
    left = _left([h.domain for h in space], 0, _clauses(space, trials), draw)
    return Done() if left is None else Start(nested(zip(space, left, strict=True)))


_Clause = Mapping[int, Value]  # place in the space -> value: what agrees with all of it is tried


def _clauses(space: Space, trials: Sequence[Trial]) -> list[_Clause]:
    places = {h.key: (place, h.domain) for place, h in enumerate(space)}
    clauses: list[_Clause] = []
    for trial in trials:
        clause: dict[int, Value] = {}
        try:
            for group, name in trial.asked:
                place, domain = places[group, name]
                clause[place] = domain.canonical(trial.values[group][name])
        except (KeyError, HyperparameterError):
            continue  # nothing in this space agrees with it
        clauses.append(clause)
    return clauses


def _left(
    domains: Sequence[Domain], place: int, clauses: Sequence[_Clause], draw: Stream | None
) -> list[Value] | None:
    """Return values from a place on with which no clause agrees; None if there are none.

    The clauses are those that agree with the values before that place.
    """
    if any(max(clause, default=-1) < place for clause in clauses):
        return None
    if place == len(domains):
        return []
    by_value: dict[tuple[type, Value], list[_Clause]] = {}
    silent = []
    for clause in clauses:
        if place in clause:
            value = clause[place]
            by_value.setdefault((type(value), value), []).append(clause)
        else:
            silent.append(clause)
    for value in _values(domains[place], draw):
        agreeing = by_value.get((type(value), value))
        rest = _left(domains, place + 1, silent + (agreeing or []), draw)
        if rest is not None:
            return [value, *rest]
        if agreeing is None:  # only the silent ones were in the way: so they are for every value
            return None
    return None


def _values(domain: Domain, draw: Stream | None) -> Iterator[Value]:
    size = domain.size
    if size is None:
        yield domain.decode(draw.random() if draw else 0.5)
        return
    begin = draw.randrange(size) if draw else 0
    for index in chain(range(begin, size), range(begin)):
        yield domain.at(index)
