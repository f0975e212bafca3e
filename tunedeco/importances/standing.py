"""Who did better, where trials have different epochs: any two are compared at the last one of both.

A trial that was sent further has the lesser loss, if only because it has had more epochs; and those
on the highest rung alone are few, and chosen. So two trials are compared by their least loss in as
many epochs as both have, and a trial's standing is how many others did better (Borda's count). With
equal epochs it is the rank of the score. As elsewhere (`tunedeco.oracles.rungs`), one that stopped
by itself has had all its epochs, and what failed or diverged is worse than all that did not.

Only the order of losses enters, so any monotone change of the objective leaves it as it is.

Of several objectives one is looked at: what it was at the best epoch so far (`Trial.point_at`),
which need not be its least; and what the executor supplies, as of the latest epoch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunedeco.trial import State, Trial


def compared(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that can be compared: with a score so far, or gone wrong."""
    return [t for t in trials if t.loss is not None or failed(t)]


def failed(trial: Trial) -> bool:
    """Return whether a trial went wrong."""
    return trial.state in (State.FAILED, State.DIVERGED)


def standings(trials: Sequence[Trial], place: int = 0) -> NDArray[np.int64]:
    """Return twice the number of others that did better than each, and once that of its equals.

    Args:
        trials: those to be compared.
        place: of the objective by which they are, among those of the search.
    """
    reached = np.array([_reached(trial) for trial in trials])
    most = max((len(trial.losses) for trial in trials), default=0)
    so_far = np.full((len(trials), most + 1), np.inf)  # a column more, for no epoch at all
    for row, trial in zip(so_far, trials, strict=True):
        if failed(trial):
            continue
        if trial.points:
            curve = [point[place] if point else np.inf for point in trial.points]
            row[1 : len(curve) + 1] = curve
            row[len(curve) + 1 :] = curve[-1]
        else:
            row[1 : len(trial.losses) + 1] = trial.losses
            np.fmin.accumulate(row, out=row)
    reached = np.minimum(reached, most)
    found = np.zeros(len(trials), np.int64)
    for epoch in np.unique(reached):
        last, beyond = reached == epoch, reached > epoch
        losses = so_far[:, int(epoch)]
        found[last] += _beaten(losses[last], losses[last]) - 1  # not by itself
        found[last] += _beaten(losses[last], losses[beyond])
        found[beyond] += _beaten(losses[beyond], losses[last])
    return found


def _reached(trial: Trial) -> float:
    """Return how many epochs every training of a trial has; infinitely many if it is over."""
    if failed(trial):
        return np.inf
    return min(np.inf if run.stopped_early else len(run.epochs) for run in trial.runs)


def _beaten(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each of our losses twice the lesser ones of theirs, and once the equal ones."""
    theirs = np.sort(theirs)
    better = np.searchsorted(theirs, ours, "left")
    return np.asarray(better + np.searchsorted(theirs, ours, "right"), np.int64)
