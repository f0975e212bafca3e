"""Where trials lie along a hyperparameter."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunedeco.errors import HyperparameterError
from tunedeco.space import Hyperparameter
from tunedeco.trial import Trial


def positions(hyperparameter: Hyperparameter, trials: Sequence[Trial]) -> NDArray[np.float64]:
    """Return where each trial's value lies in the unit interval; NaN where it was not asked for.

    Raises:
        HyperparameterError: a value is not in the domain; says whose.
    """
    domain, name = hyperparameter.domain, hyperparameter.name
    known: dict[tuple[type, object], float] = {}
    places = np.full(len(trials), np.nan)
    for i, trial in enumerate(trials):
        names = trial.values.get(hyperparameter.group, {})
        if name not in names:
            continue
        value = names[name]
        if (key := (type(value), value)) not in known:
            try:
                known[key] = domain.encode(domain.canonical(value))
            except HyperparameterError as error:
                msg = f"{hyperparameter.label} of trial {trial.number}: {error}"
                raise HyperparameterError(msg) from None
        places[i] = known[key]
    return places
