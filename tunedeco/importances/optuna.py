"""Optuna's evaluators of importance, asked about our trials.

They see positions in the unit interval, on the scale that each domain has, and standings in place
of scores: so they compare trials of different epochs fairly, and are as indifferent to the scale of
the objective as ours. They pass over conditional hyperparameters, so what a trial was not asked for
has its default (as in Frank Hutter, Holger Hoos and Kevin Leyton-Brown, "An Efficient Approach for
Assessing Hyperparameter Importance", ICML 2014, and in its implementations).
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunedeco.errors import ConfigurationError
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Trial

if TYPE_CHECKING:
    import optuna

_SEED = 0  # of their forests: the same trials give the same answer


def variances(
    space: Space, trials: Sequence[Trial], standings: NDArray[np.int64], evaluator: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what each hyperparameter explains, by label, and each group: the sum of its members.

    Args:
        space: the hyperparameters.
        trials: those to be compared.
        standings: of each trial, the less the better.
        evaluator: ``"fanova"`` or ``"mdi"``.

    Raises:
        ConfigurationError: Optuna or scikit-learn is not installed.
    """
    try:
        import optuna
        import sklearn  # noqa: F401 (their forests)
    except ImportError as error:
        msg = (
            f"evaluator {evaluator!r} needs {error.name}: pip install 'tunedeco[optuna]', or use "
            "'ped-anova', which needs nothing"
        )
        raise ConfigurationError(msg) from error
    searched = [h for h in space if h.domain.size != 1]
    with _quiet(optuna):
        study = optuna.create_study()
        study.add_trials(
            [
                _frozen(optuna, searched, trial, float(standing))
                for trial, standing in zip(trials, standings, strict=True)
            ]
        )
        kinds: dict[str, Any] = {
            "fanova": optuna.importance.FanovaImportanceEvaluator,
            "mdi": optuna.importance.MeanDecreaseImpurityImportanceEvaluator,
        }
        found = kinds[evaluator](seed=_SEED).evaluate(study)
    single = {h.label: float(found.get(h.label, 0.0)) for h in space}
    groups = {
        group: math.fsum(single[h.label] for h in members)
        for group, members in space.groups.items()
    }
    return single, groups


def _frozen(
    library: Any,  # noqa: ANN401 (the module)
    searched: Sequence[Hyperparameter],
    trial: Trial,
    standing: float,
) -> "optuna.trial.FrozenTrial":
    """Return a trial as one of Optuna's."""
    params: dict[str, float] = {}
    distributions: dict[str, Any] = {}
    for h in searched:
        value = trial.values.get(h.group, {}).get(h.name, h.default)
        place = h.domain.encode(h.domain.canonical(value))
        if h.domain.ordered:
            distributions[h.label] = library.distributions.FloatDistribution(0.0, 1.0)
        else:
            assert h.domain.size is not None
            place = int(place * h.domain.size)
            choices = range(h.domain.size)
            distributions[h.label] = library.distributions.CategoricalDistribution(choices)
        params[h.label] = place
    frozen: optuna.trial.FrozenTrial = library.trial.create_trial(
        params=params, distributions=distributions, value=standing
    )
    return frozen


@contextmanager
def _quiet(library: Any) -> Iterator[None]:  # noqa: ANN401 (the module)
    """Keep Optuna from telling that it has made a study."""
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        yield
    finally:
        library.logging.set_verbosity(before)
