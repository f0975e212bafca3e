"""Evolution that learns: children of the best trials, of which a model picks the most promising.

A population, variation and selection, and between them a surrogate: of many children by mutation
and crossover around the best trials, and of some random ones, the one is tried that is expected to
improve most on the best so far (Yaochu Jin, "Surrogate-Assisted Evolutionary Computation", Swarm
and Evolutionary Computation 1 (2011), section 2, "pre-selection"). The search begins with points
that are spread out over the space.

Losses above the median of those seen are taken for the median: how bad the bad ones are says
nothing about where the best is. What failed or diverged counts as the median, too. Trials that run
are believed to become what the model expects of them, so that no two go to the same place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from tunedeco.errors import ConfigurationError
from tunedeco.oracles import surrogate, variation
from tunedeco.oracles.base import Done, Start
from tunedeco.oracles.encoding import Encoding, Rows, encoding
from tunedeco.oracles.levels import levelled
from tunedeco.oracles.untried import first_untried
from tunedeco.randomness import digest, stream
from tunedeco.space import Space
from tunedeco.trial import UNFINISHED, Trial

_KNOWN = 128  # trials that the model is made of at most: more would make it slow
_CHILDREN = 200  # by mutation, and as many by crossover
_ANYWHERE = 400
_ROUNDS = 2  # of variation around the most promising
_PROMISING = 10
_OFFSPRING = 20  # of each


@final
@dataclass(frozen=True)
class Evolution:
    """Evolution guided by a Gaussian process.

    Args:
        initial: trials that are spread out over the space, before the model says anything.
        population: how many of the best trials can be parents.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    initial: int = 8
    population: int = 8

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, least in (("initial", 2), ("population", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                need = f"a whole number of at least {least}"
                msg = f"evolution needs {name} to be {need}, not {value!r}"
                raise ConfigurationError(msg)

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start | Done:
        """Return the most promising child, or `Done` when every configuration has been tried."""
        shape = encoding(space)
        draw = np.random.default_rng(digest(seed, len(trials), "evolution"))
        if len(trials) < self.initial:
            fixed = np.random.default_rng(digest(seed, 0, "start"))
            ranked = variation.spread_out(shape, self.initial, fixed)[[len(trials)]]
        else:
            ranked = self._ranked(shape, trials, draw)
        children = map(shape.values, ranked)
        return first_untried(space, trials, children, stream(seed, len(trials), "untried"))

    def _ranked(self, shape: Encoding, trials: Sequence[Trial], draw: variation.Draw) -> Rows:
        """Return children, the most promising first."""
        known = [t for t in trials if t.state not in UNFINISHED]
        if not known:
            return variation.anywhere(shape, _ANYWHERE, draw)
        losses = _clipped(levelled(known))
        chosen = _chosen(losses)
        rows, losses = shape.rows([known[i].values for i in chosen]), losses[chosen]
        model = surrogate.fitted(shape.points(rows), losses, shape.dimensions)
        pending = [t.values for t in trials if t.state in UNFINISHED]
        if pending:
            model = model.expecting(shape.points(shape.rows(pending)))
        best = losses.min()
        parents = rows[np.argsort(losses, kind="stable")[: self.population]]
        children = _children(shape, parents, draw)
        for turn in range(_ROUNDS + 1):
            promise = surrogate.improvement(model, shape.points(children), best)
            children = children[np.argsort(-promise, kind="stable")]
            if turn < _ROUNDS:
                ahead = children[:_PROMISING]
                again = np.repeat(ahead, _OFFSPRING, axis=0)
                steps = draw.choice([0.02, 0.05, 0.1], len(again))
                near = variation.mutated(shape, again, draw, share=1.0, steps=steps)
                children = np.concatenate([children, near])
        return children


def _children(shape: Encoding, parents: Rows, draw: variation.Draw) -> Rows:
    some, others = (parents[draw.integers(0, len(parents), _CHILDREN)] for _ in range(2))
    steps = draw.choice([0.05, 0.1, 0.2, 0.4], _CHILDREN)
    crossed = variation.crossed(some, others, draw)
    return np.concatenate(
        [
            variation.mutated(shape, some, draw, share=1.0, steps=steps),
            variation.mutated(shape, crossed, draw, share=0.5, steps=np.full(_CHILDREN, 0.1)),
            variation.anywhere(shape, _ANYWHERE, draw),
        ]
    )


def _clipped(losses: Rows) -> Rows:
    """Return losses that are at most the median, or the worst that went well."""
    well = losses[np.isfinite(losses)]
    if not len(well):
        return np.zeros(len(losses))
    return np.minimum(losses, min(np.median(losses), well.max()))


def _chosen(losses: Rows) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return which trials make the model: the best, and the latest of the rest."""
    if len(losses) <= _KNOWN:
        return np.arange(len(losses))
    best = np.argsort(losses, kind="stable")[: _KNOWN // 2]
    rest = np.setdiff1d(np.arange(len(losses)), best)[-(_KNOWN - len(best)) :]
    return np.sort(np.concatenate([best, rest]))
