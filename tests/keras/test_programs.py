"""Trials share compiled programs where nobody can tell: same numbers, fewer programs."""

import random as python_random
from collections.abc import Callable
from pathlib import Path
from random import uniform as python_uniform
from typing import Any

import keras
import numpy as np
import pytest
from numpy.random import normal as numpy_normal

from tunedeco import Choice, Objective, Tuner
from tunedeco.executors import devices
from tunedeco.executors.fingerprint import fingerprint
from tunedeco.executors.programs import Program, Programs
from tunedeco.executors.rates import in_variables

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        keras.backend.backend() not in ("tensorflow", "jax"), reason="nothing is compiled"
    ),
]
layers, regularizers = keras.layers, keras.regularizers

SETTING = 2.0
TABLE = np.arange(1.0, 4.0)
DRAW = np.random.default_rng(0)


class Scaled(layers.Layer):
    """A user's layer, whose code reads what is about it."""

    def __init__(self, factor: Any = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor * SETTING


class Nosy(layers.Layer):
    """Reads the rate of another layer while the program is made."""

    def __init__(self, drop: layers.Layer) -> None:
        super().__init__()
        self.drop = drop

    def call(self, x: Any) -> Any:
        return x * self.drop.rate


def model(
    *extra: Callable[[], Any],
    width: int = 4,
    rate: float = 0.2,
    l2: float = 0.01,
    decay: float = 0.01,
    optimizer: Callable[[], Any] | None = None,
    **compiled: Any,
) -> keras.Model:
    keras.utils.clear_session()
    built = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(width, "relu", kernel_regularizer=regularizers.L2(l2)),
            layers.BatchNormalization(),
            layers.Dropout(rate),
            *(make() for make in extra),
            layers.Dense(3, "softmax"),
        ]
    )
    make = optimizer or (lambda: keras.optimizers.AdamW(0.01, weight_decay=decay))
    built.compile(make(), **{"loss": "sparse_categorical_crossentropy", **compiled})
    return built


def key(built: keras.Model) -> Any:
    return fingerprint(built, in_variables(built))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"rate": 0.7},
        {"l2": 0.5},
        {"decay": 0.3},
        {"optimizer": lambda: keras.optimizers.AdamW(0.5, weight_decay=0.01)},
    ],
)
def test_models_of_one_program(changed: dict[str, Any]) -> None:
    """Rates of learning, dropout, penalties and weight decay are no part of a program."""
    assert key(model()) == key(model(**changed)) is not None


@pytest.mark.parametrize(
    "changed",
    [
        lambda: model(width=5),
        lambda: model(rate=0.0),
        lambda: model(optimizer=lambda: keras.optimizers.Adam(0.01)),
        lambda: model(l2=0.0),
        lambda: model(lambda: layers.Dense(4)),
        lambda: model(lambda: layers.Dense(4, activity_regularizer="l2")),
        lambda: model(
            optimizer=lambda: keras.optimizers.AdamW(0.01, beta_1=0.8, weight_decay=0.01)
        ),
        lambda: model(optimizer=lambda: keras.optimizers.SGD(0.01)),
        lambda: model(metrics=["accuracy"]),
        lambda: model(jit_compile=keras.backend.backend() == "tensorflow"),
        lambda: model(steps_per_execution=2),
        lambda: model(loss=lambda y, p: keras.ops.mean(p)),
    ],
)
def test_models_of_two_programs(changed: Callable[[], keras.Model]) -> None:
    """What a program was made with, and is no variable, tells it from others."""
    assert key(model()) != key(changed())


def test_code_of_the_user_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's layer is told by its attributes, its closure and the globals that it reads."""
    module = __import__("sys").modules[__name__]
    plain = key(model(Scaled))
    assert plain is not None
    assert plain == key(model(Scaled))
    assert plain != key(model(lambda: Scaled(3.0)))
    monkeypatch.setattr(module, "SETTING", 5.0)
    assert plain != key(model(Scaled))

    def closed(factor: float) -> keras.Model:
        return model(lambda: layers.Lambda(lambda x: x * factor))

    assert key(closed(2.0)) == key(closed(2.0)) != key(closed(3.0))


@pytest.mark.parametrize(
    "draws",
    [
        lambda: layers.Lambda(lambda x: x + np.random.normal()),
        lambda: layers.Lambda(lambda x: x + DRAW.random()),
        lambda: layers.Lambda(lambda x: x + python_random.random()),
        lambda: layers.Lambda(lambda x: x + python_uniform(0, 1)),
        lambda: layers.Lambda(lambda x: x + numpy_normal()),
        lambda: layers.Lambda(lambda x: x + keras.random.normal((4,))),
    ],
)
def test_code_that_draws_in_python(draws: Callable[[], Any]) -> None:
    """What draws random numbers in Python has no fingerprint: a program would keep them."""
    assert key(model(draws)) is None


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is TensorFlow's")
def test_code_that_draws_in_tensorflow() -> None:
    """An operation with no seed of its own has that of the trial which is compiled: not shared."""
    import tensorflow as tf
    from tensorflow import random as module
    from tensorflow.random import normal as function

    def imports(x: Any) -> Any:
        import tensorflow as tf

        return x + tf.random.normal(tf.shape(x))

    for draws in (
        lambda x: tf.nn.dropout(x, 0.5),
        lambda x: tf.image.random_brightness(x, 0.5),
        lambda x: x + tf.random.normal(tf.shape(x)),
        lambda x: x + module.normal(tf.shape(x)),
        lambda x: x + function(tf.shape(x)),
        imports,
    ):
        assert key(model(lambda draws=draws: layers.Lambda(draws))) is None


