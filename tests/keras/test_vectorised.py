"""Trials that share a program, trained together on JAX: each ends as it would alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Objective
from tunedeco.executors.data import prepare
from tunedeco.testing import ExecutorContract, toy

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="it is for JAX"),
]


def toy_fn() -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(int(toy()), activation="tanh")])
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse")
    return model


programs: dict[Any, Any] = {}


class TestVectorised(ExecutorContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "checkpoints"

    def executor(self) -> Any:
        from tunedeco.executors.vectorised import VectorisedExecutor
        objectives = (Objective("loss"),)
        x = np.random.RandomState(0).normal(size=(24, 3))
        data = prepare(x, x[:, :1], None, {"batch_size": 8}, objectives)
        executor = VectorisedExecutor(2, data, objectives, model_fn=toy_fn, directory=self.directory)
        executor._programs = programs  # as a new process would compile them
        return executor
