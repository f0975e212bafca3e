"""Worker processes with Keras in them."""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cloudpickle
import keras
import numpy as np
import pytest

from tunedeco import Choice, Objective, Tuner, tunable
from tunedeco.errors import ConfigurationError
from tunedeco.events import Lost, Trained
from tunedeco.executors import processes, setup
from tunedeco.executors.base import Emit, Interrupted, Slice
from tunedeco.executors.data import prepare
from tunedeco.journal.journal import Journal
from tunedeco.testing import ExecutorContract, toy
from tunedeco.trial import Trial

pytestmark = pytest.mark.keras

# workers cannot import this module: pytest has loaded it under a name of its own
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def model_fn() -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(int(toy()), activation="tanh")])
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse")
    return model


class Warm:
    """An executor whose workers outlive it: each time it would take them seconds to load Keras."""

    def __init__(self, pool: processes.ProcessExecutor, parts: dict[str, Any]) -> None:
        self._pool = pool
        self.capacity = pool.capacity
        pool.furnish(**parts)

    def submit(self, work: Slice) -> None:
        self._pool.submit(work)

    def wait(self, emit: Emit) -> None:
        self._pool.wait(emit)

    def interrupt(self) -> None:
        self._pool.interrupt()

    def close(self) -> None:
        self._pool.interrupt()
        with suppress(Interrupted):
            while True:
                self._pool.wait(lambda _: None)
        self._pool._interrupted = False


@pytest.fixture(scope="module")
def pool() -> Iterator[processes.ProcessExecutor]:
    executor = processes.with_keras(2, None, None)
    assert executor is not None
    yield executor
    executor.close()


class TestKerasInWorkers(ExecutorContract):
    @pytest.fixture(autouse=True)
    def _shared(self, tmp_path: Path, pool: processes.ProcessExecutor) -> None:
        self.directory = tmp_path / "checkpoints"
        self.pool = pool

    def executor(self) -> Any:
        objectives = (Objective("loss"),)
        x = np.random.RandomState(0).normal(size=(24, 3))
        data = prepare(x, x[:, :1], None, {"batch_size": 8}, objectives)
        arguments = {"model_fn": model_fn, "objectives": objectives, "directory": self.directory}
        return Warm(self.pool, setup.parts(data=data, **arguments))


class Batches(keras.utils.PyDataset):
    def __init__(self, x: Any, y: Any) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return self.x[index::4], self.y[index::4]


@pytest.mark.once
def test_killed(arrays: Any, numbers: Callable[[Tuner], Any]) -> None:
    """With a worker killed at a random instant, a search ends as one in this process ends.

    Its function is a closure with an array, and decorated; its callbacks are lambdas; its data is
    a `PyDataset`, and a function that makes one.
    """
    x, y = arrays
    scale = np.full((200, 6), 2.0)

    @tunable
    def function() -> keras.Model:
        units = Choice("units", [4, 5, 6, 7])
        model = keras.Sequential(
            [
                keras.layers.Rescaling(scale[0, 0]),
                keras.layers.Dense(units, activation="relu"),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    def search(directory: str, **options: Any) -> Tuner:
        tuner = Tuner(
            *(function, "val_accuracy"),
            max_trials=4,
            max_epochs=3,
            oracle="random",
            directory=directory,
            max_retries=10,
        )
        tuner.search(
            lambda: Batches(x, y),
            validation_data=Batches(x, y),
            callbacks=lambda _: [keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: None)],
            verbose=0,
            **options,
        )
        return tuner

    made: list[processes.ProcessExecutor] = []
    plain = processes.with_keras

    def noted(*arguments: Any) -> Any:
        made.append(plain(*arguments))  # type: ignore[arg-type]
        return made[-1]

    draw, over, kills = random.Random(1), threading.Event(), []

    def kill() -> None:
        while not kills and not over.wait(draw.uniform(0.1, 1)):
            busy = [w for executor in made for w in executor._workers if w.ready and w.busy]
            if busy:
                draw.choice(busy).process.kill()
                kills.append(busy)

    killer = threading.Thread(target=kill)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "with_keras", noted)
        killer.start()
        killed = search("killed", workers=2)
        over.set()
        killer.join()
    assert kills
    assert numbers(killed) == numbers(search("whole"))
    with Journal(Path("killed")) as journal:
        events = list(journal.events())
    assert any(isinstance(event, Lost) for event in events)
    trained = [
        (e.trial, epoch.epoch) for e in events if isinstance(e, Trained) for epoch in e.epochs
    ]
    assert sorted(trained) == [(trial, epoch) for trial in range(4) for epoch in (1, 2, 3)]
    best = killed.best_model().evaluate(x, y, verbose=0, return_dict=True)
    assert best["accuracy"] == pytest.approx(killed.best_trial.score)


@pytest.mark.once
def test_what_cannot_be_sent(arrays: Any, make_tuner: Callable[..., Tuner]) -> None:
    """Data and callbacks that cannot be sent to workers are errors that say what to do."""
    x, y = arrays
    lock = threading.Lock()
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: lock)
    with pytest.raises(ConfigurationError, match="callbacks cannot be sent to worker processes"):
        make_tuner().search(x, y, validation_split=0.25, callbacks=[callback], workers=1)
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    with pytest.raises(ConfigurationError, match=r"^x cannot be sent .* a function that returns"):
        make_tuner().search(dataset, validation_data=(x, y), workers=1)


@pytest.mark.once
def test_what_keras_was_told(pool: processes.ProcessExecutor, tmp_path: Path) -> None:
    """Workers compute with the types that this process was told to."""
    x = np.zeros((8, 3))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        data = prepare(x, x[:, :1], None, {}, (Objective("loss"),))
        arguments = {"model_fn": model_fn, "objectives": (Objective("loss"),)}
        executor = Warm(pool, setup.parts(data, directory=tmp_path, **arguments))
    finally:
        keras.config.set_dtype_policy("float32")
    values = {"toy": {"width": 2, "deep": False, "broken": False}}
    executor.submit(Slice(Trial(0, values, until=1), 0, 1))
    built: list[Any] = []
    executor.wait(built.append)
    executor.close()
    assert built[0].precision == "mixed_bfloat16"
