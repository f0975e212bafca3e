"""Evolution that learns: children of the best trials, of which a model picks the most promising.

A population, variation and selection, and between them a surrogate: of many children by mutation
and crossover around the best trials, and of some random ones, the one is tried that is expected to
improve most on the best so far (Yaochu Jin, "Surrogate-Assisted Evolutionary Computation", Swarm
and Evolutionary Computation 1 (2011), section 2, "pre-selection"). The search begins with points
that are spread out over the space.

How the children are made and ranked is `tunedeco.oracles.breeding`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from tunedeco.errors import ConfigurationError
from tunedeco.oracles.base import Done, Start
from tunedeco.oracles.untried import first_untried
from tunedeco.randomness import stream
from tunedeco.space import Space
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Evolution:
    """Evolution guided by a Gaussian process and trees.

    What an option does in one layer it expects of the others: of hyperparameters that choose among
    the same options without an order, and whose names and groups differ in numbers alone, such as
    ``activation_1`` and ``activation_2``.

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
        from tunedeco.oracles import breeding  # here: NumPy is loaded when a search asks

        if len(trials) < self.initial:
            children = breeding.beginning(space, len(trials), self.initial, seed)
        else:
            children = breeding.ranked(space, trials, self.population, seed)
        return first_untried(space, trials, children, stream(seed, len(trials), "untried"))
