"""A model function that returns `(model, fit_arguments)`: what `fit` is given is tuned, too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Objective, State, Tuner, tunable
from tunedeco.errors import ConfigurationError, ModelFunctionError, ObjectiveError
from tunedeco.executors.data import prepare
from tunedeco.executors.feed import Feed
from tunedeco.executors.fit_arguments import adapted, checked
from tunedeco.trial import Trial

pytestmark = [pytest.mark.keras, pytest.mark.once]

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]
Numbers = Callable[[Tuner], list[Any]]
LOSS = (Objective("loss"),)


def dense() -> keras.Model:
    model = keras.Sequential(
        [
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


class Notes(keras.callbacks.Callback):
    """Notes how `fit` was called."""

    steps: list[int] = []  # noqa: RUF012 (shared on purpose)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.steps.append(self.params["steps"])


class Stop(BaseException):
    """What a test raises where a process would die."""


class Die(keras.callbacks.Callback):
    """Raises in a batch of the third epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == (2, 1):
            raise Stop


def noisy(x: Any, y: Any, draw: np.random.Generator) -> Any:
    return x + 0.1 * draw.normal(size=x.shape), y


@tunable
def with_arguments() -> Any:
    batch_size = Choice("batch_size", [12, 8], group="fit")
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, start_from_epoch=9)
    return dense(), {
        "batch_size": batch_size,
        "epochs": Choice("epochs", [3, 4], group="fit"),
        "callbacks": [stopping, Notes()],
        "class_weight": {0: 1.0, 1: 2.0, 2: 1.0},
        "augment": noisy,
    }


def test_what_fit_takes_is_tuned(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch size, epochs, callbacks and augmentation are the trial's own, also after a crash."""
    monkeypatch.setattr("tunedeco.executors.recorder._SHARE", 1e9)  # a checkpoint at each epoch

    def run(directory: str, *more: keras.callbacks.Callback) -> Tuner:
        settings = {"max_trials": 2, "max_epochs": 5, "oracle": "grid", "directory": directory}
        tuner = make_tuner(with_arguments, **settings)
        tuner.search(
            *arrays, validation_split=0.75, batch_size=36, callbacks=lambda _: list(more), verbose=0
        )
        return tuner

    Notes.steps.clear()
    whole = run("whole")
    assert Notes.steps == [2, 2, 2, 2, 2, 2, 2]  # 24 samples, 12 a batch
    assert [len(trial.epochs) for trial in whole.trials] == [3, 4]
    assert {trial.state for trial in whole.trials} == {State.COMPLETED}
    with pytest.raises(Stop):
        run("parted", Die())
    assert numbers(run("parted")) == numbers(whole)
    # the model alone, wherever a model is asked for
    assert whole.best_model().predict(arrays[0], verbose=0).shape == (96, 3)
    whole.export_best("best.json")
    assert isinstance(with_arguments.build("best.json"), keras.Model)
    model, arguments = with_arguments.apply(Path("best.json"))
    assert isinstance(model, keras.Model)
    assert arguments["epochs"] == whole.best_hyperparameters["fit"]["epochs"]


class Batches(keras.utils.PyDataset):
    """Augmented data that a model function makes."""

    def __init__(self, x: np.ndarray, y: np.ndarray, size: int) -> None:
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self) -> int:
        return len(self.x) // self.size

    def __getitem__(self, index: int) -> Arrays:
        chosen = slice(index * self.size, (index + 1) * self.size)
        return self.x[chosen], self.y[chosen]


