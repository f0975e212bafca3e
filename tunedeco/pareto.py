"""Which of several points are better than which, where each has several losses.

Kalyanmoy Deb, Amrit Pratap, Sameer Agarwal and T. Meyarivan, "A Fast and Elitist Multiobjective
Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6 (2002), section III:
fronts of points that none of the rest dominates, and within a front the distance to the neighbours.
A point is compared with those that come after it in the order of losses alone, and only as long as
no other is better: O(n) memory, and at most O(n^2) time.

Points are tuples of finite losses, all of as many; ``()``, which has none, is behind all others.
"""

import bisect
import math
import operator
from collections.abc import Iterator, Sequence

Point = tuple[float, ...]

Rank = tuple[float, float, Point]
"""The number of its front, from 0; its negative crowding distance; itself: the least is best."""

BEHIND: Rank = (math.inf, 0.0, ())
"""The rank of what has no losses."""


def fronts(points: Sequence[Point]) -> Iterator[list[int]]:
    """Yield the places of points by fronts, the best front first; in each, sorted by losses.

    Where two are equal the earlier one comes first; what has no losses is in no front.
    """
    import numpy as np  # here: who has one objective does not wait for it

    equal: dict[Point, list[int]] = {}
    for place, point in enumerate(points):
        if point:
            equal.setdefault(point, []).append(place)
    distinct = sorted(equal)
    if distinct and len(distinct[0]) == 1:  # then one is better than all that come after it
        yield from (equal[point] for point in distinct)
        return
    losses = np.array(distinct, float).T.copy()  # each objective's side by side
    left = np.arange(len(distinct))
    while left.size:
        front = []
        later = np.zeros(len(distinct), bool)
        others, theirs = left, losses[:, left]
        while others.size:  # none of them is better than the first, and nor is any of the front
            front.append(others[0])
            worse = (theirs >= theirs[:, :1]).all(axis=0)  # itself, too
            later[others[worse]] = True
            others, theirs = others[~worse], theirs[:, ~worse]
        later[front] = False
        yield [place for i in front for place in equal[distinct[i]]]
        left = np.flatnonzero(later)


def crowding(front: Sequence[Point]) -> list[float]:
    """Return how far the neighbours of each point of a front are from each other, over all losses.

    Each loss counts as a share of its range; an end of one is infinitely far from others. Of equal
    points the first has the distance, and the others none.
    """
    distances = dict.fromkeys(front, 0.0)
    for place in range(len(front[0])):
        ordered = sorted(distances, key=lambda point: (point[place], point))
        values = [point[place] / 2 for point in ordered]  # of which all differences are finite
        if values[0] == values[-1]:
            continue
        distances[ordered[0]] = distances[ordered[-1]] = math.inf
        for i in range(1, len(ordered) - 1):
            share = (values[i + 1] - values[i - 1]) / (values[-1] - values[0])
            distances[ordered[i]] += share
    return [distances.pop(point, 0.0) for point in front]


def ranks(points: Sequence[Point], enough: int | None = None) -> list[Rank]:
    """Return by what each point is to be sorted: first the better fronts, in each the less crowded.

    So the first of them is the best in the first loss, and soon after comes the best in each other.

    Args:
        points: of all.
        enough: of how many, the best, the ranks are needed: fronts after theirs are `BEHIND`, which
            saves time. None means all.
    """
    found = [BEHIND] * len(points)
    ranked = 0
    for number, front in enumerate(fronts(points)):
        distances = crowding([points[place] for place in front])
        for place, distance in zip(front, distances, strict=True):
            found[place] = (number, -distance, points[place])
        ranked += len(front)
        if enough is not None and ranked >= enough:
            break
    return found


def beaten(points: Sequence[Point], enough: int) -> list[bool]:
    """Return of each point whether so many of those after it are better.

    Better is what dominates: no loss is more, and one is less.
    """
    later: list[Point] = []  # sorted
    found = []
    for point in reversed(points):
        smaller = later[: bisect.bisect_left(later, point)] if point else later
        many = len(smaller)
        if len(point) > 1 and many >= enough:  # of one loss all that are smaller are better
            many = sum(all(map(operator.le, one, point)) for one in smaller)
        found.append(many >= enough)
        if point:
            bisect.insort(later, point)
    return found[::-1]
