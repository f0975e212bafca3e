"""Losses of trials that were trained for different numbers of epochs, made comparable.

Where some trials go on and others do not, what a trial lost after few epochs is compared with what
others lost after many. From one level to the next, those trained on both say by how much a loss
falls on average; the others are taken to fall by as much.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np

from tunedeco.oracles.encoding import Rows
from tunedeco.trial import State, Trial


def levelled(trials: Sequence[Trial]) -> Rows:
    """Return the loss of each ended trial as if all had gone equally far, (n,).

    It is infinite where one went wrong.
    """
    ended = [t for t in trials if t.state is State.COMPLETED and t.loss is not None]
    levels = sorted({t.until for t in ended})
    falls = dict.fromkeys(levels[-1:], 0.0)
    for level, after in reversed(list(pairwise(levels))):
        both = ((t.loss_at(level), t.loss_at(after)) for t in ended if t.until >= after)
        changes = [b - a for a, b in both if a is not None and b is not None]
        falls[level] = falls[after] + (fmean(changes) if changes else 0.0)
    losses = np.full(len(trials), math.inf)
    for i, trial in enumerate(trials):
        if trial.state is State.COMPLETED and trial.loss is not None:
            losses[i] = trial.loss + falls[trial.until]
    return losses
