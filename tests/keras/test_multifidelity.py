"""Promotion of real trials: from their checkpoints, to the numbers they would have had."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from tunedeco import Choice, Tuner
from tunedeco.oracles import ASHA

pytestmark = [pytest.mark.keras, pytest.mark.once]


def model_fn() -> keras.Model:
    """Build a model that is better with some learning rates, and random with all."""
    model = keras.Sequential([keras.layers.Dropout(0.2), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(Choice("rate", [1e-4, 1e-1])), loss)
    return model


def test_a_promoted_trial_is_the_one_it_would_have_been(
    arrays: tuple[np.ndarray, np.ndarray],
    make_tuner: Callable[..., Tuner],
) -> None:
    """Sent on from rung to rung, a trial's logs equal those of training it at one go.

    The best is trained to the last epoch, and one checkpoint is kept of who may still go on.
    """
    oracle = ASHA("grid", reduction=2, min_epochs=1)
    parts, whole = (
        make_tuner(
            model_fn,
            objective="val_loss",
            oracle=chosen,
            max_trials=2,
            max_epochs=2,
            directory=name,
        )
        for name, chosen in (("parts", oracle), ("whole", "grid"))
    )
    for tuner in (parts, whole):
        tuner.search(*arrays, validation_split=0.25, verbose=0)
    assert sorted(len(t.epochs) for t in parts.trials) == [1, 2]
    assert len(parts.best_trial.epochs) == 2
    for part, straight in zip(parts.trials, whole.trials, strict=True):
        logs = [dict(e.logs) for e in part.epochs]
        assert logs == [dict(e.logs) for e in straight.epochs][: len(logs)]
    kept = {file.name for file in (parts.directory / "checkpoints").glob("*")}
    assert len(kept) == 2  # a later trial could let the other one into the top share
