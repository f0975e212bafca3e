"""A trial that goes on at once keeps its model, and trains as if it had been made again."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Tuner
from tunedeco.executors.models import Maker
from tunedeco.oracles import Continue, Done, Start, Wait
from tunedeco.space import Space
from tunedeco.trial import State, Trial

pytestmark = pytest.mark.keras


@dataclass(frozen=True)
class EpochByEpoch:
    """Asks for every epoch by itself."""

    most: int = 3

    def within(self, min_epochs: int, max_epochs: int) -> "EpochByEpoch":
        return self

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        going = self.finish(trials)
        if isinstance(going, Continue):
            return going
        return Start(space.defaults, until=1)

    def finish(self, trials: Sequence[Trial]) -> Continue | Wait | Done:
        for trial in trials:
            if trial.state is State.COMPLETED and trial.until < self.most:
                return Continue(trial.number, trial.until + 1)
        return Done()

    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        return [t.number for t in trials if t.state is State.COMPLETED and t.until < self.most]


def model_fn() -> keras.Model:
    rate = Choice("rate", [0.03, 0.01, 0.003], group="optimizer")
    model = keras.Sequential(
        [
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


class Own(keras.callbacks.Callback):
    """A user's callback, which might do anything to the model."""


@pytest.mark.parametrize(("callbacks", "made"), [([], 1), ([Own()], 3)])
def test_a_trial_that_goes_on_at_once(
    callbacks: list[Any],
    made: int,
    arrays: tuple[np.ndarray, np.ndarray],
    make_tuner: Callable[..., Tuner],
    numbers: Callable[[Tuner], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Epoch by epoch a trial logs what it logs at once, and its model is made one time only.

    With callbacks of the user's, it is made for each slice: nobody knows what they do to it.
    """
    calls = []
    make = Maker.made
    monkeypatch.setattr(Maker, "made", lambda *given: (calls.append(1), make(*given))[1])
    callbacks = [*callbacks, keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1)]
    found = []
    for oracle in ("random", EpochByEpoch()):
        tuner = make_tuner(
            model_fn, oracle=oracle, max_epochs=3, max_trials=1, directory=type(oracle).__name__
        )
        calls.clear()
        tuner.search(*arrays, validation_split=0.25, verbose=0, callbacks=callbacks)
        found.append(numbers(tuner))
    assert found[0] == found[1]
    assert len(calls) == made
