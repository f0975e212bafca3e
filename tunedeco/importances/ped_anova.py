"""PED-ANOVA: how much a hyperparameter's value says of whether a trial is among the better ones.

Shuhei Watanabe, Archit Bansal and Frank Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
Importance in Arbitrary Subspaces", IJCAI 2023: the variance of P(among the best share | value) over
the values is the Pearson divergence between the densities of the best trials and of all. Both
densities are estimated with one kernel here, so their ratio is a kernel regression, and we take its
variance over the space, evenly, whatever an oracle has favoured. What differs from the paper:

- Nine shares, 0.1 to 0.9, are added up. A single small one rests on a handful of trials, and among
  those of an oracle that has learned it tells the best from the nearly best.
- What the same trials would show with their scores shuffled is taken off: its expectation over all
  permutations is known in closed form. So neither many values nor few trials look important.
- A conditional hyperparameter counts by the trials that were asked for it, and in their share; what
  being asked is worth belongs to that on which it depends (Kaito Baba, Yoshihiko Ozaki and Shuhei
  Watanabe, "Conditional PED-ANOVA", KDD 2026, theorem 4.2).
- A group has the variances of its members, and of each two of them the interaction, where there is
  any: the terms of functional ANOVA up to second order (Frank Hutter, Holger Hoos and Kevin
  Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014).
  A density of all members together would need more trials than there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tunedeco.domains import Domain
from tunedeco.importances.positions import positions
from tunedeco.space import Space
from tunedeco.trial import Trial

Array = NDArray[np.float64]

_CELLS = 50  # at most, that a domain is cut into
_SHARES = 10  # tenths: the best one, two, ... nine of them
_WIDTH = 0.18  # of a kernel for a single trial; from 0.15 to 0.3 it hardly matters
_ROUNDING = 1e-12  # below it a variance is none
_PRIOR = 1.0  # trials of no effect, which every place is given


@dataclass(frozen=True)
class _Axis:
    """One hyperparameter of all trials."""

    cells: NDArray[np.int64]
    """In which cell each trial's value lies; -1 where it was not asked for."""
    number: int
    """How many cells there are."""
    ordered: bool

    def kernel(self, trials: int, dimensions: int) -> Array:
        """Return the weight of each cell's trials for each cell.

        Of ordered values a Gaussian, by Scott's rule for how it narrows; others have nothing to do
        with each other.
        """
        if not self.ordered:
            return np.eye(self.number)
        places = (np.arange(self.number) + 0.5) / self.number
        width = _WIDTH * trials ** (-1 / (dimensions + 4))
        return np.asarray(np.exp(-0.5 * ((places[:, None] - places) / width) ** 2))


def variances(
    space: Space, trials: Sequence[Trial], standings: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the variance that each hyperparameter explains, by label, and that of each group.

    Args:
        space: the hyperparameters.
        trials: those to be compared.
        standings: of each trial, the less the better.
    """
    tenths = _tenths(standings)
    axes = {h.label: _axis(h.domain, positions(h, trials)) for h in space}
    single = {label: _alone(axis, tenths) for label, axis in axes.items()}
    groups = {}
    for group, members in space.groups.items():
        labels = sorted(h.label for h in members)  # sums of floats depend on their order
        parts = [single[label] for label in labels]
        if len(space.groups) > 1:  # a single group is all there is
            parts += [_interaction(axes[a], axes[b], tenths) for a, b in combinations(labels, 2)]
        groups[group] = math.fsum(parts)
    return single, groups


def _tenths(standings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each trial how many of the nine best shares it is not in."""
    ordered, number = np.sort(standings), len(standings)
    last = [ordered[-(-share * number // _SHARES) - 1] for share in range(1, _SHARES)]
    return np.searchsorted(last, standings, "left").astype(np.int64)


def _axis(domain: Domain, places: Array) -> _Axis:
    size = domain.size
    number = size if size is not None and size <= _CELLS and domain.even else _CELLS
    cells = np.where(np.isnan(places), -1, np.minimum(places * number, number - 1))
    return _Axis(cells.astype(np.int64), number, domain.ordered)


_NOWHERE_ELSE = np.ones((1, 1))  # the kernel of an axis that is not there


def _alone(axis: _Axis, tenths: NDArray[np.int64]) -> float:
    """Return the variance that a hyperparameter explains by itself."""
    asked = axis.cells >= 0
    number = int(asked.sum())
    if axis.number == 1 or number < 2:  # noqa: PLR2004 (to differ)
        return 0.0
    counts = _counted(axis.cells[asked], axis.number, tenths[asked])[:, None]
    kernel = axis.kernel(number, 1)
    return number / len(asked) * _some(_explained(counts, kernel, _NOWHERE_ELSE))


def _interaction(one: _Axis, other: _Axis, tenths: NDArray[np.int64]) -> float:
    """Return what two hyperparameters explain together, beyond what each does by itself."""
    asked = (one.cells >= 0) & (other.cells >= 0)
    number = int(asked.sum())
    if 1 in {one.number, other.number} or number < 2:  # noqa: PLR2004 (to differ)
        return 0.0
    cells = one.cells[asked] * other.number + other.cells[asked]
    counts = _counted(cells, one.number * other.number, tenths[asked])
    counts = counts.reshape(one.number, other.number, _SHARES)
    wide = one.ordered + other.ordered
    together = _explained(counts, one.kernel(number, wide), other.kernel(number, wide))
    first = _explained(counts.sum(1)[:, None], one.kernel(number, 1), _NOWHERE_ELSE)
    second = _explained(counts.sum(0)[:, None], other.kernel(number, 1), _NOWHERE_ELSE)
    return number / len(asked) * _some(together - _some(first) - _some(second))


def _some(variance: float) -> float:
    """Return a variance, or 0 where it is less than chance shows."""
    return variance if variance > _ROUNDING else 0.0


def _counted(cells: NDArray[np.int64], number: int, tenths: NDArray[np.int64]) -> Array:
    """Return how many trials of each tenth are in each cell: (cell, tenth)."""
    found = np.bincount(cells * _SHARES + tenths, minlength=number * _SHARES)
    return found.reshape(number, _SHARES).astype(np.float64)


def _explained(counts: Array, rows: Array, columns: Array) -> float:
    """Return the variance over the cells of P(among the best | cell), less what chance would show.

    Args:
        counts: trials in each cell of a grid, by tenth: (row, column, tenth).
        rows: the kernel along the rows.
        columns: the kernel along the columns.
    """
    number = counts.sum()
    there = counts.sum(2)
    best = counts.cumsum(2)[:, :, :-1]  # among the best tenth, the best two, ... the best nine
    share = best.sum((0, 1)) / number
    weights = rows @ there @ columns.T + _PRIOR
    # labels in each cell, less their mean; smoothed along one axis, then along the other
    labels = best - there[:, :, None] * share
    smooth = np.matmul(columns, np.tensordot(rows, labels, 1)) / weights[:, :, None]
    found = smooth.var((0, 1)).sum()
    # The fit is linear in the labels: smooth - its mean = A @ labels. Over all permutations of the
    # labels, the expectation of its mean square is that of A's entries, doubly centered, times the
    # variance of the labels.
    square = (rows**2 @ there @ columns.T**2 / weights**2).mean()
    column_means = rows.T @ (1 / weights) @ columns / weights.size
    row_means = 1 - _PRIOR / weights
    entries = square - (there * column_means**2).sum() - row_means.var() / number
    chance = entries * (share * (1 - share)).sum() * number / (number - 1)
    return float(found - chance)
