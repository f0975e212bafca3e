"""Tables of recorded trainings, and what a search in one is answered.

`make_tables` makes some.

A suite is a folder with a ``space.json`` (hyperparameters, metric, direction, names of the tasks)
and one ``.npz`` a task. A grid has ``Y`` (n, repeats), one row for each configuration of ordinals
or categoricals, the last hyperparameter turning fastest. A pool has ``X`` (n, hyperparameters), as
values, and curves ``C`` (n, epochs); it answers with the nearest configuration not yet evaluated,
in the unit cube.

Normalised regret: 0 is the best value in the table, 1 the median configuration's; a configuration's
is the mean of its repeats, or its best epoch.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tunedeco import domains
from tunedeco.space import Hyperparameter, Space, Values

GROUP = "g"


@dataclass(frozen=True, eq=False)
class Task:
    """One table."""

    space: Space
    regrets: np.ndarray[Any, Any]
    """(n,): normalised, not cut off."""
    points: np.ndarray[Any, Any] | None = None
    """Of a pool: (n, hyperparameters) in the unit cube."""
    values: list[Values] | None = None
    """Of a pool: the configurations."""
    curves: np.ndarray[Any, Any] | None = None
    """Of a pool: (n, epochs), the regret of each epoch's value."""


class Answers:
    """Which rows of a table a search has had."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._free = np.ones(len(task.regrets), bool)

    def nearest(self, values: Values) -> tuple[int, Values]:
        """Return the row that answers for a configuration, and the configuration it really is."""
        space, points = self.task.space, self.task.points
        if points is None or self.task.values is None:
            row = 0
            for h in space:
                assert h.domain.size is not None
                row = row * h.domain.size + h.domain.index(values[h.group][h.name])
            return row, values
        distances = ((points - np.array(space.encode(values))) ** 2).sum(axis=1)
        assert self._free.any(), "every configuration of the pool has been had"
        distances[~self._free] = math.inf
        row = int(distances.argmin())
        self._free[row] = False
        return row, self.task.values[row]


def names(folder: Path) -> list[str]:
    """Return the tasks of a suite."""
    return sorted(path.stem for path in folder.glob("*.npz"))


def publish(lines: list[str], out: Path | None) -> None:
    """Print a report, and write it to a file if there is one."""
    print("\n".join(lines))
    if out:
        out.write_text("\n".join(lines) + "\n")


@cache
def load(folder: Path, name: str) -> Task:
    """Return a task of a suite."""
    described = json.loads((folder / "space.json").read_text())
    sign = -1 if described["direction"] == "max" else 1
    space = Space(
        tuple(
            Hyperparameter(GROUP, hp["name"], domain, domain.first)
            for hp in described["hps"]
            for domain in (_domain(hp),)
        )
    )
    arrays = np.load(folder / f"{name}.npz")
    if "C" not in arrays:
        return Task(space, _normalised(sign * np.nanmean(arrays["Y"].astype(float), axis=1)))
    losses = sign * arrays["C"].astype(float)
    values = [
        {
            GROUP: {
                h.name: int(v) if isinstance(h.domain, domains.Range) else float(v)
                for h, v in zip(space, row, strict=True)
            }
        }
        for row in arrays["X"].tolist()
    ]
    best = losses.min(axis=1)
    low, middle = best.min(), np.median(best)
    points = np.array([space.encode(v) for v in values])
    return Task(space, _normalised(best), points, values, (losses - low) / (middle - low))


def _normalised(losses: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (losses - losses.min()) / (np.median(losses) - losses.min())


def _domain(hp: dict[str, Any]) -> domains.Domain:
    if "choices" in hp:
        return domains.Choice(tuple(hp["choices"]))
    if hp["type"] == "int":
        return domains.Range(hp["low"], hp["high"], log=hp["log"])
    return domains.Float(hp["low"], hp["high"], log=hp["log"])
