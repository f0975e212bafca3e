"""Losses of trials that were trained for different numbers of epochs, made comparable.

Where some trials go on and others do not, what a trial lost after few epochs is compared with what
others lost after many. From one level to the next, those trained on both say by how much a loss
falls, as the median of them; the others are taken to fall by as much.
"""

from collections.abc import Sequence

import numpy as np

from tunedeco.oracles.encoding import Rows
from tunedeco.trial import State, Trial

SCALE = 2.0**-10
"""What losses are multiplied with, so that no sum of them is too large for a number."""


def levelled(trials: Sequence[Trial]) -> Rows:
    """Return the losses of ended trials as if all had gone equally far, (n, objectives), scaled.

    They are infinite where one went wrong.
    """
    ended = [i for i, t in enumerate(trials) if t.state is State.COMPLETED and t.point]
    count = len(trials[ended[0]].point) if ended else 1
    found = np.full((len(trials), count), np.inf)
    if ended:
        until = np.array([trials[i].until for i in ended])
        found[ended] = np.array([trials[i].point for i in ended]) * SCALE
        levels = np.unique(until)
        if len(levels) > 1:
            falls = _falls([trials[i] for i in ended], until, levels, count)
            found[ended] += falls[np.searchsorted(levels, until)]
    return found


def _falls(trials: Sequence[Trial], until: Rows, levels: Rows, count: int) -> Rows:
    """Return by how much losses change from each level to the last, (levels, objectives)."""
    known = np.full((len(levels), len(trials), count), np.nan)
    for i, trial in enumerate(trials):
        curve = _curve(trial)
        if len(curve):
            passed = np.minimum(levels[levels <= until[i]], len(curve))
            known[: len(passed), i] = curve[passed - 1] * SCALE
    falls = np.zeros((len(levels), count))
    for level in reversed(range(len(levels) - 1)):
        changes = known[level + 1] - known[level]
        changes = changes[np.isfinite(changes).all(axis=1)]
        falls[level] = falls[level + 1] + (np.median(changes, axis=0) if len(changes) else 0.0)
    return falls


def _curve(trial: Trial) -> Rows:
    """Return the point that a trial was at after each epoch, (epochs, objectives)."""
    if trial.points:
        return np.array([point or [np.nan] * len(trial.point) for point in trial.points])
    return np.fmin.accumulate(np.array(trial.losses, float))[:, None]
