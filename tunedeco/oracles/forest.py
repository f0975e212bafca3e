"""Trees over points: what is believed of a loss that jumps, where the surrogate sees only slopes.

Extremely randomized trees (Pierre Geurts, Damien Ernst and Louis Wehenkel, Machine Learning 63
(2006), table 1): a node draws a threshold in each column between its least and its largest point,
and decides by the one that tells the losses apart best; of many columns it looks at some, drawn for
each node. Where trees differ is in doubt (Frank Hutter, Holger Hoos and Kevin Leyton-Brown,
"Sequential Model-Based Optimization for General Algorithm Configuration", LION 2011, section 4.1).
All trees grow at once, a level at a time.
"""

from dataclasses import dataclass

import numpy as np

from tunedeco.oracles.encoding import Indices, Rows

_TREES = 30
_LEAST = 2  # points in a leaf, where there are any more
_COLUMNS = 64  # from which a node chooses at most: more would make it slow
_DOUBT = 1e-9  # where all trees agree


@dataclass(frozen=True, eq=False)
class Forest:
    """What trees say: arrays with a place for each node, the roots first."""

    column: Indices
    """By which column a node decides; -1 in a leaf."""
    threshold: Rows
    left: Indices
    """The node of the points below the threshold; the next one has the others."""
    mean: Rows
    """Of the losses there."""

    def believed(self, points: Rows) -> tuple[Rows, Rows]:
        """Return the mean over trees of the loss in some places, and its standard deviation."""
        node = np.repeat(np.arange(_TREES)[:, None], len(points), axis=1)
        each = np.arange(len(points))
        while ((column := self.column[node]) >= 0).any():
            beyond = points[each, column] >= self.threshold[node]
            node = np.where(column < 0, node, self.left[node] + beyond)
        losses = self.mean[node]
        return losses.mean(axis=0), np.maximum(losses.std(axis=0), _DOUBT)


def grown(points: Rows, losses: Rows, draw: np.random.Generator) -> Forest:
    """Return trees that have grown.

    Args:
        points: where losses were seen, (n, columns), with at least one column.
        losses: (n,).
        draw: picks the thresholds, and the columns if there are many.
    """
    levels = []
    sample = np.tile(np.arange(len(points)), _TREES)  # one node's after another's
    sizes = np.full(_TREES, len(points))
    count = 0
    while len(sizes):
        count += len(sizes)
        begin = np.cumsum(sizes) - sizes
        node = np.repeat(np.arange(len(sizes)), sizes)
        if points.shape[1] > _COLUMNS:
            columns = draw.integers(0, points.shape[1], (len(sizes), _COLUMNS))
        else:
            columns = np.tile(np.arange(points.shape[1]), (len(sizes), 1))
        seen, lost = points[sample[:, None], columns[node]], losses[sample]
        low, high = np.minimum.reduceat(seen, begin), np.maximum.reduceat(seen, begin)
        threshold = low + draw.random(low.shape) * (high - low)
        mean = np.add.reduceat(lost, begin) / sizes
        below = seen < threshold[node]
        smaller = np.add.reduceat(below, begin, dtype=np.intp)
        larger = sizes[:, None] - smaller
        less = np.add.reduceat(below * (lost - mean[node])[:, None], begin)
        # by how much the squares of the losses around their mean become less
        gain = less**2 / np.maximum(smaller, 1) + less**2 / np.maximum(larger, 1)
        gain[(smaller < _LEAST) | (larger < _LEAST)] = 0.0
        nodes, chosen = np.arange(len(sizes)), gain.argmax(axis=1)
        splits = gain[nodes, chosen] > 0
        left = 2 * (np.cumsum(splits) - 1)  # among the nodes of the next level
        column = np.where(splits, columns[nodes, chosen], -1)
        levels.append((column, threshold[nodes, chosen], count + left, mean))
        beyond = ~below[np.arange(len(node)), chosen[node]]
        goes_on = splits[node]
        child = (left[node] + beyond)[goes_on]
        sample = sample[goes_on][np.argsort(child, kind="stable")]
        sizes = np.bincount(child)
    return Forest(*map(np.concatenate, zip(*levels, strict=True)))
