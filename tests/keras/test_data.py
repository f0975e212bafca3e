"""A search takes whatever `fit` takes, and says before the first trial what it cannot take."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Range, State, Tuner
from tunedeco.errors import ConfigurationError, ObjectiveError
from tunedeco.executors.feed import Feed

pytestmark = pytest.mark.keras

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]


class Batches(keras.utils.PyDataset):
    """A dataset as users write it."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x) // 16

    def __getitem__(self, index: int) -> Arrays:
        chosen = slice(index * 16, (index + 1) * 16)
        return self.x[chosen], self.y[chosen]


def _tf_dataset(x: np.ndarray, y: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(16)


def kinds(x: np.ndarray, y: np.ndarray) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return the arguments of `search` for each kind of data."""
    import pandas as pd

    val = {"validation_data": (x[64:], y[64:])}
    x, y = x[:64], y[:64]
    weights = np.linspace(0.5, 1.5, 64)
    return {
        "x, y": ((x, y), val),
        "pair": (((x, y),), val),
        "triple": (((x, y, weights),), val),
        "sample_weight": ((x, y), val | {"sample_weight": weights}),
        "class_weight": ((x, y), val | {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}),
        "validation_split": ((x, y), {"validation_split": 0.25}),
        "batch_size": ((x, y), val | {"batch_size": 10}),
        "steps": ((x, y), val | {"steps_per_epoch": 2, "validation_steps": 1}),
        "no shuffle": ((x, y), val | {"shuffle": False}),
        "batch shuffle": ((x, y), val | {"shuffle": "batch"}),
        "float64": ((x.astype("float64"), y), val),
        "pandas": ((pd.DataFrame(x), pd.Series(y)), val),
        "tensors": ((keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)), val),
        "PyDataset": ((Batches(x, y),), {"validation_data": Batches(*val["validation_data"])}),
        "tf.data": ((_tf_dataset(x, y),), {"validation_data": _tf_dataset(x, y)}),
    }


@pytest.mark.parametrize("kind", kinds(np.zeros((96, 6)), np.zeros(96, int)))
def test_every_kind_of_data(kind: str, arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Each kind of data that `fit` takes trains a trial to its last epoch."""
    positional, named = kinds(*arrays)[kind]
    tuner = make_tuner(max_trials=1)
    tuner.search(*positional, **named, verbose=0)
    (trial,) = tuner.trials
    assert trial.state is State.COMPLETED, trial.error
    assert len(trial.epochs) == 2
    assert 0 <= trial.score <= 1


@pytest.mark.parametrize("form", [dict, list, tuple])
def test_several_inputs(form: type, arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Inputs in a dict, a list or a tuple reach a functional model, and shape its restored twin."""

    def two_inputs() -> keras.Model:
        left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
        hidden = keras.layers.Dense(Range("units", 2, 6))(keras.layers.Concatenate()([left, right]))
        inputs = {"left": left, "right": right} if form is dict else form([left, right])
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
        model.compile(loss="sparse_categorical_crossentropy")
        return model

    x, y = arrays
    parts = {"left": x[:, :4], "right": x[:, 4:]}
    data = parts if form is dict else form(parts.values())
    tuner = make_tuner(two_inputs, max_trials=1)
    tuner.search(data, y, validation_split=0.25, verbose=0)
    assert tuner.trials[0].state is State.COMPLETED, tuner.trials[0].error
    assert tuner.best_model().predict(data, verbose=0).shape == (96, 3)


def test_no_order_of_data_is_trained_twice(arrays: Arrays) -> None:
    """Arrays come in another order in each epoch and each trial, whatever the seed."""
    seen: list[list[float]] = []

    x, y = arrays
    for trial in range(2):
        feed = Feed((x, y), 16, None, shuffle=True, seed=0, trial=trial, execution=0)
        for epoch in range(2):
            feed.epoch = epoch
            seen.append(np.concatenate([feed[i][0] for i in range(len(feed))])[:, 0].tolist())
            assert sorted(seen[-1]) == sorted(x[:, 0].tolist())
    assert len({tuple(order) for order in seen}) == 4


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda x, y: {"x": x, "y": y[:-1]}, "x has 96, y has 95"),
        (
            lambda x, y: {"x": x, "y": y, "validation_data": (x, y[:5])},
            "validation arrays differ in length: x has 96, y has 5",
        ),
        (lambda x, y: {"x": x, "y": y, "sample_weight": y[:3]}, "sample_weight has 3"),
        (lambda x, y: {"x": x[:0], "y": y[:0]}, "is empty"),
        (lambda x, y: {"x": iter([(x, y)])}, "read only once"),
        (lambda x, y: {"x": None}, "needs training data"),
        (lambda x, y: {"x": Batches(x, y), "validation_split": 0.2}, "works on arrays"),
        (lambda x, y: {"x": x, "y": y, "validation_split": 1.5}, "between 0 and 1"),
        (lambda x, y: {"x": x, "y": y, "batch_size": 0}, "batch_size must be"),
        (lambda x, y: {"x": x, "y": y, "steps_per_epoch": 99}, "steps_per_epoch must be"),
        (lambda x, y: {"x": (x, y, y), "sample_weight": y}, "sample_weight is given twice"),
    ],
)
def test_wrong_data_is_refused(
    arguments: Callable[..., dict[str, Any]],
    message: str,
    arrays: Arrays,
    make_tuner: MakeTuner,
) -> None:
    """Data that cannot be trained on is named before anything is trained or written."""
    given = {"validation_data": arrays, **arguments(*arrays)}
    if "validation_split" in given:
        del given["validation_data"]
    tuner = make_tuner()
    with pytest.raises(ConfigurationError, match=message):
        tuner.search(**given, verbose=0)
    assert not tuner.directory.exists()


@pytest.mark.once
def test_validation_objective_without_validation(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A val_ objective without validation data is refused before anything is trained."""
    with pytest.raises(ObjectiveError, match="needs validation data"):
        make_tuner().search(*arrays, verbose=0)


@pytest.mark.once
@pytest.mark.parametrize(("frequency", "scored"), [(2, [2, 4]), ([1, 4], [1, 4])])
def test_epochs_without_validation(
    arrays: Arrays,
    make_tuner: MakeTuner,
    frequency: Any,
    scored: list[int],
) -> None:
    """With validation_freq, epochs between two validations have no score, and are no error."""
    tuner = make_tuner(max_trials=1, max_epochs=5)
    tuner.search(*arrays, validation_split=0.25, validation_freq=frequency, verbose=0)
    (trial,) = tuner.trials
    assert [e.epoch for e in trial.epochs if "val_accuracy" in e.logs] == scored
    assert len(trial.epochs) == 5
    assert trial.best_epoch in scored
