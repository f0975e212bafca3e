"""Which of several points are better than which, where each has several losses.

Kalyanmoy Deb, Amrit Pratap, Sameer Agarwal and T. Meyarivan, "A Fast and Elitist Multiobjective
Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6 (2002), section III:
fronts of points that none of the rest dominates, and within a front the distance to the neighbours.
To compare each with each takes O(n^2) time and memory.

Points are tuples of finite losses, all of as many; ``()``, which has none, is behind all others.
"""

import math
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

    places = sorted((i for i, point in enumerate(points) if point), key=points.__getitem__)
    no_worse = np.ones((len(places), len(places)), bool)
    for losses in zip(*(points[i] for i in places), strict=True):
        no_worse &= np.less_equal.outer(losses, losses)
    better = no_worse & ~no_worse.T
    ahead = better.sum(axis=0)
    while (front := np.flatnonzero(ahead == 0)).size:
        yield [places[i] for i in front]
        ahead -= better[front].sum(axis=0)
        ahead[front] = -1


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


def ranks(points: Sequence[Point]) -> list[Rank]:
    """Return by what each point is to be sorted: first the better fronts, in each the less crowded.

    So the first of them is the best in the first loss, and soon after comes the best in each other.
    """
    found = [BEHIND] * len(points)
    for number, front in enumerate(fronts(points)):
        distances = crowding([points[place] for place in front])
        for place, distance in zip(front, distances, strict=True):
            found[place] = (number, -distance, points[place])
    return found
