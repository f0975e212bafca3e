"""What the epochs of a training amount to: score, best epoch, and the point in all objectives."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunedeco import objectives as of
from tunedeco.objectives import Objectives
from tunedeco.trial import Epoch, Trial

UNSCORED: Mapping[str, Any] = {"score": None, "scores": {}, "loss": None, "best_epoch": None}
"""The fields of a trial that has no score."""


def scored(
    run: Trial,
    objectives: Objectives,
    epochs: Sequence[Epoch],
    **changes: Any,  # noqa: ANN401 (any field)
) -> Trial:
    """Return a training with more epochs, and some other fields changed."""
    curve, points = list(run.losses), list(run.points)
    point, best_epoch = run.point, run.best_epoch
    for epoch in epochs:
        found = of.losses(objectives, epoch.logs)
        point, best = of.gone_on(objectives, point, found)
        best_epoch = epoch.epoch if best else best_epoch
        curve.append(found[0])
        points.append(point)
    scores = of.scores(objectives, point)
    plain = len(objectives) == 1 and not objectives[0].supplied  # the curve says it all
    return run.but(
        epochs=(*run.epochs, *epochs),
        losses=tuple(curve),
        points=() if plain else tuple(points),
        score=next(iter(scores.values()), None),
        scores=scores,
        loss=point[0] if point else None,
        best_epoch=best_epoch,
        **changes,
    )
