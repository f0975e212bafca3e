"""Which trials tell of a space in which some hyperparameters are held at one value.

A trial that had another value there was somewhere else: its loss says nothing of what is searched
now, and its other values, taken alone, would look as if they had come to it here.
"""

from collections.abc import Iterable, Iterator

from tunedeco.space import Space, flat
from tunedeco.trial import Trial


def comparable(space: Space, trials: Iterable[Trial]) -> Iterator[Trial]:
    """Yield the trials whose values contradict no hyperparameter that has a single value.

    Args:
        space: what is searched; what is held has a domain of size 1 there.
        trials: in any order. One that was not asked for what is held contradicts nothing.
    """
    held = {h.key: h.domain for h in space if h.domain.size == 1}
    for trial in trials:
        if not held or all(held[k].contains(v) for k, v in flat(trial.values).items() if k in held):
            yield trial
