"""Code for Keras Tuner and Optuna, driven by the real libraries and by ours: the same models.

Each function below is one that could stand in a project of theirs. Values are drawn by ours, from
the whole unit cube, and handed to theirs as what its oracle would have chosen.
"""

import functools
import random
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np
import optuna
import pytest

from tunedeco import Space, Tuner, domains, tracing, tunable
from tunedeco.space import Hyperparameter

pytestmark = [
    pytest.mark.keras,
    pytest.mark.once,
    # what Optuna says of an end that no step lands on, and of its own older names
    pytest.mark.filterwarnings("ignore:The distribution is specified by"),
    pytest.mark.filterwarnings("ignore:suggest_:FutureWarning"),
]

Values = dict[str, Any]
DRAWS = 3


def dense(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build what Keras Tuner's guide begins with, and one of each kind of range."""
    model = keras.Sequential()  # without a shape: it is built in no time
    for i in range(hp.Int("num_layers", 1, 3)):
        units = hp.Int(f"units_{i}", min_value=32, max_value=512, step=32)
        model.add(keras.layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(rate=hp.Float("rate", 0.1, 0.5, step=0.1, default=0.3)))
    model.add(keras.layers.Dense(10, activation=hp.Fixed("last", "softmax")))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    momentum = hp.Float("momentum", 0.5, 0.9)
    model.compile(keras.optimizers.SGD(learning_rate, momentum), "sparse_categorical_crossentropy")
    return model


def scales(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build with steps and samplings of all kinds."""
    units = [
        hp.Int("linear", 4, 17, step=4, default=8),
        hp.Int("log", 1, 300, sampling="log"),
        hp.Int("powers", 2, 100, step=2, sampling="log", default=16),
        hp.Int("far", 2, 100, step=3, sampling="reverse_log", default=48),
        hp.Int("one", 7, 7),
        hp.Int("coarse", 8, 10, step=64),
        hp.Choice("unordered", [16, 4, 8], ordered=False, default=4),
    ]
    rates = [
        hp.Float("steps", 0.0, 0.5, step=0.125),
        hp.Float("decades", 1e-4, 1e-1, step=10, sampling="log", default=1e-2),
        hp.Float("near_one", 0.1, 0.9, step=2, sampling="reverse_log", default=0.2),
        hp.Float("constant", 0.25, 0.25),
        hp.Choice("list", [0.5, 0.1]),
    ]
    layers: list[keras.layers.Layer] = [keras.layers.Dense(n) for n in units]
    layers += [keras.layers.Dropout(rate) for rate in rates]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    return model


def conditional(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build one of two kinds, each with hyperparameters of its own, in scopes."""
    inputs = keras.Input((8, 8, 3))
    kind = hp.Choice("kind", ["mlp", "cnn", "none"])
    x = inputs
    with hp.conditional_scope("kind", ["mlp"]):
        width = hp.Int("width", 8, 32, step=8)
        hp.Boolean("deep", default=True)
        with hp.conditional_scope("deep", [True]):
            depth = hp.Int("depth", 2, 4)
        if kind == "mlp":
            x = keras.layers.Flatten()(x)
            for _ in range(depth or 1):
                x = keras.layers.Dense(width)(x)
    with hp.conditional_scope("kind", ["cnn"]), hp.name_scope("conv"):
        filters = hp.Choice("filters", [4, 8])
        with hp.name_scope("pool"):
            pool = hp.Choice("kind", ["max", "mean"])
        kernel = hp.Int("kernel", 1, 5, step=2)
        if kind == "cnn":
            x = keras.layers.Conv2D(filters, kernel)(x)
            pooling = keras.layers.MaxPool2D if pool == "max" else keras.layers.AveragePooling2D
            x = pooling(2)(x)
    x = keras.layers.Flatten()(x)
    size = hp.Int("size", 2, 5, parent_name="kind", parent_values=["cnn", "none"])
    model = keras.Model(inputs, keras.layers.Dense(size or 1)(x))
    model.compile(hp.Choice("optimizer", ["adam", "sgd"]), "mse")
    return model


class Hyper(keras_tuner.HyperModel):
    """Builds with what its constructor was given, and declares one thing beforehand."""

    def __init__(self, classes: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.classes = classes

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        hp.Choice("activation", ["relu", "elu"])

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        units = hp.Int("units", 4, 64, step=4)
        model = keras.Sequential([keras.layers.Dense(units, activation=hp.get("activation"))])
        if "activation" in hp and hp["activation"] == "relu":
            model.add(keras.layers.ReLU(hp.Float("ceiling", 1, 6)))
        model.add(keras.layers.Dense(self.classes, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model


def suggested(trial: optuna.Trial) -> keras.Model:
    """Build as a function of Optuna's trial, with every kind of suggestion."""
    model = keras.Sequential()
    for i in range(trial.suggest_int("layers", 1, 3)):
        units = trial.suggest_int(f"block{i}/units", 4, 128, log=True)
        model.add(keras.layers.Dense(units))
        model.add(keras.layers.Dropout(trial.suggest_float(f"block{i}/rate", 0.0, 0.5, step=0.1)))
    if trial.suggest_categorical("norm", [True, False]):
        momentum = trial.suggest_float("momentum", 0.9, 0.99)
        model.add(keras.layers.BatchNormalization(momentum=momentum))
    model.add(keras.layers.Dense(trial.suggest_int("width", 3, 20, step=5)))
    model.add(keras.layers.Dropout(trial.suggest_discrete_uniform("old", 0.0, 0.7, 0.2)))
    model.add(keras.layers.GaussianNoise(trial.suggest_uniform("noise", 0.0, 0.2)))
    activation = trial.suggest_categorical("activation", ["relu", None, "tanh"])
    model.add(keras.layers.Dense(len(trial.params), activation=activation))
    rate = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    decay = trial.suggest_loguniform("decay", 1e-6, 1e-3)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=decay), "mse")
    return model


def described(model: keras.Model) -> Any:
    """Return all that makes a model what it is, but the numbers in the names of its layers."""
    return {
        "config": model.get_config(),
        "optimizer": model.optimizer.get_config(),
        "loss": model.loss,
    }


def fresh(build: Callable[[], keras.Model]) -> Any:
    keras.utils.clear_session()  # names count from one
    return described(build())


def drawn(function: Callable[[], keras.Model], seed: int) -> tuple[Any, Space, Values]:
    """Build with random values of ours; return the model, what was asked for, and the values."""
    positions = random.Random(seed)

    def answer(hyperparameter: Hyperparameter) -> Any:
        return hyperparameter.domain.decode(positions.random())

    keras.utils.clear_session()
    model, trace = tracing.run(function, answer)
    return described(model), trace.space, trace.values.get("default", {})


def keras_tuners(values: Values) -> keras_tuner.HyperParameters:
    """Return an `hp` whose oracle has chosen these values."""
    hp = keras_tuner.HyperParameters()
    hp.values.update(values)
    return hp


FUNCTIONS = {
    "dense": dense,
    "scales": scales,
    "conditional": conditional,
    "hypermodel": Hyper(),
    "instance": Hyper(5),
    "class": Hyper,
}


def theirs(thing: Any, hp: keras_tuner.HyperParameters) -> keras.Model:
    """Build as Keras Tuner does."""
    if not isinstance(thing, (keras_tuner.HyperModel, type)):
        return thing(hp)
    model = thing() if isinstance(thing, type) else thing
    model.declare_hyperparameters(hp)
    return model.build(hp)


@functools.cache
def pairs(name: str) -> list[tuple[Any, Space, Values, Any, keras_tuner.HyperParameters]]:
    """Return what ours builds with values of its own, and what theirs builds with the same."""
    found = []
    for seed in range(DRAWS):
        ours, space, values = drawn(tunable(FUNCTIONS[name]).alone, seed)
        hp = keras_tuners(values)
        built = fresh(lambda hp=hp: theirs(FUNCTIONS[name], hp))
        found.append((ours, space, values, built, hp))
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keras_tuner_and_ours_build_the_same(name: str) -> None:
    """With the defaults, and with any values of ours, both build the same model."""
    hp = keras_tuner.HyperParameters()
    assert fresh(tunable(FUNCTIONS[name])) == fresh(lambda: theirs(FUNCTIONS[name], hp))
    for ours, space, values, built, hp in pairs(name):
        assert ours == built
        assert hp.values == values  # nothing was asked for there that ours does not know
        assert {h.name for h in space} == set(values)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_keras_tuners_space_is_ours(name: str) -> None:
    """Name by name: each active hyperparameter there is one here, with the same range, default."""
    for _, space, _, _, hp in pairs(name):
        active = {h.name: h for h in hp.space if hp.is_active(h)}
        assert list(active) == [h.name for h in space]
        for hyperparameter in space:
            known = active[hyperparameter.name]
            assert known.default == hyperparameter.default
            assert_same_range(hyperparameter.domain, known)
            for position in (0.0, 0.2, 0.5, 0.9, 1.0):
                assert_accepted(hyperparameter.domain.decode(position), known)


def assert_same_range(domain: domains.Domain, known: Any) -> None:
    """Compare all values where they can be listed, and the ends and the scale where not."""
    if getattr(known, "step", 1) is None:
        ends = [known.prob_to_value(0.0), known.prob_to_value(1 - 1e-12)]
        np.testing.assert_allclose([domain.decode(0.0), domain.decode(1.0)], ends, rtol=1e-9)
        for share in (0.1, 0.5, 0.77):  # what is likely there is likely here
            np.testing.assert_allclose(domain.decode(share), known.prob_to_value(share), rtol=1e-9)
    else:
        assert domain.size is not None
        own = [domain.at(index) for index in range(domain.size)]
        listed = sorted(known.values)
        if isinstance(known, keras_tuner.engine.hyperparameters.Float) and known.step:
            np.testing.assert_allclose(own[: len(listed)], listed, rtol=1e-9, atol=1e-12)
            # theirs may lose the end that a step lands on
            assert len(own) - len(listed) in (0, 1)
            assert own[-1] <= known.max_value
        else:
            assert sorted(own) == listed


def assert_accepted(value: Any, known: Any) -> None:
    """Whatever ours proposes has a place in theirs."""
    if hasattr(known, "min_value"):
        assert known.min_value <= value <= known.max_value
    else:
        assert value in known.values
    assert 0.0 <= known.value_to_prob(value) <= 1.0 + 1e-9 or known.step is not None


def test_keras_tuners_own_hypermodels_are_translated() -> None:
    """A hypermodel that it ships with asks for the same, and builds the same."""
    model = keras_tuner.applications.HyperXception(input_shape=(32, 32, 3), classes=3)
    hp = keras_tuner.HyperParameters()
    function = tunable(model)
    assert fresh(function) == fresh(lambda: model.build(hp))
    active = {h.name: h.default for h in hp.space if hp.is_active(h)}
    assert {h.name: h.default for h in function.space} == active


def test_optuna_and_ours_build_the_same() -> None:
    """A fixed trial of Optuna's, given any values of ours, leads to the same model and names."""
    function = tunable(suggested)
    for seed in range(DRAWS):
        ours, space, values = drawn(function.alone, seed)
        trial = optuna.trial.FixedTrial(values)  # warns of a value outside, which is an error here
        assert fresh(lambda trial=trial: suggested(trial)) == ours
        assert list(trial.params) == [h.name for h in space]
        assert trial.params == values


def test_optunas_space_is_ours() -> None:
    """Name by name: every distribution of Optuna's is the domain that ours asks for."""
    function = tunable(suggested)
    for seed in range(DRAWS):
        _, space, values = drawn(function.alone, seed)
        trial = optuna.trial.FixedTrial(values)
        suggested(trial)
        assert {h.name: h.domain for h in space} == {
            name: domain_of(distribution) for name, distribution in trial.distributions.items()
        }
        for h in space:
            for position in (0.0, 0.2, 0.5, 0.9, 1.0):
                distribution = trial.distributions[h.name]
                inner = distribution.to_internal_repr(h.domain.decode(position))
                assert distribution._contains(inner)


def domain_of(distribution: optuna.distributions.BaseDistribution) -> domains.Domain:
    """Return the domain that a distribution of Optuna's should be."""
    match distribution:
        case optuna.distributions.IntDistribution(low=low, high=high, step=step, log=log):
            return domains.Range(low, high, step, log)
        case optuna.distributions.FloatDistribution(low=low, high=high, step=None, log=log):
            return domains.Float(low, high, log)
        case optuna.distributions.FloatDistribution(low=low, high=high, step=step):
            return domains.Linear(low, high, round((high - low) / step) + 1)
        case optuna.distributions.CategoricalDistribution(choices=choices):
            return domains.Choice(choices)
    raise AssertionError(distribution)


@pytest.mark.parametrize("thing", [Hyper, suggested], ids=["keras_tuner", "optuna"])
def test_a_search_with_code_of_theirs(
    thing: Any, arrays: tuple[np.ndarray, np.ndarray], make_tuner: Callable[..., Tuner]
) -> None:
    """`Tuner` searches a function of theirs as it is, and gives the best model and its values."""
    tuner = make_tuner(thing, objective="val_loss", max_epochs=1)
    x, y = arrays
    y = y if thing is Hyper else x[:, :1]
    tuner.search(x, y, validation_split=0.25, verbose=0)
    assert [len(trial.epochs) for trial in tuner.trials] == [1, 1]
    best = tuner.best_trial.values
    keras.utils.clear_session()
    built = tunable(thing).build(best)
    built(x[:1])  # which gives it its shapes
    assert [w.shape for w in tuner.best_model().weights] == [w.shape for w in built.weights]


def test_trial_number_is_the_trials(
    arrays: tuple[np.ndarray, np.ndarray], make_tuner: Callable[..., Tuner]
) -> None:
    """A function of Optuna's trial is told the number of the trial that it builds for."""

    def named(trial: optuna.Trial) -> keras.Model:
        layer = keras.layers.Dense(trial.suggest_int("units", 1, 9))
        model = keras.Sequential([layer], name=f"trial_{trial.number}")
        model.compile("sgd", "mse")
        built.append(model.name)
        return model

    built: list[str] = []
    tuner = make_tuner(named, objective="loss", max_epochs=1)
    tuner.search(arrays[0], arrays[0][:, :1], verbose=0)
    assert built[-2:] == ["trial_0", "trial_1"]
    assert tuner.best_model().name == f"trial_{tuner.best_trial.number}"
