"""Random search without repeats, as James Bergstra and Yoshua Bengio describe it.

"Random Search for Hyper-Parameter Optimization", JMLR 13 (2012), section 2. A finite space is
walked in the order of a keyed permutation, which draws without replacement and remembers nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from tunedeco.oracles.base import Done, Start, first_untried
from tunedeco.randomness import permuted, stream
from tunedeco.space import Space
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Random:
    """Every configuration is equally likely, and none comes twice before all have come."""

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start | Done:
        """Return a random configuration, or `Done` when every one has been tried."""
        size = space.size
        if size is not None:
            return first_untried(space, size, trials, lambda index: permuted(index, size, seed))
        draw = stream(seed, len(trials), "random")
        return Start(space.decode(draw.random() for _ in space))
