"""Several objectives in an order, and what an epoch amounts to in them.

Where a trial is best is told by the first of them that training logs, or where it logs none, by its
latest epoch. What it has logged there is its point, with the latest of what the executor supplies
(`tunedeco.objective.SUPPLIED`), which is of the whole trial and of no single epoch.
"""

import math
from collections.abc import Mapping, Sequence

from tunedeco.errors import ObjectiveError
from tunedeco.objective import Objective
from tunedeco.pareto import Point

Objectives = tuple[Objective, ...]


def several(what: object) -> Objectives:
    """Return the objectives that a user means: one, or a list, as in `Objective.of`.

    Raises:
        ObjectiveError: there is none, or one twice; or as `Objective.of`.
    """
    given = what if isinstance(what, (list, tuple)) else (what,)
    found = tuple(map(Objective.of, given))
    if not found:
        msg = "give an objective, such as 'val_accuracy', or a list of some, and not an empty one"
        raise ObjectiveError(msg)
    for place, objective in enumerate(found):
        if objective.canonical in (other.canonical for other in found[:place]):
            msg = f"the objective {objective.name!r} is given twice; leave one out"
            raise ObjectiveError(msg)
    return found


def guide(objectives: Objectives) -> int | None:
    """Return the place of the objective that says which epoch is the best; None for the latest."""
    for place, objective in enumerate(objectives):
        if not objective.supplied:
            return place
    return None


def losses(objectives: Objectives, logs: Mapping[str, float]) -> Point:
    """Return what logs say of each, as less is better; NaN where nothing, or no finite number."""
    found = []
    for objective in objectives:
        name = objective.find(logs)
        score = math.nan if name is None else logs[name]
        found.append(objective.loss(score) if math.isfinite(score) else math.nan)
    return tuple(found)


def improves(objectives: Objectives, found: Point, best: float) -> bool:
    """Return whether an epoch is the best one so far.

    Args:
        objectives: those of the search.
        found: what `losses` says of it.
        best: the guide's loss in the best one before.
    """
    place = guide(objectives)
    return not any(map(math.isnan, found)) and (place is None or found[place] < best)


def gone_on(objectives: Objectives, point: Point, found: Point) -> tuple[Point, bool]:
    """Return the point of a training after one more epoch, and whether that is its best one.

    Args:
        objectives: those of the search.
        point: what it was before; ``()`` where no epoch had all of them.
        found: what `losses` says of the epoch.
    """
    best = point[guide(objectives) or 0] if point else math.inf
    if improves(objectives, found, best):
        return found, True
    parts = zip(objectives, point, found, strict=bool(point))
    return tuple(n if o.supplied and not math.isnan(n) else b for o, b, n in parts), False


def scores(objectives: Objectives, point: Sequence[float]) -> dict[str, float]:
    """Return a point as scores by the objectives' names; nothing of ``()``."""
    parts = zip(objectives, point, strict=bool(point))
    return {objective.name: objective.loss(loss) for objective, loss in parts}
