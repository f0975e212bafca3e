"""Putting values into functions that declare nothing: where, under which names, and what stays."""

import inspect
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tunedeco import Choice, Range, cli, domains, tracing
from tunedeco import suggest as public_suggest
from tunedeco.declarations import UNSET
from tunedeco.discovery import discovering, kinds, suggest
from tunedeco.domains import Domain
from tunedeco.errors import HyperparameterError, ModelFunctionError

pytestmark = [pytest.mark.keras, pytest.mark.once]

sys.path.insert(0, str(Path(__file__).parent))
import zoo  # noqa: E402 (beside this file, whatever pytest's import mode)


@dataclass(frozen=True)
class Declaration:
    """A hyperparameter without a name."""

    domain: Domain
    group: str = "default"
    default: Any = UNSET


def built(function: Any, **names: Any) -> Any:
    """Return what a function builds with some values, given by the group."""
    return tracing.run(function, tracing.from_values(names, tracing.defaults))[0]


def dense(units: int = 8, **options: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, "relu"), layers.Dense(2)])
    model.compile(**{"optimizer": "adam", "loss": "mse", **options})
    return model


def widths(model: keras.Model) -> list[int]:
    return [layer.units for layer in model.layers if isinstance(layer, layers.Dense)]


def patched() -> list[str]:
    """Return the methods of Keras, and of the zoo's classes, that are not their own."""
    modules = (keras.layers, keras.optimizers, keras.losses, keras.regularizers, zoo)
    classes = {cls for m in modules for cls in vars(m).values() if isinstance(cls, type)}
    classes |= {base for cls in (*classes, keras.Model, keras.Sequential) for base in cls.__mro__}
    found = []
    for cls in classes:
        for name in ("__init__", "__new__", "__call__", "add", "compile"):
            method = getattr(vars(cls).get(name), "__func__", vars(cls).get(name))
            code = getattr(method, "__code__", None)
            if code is not None and "discovery" in code.co_filename and cls.__module__ != __name__:
                found.append(f"{cls.__name__}.{name}")
    return found


def test_nothing_stays_patched() -> None:
    """Keras is as it was after a call, and after one that raises; within, it is not."""

    def raising() -> None:
        zoo.Gate(4)
        inside.extend(patched())
        msg = "the user's own"
        raise RuntimeError(msg)

    inside: list[str] = []
    with pytest.raises(RuntimeError, match="the user's own"):
        discovering(raising, {})()
    assert {"Dense.__init__", "Gate.__init__", "Sequential.add"} <= set(inside)
    assert patched() == []
    suggest(dense)
    assert patched() == []


def test_an_exception_is_the_users_own() -> None:
    """What the function raises passes through, and what Keras says of its arguments too."""
    for wrong in (lambda: layers.Dense(8, unit=3), lambda: layers.Dense(activation="relu")):
        with pytest.raises((TypeError, ValueError)) as plain:
            wrong()
        with pytest.raises((TypeError, ValueError)) as discovered:
            discovering(wrong)()
        assert str(discovered.value) == str(plain.value)


def test_other_threads_construct_as_ever() -> None:
    """What another thread builds in the meantime is not touched."""
    others: list[list[int]] = []

    def slow() -> keras.Model:
        thread = threading.Thread(target=lambda: others.append(widths(dense())))
        thread.start()
        thread.join()
        return dense()

    model = built(discovering(slow, UNITS), dense={"dense_1.units": 32})
    assert widths(model) == [32, 2]
    assert others[-1] == [8, 2]


UNITS = {"dense_1.units": Declaration(domains.Choice((8, 32)), "dense")}


def test_one_within_another_keeps_to_its_own() -> None:
    """A discovered function that calls another builds each with its own values."""
    inner = discovering(dense, UNITS)

    def outer() -> tuple[keras.Model, keras.Model]:
        return dense(16), inner()

    found = {"dense_1.units": Declaration(domains.Choice((16, 64)), "outer")}
    function = discovering(outer, found)
    values = {"outer": {"dense_1.units": 64}, "dense": {"dense_1.units": 32}}
    assert list(map(widths, built(function, **values))) == [[64, 2], [32, 2]]


def test_the_function_keeps_its_arguments_and_its_name() -> None:
    """A discovered function is called like the plain one, and says the same of itself."""
    function = discovering(dense, UNITS)
    assert function.__name__ == "dense"
    assert inspect.signature(function) == inspect.signature(dense)
    assert widths(built(function, dense={"dense_1.units": 32})) == [32, 2]
    assert widths(function(12)) == [12, 2]  # another value than was planned for: left alone


def test_a_hyperparameter_stands_where_its_constructor_does() -> None:
    """Its place is the line that constructs."""
    for hyperparameter in suggest(dense).space:
        file, _, line = hyperparameter.place.rpartition(":")
        first = dense.__code__.co_firstlineno
        assert file == __file__
        assert first < int(line) <= first + 3