def test_code_that_reads_arrays() -> None:
    """A global array that code names is part of the program."""
    read = lambda: layers.Lambda(lambda x: x * TABLE[0])
    assert key(model(read)) == key(model(read)) is not None


def test_a_layer_in_common() -> None:
    """A layer that several models have in common gets one variable for its rate, and no more."""
    drop = layers.Dropout(0.3, name="common")
    first = model(lambda: drop)
    in_variables(first)
    drop.rate = 0.6
    second = model(lambda: drop)
    in_variables(second)
    assert len(first.variables) == len(second.variables)
    assert float(drop.variables[-1][0]) == pytest.approx(0.6)


def test_what_cannot_be_followed() -> None:
    """What holds things that nobody can look into has no fingerprint."""

    def hiding() -> Scaled:
        layer = Scaled()
        layer.numbers = iter([1.0])
        return layer

    assert key(model(hiding)) is None


def test_a_rate_that_is_read() -> None:
    """Where a user's code could read a rate, it is part of the program."""

    def nosy(rate: float) -> Any:
        return key(model(lambda: Nosy(layers.Dropout(0.3)), rate=rate))

    assert nosy(0.2) == nosy(0.2) != nosy(0.4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_rates_in_variables(policy: str, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    """A model whose rates are in variables trains as Keras has it: on TensorFlow, to the bit."""
    found = []
    for change in (lambda _: {}, in_variables):
        with devices.precision(policy):
            keras.utils.set_random_seed(1)
            built = model(lambda: layers.Dropout(0.45))
            rates = change(built)
        assert not rates or len(rates) == 4
        history = built.fit(*arrays, epochs=2, shuffle=False, verbose=0).history
        found.append((built.get_weights(), history["loss"]))
        assert [w.shape for w in built.get_weights()] == [w.shape for w in found[0][0]]
    for plain, kept in zip(*(weights for weights, _ in found), strict=True):
        if keras.backend.backend() == "tensorflow":
            assert np.array_equal(plain, kept)
        np.testing.assert_allclose(plain, kept, atol=1e-5 if policy == "float32" else 0.02)


def test_what_is_saved_is_plain(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """A model whose rates are in variables is saved as Keras would, and loaded without us."""
    built = model()
    in_variables(built)
    built.fit(*arrays, verbose=0)
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    plain = model()
    plain.fit(*arrays, verbose=0)
    assert [v.shape for v in loaded.variables] == [v.shape for v in plain.variables]
    assert len(loaded.optimizer.variables) == len(plain.optimizer.variables)
    assert int(loaded.optimizer.iterations) == int(built.optimizer.iterations) > 0
    assert built.get_config() == plain.get_config()
    assert loaded.layers[2].rate == built.layers[2].rate


def model_fn() -> keras.Model:
    """Ask for five values of which one is of the program."""
    rate = Choice("learning_rate", [0.03, 0.003], group="optimizer")
    decay = Choice("decay", [0.1, 0.001], group="optimizer")
    width = Choice("width", [4, 6], group="dense")
    dropped = Choice("rate", [0.2, 0.4], group="dense")
    penalty = Choice("l2", [0.1, 0.001], group="dense")
    return model(
        width=width,
        rate=dropped,
        l2=penalty,
        optimizer=lambda: keras.optimizers.AdamW(rate, weight_decay=decay),
    )


class Own(keras.callbacks.Callback):
    """A user's callback, which might do anything to the model."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that notes for each training whether a program was there for it."""
    notes: list[bool] = []
    of = Programs.of

    def noted(self: Programs, made: Any) -> Program | None:
        program = of(self, made)
        notes.append(program is not None and program.made is not made)
        return program

    monkeypatch.setattr(Programs, "of", noted)
    return notes


def test_a_shared_program_gives_the_same_numbers(
    arrays: tuple[np.ndarray, np.ndarray],
    make_tuner: Callable[..., Tuner],
    made: list[bool],
) -> None:
    """With and without sharing, a search ends with the same logs and the same checkpoints.

    Only what differs in width has a program of its own.
    """

    def searched(*, share: bool) -> Any:
        tuner = make_tuner(model_fn, oracle="random", max_trials=6, directory=f"{share}")
        tuner.search(*arrays, validation_split=0.25, verbose=0, share_programs=share)
        return [(t.values, [e.logs for e in t.epochs], t.checkpoints[-1]) for t in tuner.trials]

    shared = searched(share=True)
    programs = {values["dense"]["width"] for values, *_ in shared}
    assert made.count(False) == len(programs)
    assert shared == searched(share=False)
    assert made.count(False) == len(programs) + 6


def test_callbacks_that_may_do_anything(
    arrays: tuple[np.ndarray, np.ndarray], make_tuner: Callable[..., Tuner], made: list[bool]
) -> None:
    """With callbacks of the user's, nobody knows what they do to a model: it is not shared."""
    tuner = make_tuner(model_fn, max_trials=3, max_epochs=1)
    tuner.search(*arrays, validation_split=0.25, verbose=0, callbacks=[Own()])
    assert made == [False] * 3


def test_attributes_say_what_holds(
    arrays: tuple[np.ndarray, np.ndarray], make_tuner: Callable[..., Tuner], made: list[bool]
) -> None:
    """Whoever reads a rate of a model that stands in for another reads the other's."""
    read = Objective("read", "max", measure=lambda m: m.layers[2].rate + m.optimizer.weight_decay)
    tuner = make_tuner(model_fn, objective=read, max_trials=6, max_epochs=1)
    tuner.search(*arrays, verbose=0)
    assert any(made)
    for trial in tuner.trials:
        values = {**trial.values["dense"], **trial.values["optimizer"]}
        assert trial.score == values["rate"] + values["decay"]
