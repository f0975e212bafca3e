"""Grid: every distinct configuration once, in order; nothing is ever listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from tunedeco.errors import OracleError
from tunedeco.oracles.base import Done, Start
from tunedeco.oracles.untried import LOOK, first_untried
from tunedeco.space import Space
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Grid:
    """Walk the product of all values; the hyperparameter asked for last changes fastest."""

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start | Done:  # noqa: ARG002 (a grid has no chance in it)
        """Return the next configuration, or `Done` after the last.

        Raises:
            OracleError: a hyperparameter is continuous.
        """
        if space.size is None:
            continuous = ", ".join(h.label for h in space if h.domain.size is None)
            msg = (
                f"a grid needs a finite space, and {continuous} is continuous: "
                "use Linear or Logarithmic for it, or another oracle"
            )
            raise OracleError(msg)
        # where every trial was the grid's, the next one is at their number
        ahead = range(len(trials), min(len(trials) + LOOK, space.size))
        return first_untried(space, trials, map(space.at, ahead), None)