def test_what_another_hyperparameter_decides_is_no_candidate() -> None:
    """An argument that follows from a declared or a discovered one is left to the code."""

    def mixed() -> keras.Model:
        units = Choice("units", [8, 16], group="own")
        inputs = keras.Input((4,))
        x = layers.Dense(units, "relu")(inputs)
        x = layers.Dense(24, "relu")(x)
        x = layers.Dense(x.shape[-1] // 2, "relu")(x)
        return keras.Model(inputs, layers.Dense(2)(x))

    names = [h.name for h in suggest(mixed).space]
    assert names == [
        "units",
        "dense_1.activation",
        "dense_2.units",
        "dense_2.activation",
        "dense_3.activation",
    ]
    assert widths(built(discovering(mixed), dense={"dense_2.units": 64})) == [8, 64, 32, 2]


def test_what_is_put_in_is_saved(tmp_path: Path) -> None:
    """The model is an ordinary one: it says what was put in, and loads again from its file."""
    values = {"dense": {"gate_1.units": 64, "dense_1.units": 8}, "dropout": {"gate_1.dropout": 0.4}}
    model = built(discovering(zoo.own_layers), **values)
    assert model.layers[1].get_config()["units"] == 64
    assert model.layers[1].get_config()["dropout"] == 0.4
    model.optimizer.build(model.trainable_variables)  # else Keras warns when it loads
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    configs = [[layer.get_config() for layer in m.layers] for m in (loaded, model)]
    assert configs[0] == configs[1]
    x = np.ones((2, 6), "float32")
    assert np.array_equal(loaded(x), model(x))


def test_arguments_keep_their_form() -> None:
    """A size that was given as a tuple stays one; by position or by name makes no difference."""

    def function() -> keras.Model:
        inputs = keras.Input((16, 16, 1))
        x = layers.Conv2D(8, (3, 3), padding="same")(inputs)
        x = layers.Conv2D(filters=8, kernel_size=3, padding="same")(x)
        return keras.Model(inputs, layers.Conv2D(1, 1)(x))

    model = built(discovering(function), conv={"conv_1.kernel_size": 5, "conv_2.filters": 16})
    assert model.layers[1].kernel_size == (5, 5)
    assert [layer.filters for layer in model.layers[1:]] == [8, 16, 1]


def test_an_optimizer_by_name_is_tuned() -> None:
    """`compile(optimizer="adam")` gets the rate of the trial; a loss by name is left alone."""
    keras.utils.clear_session()
    values = {"optimizer": {"adam_1.learning_rate": 0.01}}
    model = built(discovering(dense), **values)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    assert model.optimizer.name == "adam"
    assert model.loss == "mse"


@pytest.mark.parametrize("times", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("name", ["sequential", "functional", "without_shape"])
def test_blocks_are_repeated(name: str, times: int) -> None:
    """A block stands as often in the model as the trial says: added, listed or chained."""
    function = discovering(zoo.ZOO[name], {"block_1.repeats": Declaration(domains.Range(1, 6))})
    model = built(function, default={"block_1.repeats": times})
    model.build((None, 16, 16, 1)) if name == "without_shape" else None
    units = {"sequential": 64}.get(name, 32)
    assert widths(model) == [units] * times + [10]
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert len(rates) == (0 if name == "without_shape" else times)
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    assert model.built
    assert len({id(w) for w in model.weights}) == len(model.weights)


def test_blocks_that_are_no_chain_are_left_alone() -> None:
    """Where something takes what is within a block, its number is not proposed."""

    def function() -> keras.Model:
        inputs = keras.Input((8,))
        x, kept = inputs, []
        for _ in range(3):
            x = layers.Dense(8, "relu")(x)
            kept.append(x)
            x = layers.Dropout(0.1)(x)
        return keras.Model(inputs, layers.Dense(1)(layers.Add()(kept)))

    assert "blocks" not in suggest(function).space.groups


def test_blocks_that_shrink_are_repeated_as_often_as_they_build() -> None:
    """Pooling leaves room for so many repeats, and no more are proposed."""

    def function() -> keras.Model:
        model = keras.Sequential([keras.Input((16, 16, 8))])
        for _ in range(3):
            model.add(layers.Conv2D(8, 3, padding="same", activation="relu"))
            model.add(layers.MaxPooling2D())
        model.add(layers.Flatten())
        model.add(layers.Dense(2))
        return model

    assert suggest(function).space.by_key["blocks", "block_1.repeats"].domain == domains.Range(1, 4)


def test_values_that_do_not_build_together_are_cut_off() -> None:
    """Kernels of 3 fit one after the other, larger ones do not; groups must divide filters."""

    def function() -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        x = layers.Conv2D(8, 3)(inputs)
        x = layers.GroupNormalization(4)(x)
        x = layers.Conv2D(8, 3)(x)
        return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))

    found = suggest(function).space.by_key
    assert found["conv", "conv_1.filters"].domain == domains.Choice((4, 8, 16, 32))
    assert found["conv", "conv_2.filters"].domain == domains.Choice((2, 4, 8, 16, 32))
    assert found["conv", "conv_1.kernel_size"].domain == domains.Choice((3, 5))
    assert ("conv", "conv_2.kernel_size") not in found  # with 5 before it, only 3 is left


