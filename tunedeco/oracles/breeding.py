"""How evolution that learns makes its children, and which of them it finds the most promising.

The worst tenth of the losses is taken for the best of that tenth: how bad the bad ones are says
nothing about where the best is. What failed or diverged counts as that, too. Trials that run are
believed to become what the model expects of them, so that no two go to the same place. Of several
objectives, the model is told which place a trial has among all: by fronts, and in a front by how
lonely it is (NSGA-II, see `tunedeco.pareto`).

A child is to improve on the lowest loss seen, and every third time on the lowest that the surrogate
believes, which is no luck (expected improvement "with plug-in": Victor Picheny, Tobias Wagner and
David Ginsbourger, "A Benchmark of Kriging-Based Infill Criteria for Noisy Optimization", Structural
and Multidisciplinary Optimization 48 (2013)). Late, when it is time to settle, the best is the one
of which the least is believed possible (Niranjan Srinivas et al., "Gaussian Process Optimization in
the Bandit Setting", ICML 2010, equation 6, with as many standard deviations all along).

Losses that jump are no smooth surface, so trees are asked as well: the most promising child is the
one with the best places in both orders together. Among values without an order nothing is smooth to
begin with, so trees count for as much as is the share of hyperparameters that have one; and not at
all where some trials were trained further than others: they would see jumps between their losses.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

from tunedeco import pareto
from tunedeco.oracles import forest, surrogate, variation
from tunedeco.oracles.encoding import Encoding, Indices, Rows, encoding
from tunedeco.oracles.held import comparable
from tunedeco.oracles.levels import levelled
from tunedeco.randomness import digest
from tunedeco.space import Space, Values
from tunedeco.trial import UNFINISHED, State, Trial

Promise = Callable[[Rows], Rows]
"""Says how promising points are, (n,)."""

TOLD = 0.9
"""The share of the losses, from the best on, that are told from each other."""

PLUGGED_IN = 3
"""Of so many proposals one is to improve on what the model believes."""

JUMPS = 16
"""The trials that have ended and tell of the space, from which on trees have a say, if all were
trained equally far and some values have an order."""

LATE = 50
"""The trials that have ended and tell of the space, from which on it counts for the surrogate what
could be, not by how much it would be better, if nothing runs."""

_DOUBTS = 1.5  # standard deviations below the mean that could be
_KNOWN = 128  # trials that the model is made of at most: more would make it slow
_CHILDREN = 200  # by mutation, and as many by crossover
_ANYWHERE = 400
_AT_ENDS = 0.3  # of the long domains, in every second of those
_ROUNDS = 5  # of variation around the most promising
_PROMISING = 10
_OFFSPRING = 20  # of each
_FAR = 10.0  # distances of the first quartile from the best


def beginning(space: Space, number: int, count: int, seed: int) -> Iterator[Values]:
    """Return one of the configurations that a search begins with, spread out over the space."""
    shape = encoding(space)
    draw = np.random.default_rng(digest(seed, 0, "beginning"))
    return map(shape.values, variation.spread_out(shape, count, draw)[[number]])


def ranked(space: Space, trials: Sequence[Trial], population: int, seed: int) -> Iterator[Values]:
    """Return children of the best trials, the most promising first.

    Args:
        space: what can be chosen.
        trials: all so far.
        population: how many of the best can be parents.
        seed: the search's.
    """
    draw = np.random.default_rng(digest(seed, len(trials), "evolution"))
    # matrices so small gain nothing by threads, which lose much where trainings have all cores
    with _threads().limit(limits=1, user_api="blas"):
        return _ranked(encoding(space), trials, population, draw)


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _ranked(
    shape: Encoding, trials: Sequence[Trial], population: int, draw: variation.Draw
) -> Iterator[Values]:
    """Do what `ranked` says."""
    count = len(trials)
    trials = list(comparable(shape.space, trials))
    known = [t for t in trials if t.state not in UNFINISHED]
    if not known:
        return map(shape.values, variation.anywhere(shape, _ANYWHERE, draw))
    losses = _clipped(_worth(levelled(known)))
    chosen = _chosen(losses)
    rows, losses = shape.rows([known[i].values for i in chosen]), losses[chosen]
    parents = rows[np.argsort(losses, kind="stable")[:population]]
    model = surrogate.fitted(shape.points(rows), losses, shape.dimensions)
    pending = [t.values for t in trials if t.state in UNFINISHED]
    if pending:
        running = shape.rows(pending)
        model = model.expecting(shape.points(running))
        rows = np.concatenate([rows, running])
    promises = [(1.0, _smooth(model, losses, count))]
    equally_far = len({t.until for t in known if t.state is State.COMPLETED}) <= 1
    with_order = sum(shape.ordered[i] for i in shape.searched)
    if equally_far and len(losses) >= JUMPS and with_order:
        promises.append((with_order / len(shape.searched), _rough(model, losses, draw)))
    children = _ordered(shape, _children(shape, parents, draw), rows, promises, draw)
    return map(shape.values, children)


def _ordered(
    shape: Encoding,
    children: Rows,
    known: Rows,
    promises: Sequence[tuple[float, Promise]],
    draw: variation.Draw,
) -> Rows:
    """Return new children and variations of the most promising, the most promising first.

    By the places that all promises give them, each as much as it has to say.
    """
    says = [say for say, _ in promises]

    def judged(some: Rows) -> Rows:
        points = shape.points(some)
        return np.stack([promise(points) for _, promise in promises])

    children = _new(children, known)
    promising = judged(children)
    for turn in range(_ROUNDS + 1):
        # places, so that the scale of neither matters
        places = sum(say * _places(each) for say, each in zip(says, promising, strict=True))
        order = np.argsort(-places, kind="stable")
        children, promising = children[order], promising[:, order]
        if turn < _ROUNDS:
            again = np.repeat(children[:_PROMISING], _OFFSPRING, axis=0)
            steps = draw.choice([0.02, 0.05, 0.1], len(again))
            near = variation.mutated(shape, again, draw, share=1.0, steps=steps)
            near = _new(near, np.concatenate([known, children]))
            children = np.concatenate([children, near])
            promising = np.concatenate([promising, judged(near)], axis=1)
    return children


def _smooth(model: surrogate.Surrogate, losses: Rows, count: int) -> Promise:
    """Return what the surrogate finds promising, in a search of so many trials.

    It may know of more points than there are losses: of trials that run.
    """
    believed, _ = model.believed(model.points)
    best = believed.min() if count % PLUGGED_IN == 0 else losses.min()
    # what runs has no improvement left, but could still be the lowest: so not where trials run
    late = len(losses) >= LATE and len(believed) == len(losses)

    def promise(points: Rows) -> Rows:
        mean, doubt = model.believed(points)
        return _DOUBTS * doubt - mean if late else surrogate.improvement((mean, doubt), best)

    return promise


def _rough(model: surrogate.Surrogate, losses: Rows, draw: variation.Draw) -> Promise:
    """Return what trees find promising, of trials that run what the surrogate believes."""
    believed, _ = model.believed(model.points)
    trees = forest.grown(model.points, np.concatenate([losses, believed[len(losses) :]]), draw)
    lowest = losses.min()
    return lambda points: surrogate.improvement(trees.believed(points), lowest)


def _places(promises: Rows) -> Rows:
    """Return the place of each among all, from the lowest on; the same for those that are equal."""
    _, among, many = np.unique(promises, return_inverse=True, return_counts=True)
    places: Rows = (np.cumsum(many) - many / 2)[among]
    return places


def _new(children: Rows, known: Rows) -> Rows:
    """Return each child once, in their order, without those that are known."""
    both = np.nan_to_num(np.concatenate([known, children]), nan=-1.0)
    _, first = np.unique(both.round(12), axis=0, return_index=True)
    return children[np.sort(first[first >= len(known)]) - len(known)]


def _children(shape: Encoding, parents: Rows, draw: variation.Draw) -> Rows:
    some, others = (parents[draw.integers(0, len(parents), _CHILDREN)] for _ in range(2))
    steps = draw.choice([0.05, 0.1, 0.2, 0.4], _CHILDREN)
    crossed = variation.crossed(some, others, draw)
    return np.concatenate(
        [
            variation.mutated(shape, some, draw, share=1.0, steps=steps),
            variation.mutated(shape, crossed, draw, share=0.5, steps=np.full(_CHILDREN, 0.1)),
            variation.anywhere(shape, _ANYWHERE, draw, at_ends=_AT_ENDS),
        ]
    )


def _worth(points: Rows) -> Rows:
    """Return one loss for each trial: its only one, or its place among all; infinite without.

    What is behind more than the model is made of is all equally far behind.
    """
    if points.shape[1] == 1:
        return points[:, 0]
    losses = np.full(len(points), np.inf)
    well = np.flatnonzero(np.isfinite(points).all(axis=1))
    keys = pareto.ranks([tuple(points[i].tolist()) for i in well], _KNOWN)
    order = sorted(range(len(well)), key=keys.__getitem__)
    ahead = sum(key is not pareto.BEHIND for key in keys)
    losses[well[order]] = np.minimum(np.arange(len(well)), ahead)
    return losses


def _clipped(losses: Rows) -> Rows:
    """Return losses that are at most the last decile of those that went well, as shares of one.

    Where that is far beyond the first quartile the worst have exploded, and the limit is nearer.
    """
    well = losses[np.isfinite(losses)]
    if not len(well):
        return np.zeros(len(losses))
    largest = float(np.abs(well).max()) or 1.0
    well, losses = well / largest, losses / largest
    least, first, most = np.quantile(well, [0, 0.25, TOLD])
    if first > least:
        most = min(most, least + _FAR * (first - least))
    return np.asarray(np.minimum(losses, most))


def _chosen(losses: Rows) -> Indices:
    """Return which trials make the model: the best, and the latest of the rest."""
    if len(losses) <= _KNOWN:
        return np.arange(len(losses))
    best = np.argsort(losses, kind="stable")[: _KNOWN // 2]
    rest = np.setdiff1d(np.arange(len(losses)), best)[-(_KNOWN - len(best)) :]
    return np.sort(np.concatenate([best, rest]))
