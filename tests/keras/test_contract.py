"""The Keras executor satisfies the contract of executors."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Objective
from tunedeco.events import Ended
from tunedeco.executors.base import Slice
from tunedeco.executors.data import prepare
from tunedeco.executors.keras import KerasExecutor
from tunedeco.testing import ExecutorContract, toy
from tunedeco.trial import State, Trial

pytestmark = pytest.mark.keras


def model_fn() -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(int(toy()), activation="tanh")])
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse")
    return model


class TestKerasExecutor(ExecutorContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "checkpoints"

    def executor(self) -> Any:
        objectives = (Objective("loss"),)
        x = np.random.RandomState(0).normal(size=(24, 3))
        data = prepare(x, x[:, :1], None, {"batch_size": 8}, objectives)
        return KerasExecutor(model_fn, objectives, data, self.directory)

    def test_who_hears_of_the_end_does_not_fail_the_trial(self) -> None:
        """What is raised where the end is told passes through, and the end is told once."""
        told = []

        def emit(event: Any) -> None:
            told.append(event)
            if isinstance(event, Ended):
                raise OSError

        executor = self.executor()
        values = {"toy": {"width": 2, "deep": False, "broken": False}}
        executor.submit(Slice(Trial(0, values, until=1), 0, 1))
        with pytest.raises(OSError):
            executor.wait(emit)
        assert [event for event in told if isinstance(event, Ended)] == [Ended(0, State.COMPLETED)]
