"""What the executor supplies beside what training logs: measured once, and journalled."""

import os
import signal
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Tuner
from tunedeco.errors import ObjectiveError
from tunedeco.executors import supplied

pytestmark = [pytest.mark.keras, pytest.mark.once]

ALL = ["val_accuracy", "parameters", "training_seconds", "inference_latency"]
Arrays = tuple[np.ndarray, np.ndarray]


class Interrupt(keras.callbacks.Callback):
    """Sends a signal once, within the second epoch it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.epochs == 2 and batch == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_what_is_supplied_is_measured_once(
    arrays: Arrays, make_tuner: Callable[..., Tuner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted and resumed, a trial has one latency; its training is what it would have been.

    The seconds of all its epochs count, that which was interrupted included; and of each trial of
    the front there is a model with that many parameters and that accuracy.
    """
    measured = []
    latency = supplied.latency
    monkeypatch.setattr(supplied, "latency", lambda *given: measured.append(0) or latency(*given))
    settings = {"validation_split": 0.25, "batch_size": 8, "verbose": 0}
    plain = make_tuner(directory="plain", max_epochs=2)
    plain.search(*arrays, **settings)
    assert not measured
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make_tuner(objective=ALL, max_epochs=2).search(
            *arrays, callbacks=lambda trial: [Interrupt()], **settings
        )
    assert len(measured) == 1
    tuner = make_tuner(objective=ALL, max_epochs=2)
    tuner.search(*arrays, **settings)
    assert len(measured) == 2
    for trial, alone in zip(tuner.trials, plain.trials, strict=True):
        theirs = [
            {name: value for name, value in epoch.logs.items() if name not in ALL[1:]}
            for epoch in trial.epochs
        ]
        assert theirs == [epoch.logs for epoch in alone.epochs]
        assert (trial.score, trial.best_epoch) == (alone.score, alone.best_epoch)
        assert {epoch.logs["inference_latency"] for epoch in trial.epochs} == {
            trial.scores["inference_latency"]
        }
        assert 0 < trial.scores["inference_latency"] < 10
        seconds = sum(epoch.runtime["seconds"] for epoch in trial.epochs)
        lost = trial.scores["training_seconds"] - seconds
        assert (lost > 1e-5) == (trial.number == 0)
    for trial in tuner.pareto:
        model = tuner.best_model(trial.number)
        assert model.count_params() == trial.scores["parameters"] == trial.parameters
        of_validation = (part[72:] for part in arrays)
        accuracy = model.evaluate(*of_validation, verbose=0, return_dict=True)["accuracy"]
        assert accuracy == pytest.approx(trial.scores["val_accuracy"])


def test_no_latency_without_data_or_a_model(make_tuner: Callable[..., Tuner]) -> None:
    """Where there is nothing to measure, an error says what to write, and no trial fails of it."""

    def train(model: object, context: Any) -> None:
        for _ in context.epochs():
            context.report(loss=1.0)

    def nothing() -> object:
        return {"w": np.zeros(3)}

    tuner = make_tuner(nothing, objective=["loss", "inference_latency"], train_fn=train)
    with pytest.raises(ObjectiveError, match="batch of the data that search is given"):
        tuner.search(verbose=0)
    with pytest.raises(ObjectiveError, match=r"latency is that of a Keras model, .*'dict'"):
        tuner.search(np.zeros((8, 2)), verbose=0)