def test_data_of_the_trials_own(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """`x` and `validation_data` take the place of the search's, in whatever form and shape."""
    x, y = arrays

    def function() -> Any:
        size = Choice("size", [16, 24])
        wide = np.concatenate([x, x], axis=1)
        data = Batches(wide, y, size)
        return dense(), {"x": data, "validation_data": (wide, y), "callbacks": [Notes()]}

    Notes.steps.clear()
    tuner = make_tuner(function, oracle="grid", max_epochs=1)
    tuner.search(x, y, batch_size=7, validation_data=arrays, verbose=0)
    assert Notes.steps == [6, 4]
    assert tuner.trials[0].state is State.COMPLETED, tuner.trials[0].error
    assert tuner.best_model().input_shape == (None, 12)


def test_sample_weights_of_the_trials_own(arrays: Arrays) -> None:
    """`sample_weight` alone goes with the arrays of the search."""
    weights = np.zeros(96)
    data = adapted(prepare(*arrays, None, {}, LOSS), {"sample_weight": weights}, LOSS, "f")
    feed = data.feed(0, Trial(0, {}, 1))
    assert feed is not None
    assert [part.sum() for part in feed[0][2:]] == [0.0]


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ({"batchsize": 8}, "'batchsize' for fit; what it can return for it is: x, y, sam"),
        ({"epochs": 0}, "epochs=0, which must be a whole number"),
        ({"augment": 3}, "augment=3, which must be a function"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"steps_per_epoch": 99}, "steps_per_epoch must be from 1 to 3"),
        ({"x": iter([])}, "read only once"),
        ({"y": np.zeros(3)}, "x has 96, y has 3"),
        (
            ["epochs", 3],
            "a Keras model, and returned tuple; beside the model there may",
        ),
    ],
)
def test_wrong_arguments(returned: Any, says: str, arrays: Arrays) -> None:
    """What `fit` cannot take is named, with the function and what it may return."""

    def returns() -> None:
        _, arguments = checked((dense(), returned), "function")
        adapted(prepare(*arrays, None, {}, LOSS), arguments, LOSS, "function")

    with pytest.raises(ModelFunctionError, match=f"function (must|returned).*{says}"):
        returns()


def test_wrong_arguments_stop_a_search(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """What is wrong with all trials stops a search before it begins, or in the first trial."""
    tuner = make_tuner(lambda: (dense(), {"batchsize": 8}), objective="loss")
    with pytest.raises(ModelFunctionError, match="batchsize"):
        tuner.search(*arrays, verbose=0)
    assert not tuner.directory.exists()
    tuner = make_tuner(lambda: (dense(), {"callbacks": ["no"]}), objective="loss")
    with pytest.raises(ConfigurationError, match="must be Keras callbacks"):
        tuner.search(*arrays, verbose=0)
    assert [trial.state for trial in tuner.trials] == [State.RUNNING]


def test_augmentation_is_keyed_by_the_batch(arrays: Arrays) -> None:
    """A batch is changed in the same way however often it is read, and no two batches alike."""
    made = [Feed(arrays, 16, None, True, 0, 0, 0, noisy) for _ in range(2)]
    plain = Feed(arrays, 16, None, True, 0, 0, 0)
    for feed in (*made, plain):
        feed.epoch = 3
    assert np.array_equal(made[0][2][0], made[1][2][0])
    noise = [made[0][i][0] - plain[i][0] for i in (1, 2)]
    assert not np.allclose(noise[0], noise[1])
    assert np.array_equal(made[0][1][1], plain[1][1])
    assert made[0][1][0].dtype == plain[1][0].dtype == "float32"


def largest(model: keras.Model) -> float:
    return float(max(np.abs(weights).max() for weights in model.get_weights()))


def test_an_objective_that_is_a_function(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A function of the model is logged after each epoch, seen by callbacks, and decides."""
    objective = Objective("largest", "min", measure=largest)
    watching = keras.callbacks.EarlyStopping("largest", patience=1, mode="max")
    tuner = make_tuner(dense, objective=objective, max_trials=1, max_epochs=3)
    tuner.search(*arrays, callbacks=[watching], verbose=0)
    (trial,) = tuner.trials
    assert [set(epoch.logs) for epoch in trial.epochs] == [{"loss", "largest"}] * len(trial.epochs)
    assert trial.score == min(epoch.logs["largest"] for epoch in trial.epochs)
    assert largest(tuner.best_model()) == pytest.approx(trial.score)
    # it is the same search with or without the function, which no journal holds
    other = make_tuner(dense, objective=Objective("largest", "min"), max_trials=1)
    assert other.objective == tuner.objective
    assert "measure" not in (tuner.directory / "journal.jsonl").read_text()


def test_an_objective_that_returns_no_number(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """What a measuring function returns must be a number; its direction is asked for."""
    tuner = make_tuner(dense, objective=Objective("f1", "max", measure=lambda model: "high"))
    with pytest.raises(ObjectiveError, match="'f1' must return a number, and returned 'high'"):
        tuner.search(*arrays, verbose=0)
    with pytest.raises(ObjectiveError, match=r"Objective\('largest', \"min\", measure=largest\)"):
        make_tuner(dense, objective=largest)

    def accuracy(model: keras.Model) -> float:
        return 0.0

    assert make_tuner(dense, objective=accuracy).objective.direction == "max"
