"""Values that are known beforehand, tried as any oracle's would be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from tunedeco.oracles.aging import Aging
from tunedeco.oracles.base import Decision, Oracle, Scheduler, Start
from tunedeco.oracles.evolution import Evolution
from tunedeco.oracles.random import Random
from tunedeco.oracles.study import Optuna
from tunedeco.oracles.wrapping import Wrapper
from tunedeco.space import Space, Values
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Given:
    """Begins the next trial with these values; another oracle says how far trials are trained.

    So a trial whose values were given stands in its bracket and on its rung like every other one.
    """

    values: Values
    oracle: Oracle

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Decision:
        """Return what the oracle would do, if these were the values that it proposed."""
        if isinstance(self.oracle, Wrapper):
            given = replace(self.oracle, oracle=Given(self.values, self.oracle.inner))
            return given.next(space, trials, seed)
        if isinstance(self.oracle, Scheduler):
            decision = self.oracle.next(space, trials, seed)
            if isinstance(decision, Start):
                return replace(decision, values=self.values)
            return decision
        return Start(self.values)


def begins_with_defaults(oracle: Oracle) -> bool:
    """Return whether the default values of the code are tried first.

    A grid has an order of its own, and what a user's own oracle does is the user's decision.
    """
    values = oracle.inner if isinstance(oracle, Wrapper) else oracle
    return isinstance(values, (Random, Aging, Evolution, Optuna))
