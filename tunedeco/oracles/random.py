"""Random search without repeats, as James Bergstra and Yoshua Bengio describe it.

"Random Search for Hyper-Parameter Optimization", JMLR 13 (2012), section 2. A finite space is
walked in the order of a keyed permutation, which draws without replacement and remembers nothing.
Where some values are likelier than others, as on a log scale, each configuration is drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from tunedeco.oracles.base import Done, Start
from tunedeco.oracles.untried import LOOK, first_untried
from tunedeco.randomness import permuted, stream
from tunedeco.space import Space, Values
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Random:
    """Every position in the unit cube is equally likely, and no configuration comes twice."""

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start | Done:
        """Return a random configuration, or `Done` when every one has been tried."""
        draw = stream(seed, len(trials), "random")
        size = space.size
        candidates: Iterator[Values]
        if size is None or not all(h.domain.even for h in space):
            candidates = (space.decode(draw.random() for _ in space) for _ in range(LOOK))
        else:
            ahead = range(len(trials), min(len(trials) + LOOK, size))
            candidates = (space.at(permuted(index, size, seed)) for index in ahead)
        return first_untried(space, trials, candidates, draw)
