"""A model function is run without its weights, and leaves nothing behind."""

import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.backend.common import global_state

from tunedeco import Choice, State, Tuner
from tunedeco.abstract import run_abstractly, size_of, undisturbed, unless_larger, weightless
from tunedeco.errors import HyperparameterError, NeedsWeights, NoWeights
from tunedeco.executors.data import symbolic
from tunedeco.executors.models import clean_session

pytestmark = pytest.mark.keras

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]


def spec(*shape: int | None, dtype: str = "float32") -> dict[str, Any]:
    return {"shape": [None, *shape], "dtype": dtype}


def compiled(model: keras.Model, optimizer: Any = "adam", **options: Any) -> keras.Model:
    model.compile(**{"optimizer": optimizer, "loss": "mse", "metrics": ["mae"]} | options)
    return model


def functional() -> keras.Model:
    """Return a model of two inputs, two outputs, a shared layer and an operation between them."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(8)
    x = layers.BatchNormalization()(shared(a) + shared(b))
    outputs = [layers.Dense(2, name="c")(x), layers.Dense(3, name="d")(layers.Dropout(0.2)(x))]
    model = keras.Model([a, b], outputs)
    return compiled(model, loss=["mse", "mae"], metrics=None)


def sequential() -> keras.Model:
    model = keras.Sequential([layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(10)])
    return compiled(model, keras.optimizers.RMSprop(momentum=0.9, centered=True))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = [layers.Dense(8, activation="relu") for _ in range(2)]
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.top = layers.Dense(1)

    def call(self, x: Any, training: bool = False) -> Any:
        for layer in self.hidden:
            x = layer(x)
        return self.top(x) * self.scale


class MakesArrays(layers.Layer):
    """A layer that makes variables of arrays, and reads its own weights."""

    def build(self, input_shape: Any) -> None:
        self.table = keras.Variable(np.arange(12.0).reshape(input_shape[-1], 3), name="table")
        self.kernel = self.add_weight(shape=(3, 3), initializer="orthogonal")
        own = keras.ops.convert_to_numpy(self.kernel)
        assert np.allclose(own @ own.T, np.eye(3), atol=1e-4)
        self.kernel.assign(own * 2)
        assert np.allclose(keras.ops.convert_to_numpy(self.kernel), own * 2)

    def call(self, x: Any) -> Any:
        return x @ self.table @ self.kernel


def adapted() -> keras.Model:
    normalization = layers.Normalization()
    normalization.adapt(np.arange(32.0).reshape(8, 4))
    assert np.allclose(np.ravel(keras.ops.convert_to_numpy(normalization.mean)), [14, 15, 16, 17])
    return compiled(keras.Sequential([keras.Input((4,)), normalization, layers.Dense(2)]))


def recurrent() -> keras.Model:
    model = keras.Sequential(
        [layers.Embedding(50, 8), layers.Bidirectional(layers.LSTM(4)), layers.Dense(1)]
    )
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    return compiled(model, keras.optimizers.SGD(schedule, momentum=0.9))


def attention() -> keras.Model:
    x = inputs = keras.Input((6, 8))
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(x, x) + x)
    x = layers.Dropout(0.3, seed=7)(layers.GlobalAveragePooling1D()(x))
    options = {"use_ema": True, "gradient_accumulation_steps": 2, "weight_decay": 1e-3}
    return compiled(keras.Model(inputs, layers.Dense(1)(x)), keras.optimizers.Nadam(**options))


def frozen() -> keras.Model:
    base = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    base.trainable = False
    x = base(layers.RandomFlip(seed=1)(inputs := keras.Input((32, 32, 3))), training=False)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))
    return compiled(model, keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(amsgrad=True)))


def widths() -> keras.Model:
    """Return a model some of whose layers have a dtype of their own, compiled as it says."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, dtype="float32"),
            layers.Dense(2, dtype="mixed_bfloat16"),
        ]
    )
    return compiled(model, keras.optimizers.Muon(), metrics=[keras.metrics.AUC(), "mse"])


CASES: dict[str, tuple[Callable[[], keras.Model], Any]] = {
    "functional": (functional, None),
    "sequential": (sequential, spec(12, 12, 1)),
    "subclassed": (lambda: compiled(Subclassed(), "adafactor"), spec(5)),
    "arrays": (lambda: compiled(keras.Sequential([MakesArrays()]), "ftrl"), spec(4)),
    "adapted": (adapted, None),
    "recurrent": (recurrent, spec(9, dtype="int32")),
    "attention": (attention, None),
    "frozen": (frozen, None),
    "widths": (widths, None),
}
cases = pytest.mark.parametrize(("function", "inputs"), CASES.values(), ids=CASES)


