"""Small data and a small model; every test works in a directory of its own."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Linear, Range, Tuner

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `faults`, whatever pytest's import mode


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _settled() -> Iterator[None]:
    """Have each test's collections pass over what those before it have left."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Return 96 samples of three classes that a small network can tell apart."""
    draw = np.random.RandomState(0)
    x = draw.normal(size=(96, 6)).astype("float32")
    return x, (x[:, :3] + draw.normal(size=(96, 3)) * 0.3).argmax(axis=1)


def model_fn() -> keras.Model:
    """Build a model that has everything resuming must get right."""
    rate = Linear("rate", 0.1, 0.5, 3, group="dense")
    units = Range("units", 4, 12, 4, group="dense")
    learning_rate = Choice("learning_rate", [0.03, 0.01, 0.003], group="optimizer")
    model = keras.Sequential(
        [
            keras.layers.Dense(units, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(rate),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(learning_rate)
    )
    return model


@pytest.fixture
def make_tuner() -> Callable[..., Tuner]:
    """Return a tuner of small searches; any argument can be another."""

    def make(function: Callable[..., Any] = model_fn, **settings: Any) -> Tuner:
        chosen = {"max_trials": 2, "max_epochs": 2, "oracle": "random", "directory": "run"}
        objective = settings.pop("objective", "val_accuracy")
        return Tuner(function, objective, **{**chosen, **settings})

    return make


@pytest.fixture
def numbers() -> Callable[[Tuner], list[Any]]:
    """Return what gives all that must be equal in two runs of one search."""
    return lambda tuner: [
        (t.number, t.state, t.values, t.score, t.best_epoch, [(e.epoch, e.logs) for e in t.epochs])
        for t in tuner.trials
    ]
