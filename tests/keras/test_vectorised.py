"""Trials that share a program, trained together on JAX: each ends as it would alone."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Objective, Tuner
from tunedeco.errors import ConfigurationError, TrainedAlone
from tunedeco.executors import alone
from tunedeco.executors.data import prepare
from tunedeco.executors.recorder import Snapshot
from tunedeco.testing import ExecutorContract, toy

pytestmark = pytest.mark.keras
on_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="it is for JAX")

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]
Numbers = Callable[[Tuner], list[Any]]

_programs: dict[Any, Any] = {}
"""Compiled once for all searches here, and not in each as by a new process."""


@pytest.fixture(autouse=True)
def _compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    if keras.backend.backend() != "jax":
        return
    from tunedeco.executors import vectorised

    def init(self: Any, *args: Any, **settings: Any) -> None:
        plain(self, *args, **settings)
        self._programs = _programs

    plain = vectorised.VectorisedExecutor.__init__
    monkeypatch.setattr(vectorised.VectorisedExecutor, "__init__", init)
    monkeypatch.setattr(vectorised, "_PROGRAMS", 100)
    monkeypatch.setattr("tunedeco.executors.devices.forget_programs", lambda: None)


def toy_fn() -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(int(toy()), activation="tanh")])
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse")
    return model


@on_jax
class TestVectorised(ExecutorContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "checkpoints"

    def executor(self) -> Any:
        from tunedeco.executors.vectorised import VectorisedExecutor

        objectives = (Objective("loss"),)
        x = np.random.RandomState(0).normal(size=(24, 3))
        data = prepare(x, x[:, :1], None, {"batch_size": 8}, objectives)
        return VectorisedExecutor(2, data, objectives, model_fn=toy_fn, directory=self.directory)


def model_fn() -> keras.Model:
    """Build a model whose program is always the same; one of its learning rates is too much."""
    learning_rate = Choice("learning_rate", [0.03, 1e38, 0.003])
    model = keras.Sequential(
        [
            keras.layers.Dense(4, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9),
    )
    return model


def search(
    tuner: Tuner, arrays: Arrays, *more: Callable[[], Any], vectorise: int | None = 2
) -> Tuner:
    """Search two at a time, with callbacks that end trials early and change learning rates."""

    def callbacks(trial: Any) -> list[keras.callbacks.Callback]:
        return [
            keras.callbacks.ReduceLROnPlateau("loss", patience=0, factor=0.5, min_delta=0.1),
            keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
            *(make() for make in more),
        ]

    tuner.search(
        *arrays,
        validation_split=0.25,
        batch_size=20,  # of 72 samples: the last batch is smaller
        validation_batch_size=24,
        callbacks=callbacks,
        vectorise=vectorise,
        verbose=0,
    )
    return tuner


def three(make_tuner: MakeTuner, directory: str) -> Tuner:
    return make_tuner(model_fn, max_trials=None, oracle="grid", max_epochs=4, directory=directory)


_known: list[str] = []


@pytest.fixture
def together(arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers) -> str:
    """Return the numbers of a search that nothing interrupted, in which NaN is equal to NaN."""
    if not _known:
        _known.append(repr(numbers(search(three(make_tuner, "together"), arrays))))
    return _known[0]


@on_jax
def test_each_ends_as_it_would_alone(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """Whatever differs between them, and though one becomes NaN, their numbers are those alone."""
    vectorised = search(three(make_tuner, "together"), arrays)
    plain = search(three(make_tuner, "alone"), arrays, vectorise=None)
    found, expected = numbers(vectorised), numbers(plain)
    assert [trial[1] for trial in expected] == ["completed", "diverged", "completed"]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:3] == theirs[:3]
        assert ours[4] == theirs[4]
        for (number, logs), (other, expected_logs) in zip(ours[5], theirs[5], strict=True):
            assert number == other
            assert logs == pytest.approx(expected_logs, rel=1e-4, nan_ok=True)
    for weights, others in zip(
        vectorised.best_model().get_weights(), plain.best_model().get_weights(), strict=True
    ):
        np.testing.assert_allclose(weights, others, rtol=1e-4, atol=1e-6)


class Stop(BaseException):
    """What a test raises where a process would die."""


def at(nth: int, act: Callable[[], None], *, begin: bool = False) -> Callable[[], Any]:
    """Return what makes callbacks of which one acts: in the nth epoch that begins, or ends."""
    left = iter(range(nth, 0, -1))

    def count(*_: Any) -> None:
        if next(left, None) == 1:
            act()

    name = "on_epoch_begin" if begin else "on_epoch_end"
    return lambda: keras.callbacks.LambdaCallback(**{name: count})


@on_jax
def test_killed_it_goes_on(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers, together: str
) -> None:
    """Stopped dead between the reports of those that train together, it ends with its numbers."""

    def die() -> None:
        raise Stop

    for nth in (2, 3):
        with pytest.raises(Stop):
            search(three(make_tuner, "run"), arrays, at(nth, die))
    assert repr(numbers(search(three(make_tuner, "run"), arrays))) == together


@on_jax
@pytest.mark.parametrize("begin", [True, False], ids=["within an epoch", "at its end"])
def test_a_signal(
    begin: bool,
    arrays: Arrays,
    make_tuner: MakeTuner,
    numbers: Numbers,
    together: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first signal stops all; the epochs they have ended are kept, and they go on."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)
    act = lambda: os.kill(os.getpid(), signal.SIGTERM)
    tuner = three(make_tuner, "run")
    with pytest.raises(SystemExit):
        search(tuner, arrays, at(3, act, begin=begin))
    assert [len(trial.epochs) for trial in tuner.trials] == ([1, 1, 0] if begin else [2, 1, 1])
    assert repr(numbers(search(three(make_tuner, "run"), arrays))) == together


@on_jax
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # caught with the one that is meant
def test_what_cannot_be_done_together_is_done_alone(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A trial that asks for more is trained alone, and a warning says why."""
    tuner = make_tuner(model_fn, max_trials=1, max_epochs=1)
    with pytest.warns(TrainedAlone, match="class_weight"):
        tuner.search(
            *arrays,
            validation_split=0.25,
            batch_size=36,
            class_weight={0: 2.0, 1: 1.0, 2: 1.0},
            vectorise=2,
            verbose=0,
        )
    assert [trial.state for trial in tuner.trials] == ["completed"]


