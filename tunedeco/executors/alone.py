"""What keeps a search, or one of its trials, from being trained together with others.

HEAVY: importing this module loads Keras.
"""

from collections.abc import Iterator
from itertools import chain

import keras

from tunedeco.abstract import size_of
from tunedeco.errors import ConfigurationError
from tunedeco.executors.data import FitData, numpy_tree
from tunedeco.executors.keras import Opened
from tunedeco.executors.overridden import WITHIN_EPOCH, is_keras
from tunedeco.executors.supplied import SECONDS
from tunedeco.objectives import Objectives

_OPTIONS = frozenset({"batch_size", "shuffle", "steps_per_epoch", "validation_batch_size"})
_STEPS = (
    *("fit", "evaluate", "train_step", "test_step", "compute_metrics", "get_metrics_result"),
    "reset_metrics",
)


def check(data: FitData, objectives: Objectives, train_fn: object) -> None:
    """Check that a search can be vectorised.

    Raises:
        ConfigurationError: it cannot; says why.
    """
    backend = keras.backend.backend()
    validation = data.validation_data
    for wrong, reason in (
        (backend != "jax", f'needs Keras on JAX (KERAS_BACKEND="jax"), and this is {backend!r}'),
        (train_fn is not None, "is for fit: leave train_fn= out"),
        (data.folds is not None, "trains all on the same arrays: leave folds= out"),
        (data.arrays is None, "works on arrays"),
        (
            validation is not None and numpy_tree(validation) is None,
            "works on arrays: validation_data= must be some, too",
        ),
        (
            any(objective.canonical == SECONDS for objective in objectives),
            f"has no {SECONDS} of one model: leave this objective out",
        ),
    ):
        if wrong:
            msg = f"vectorise= {reason}"
            raise ConfigurationError(msg)


def reason(opened: Opened, given: FitData, memory: int | None) -> str | None:
    """Return why a trial cannot be trained with others; None where nothing is known of it.

    Args:
        opened: the trial.
        given: what the search was given to train on.
        memory: the bytes there are for each of those that are trained together, if that is known.
    """
    reasons = chain(_of_fit(opened, given), _of_the_model(opened.made.model, memory))
    return next(reasons, None)


def _of_fit(opened: Opened, given: FitData) -> Iterator[str]:
    data = opened.data
    if data.arrays is not given.arrays or data.validation_data is not given.validation_data:
        yield "its model function gives fit data of its own"
    if data.augment is not None:
        yield "its batches are augmented"
    for name in sorted(data.options.keys() - _OPTIONS):
        yield f"fit is given {name}"
    for callback in opened.callbacks:
        for name in (name for name in WITHIN_EPOCH if not is_keras(callback, name)):
            yield f"{type(callback).__name__} has {name}, which is within an epoch"
    if opened.start.step:
        yield "it was interrupted within an epoch"


def _of_the_model(model: keras.Model, memory: int | None) -> Iterator[str]:
    if not model.built:
        yield "its model is not built before it is trained"
    if model.run_eagerly or not model.jit_compile:
        yield "its model is compiled to run without jit_compile"
    for name in (name for name in _STEPS if not is_keras(model, name)):
        yield f"its model has {name} of its own"
    if memory is not None and size_of(model).training_bytes > memory:
        yield "so many of its models need more than max_memory"
