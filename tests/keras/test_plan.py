"""How a model is trained, where that changes nothing but the time it takes."""

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Objective, Tuner
from tunedeco.errors import ConfigurationError
from tunedeco.events import Built
from tunedeco.executors import devices, plan
from tunedeco.journal.journal import Journal

ON_TENSORFLOW = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="elsewhere nothing is chosen"
)
pytestmark = pytest.mark.keras

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]
Numbers = Callable[[Tuner], list[Any]]


def rates_fn() -> keras.Model:
    """Build models of one program."""
    model = keras.Sequential([keras.layers.Dense(3, "softmax")])
    rate = Choice("rate", [0.1, 0.2, 0.3, 0.4])
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def planned(tuner: Tuner) -> list[int]:
    """Return how many steps a call was in each trial, as the journal has it."""
    with Journal(tuner.directory) as journal:
        built = [event for event in journal.events() if isinstance(event, Built)]
    return [event.runtime.get("steps_per_execution", 1) for event in built]


@ON_TENSORFLOW
def test_pipelines_feed_the_same(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pipeline fetches, training and validation, leads to the numbers of Keras's own."""

    def searched(name: str) -> list[Any]:
        tuner = make_tuner(directory=name)
        tuner.search(*arrays, validation_split=0.25, batch_size=10, verbose=0)
        return numbers(tuner)

    fetched = searched("fetched")
    monkeypatch.setattr(devices, "plain_tensorflow", lambda: False)
    assert searched("Keras") == fetched


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it pay at once to run many steps in a call."""
    monkeypatch.setattr(plan, "_PAYS", 0)
    monkeypatch.setattr(plan, "_PAYS_AGAIN", 0)
    monkeypatch.setattr(plan, "_SECONDS", 10.0)


@ON_TENSORFLOW
def test_many_steps_a_call_end_the_same(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers, eager: None
) -> None:
    """What is chosen is measured in the training before, stands in the journal, changes nothing."""
    chosen, plain = (make_tuner(directory=name, max_trials=3) for name in ("chosen", "plain"))
    for tuner, steps_per_execution in ((chosen, None), (plain, 1)):
        tuner.search(
            *arrays,
            validation_split=0.25,
            batch_size=7,
            steps_per_execution=steps_per_execution,
            callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=1)],
            verbose=0,
        )
    assert planned(plain) == [1] * 3
    first, *others = planned(chosen)
    assert first == 1
    assert min(others) > 1
    assert numbers(chosen) == numbers(plain)
    assert [t.checkpoints[-1] for t in chosen.trials] == [t.checkpoints[-1] for t in plain.trials]


@ON_TENSORFLOW
def test_who_hears_of_batches_hears_of_each(
    arrays: Arrays, make_tuner: MakeTuner, eager: None
) -> None:
    """With a callback that hears of batches, a call is a step: also of a program that had more."""
    heard: dict[int, list[int]] = {}

    def callbacks(trial: Any) -> list[keras.callbacks.Callback]:
        mine = heard.setdefault(trial.number, [])
        note = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: mine.append(batch)
        )
        return [note] if trial.number == 2 else []

    tuner = make_tuner(rates_fn, objective="loss", max_trials=4, max_epochs=1)
    tuner.search(*arrays, batch_size=7, callbacks=callbacks, verbose=0)
    assert [many > 1 for many in planned(tuner)] == [False, True, False, True]
    assert heard[2] == list(range(14))


def test_what_the_model_says_stands(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """The argument is for models that say nothing; TensorFlow and JAX can have it, PyTorch not."""

    def model_fn() -> keras.Model:
        model = keras.Sequential([keras.layers.Dense(3, "softmax")])
        said = Choice("said", [1, 2])
        model.compile(loss="sparse_categorical_crossentropy", steps_per_execution=said)
        return model

    tuner = make_tuner(model_fn, objective="loss", oracle="grid", max_trials=None, max_epochs=1)
    if devices.compiles():
        tuner.search(*arrays, batch_size=8, steps_per_execution=3, verbose=0)
        assert planned(tuner) == [3, 2]
    else:
        with pytest.raises(ConfigurationError, match="steps_per_execution=3 cannot be"):
            tuner.search(*arrays, steps_per_execution=3, verbose=0)


@ON_TENSORFLOW
def test_a_measure_that_predicts(arrays: Arrays, make_tuner: MakeTuner, eager: None) -> None:
    """Whatever runs how many steps a call, an objective that predicts sees all samples."""
    seen = []

    def measured(model: keras.Model) -> float:
        seen.append(len(model.predict(arrays[0], batch_size=7, verbose=0)))
        return float(len(seen))

    objective = Objective("measured", "max", measure=measured)
    for steps_per_execution in (None, 4):
        name = f"{steps_per_execution}"
        tuner = make_tuner(
            rates_fn, objective=objective, max_trials=4, max_epochs=1, directory=name
        )
        tuner.search(*arrays, batch_size=7, steps_per_execution=steps_per_execution, verbose=0)
        assert planned(tuner) == [steps_per_execution or 1] * 4
    assert seen == [96] * 8


@ON_TENSORFLOW
def test_data_of_another_machine(make_tuner: MakeTuner, numbers: Numbers) -> None:
    """Integers with their bytes in the other order are the same integers."""
    x = np.random.RandomState(0).randint(0, 3, (50, 4))
    found = []
    for kind, name in (("<i4", "little"), (">i4", "big")):
        tuner = make_tuner(rates_fn, objective="loss", max_trials=1, directory=name)
        tuner.search(x.astype(kind), x[:, 0].astype(kind), verbose=0)
        found.append(numbers(tuner))
    assert found[0] == found[1]


@ON_TENSORFLOW
def test_interrupted_within_an_epoch_of_calls(
    make_tuner: MakeTuner, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal stops after the call that runs, which is a safe point, and nothing is lost."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)
    draw = np.random.RandomState(0)
    x = draw.normal(size=(1000, 6)).astype("float32")
    batches = itertools.count()
    due: list[int] = []  # the batch with which the signal comes

    def augment(x: Any, y: Any, draw: np.random.Generator) -> Any:
        if next(batches) in due:
            os.kill(os.getpid(), signal.SIGTERM)
        return x + draw.normal(size=x.shape), y

    def model_fn() -> Any:
        model = keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(Choice("rate", [0.1, 0.2])), "mse")
        return model, {"augment": augment}

    def search(name: str) -> Tuner:
        tuner = make_tuner(model_fn, objective="loss", directory=name, max_trials=1)
        tuner.search(x, x[:, :1], batch_size=10, steps_per_execution=16, verbose=0)
        return tuner

    whole = search("whole")
    due.append(next(batches) + 150)
    with pytest.raises(SystemExit):
        search("parted")
    (trial,) = make_tuner(model_fn, objective="loss", directory="parted", max_trials=1).trials
    latest = trial.checkpoints[-1]
    assert latest.epoch == 1
    assert latest.step in range(16, 100, 16)
    due.clear()
    assert numbers(search("parted")) == numbers(whole)