@on_jax
def test_callbacks_are_not_shared(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A callback that two trials would share is refused: it would take one for the other."""
    one = keras.callbacks.EarlyStopping("loss")
    with pytest.raises(ConfigurationError, match="EarlyStopping of trial 1 is that of trial 0"):
        three(make_tuner, "run").search(
            *arrays,
            validation_split=0.25,
            batch_size=20,
            validation_batch_size=24,
            callbacks=lambda trial: [one],
            vectorise=2,
            verbose=0,
        )


class OwnStep(keras.Sequential):
    def train_step(self, *args: Any) -> Any:
        return super().train_step(*args)


@on_jax
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"data": {"arrays": ()}}, "data of its own"),
        ({"data": {"augment": lambda x, y, draw: (x, y)}}, "augmented"),
        ({"start": Snapshot(1, 3)}, "within an epoch"),
        ({"callbacks": [keras.callbacks.TerminateOnNaN()]}, "TerminateOnNaN has on_batch_end"),
        ({"kind": OwnStep}, "train_step of its own"),
        ({"compiled": {"run_eagerly": True}}, "without jit_compile"),
        ({"memory": 10}, "max_memory"),
    ],
)
def test_why_one_is_trained_alone(changed: Any, reason: str | None) -> None:
    """What differs in more than the program has in its variables, or is needed within an epoch."""
    given = prepare(np.zeros((4, 2)), np.zeros(4), None, {}, (Objective("loss"),))
    model = changed.get("kind", keras.Sequential)([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **changed.get("compiled", {})})
    opened = SimpleNamespace(
        made=SimpleNamespace(model=model),
        data=replace(given, **changed.get("data", {})),
        start=changed.get("start", Snapshot()),
        callbacks=changed.get("callbacks", [keras.callbacks.EarlyStopping()]),
    )
    found = alone.reason(opened, given, changed.get("memory"))  # type: ignore[arg-type]
    assert found is None if reason is None else reason in str(found)


@on_jax
@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({}, {"vectorise": 0}, "vectorise must be a whole number"),
        ({}, {"workers": 2}, "give one of them"),
        ({"folds": 3}, {"validation_split": None}, "leave folds= out"),
        ({"train_fn": lambda model, context: None}, {}, "leave train_fn= out"),
        ({"objective": "training_seconds"}, {}, "no training_seconds of one model"),
        ({}, {"validation_data": [1], "validation_split": None}, "must be some, too"),
    ],
)
def test_what_no_trial_could_do_is_refused(
    settings: Any, options: Any, message: str, arrays: Arrays, make_tuner: MakeTuner
) -> None:
    """What is asked for beside it and cannot be had is refused before anything is trained."""
    tuner = make_tuner(model_fn, **settings)
    chosen = {"validation_split": 0.25, "vectorise": 2, "verbose": 0, **options}
    with pytest.raises(ConfigurationError, match=message):
        tuner.search(*arrays, **chosen)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="it is for other backends")
def test_it_needs_jax(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """On another backend it is refused, and the error says how to have it."""
    with pytest.raises(ConfigurationError, match='KERAS_BACKEND="jax"'):
        make_tuner(model_fn).search(*arrays, validation_split=0.25, vectorise=2, verbose=0)