def built(function: Callable[[], keras.Model], inputs: Any = None) -> keras.Model:
    model = function()
    if inputs is not None:
        model(symbolic(inputs))
    return model


def remembered() -> dict[str, Any]:
    """Return all that running a function could have changed."""
    state = dict(vars(global_state.GLOBAL_STATE_TRACKER))
    generator = state.pop("global_seed_generator", None)
    kinds = (keras.Variable, keras.Operation, keras.Layer, keras.Model)
    return {
        "python": random.getstate(),
        "numpy": [np.array(part).tolist() for part in np.random.get_state()],
        "keras": None
        if generator is None
        else keras.ops.convert_to_numpy(generator.state).tolist(),
        "names": dict(state.pop("object_name_uids", {})),
        "state": {name: value for name, value in state.items() if value not in (None, [])},
        "policy": keras.config.dtype_policy(),
        "constructors": [base.__init__ for kind in kinds for base in kind.__mro__],
        "torch": sys.modules["torch"].get_rng_state().tolist() if "torch" in sys.modules else None,
    }


@cases
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_sizes(function: Callable[[], keras.Model], inputs: Any, policy: str) -> None:
    """Without weights a model has the size that it has with them, and nothing is left behind."""
    with clean_session(policy):
        keras.random.normal((2,))
        before = remembered()
        with weightless():
            model = built(function, inputs)
            size = size_of(model)
            assert all(variable._value is None for variable in model.variables)
        assert remembered() == before
        real = built(function, inputs)
        assert size == size_of(real)
        assert size.parameters == real.count_params()


def test_what_training_takes() -> None:
    """Weights, gradients, both moments; and with mixed precision the weights once more, halved."""
    one = 4 * 3 + 3
    inner = [keras.Input((4,)), layers.Dense(3)]
    sizes = {}
    for policy in ("float32", "mixed_float16"):
        with clean_session(policy), weightless():
            sizes[policy] = size_of(compiled(keras.Sequential([inner[0], layers.Dense(3)])))
    counters = size_of(compiled(keras.Sequential(inner), "sgd")).training_bytes - 2 * 4 * one
    assert 0 < counters <= 16  # the optimizer's step and learning rate
    assert sizes["float32"].training_bytes == 4 * 4 * one + counters
    scale = sizes["mixed_float16"].training_bytes - (4 * 4 + 2) * one - counters
    assert 0 < scale <= 32  # the loss scale, and what a wrapper has of its own


class Forbidden(keras.initializers.Initializer):
    """An initializer that must not be used."""

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
        raise MemoryError(shape)


