"""What is to be said of a trial whose configuration is trained several times."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tunedeco.means import mean, spread
from tunedeco.pareto import Point
from tunedeco.trial import Epoch, State, Trial


def together(trial: Trial, runs: Sequence[Trial]) -> Trial:
    """Return what is to be said of a trial whose executions these are.

    It has a score when each of them has one.
    """
    built = next((run for run in runs if run.parameters is not None), trial)
    scored = [run for run in runs if run.loss is not None]
    if len(scored) < len(runs):  # the mean of some is no match for the mean of all
        scored = []
    best = min(scored, key=lambda run: run.point, default=None)
    states = {run.state: run for run in reversed(runs)}
    # what goes wrong once has gone wrong; the others are not waited for
    order = (State.FAILED, State.REJECTED, State.DIVERGED, State.RUNNING, State.PAUSED)
    told = next((states[state] for state in order if state in states), runs[0])
    failed = told.state is State.FAILED
    scores = [run.score for run in scored if run.score is not None]
    losses = [run.loss for run in scored if run.loss is not None]
    return trial.but(
        values=built.values,
        parameters=built.parameters,
        precision=built.precision,
        inputs=built.inputs,
        executions=tuple(runs),
        state=told.state,
        error=told.error,
        score=mean(scores) if scores and not failed else None,
        scores=_mean(run.scores for run in scored) if scored and not failed else {},
        loss=mean(losses) if losses and not failed else None,
        best_epoch=best.best_epoch if best and not failed else None,
        spread=spread(scores) if len(scores) > 1 and not failed else None,
        losses=_mean_losses(runs),
        points=tuple(_mean_points(runs)),
        epochs=tuple(_mean_epochs(runs)),
        runtime={
            name: sum(run.runtime.get(name, 0) for run in runs)
            for name in {name for run in runs for name in run.runtime}
        },
    )


def _mean_losses(runs: Sequence[Trial]) -> tuple[float, ...]:
    """Return the mean of the least losses so far; a training that has stopped keeps its last."""
    begun = [run.losses for run in runs if run.losses]
    falling = [list(itertools.accumulate(losses, _less)) for losses in begun]
    longest = max(map(len, falling), default=0)
    return tuple(mean(f[min(i, len(f) - 1)] for f in falling) for i in range(longest))


def _mean_points(runs: Sequence[Trial]) -> Iterator[Point]:
    """Yield the mean of the points after each epoch; a training that has stopped keeps its last."""
    begun = [run.points for run in runs if run.points]
    for i in range(max(map(len, begun), default=0)):
        points = [p[min(i, len(p) - 1)] for p in begun]
        yield tuple(map(mean, zip(*points, strict=True))) if all(points) else ()


def _mean(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each objective."""
    several = list(scores)
    return {name: mean(one[name] for one in several) for name in several[0]}


def _less(one: float, other: float) -> float:
    """Return the lesser of two losses; the other where one is NaN."""
    return other if math.isnan(one) or other < one else one


def _mean_epochs(runs: Sequence[Trial]) -> Iterator[Epoch]:
    for records in itertools.zip_longest(*(run.epochs for run in runs)):
        there = [record for record in records if record is not None]
        logs = {
            name: mean(record.logs[name] for record in there)
            for name in there[0].logs
            if all(name in record.logs for record in there)
        }
        seconds = sum(record.runtime.get("seconds", 0.0) for record in there)
        yield Epoch(there[0].epoch, logs, {"seconds": seconds})