def test_a_layer_with_a_hard_written_constructor_is_tuned_inside() -> None:
    """Where a layer of the user's takes nothing that could be tuned, what it constructs is."""

    class Pair(layers.Layer):
        def __init__(self, *, final: bool = False) -> None:
            super().__init__()
            self.inner = layers.Dense(16, activation="relu")
            self.final = final

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape[:-1], self.inner.units)

    def function() -> keras.Model:
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers.Dense(1)(Pair()(inputs)))

    assert [h.name for h in suggest(function).space] == ["dense_2.units", "dense_2.activation"]
    model = built(discovering(function), dense={"dense_2.units": 64})
    assert model.layers[1].inner.units == 64


def test_what_keras_clones_is_not_constructed_by_the_user() -> None:
    """A layer of the user's that Keras makes again from its configuration is its own affair."""

    @keras.saving.register_keras_serializable("clones")
    class Recurrent(layers.SimpleRNN):
        def __init__(self, units: int, **options: Any) -> None:
            super().__init__(units, **options)
            self.extra = layers.Dropout(0.1)

    def function() -> keras.Model:
        inputs = keras.Input((5, 3))
        x = layers.Bidirectional(Recurrent(8))(inputs)
        return keras.Model(inputs, layers.Dense(1)(x))

    assert [h.name for h in suggest(function).space] == ["recurrent_1.units"]
    model = built(discovering(function), dense={"recurrent_1.units": 16})
    assert model.layers[1].forward_layer.units == model.layers[1].backward_layer.units == 16


def test_a_search_puts_values_in(arrays: Any, make_tuner: Any) -> None:
    """A discovered function is searched like any other, and its best model is built again."""

    def model_fn() -> keras.Model:
        model = keras.Sequential()
        for _ in range(2):
            model.add(layers.Dense(8, activation="relu"))
        model.add(layers.Dense(3, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    tuner = make_tuner(discovering(model_fn), max_trials=3)
    tuner.search(*arrays, validation_split=0.25, verbose=0)
    assert [t.state.value for t in tuner.trials] == ["completed"] * 3
    best = tuner.best_trial.values
    assert set(best) == {"dense", "blocks", "optimizer"}
    units = [best["dense"]["dense_1.units"]] * best["blocks"]["block_1.repeats"] + [3]
    assert widths(tuner.best_model()) == units


def test_other_things_than_proposed_can_be_declared() -> None:
    """Any argument of anything constructed can be named; a name can share another's value."""
    declared = {
        "dense_1.units": Declaration(domains.Range(4, 12, 4), "widths"),
        "dense_1.use_bias": Declaration(domains.Boolean(), "bias", default=True),
        "dense_2.activation": Declaration(domains.Choice((None, "tanh"))),
        "adam_1.beta_1": Declaration(domains.Linear(0.5, 0.9, 5)),
    }
    function = discovering(dense, declared)
    space = tracing.run(function, tracing.defaults)[1].space
    assert {h.label: h.default for h in space} == {
        "widths/dense_1.units": 8,
        "bias/dense_1.use_bias": True,
        "default/dense_2.activation": None,
        "default/adam_1.beta_1": 0.9,
    }
    model = built(function, bias={"dense_1.use_bias": False}, default={"adam_1.beta_1": 0.5})
    assert not model.layers[0].use_bias
    assert model.optimizer.beta_1 == 0.5


def test_shared_values_change_together() -> None:
    """A name that shares another's value is no hyperparameter of its own."""
    found = suggest(zoo.residual)
    assert found.declarations["conv_3.filters"] == "conv_1.filters"
    model = built(discovering(zoo.residual), conv={"conv_1.filters": 64})
    filters = [layer.filters for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert filters == [64, 16, 64, 16, 64]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"dense_9.units": Declaration(domains.Choice((1, 2)))}, "there is no dense_9.units"),
        ({"dense_1.units": "dense_2.units"}, "'dense_2.units', which is not declared"),
        ({"dense_1.units": Declaration(domains.Choice((1, 2)), default=3)}, "dense_1.units"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declared: Any, message: str) -> None:
    """A name that nothing has is refused with those there are, and so is a wrong default."""
    with pytest.raises(HyperparameterError, match=message):
        discovering(dense, declared)()


def test_the_written_code_declares_the_same_space(tmp_path: Path) -> None:
    """`.code` is valid, formatted, and declares what was suggested, name by name."""
    for function in (zoo.sequential, zoo.residual, zoo.functional):
        found = suggest(function)
        code = f"{found.code}def model_fn():\n    pass\n"
        file = tmp_path / "decorated.py"
        file.write_text(code)
        formatted = subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--isolated", "--check", str(file)],
            capture_output=True,
            check=False,
        )
        assert formatted.returncode == 0 or b"No module named" in formatted.stderr
        again = discovering(function, declared_by(code))
        assert tracing.run(again, tracing.defaults)[1].space == found.space


