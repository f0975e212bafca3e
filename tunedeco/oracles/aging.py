"""Aging evolution: vary the better of the recent trials, and let every one grow old.

Esteban Real, Alok Aggarwal, Yanping Huang and Quoc V. Le, "Regularized Evolution for Image
Classifier Architecture Search", AAAI 2019, algorithm 1: the population is the latest ``population``
trials, whatever they scored; a parent wins a tournament among ``tournament`` of them; the oldest
one leaves. To mutation we add uniform crossover with the winner of a second tournament (Gilbert
Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989), since a configuration, unlike the
paper's cell, has genes that mean the same in every parent.

Mutation respects what each domain says of itself: an ordered one takes a normally distributed step
on its own scale (so learning rates move by factors), the rest change to any other value.

Of several objectives, the winner is of the best front, and of one front the least crowded (NSGA-II,
see `tunedeco.pareto`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from random import Random as Stream
from typing import final

from tunedeco import pareto
from tunedeco.domains import Domain
from tunedeco.errors import ConfigurationError
from tunedeco.oracles.base import Done, Start
from tunedeco.oracles.held import comparable
from tunedeco.oracles.random import Random
from tunedeco.oracles.untried import LOOK, first_untried
from tunedeco.randomness import stream
from tunedeco.space import Space, flat
from tunedeco.trial import State, Trial

_Ranked = tuple[pareto.Rank, Trial]

_STEP = 0.2  # standard deviation of an ordered step, in widths of the domain


@final
@dataclass(frozen=True)
class Aging:
    """Aging evolution with tournament selection, mutation and crossover.

    Args:
        population: how many of the latest trials can be parents; as many random ones come first.
        tournament: how many of them compete to be a parent.
        crossover: how likely a child has a second parent, from 0 to 1.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    population: int = 16
    tournament: int = 5
    crossover: float = 0.5

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.population < 1 or not 1 <= self.tournament <= self.population:
            msg = (
                f"aging evolution needs a population of at least 1 and a tournament from 1 to the "
                f"population, not {self.population} and {self.tournament}"
            )
            raise ConfigurationError(msg)
        if not 0 <= self.crossover <= 1:
            msg = f"aging evolution's crossover is a probability from 0 to 1, not {self.crossover}"
            raise ConfigurationError(msg)

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start | Done:
        """Return a child of the present population, or `Done` when every one has been tried."""
        # what has not been scored yet cannot compete; what went wrong competes, and loses
        ended = (t for t in reversed(trials) if t.state is not State.RUNNING)
        latest = list(islice(ended, self.population))
        if len(latest) < self.population:
            return Random().next(space, trials, seed)
        # with some values held, what had others is a parent only where there is no better one
        latest = list(islice(comparable(space, chain(latest, ended)), self.population)) or latest
        alive = list(zip(pareto.ranks([t.standing for t in latest]), latest, strict=True))
        draw = stream(seed, len(trials), "aging")
        children = (space.decode(self._child(space, alive, draw)) for _ in range(LOOK))
        return first_untried(space, trials, children, draw)

    def _child(self, space: Space, alive: Sequence[_Ranked], draw: Stream) -> list[float]:
        genes = _genes(space, self._winner(alive, draw), draw)
        if draw.random() < self.crossover:
            other = _genes(space, self._winner(alive, draw), draw)
            genes = [draw.choice(pair) for pair in zip(genes, other, strict=True)]
        expressed = flat(space.decode(genes))
        searched = [i for i, h in enumerate(space) if h.domain.size != 1 and h.key in expressed]
        if not searched:
            return genes
        certain = draw.choice(searched)  # a child differs from its parents in at least one gene
        for i, hyperparameter in enumerate(space):
            if i == certain or (i in searched and draw.random() < 1 / len(searched)):
                genes[i] = _mutated(hyperparameter.domain, genes[i], draw)
        return genes

    def _winner(self, alive: Sequence[_Ranked], draw: Stream) -> Trial:
        entrants = draw.sample(range(len(alive)), min(self.tournament, len(alive)))
        return alive[min(entrants, key=lambda i: (alive[i][0], i))][1]


def _genes(space: Space, trial: Trial, draw: Stream) -> list[float]:
    """Return where a trial lies in the unit cube; anywhere, where it has no value of the space."""
    asked = flat(trial.values)
    return [
        h.domain.encode(h.domain.canonical(asked[h.key]))
        if h.key in asked and h.domain.contains(asked[h.key])
        else draw.random()
        for h in space
    ]


def _mutated(domain: Domain, position: float, draw: Stream) -> float:
    """Return another position in the unit interval; a near one where order has a meaning."""
    size = domain.size
    if not domain.ordered:
        assert size is not None
        other = draw.randrange(size - 1)
        return ((other + (other >= int(position * size))) + 0.5) / size
    step = draw.gauss(0.0, _STEP)
    if size is not None and abs(step) < 1 / size:  # too short to leave the present value
        step = math.copysign(1 / size, step)
    moved = position + step
    # a wall reflects: cutting off would pile half of all steps onto the ends
    moved = abs(moved) if moved < 0 else moved
    moved = 2 - moved if moved > 1 else moved
    return min(max(moved, 0.0), 1.0)
