"""Cross-validation: arrays cut into folds by scikit-learn, the same for every trial."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tunedeco.errors import ConfigurationError
from tunedeco.randomness import training_seed


def cut(
    arrays: tuple[Any, ...], folds: int, seed: int, execution: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return what one execution trains on, and the fold that it validates on.

    Execution ``i`` validates on fold ``i % folds``; every ``folds`` executions are cut anew.
    Where the labels are classes (whole numbers, or one-hot), each fold has its share of each.

    Args:
        arrays: ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``, each a tree of NumPy arrays.
        folds: how many.
        seed: the search's.
        execution: which execution of a trial, from 0.

    Raises:
        ConfigurationError: scikit-learn is not installed, or there are too few samples.
    """
    try:
        from sklearn.model_selection import KFold, StratifiedKFold
    except ImportError as error:
        msg = 'folds= needs scikit-learn: pip install "tunedeco[folds]"'
        raise ConfigurationError(msg) from error
    samples = len(keras.tree.flatten(arrays)[0])
    if samples < folds:
        msg = f"folds={folds} needs at least as many samples, and there are {samples}"
        raise ConfigurationError(msg)
    labels = classes(arrays[1]) if len(arrays) > 1 else None
    if labels is not None:
        found, counts = np.unique(labels, return_counts=True)
        if counts.min() < folds:
            msg = (
                f"folds={folds} needs at least {folds} samples of each class, and class "
                f"{found[counts.argmin()]} has {counts.min()}; take fewer folds, or, if y is no "
                "class but a quantity, give it as floats"
            )
            raise ConfigurationError(msg)
    repeat, fold = divmod(execution, folds)
    kind = KFold if labels is None else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=training_seed(seed, 0, repeat, "folds"))
    train, validation = list(splitter.split(np.zeros(samples), labels))[fold]
    return _taken(arrays, train), _taken(arrays, validation)


def classes(y: Any) -> npt.NDArray[Any] | None:  # noqa: ANN401 (a tree of arrays)
    """Return the class of each sample; None where labels are something else."""
    if not isinstance(y, np.ndarray):
        return None
    if y.ndim == 1 or y.shape[1:] == (1,):
        return y.reshape(-1) if y.dtype.kind in "iub" else None
    is_one_hot = y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()  # noqa: PLR2004
    return y.argmax(axis=1) if is_one_hot else None


def _taken(arrays: tuple[Any, ...], chosen: npt.NDArray[Any]) -> tuple[Any, ...]:
    return tuple(keras.tree.map_structure(lambda array: array[chosen], arrays))