def test_initializers_are_not_run() -> None:
    """A layer called in a functional model, or built in a subclassed one, makes no values."""

    def function() -> keras.Model:
        x = layers.Dense(8, kernel_initializer=Forbidden())(inputs := keras.Input((4,)))
        x = layers.Conv1D(3, 2, kernel_initializer=Forbidden())(layers.Reshape((4, 2))(x))
        return compiled(keras.Model(inputs, x))

    with pytest.raises(MemoryError), undisturbed():
        function()
    assert run_abstractly(lambda: size_of(function()).parameters) == (
        4 * 8 + 8 + 2 * 2 * 3 + 3,
        None,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory() -> None:
    """A dense model of 709 million parameters takes less than a hundredth of its bytes."""
    program = """if True:
        import resource, keras
        from tunedeco.abstract import weightless
        from tunedeco.abstract import size_of
        def size(units):
            with weightless():
                model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(10)])
                model.compile(optimizer="adam", loss="mse")
                model(keras.KerasTensor((None, units)))
                return size_of(model)
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        size(8)  # what the backend loads when it is first used
        before = peak()
        found = size(26624)
        print(found.parameters, found.training_bytes, peak() - before)
    """
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    parameters, training, grown = map(int, answer.stdout.split())
    assert parameters == 26624 * 26624 + 26624 + 26624 * 10 + 10
    assert training >= 16 * parameters
    assert grown < 4 * parameters / 100


def unruly() -> None:
    """Do all that a function should not, and fail."""
    keras.utils.set_random_seed(5)
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.random.normal((3,))
    random.random()
    np.random.rand()
    keras.utils.clear_session()
    keras.Sequential([keras.Input((4,)), layers.Dense(4, kernel_initializer=Forbidden())])
    with keras.name_scope("open"):
        raise ZeroDivisionError


def nested() -> None:
    with weightless():
        built(sequential, spec(12, 12, 1))
    model = built(sequential, spec(12, 12, 1))
    assert model.variables[0]._value is None
    unruly()


@pytest.mark.parametrize("drawn", [False, True])
def test_nothing_is_left_behind(drawn: bool) -> None:
    """Not even by a function that seeds, draws, clears the session, sets a policy and raises."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    if drawn:
        keras.random.normal((3,))
    mine = compiled(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    before = remembered()
    with pytest.raises(ZeroDivisionError), weightless():
        unruly()
    assert remembered() == before
    with pytest.raises(ZeroDivisionError), weightless():
        nested()
    assert remembered() == before
    with keras.StatelessScope():
        pass  # leaving one initializes what Keras still has on its list
    assert mine.predict(np.ones((2, 4)), verbose=0).shape == (2, 2)


def test_training_is_the_same_after(arrays: Arrays) -> None:
    """A fit gives bit for bit the same numbers, whether something was traced before or not."""

    def trained(before: Callable[[], object]) -> list[np.ndarray]:
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        keras.random.normal((1,))
        before()
        model = keras.Sequential([layers.Dense(8), layers.Dropout(0.5), layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        history = model.fit(arrays[0], arrays[1] * 1.0, epochs=2, verbose=0).history
        return [np.array(history["loss"]), *model.get_weights(), model.layers[-1].name]

    def traced() -> None:
        for function, inputs in (CASES["sequential"], CASES["attention"]):
            run_abstractly(lambda: size_of(built(function, inputs)))  # noqa: B023 (run at once)

    plain, after = trained(lambda: None), trained(traced)
    assert all(np.array_equal(a, b) for a, b in zip(plain, after, strict=True))


def test_what_escapes() -> None:
    """A model kept from inside is not mistaken for a real one: using it says what it is."""
    with weightless():
        model = compiled(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    for use in (
        model.get_weights,
        lambda: model.predict(np.ones((2, 4)), verbose=0),
        lambda: model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0),
        lambda: float(model.optimizer.learning_rate),
    ):
        # RuntimeError: JAX's and PyTorch's fit of some versions of Keras makes it of everything
        with pytest.raises(
            (NoWeights, RuntimeError), match="call the function that builds it again"
        ):
            use()


def test_layers_from_outside() -> None:
    """A layer that a function uses and did not make is built as usual, and gains no connections."""
    ready = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    fresh = layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    like = layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    like.build((None, 3))

    def function() -> keras.Model:
        x = layers.Dense(4)(inputs := keras.Input((5,)))
        return compiled(keras.Model(inputs, layers.Dense(1)(fresh(ready(x)))))

    graph = [len(ready._inbound_nodes), len(ready._outbound_nodes)]
    for _ in range(3):
        parameters, reason = run_abstractly(lambda: size_of(function()).parameters)
        assert (parameters, reason) == (4 * 5 + 4 + 4 * 3 + 3 + 3 * 2 + 2 + 2 + 1, None)
    assert graph == [len(ready._inbound_nodes), len(ready._outbound_nodes)]
    assert fresh._inbound_nodes == fresh._outbound_nodes == []
    for mine, expected in zip(fresh.get_weights(), like.get_weights(), strict=True):
        assert np.array_equal(mine, expected)
    assert function().predict(np.ones((2, 5)), verbose=0).shape == (2, 1)


def test_layers_from_outside_of_both() -> None:
    """Within another, it is the outermost that knows what comes from outside."""
    outside = layers.Dense(2)
    with weightless():
        inside = layers.Dense(2)
        with weightless():
            outside.build((None, 3))
            inside.build((None, 3))
        assert outside.kernel._value is inside.kernel._value is None
    assert outside.get_weights()[0].shape == (3, 2)
    with pytest.raises(NoWeights):
        inside.get_weights()


def test_an_optimizer_from_outside() -> None:
    """It is measured, and not tied to a model without weights."""
    optimizer = keras.optimizers.Adam()
    make = lambda: compiled(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), optimizer)
    size, _ = run_abstractly(lambda: size_of(make()))
    assert not optimizer.built
    assert size.training_bytes >= 4 * 4 * 15
    make().fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)


def test_what_needs_weights() -> None:
    """A function that cannot do without is run with them, and the reason is told in a line."""
    runs = []

    def function() -> int:
        runs.append(model := keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
        if model.weights[0]._value is None:
            msg = "no weights\nhere"
            raise ValueError(msg)
        return int(model.count_params())

    before = remembered()
    assert run_abstractly(function) == (15, "ValueError: no weights")
    assert remembered() == before
    assert len(runs) == 2


def test_errors_of_the_function() -> None:
    """What it raises with weights too comes out as it is; what concerns a declaration, at once."""
    runs = []

    def broken() -> None:
        runs.append(1)
        raise LookupError

    with pytest.raises(LookupError) as caught:
        run_abstractly(broken)
    assert caught.value.__context__ is None
    assert len(runs) == 2
    with pytest.raises(HyperparameterError):
        run_abstractly(lambda: runs.append(1) or Choice("wrong", []))
    assert len(runs) == 3


@pytest.mark.parametrize(
    "limit", [{"parameters": 14, "nbytes": None}, {"parameters": None, "nbytes": 59}]
)
def test_the_meter(limit: dict[str, Any]) -> None:
    """A model is not built further than a limit, even by a function that handles every error."""

    def function(initializer: Any = "zeros") -> keras.Model:
        try:
            return keras.Sequential(
                [keras.Input((4,)), layers.Dense(3, bias_initializer=initializer)]
            )
        except Exception:  # noqa: BLE001 (what is claimed)
            return keras.Sequential()

    assert unless_larger(lambda: function(Forbidden()), **limit) is None
    limit = {name: value and value + 1 for name, value in limit.items()}
    model = unless_larger(function, **limit)
    assert model is not None
    assert model.count_params() == 15


def test_a_model_that_is_too_large_is_not_built(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Above max_memory a trial is rejected with both amounts, and its weights never allocated."""

    def sized() -> keras.Model:
        units = Choice("units", [4, 10**9, 8])
        first = layers.Dense(units, kernel_initializer="zeros" if units < 99 else Forbidden())
        model = keras.Sequential([first, layers.Dense(3, activation="softmax")])
        model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
        return model

    tuner = make_tuner(sized, oracle="grid", max_trials=None, max_epochs=1, max_memory="1GB")
    tuner.search(*arrays, validation_split=0.25, verbose=0)
    assert [t.state for t in tuner.trials] == [State.COMPLETED, State.REJECTED, State.COMPLETED]
    assert tuner.trials[1].parameters == 10**9 * (6 + 1 + 3) + 3
    message = tuner.trials[1].error["message"]
    assert message == "training needs at least 160 GB of memory; max_memory is 1 GB"


def test_a_small_model_is_built_once(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Where there is room enough, a trial runs the function once, as without a limit."""
    runs = []

    def counted() -> keras.Model:
        runs.append(1)
        model = keras.Sequential([layers.Dense(Choice("units", [4, 8])), layers.Dense(3)])
        model.compile(loss="mse", optimizer="sgd")
        return model

    tuner = make_tuner(counted, objective="val_loss", max_epochs=1)
    tuner.search(arrays[0], np.eye(3)[arrays[1]], validation_split=0.25, verbose=0)
    assert len(tuner.trials) == 2
    assert len(runs) == 3 + 2  # to find the space, and for each trial


def test_it_is_said_once(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A search whose models need weights to be built says so, and checks them when they are."""

    class NeedsValues(layers.Dense):
        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            if self.kernel._value is None:
                msg = "I need my values"
                raise RuntimeError(msg)

    def sized() -> keras.Model:
        model = keras.Sequential([NeedsValues(Choice("units", [400, 500, 3]))])
        model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
        return model

    tuner = make_tuner(sized, oracle="grid", max_trials=None, max_epochs=1, max_memory="30KB")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", NeedsWeights)
        tuner.search(*arrays, validation_split=0.25, verbose=0)
    assert [t.state for t in tuner.trials] == [State.REJECTED, State.REJECTED, State.COMPLETED]
    (warning,) = said
    assert "sized cannot be built without its weights" in str(warning.message)
    assert "RuntimeError: I need my values" in str(warning.message)
