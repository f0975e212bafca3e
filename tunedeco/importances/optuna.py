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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunedeco.errors import ConfigurationError
from tunedeco.importances.positions import positions
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Trial

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
    columns = [c for h in space if (c := _column(optuna, h, trials)) is not None]
    single = dict.fromkeys((h.label for h in space), 0.0)
    if columns:
        single |= _evaluated(optuna, columns, standings, evaluator)
    groups = {
        group: math.fsum(single[h.label] for h in members)
        for group, members in space.groups.items()
    }
    return single, groups


_Column = tuple[str, Any, list[float]]
"""How Optuna is told of a hyperparameter: its name, distribution, and values."""


def _column(
    library: Any,  # noqa: ANN401 (the module)
    hyperparameter: Hyperparameter,
    trials: Sequence[Trial],
) -> _Column | None:
    """Return a hyperparameter as Optuna knows it; None where all trials have the same value."""
    label, domain = hyperparameter.label, hyperparameter.domain
    places = positions(hyperparameter, trials)
    places = np.where(np.isnan(places), domain.encode(hyperparameter.default), places)
    if (places == places[0]).all():
        return None
    if domain.ordered:
        return label, library.distributions.FloatDistribution(0.0, 1.0), places.tolist()
    assert domain.size is not None
    indices = (places * domain.size).astype(int).tolist()
    return label, library.distributions.CategoricalDistribution(range(domain.size)), indices


def _evaluated(
    library: Any,  # noqa: ANN401 (the module)
    columns: Sequence[_Column],
    standings: NDArray[np.int64],
    evaluator: str,
) -> dict[str, float]:
    """Return what an evaluator says of each."""
    distributions = {label: distribution for label, distribution, _ in columns}
    with _quiet(library):
        study = library.create_study()
        study.add_trials(
            [
                library.trial.create_trial(
                    params={label: places[i] for label, _, places in columns},
                    distributions=distributions,
                    value=float(standing),
                )
                for i, standing in enumerate(standings)
            ]
        )
        kinds = {
            "fanova": library.importance.FanovaImportanceEvaluator,
            "mdi": library.importance.MeanDecreaseImpurityImportanceEvaluator,
        }
        found = kinds[evaluator](seed=_SEED).evaluate(study)
    return {label: float(share) for label, share in found.items()}


@contextmanager
def _quiet(library: Any) -> Iterator[None]:  # noqa: ANN401 (the module)
    """Keep Optuna from telling that it has made a study."""
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        yield
    finally:
        library.logging.set_verbosity(before)
