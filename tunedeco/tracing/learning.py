"""From runs of a function to the condition under which it asks for a hyperparameter.

A decision tree is grown greedily by information gain (J. R. Quinlan, "Induction of Decision Trees",
1986), and read off as alternatives. A value that no run had counts like the next lower one that a
run had.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunedeco.conditions import Among, Clause, Condition, Key
from tunedeco.domains import Domain, Value


@dataclass(frozen=True)
class Sample:
    """What one run was asked for, in order, and told."""

    given: dict[Key, Value]
    broken: bool = False
    """Whether it raised: then it might have asked for more."""
    fingerprint: int | None = None
    """Of the way it took; None where that was not followed."""

    def went_like(self, other: "Sample") -> bool:
        """Return whether two runs took the same way, as far as is known."""
        same = list(self.given) == list(other.given) and self.broken == other.broken
        if self.fingerprint is None or other.fingerprint is None:
            return same
        return same and self.fingerprint == other.fingerprint


def learned(
    key: Key, samples: Sequence[Sample], deciding: Sequence[Key], domains: Mapping[Key, Domain]
) -> Condition | None:
    """Return when a hyperparameter is asked for; None if what decides it does not tell.

    Args:
        key: of a hyperparameter that some run asked for.
        samples: all runs.
        deciding: the finite hyperparameters that may decide it; only those count of which it is
            never asked before.
        domains: of each.
    """
    asked = [sample for sample in samples if key in sample.given]
    others = [sample for sample in samples if key not in sample.given and not sample.broken]
    if not others:
        return ()
    orders = [list(sample.given) for sample in asked]
    befores = [keys[: keys.index(key)] for keys in orders]
    causes = [
        k
        for k in deciding
        if all(k in before or k not in order for order, before in zip(orders, befores, strict=True))
    ]
    return _grown(asked, others, causes, domains)


def _grown(
    asked: Sequence[Sample],
    others: Sequence[Sample],
    causes: Sequence[Key],
    domains: Mapping[Key, Domain],
) -> tuple[Clause, ...] | None:
    """Return alternatives that hold in some runs and in none of others; None if there are none."""
    if not others:
        return ((),)
    if not asked:
        return ()
    best: tuple[float, int, int] | None = None
    for place, key in enumerate(causes):
        if any(key not in sample.given for sample in asked):
            continue
        branches = _branches(key, asked, others, domains[key])
        if len(branches) == 1 and all(key in sample.given for sample in others):
            continue
        entropy = sum(_entropy(len(a), len(b)) for a, b in branches.values())
        candidate = (entropy, len(branches), -place)  # of equals the last: it stands nearest
        best = candidate if best is None else min(best, candidate)
    if best is None:
        return None
    key = causes[-best[2]]
    outcomes: dict[int, tuple[Clause, ...]] = {}
    for index, (inside, outside) in sorted(_branches(key, asked, others, domains[key]).items()):
        below = _grown(inside, outside, causes, domains)
        if below is None:
            return None
        outcomes[index] = below
    return tuple(_alternatives(key, outcomes, domains[key]))


def _branches(
    key: Key, asked: Sequence[Sample], others: Sequence[Sample], domain: Domain
) -> dict[int, tuple[list[Sample], list[Sample]]]:
    """Return the runs of both kinds for each value of one hyperparameter that they had."""
    branches: dict[int, tuple[list[Sample], list[Sample]]] = {}
    for kind, samples in enumerate((asked, others)):
        for sample in samples:
            if key in sample.given:
                index = domain.index(sample.given[key])
                branches.setdefault(index, ([], []))[kind].append(sample)
    return branches


def _alternatives(
    key: Key, outcomes: Mapping[int, tuple[Clause, ...]], domain: Domain
) -> list[Clause]:
    """Return the clauses of a node of the tree, values that lead to the same joined."""
    assert domain.size is not None
    starts = [0, *sorted(outcomes)[1:]]
    spans: dict[Clause, list[tuple[int, int]]] = {}
    for index, start, after in zip(
        sorted(outcomes), starts, [*starts[1:], domain.size], strict=True
    ):
        for clause in outcomes[index]:
            runs = spans.setdefault(clause, [])
            if runs and runs[-1][1] == start - 1:
                runs[-1] = runs[-1][0], after - 1
            else:
                runs.append((start, after - 1))
    return [
        (Among(*key, tuple((domain.at(first), domain.at(last)) for first, last in runs)), *clause)
        for clause, runs in spans.items()
    ]


def _entropy(asked: int, others: int) -> float:
    """Return the entropy of a branch, weighted by how many runs are in it."""
    total = asked + others
    return -sum(n * math.log2(n / total) for n in (asked, others) if n)
