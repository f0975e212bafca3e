"""The next trial's model is made while the present one trains, and nobody can tell."""

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Tuner
from tunedeco.executors import ahead
from tunedeco.trial import State, Trial

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="nothing is made ahead"),
]
layers = keras.layers
X = np.random.default_rng(0).random((37, 6)).astype("float32")
Y = np.arange(37) % 3


class Draws(keras.callbacks.Callback):
    """Draws from the global generators, before the first epoch and after each, and tells."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = 0.0

    def _draw(self) -> float:
        return random.random() + np.random.random() + float(keras.random.uniform(()))

    def on_train_begin(self, logs: Any = None) -> None:
        self.drawn += self._draw()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["drawn"] = self.drawn = self.drawn + self._draw()


class Hits(keras.metrics.SparseCategoricalAccuracy):
    """A metric whose name Keras gives, and counts."""

    def __init__(self) -> None:
        super().__init__(name=None)


def model_fn() -> keras.Model:
    width = Choice("width", [4, 5, 6], group="net")
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.GaussianNoise(random.uniform(0.1, 0.2)),  # which makes a program of its own
            layers.Dense(width, "relu", kernel_initializer=drawn),
            layers.Dropout(Choice("rate", [0.2, 0.4], group="net")),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[Hits()])
    return model


def drawn(shape: Sequence[int], dtype: Any = None) -> Any:
    return keras.ops.cast(np.random.normal(size=shape), dtype or "float32")


def plain_fn() -> keras.Model:
    width = Choice("width", [4, 5, 6], group="net")
    inputs = keras.Input((6,))
    hidden = layers.Dropout(Choice("rate", [0.2, 0.4], group="net"))(layers.Dense(width)(inputs))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have programs be made ahead, whatever the machine; return where each was made."""
    found: list[str] = []
    rehearsed = ahead._rehearsed

    def noted(*arguments: Any) -> None:
        rehearsed(*arguments)
        found.append(threading.current_thread().name)

    monkeypatch.setattr(ahead, "pays", lambda: True)
    monkeypatch.setattr(ahead, "_rehearsed", noted)
    return found


def numbers(trials: Sequence[Trial]) -> list[Any]:
    return [(t.values, t.state, [e.logs for e in t.epochs], t.parameters) for t in trials]


def searched(
    directory: Path,
    function: Callable[[], object],
    *callbacks: keras.callbacks.Callback,
    oracle: str = "grid",
) -> list[Trial]:
    budgets = {"max_epochs": 2, "epoch_budget": 12}
    tuner = Tuner(function, "val_loss", directory=directory, oracle=oracle, **budgets)
    fit = {"validation_data": (X, Y), "batch_size": 8, "callbacks": callbacks}
    tuner.search(X, Y, **fit, verbose=0)
    return list(tuner.trials)


@pytest.mark.parametrize("oracle", ["grid", "random", "halving"])
@pytest.mark.parametrize("function", [model_fn, plain_fn])
def test_made_ahead_or_in_turn(
    tmp_path: Path,
    threads: list[str],
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[[], object],
    oracle: str,
) -> None:
    """The numbers are those of a search in which each model is made in its turn."""
    early = searched(tmp_path / "ahead", function, Draws(), oracle=oracle)
    if function is plain_fn:  # whose programs nothing keeps from being made
        assert threads
        assert "MainThread" not in threads
    monkeypatch.setattr(ahead, "pays", lambda: False)
    later = searched(tmp_path / "turn", function, Draws(), oracle=oracle)
    assert numbers(early) == numbers(later)


def test_no_program_is_made_twice(tmp_path: Path, threads: list[str]) -> None:
    """`fit` finds the programs that were made ahead; trials that differ in rates share one."""
    made: list[str] = []

    def heard(name: str, *_: Any, fun_name: str = "", **__: Any) -> None:
        if name.endswith("backend_compile_duration") and "_step" in fun_name:
            made.append(threading.current_thread().name)

    import jax

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        searched(tmp_path, plain_fn)
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert len(set(threads)) == len(threads) == 2  # the first width is made in its turn
    # each width has two batches to train on, and two to validate on
    assert [made.count(thread) for thread in ("MainThread", *threads)] == [4, 4, 4]


def test_an_error_comes_in_its_turn(tmp_path: Path, threads: list[str]) -> None:
    """A model function that fails ahead fails its own trials, and no others."""
    calls = 0

    def function() -> keras.Model:
        nonlocal calls
        calls += 1
        if Choice("width", [4, 5, 6], group="net") == 5:
            msg = "no such width"
            raise ValueError(msg)
        return plain_fn()

    found = searched(tmp_path, function)
    assert calls > len(found) + 1  # and the one that traces
    failed, completed = [State.FAILED], [State.COMPLETED]
    assert [t.state for t in found] == completed * 2 + failed * 2 + completed * 2
    assert found[2].error is not None
    assert "no such width" in found[2].error["message"]


def test_interrupted_while_a_program_is_made(tmp_path: Path, threads: list[str]) -> None:
    """The search ends with all its threads, and goes on to the same numbers."""

    class Stop(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    whole = searched(tmp_path / "whole", plain_fn)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "cut", plain_fn, Stop())
    assert not {thread.name for thread in threading.enumerate()} & set(threads)
    assert numbers(searched(tmp_path / "cut", plain_fn)) == numbers(whole)