def declared_by(code: str) -> dict[str, Any]:
    """Return what a decorator declares, where nobody has written it yet."""

    class Spaces:
        def __getattr__(self, kind: str) -> Any:
            return lambda *args, group, default: Declaration(
                getattr(domains, kind)(*args), group, default
            )

    declared: dict[str, Any] = {}
    body = code.partition("\n")[2]
    tunable = lambda *, discover: lambda function: declared.update(discover)
    exec(compile(body, "decorated", "exec"), {"space": Spaces(), "tunable": tunable})
    return declared


def test_the_command_line_suggests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tunedeco suggest` takes a file or a module, and prints the table, the code or JSON."""
    source = "import keras\nfrom keras import layers\n\n\n" + inspect.getsource(zoo.custom_step)
    source = source.replace("Noisy", "keras.Model")
    (tmp_path / "models.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert cli.main(["suggest", "models.py:custom_step"]) == 0
    table = capsys.readouterr().out
    assert "exponential_decay_1.initial_learning_rate" in table
    assert cli.main(["suggest", "models:custom_step", "--write"]) == 0
    assert "@tunable(\n    discover={\n" in capsys.readouterr().out
    assert cli.main(["suggest", "models:custom_step", "--json"]) == 0
    assert '"name": "dense_1.units"' in capsys.readouterr().out
    sys.modules.pop("models")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models", "names no function"),
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("no/such/file.py:f", "there is no file"),
        ("json:no_such_function", "there is no function 'no_such_function' in json"),
        ("zoo:Gate", "Gate cannot be called without arguments"),
    ],
)
def test_the_command_line_says_what_it_cannot_find(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong name is one line, and status 1."""
    assert cli.main(["suggest", name]) == 1
    assert message in capsys.readouterr().err


def test_a_function_must_be_callable_alone() -> None:
    """`tunedeco.suggest` says how to bind the arguments of a function that needs some."""
    assert public_suggest is suggest
    with pytest.raises(ModelFunctionError, match=r"functools\.partial"):
        suggest(zoo.Gate)


def test_domains_hold_what_the_code_gives() -> None:
    """Whatever the present value is, it is in its domain, exactly."""
    for rule, values in (
        (kinds.width, [2, 3, 10, 64, 100, 512, 2048]),
        (kinds.kernel, [2, 3, 4, 5, 7, 11, 16]),
        (kinds.heads, [1, 2, 3, 8, 12]),
        (kinds.rate, [0.0, 0.05, 0.3, 0.5, 0.6, 0.95, 0]),
        (kinds.repeats, [1, 2, 12]),
        (kinds.activation, ["relu", "swish", "mish", "tanh"]),
        (kinds._scale, [1e-3, 3e-4, 1, 0.0012345678901234567, 1e-30]),
    ):
        for value in values:
            domain = rule(value)
            assert domain is not None, value
            canonical = domain.canonical(value)
            assert (type(canonical), canonical) == (type(value), value)
    assert kinds.width(1) is kinds.kernel(1) is kinds.activation("softmax") is None
    assert kinds.rate(1.0) is kinds._scale(0.0) is kinds._scale(float("inf")) is None


def test_a_loop_is_one_and_its_different_values_are_several() -> None:
    """Calls in one place with equal arguments share a hyperparameter; others are numbered on."""

    def function() -> keras.Model:
        inputs = keras.Input((8,))
        x = layers.Dense(64, "relu")(layers.Dense(64, "relu")(inputs))
        for units in [32, 16, 16]:
            x = layers.Dense(units, "relu")(x)
        depth = Range("depth", 1, 2)
        for _ in range(depth):
            x = layers.Dropout(0.5)(x)
        return keras.Model(inputs, layers.Dense(1)(x))

    names = [h.name for h in suggest(function).space if h.name.endswith("units")]
    assert names == ["dense_1.units", "dense_2.units", "dense_3.units", "dense_4.units"]
