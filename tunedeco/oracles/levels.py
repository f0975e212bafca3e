"""Losses of trials that were trained for different numbers of epochs, made comparable.

Where some trials go on and others do not, what a trial lost after few epochs is compared with what
others lost after many. From one level to the next, those trained on both say by how much a loss
falls on average; the others are taken to fall by as much.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tunedeco.oracles.encoding import Rows
from tunedeco.trial import State, Trial


def levelled(trials: Sequence[Trial]) -> Rows:
    """Return the losses of ended trials as if all had gone equally far, (n, objectives).

    They are infinite where one went wrong.
    """
    points = {i: t.point for i, t in enumerate(trials) if t.state is State.COMPLETED and t.point}
    levels = sorted({trials[i].until for i in points})
    count = max(map(len, points.values()), default=1)
    falls = dict.fromkeys(levels[-1:], np.zeros(count))
    for level, after in reversed(list(pairwise(levels))):
        both = (trials[i] for i in points if trials[i].until >= after)
        changes = [
            np.subtract(t.point_at(after), t.point_at(level)) for t in both if t.point_at(level)
        ]
        falls[level] = falls[after] + (np.mean(changes, axis=0) if changes else 0.0)
    losses = np.full((len(trials), count), np.inf)
    for i, point in points.items():
        losses[i] = point + falls[trials[i].until]
    return losses
