"""How new configurations are made of old ones, many at once, as rows of numbers.

Of a long domain chance hardly ever meets the first value or the last, where the best often lies and
a model knows least; so some of the new ones are sent there.
"""

import numpy as np

from tunedeco.oracles.encoding import Encoding, Flags, Rows

Draw = np.random.Generator

_LONG = 16  # values of a domain whose ends chance hardly ever meets
_TO_AN_END = 0.25  # of the mutations in such a domain


def spread_out(encoding: Encoding, count: int, draw: Draw) -> Rows:
    """Return points of which every hyperparameter has one in each of its ``count`` equal parts.

    A latin hypercube: Michael McKay, Richard Beckman and William Conover, "A Comparison of Three
    Methods for Selecting Values of Input Variables", Technometrics 21 (1979), section 2.
    """
    parts = np.array([draw.permutation(count) for _ in encoding.sizes]).reshape(-1, count).T
    return encoding.settled((parts + draw.random(parts.shape)) / count)


def anywhere(encoding: Encoding, count: int, draw: Draw, *, at_ends: float = 0.0) -> Rows:
    """Return random points; in every second one so large a share of long domains is at an end."""
    points = draw.random((count, len(encoding.sizes)))
    for i in encoding.searched:
        if at_ends and _long(encoding, i):
            place = points[::2, i]
            points[::2, i] = np.where(draw.random(len(place)) < at_ends, place.round(), place)
    return encoding.settled(points)


def crossed(some: Rows, others: Rows, draw: Draw) -> Rows:
    """Return children with each value of one parent or the other.

    Gilbert Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989.
    """
    return np.where(draw.integers(0, 2, some.shape) == 0, some, others)


def mutated(encoding: Encoding, parents: Rows, draw: Draw, *, share: float, steps: Rows) -> Rows:
    """Return children that differ from their parents in at least one value.

    Args:
        encoding: of the space.
        parents: a row for each child.
        draw: the source of randomness.
        share: how many values are to differ, on average, beyond the one.
        steps: the standard deviation of each child's steps, in widths of a domain.
    """
    count = len(parents)
    # what the parent does not ask for lies anywhere: the child may ask for it
    points = np.where(np.isnan(parents), draw.random(parents.shape), parents)
    if not encoding.searched:
        return encoding.settled(points)
    searched = np.array(encoding.searched)
    changed: Flags = np.less(draw.random(parents.shape), share / len(searched))
    # an expressed value, or the child may be its parent's twin
    weight = np.where(np.isnan(parents[:, searched]), -1.0, draw.random((count, len(searched))))
    changed[np.arange(count), searched[weight.argmax(axis=1)]] = True
    for i in searched:
        size, place = encoding.sizes[i], points[:, i]
        if encoding.ordered[i]:
            step = draw.normal(0.0, 1.0, count) * steps
            if size is not None:  # or it is too short to leave the present value
                step = np.where(np.abs(step) < 1 / size, np.copysign(1 / size, step), step)
            # a wall reflects: cutting off would pile half of all steps onto the ends
            moved = np.abs(place + step)
            moved = np.clip(np.where(moved > 1, 2 - moved, moved), 0, 1)
            if _long(encoding, i):
                # a wall stops the steps from elsewhere, and some go to an end straight away
                to_end = draw.random(count) < _TO_AN_END
                stopped = np.where(to_end, draw.integers(0, 2, count), np.clip(place + step, 0, 1))
                moved = np.where(stopped == place, moved, stopped)
            if size is not None:  # it may have come back to where it was
                same = (moved * size).astype(np.int64) == (place * size).astype(np.int64)
                beside = np.where(place + 1 / size < 1, place + 1 / size, place - 1 / size)
                moved = np.where(same, beside, moved)
        else:
            index = np.minimum(place * size, size - 1).astype(np.int64)
            moved = ((index + draw.integers(1, size, count)) % size + 0.5) / size
        points[:, i] = np.where(changed[:, i], moved, place)
    return encoding.settled(points)


def _long(encoding: Encoding, i: int) -> bool:
    """Return whether chance hardly ever meets an end of a domain."""
    size = encoding.sizes[i]
    return bool(encoding.ordered[i]) and (size is None or size >= _LONG)
