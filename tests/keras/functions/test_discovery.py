"""Discovery: what is found in functions that declare nothing, and what putting values in does."""

import contextlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tunedeco import tracing
from tunedeco.abstract import run_abstractly
from tunedeco.discovery import Suggestion, discovering, suggest

pytestmark = [pytest.mark.keras, pytest.mark.once]

sys.path.insert(0, str(Path(__file__).parent))
from zoo import ZOO  # noqa: E402 (beside this file, whatever pytest's import mode)

FOUND = {
    "sequential": {
        "conv": ["conv_1.filters", "conv_1.kernel_size", "conv_1.activation"],
        "dense": ["dense_1.units", "dense_1.activation"],
        "blocks": ["block_1.repeats"],
        "dropout": ["dropout_1.rate"],
        "optimizer": ["adam_1.learning_rate"],
    },
    "without_shape": {
        "conv": ["conv_1.filters", "conv_1.kernel_size", "conv_1.activation"],
        "dense": ["dense_1.units", "dense_1.activation"],
        "blocks": ["block_1.repeats"],
        "optimizer": ["rmsprop_1.learning_rate"],
    },
    "functional": {
        "conv": ["conv_1.filters", "conv_1.kernel_size", "conv_2.filters", "conv_2.kernel_size"],
        "activation": ["activation_1.activation"],
        "regularizer": ["l2_1.l2"],
        "dense": ["dense_1.units", "dense_1.activation"],
        "blocks": ["block_1.repeats"],
        "dropout": ["dropout_1.rate"],
        "optimizer": ["sgd_1.learning_rate", "sgd_1.momentum", "sgd_1.weight_decay"],
        "loss": ["categorical_crossentropy_1.label_smoothing"],
    },
    "subclassed": {
        "dense": ["dense_1.units", "dense_1.activation"],
        "dropout": ["dropout_1.rate"],
        "optimizer": ["adam_1.learning_rate"],
    },
    "multi_input": {
        "embedding": ["embedding_1.output_dim"],
        "noise": ["gaussian_noise_1.stddev"],
        "dense": ["dense_1.units", "dense_1.activation", "dense_2.units", "dense_2.activation"],
        "optimizer": ["rmsprop_1.learning_rate"],
    },
    "multi_output": {
        "dropout": ["dropout_1.rate"],
        "dense": ["dense_1.units", "dense_1.activation", "dense_4.units", "dense_4.activation"],
        "optimizer": ["adamw_1.learning_rate", "adamw_1.weight_decay"],
    },
    "custom_step": {
        "dense": ["dense_1.units", "dense_1.activation"],
        "dropout": ["dropout_1.rate"],
        "optimizer": ["exponential_decay_1.initial_learning_rate"],
    },
    "preprocessing": {
        "augmentation": ["random_rotation_1.factor"],
        "conv": [
            *("separable_conv_1.filters", "separable_conv_1.kernel_size"),
            *("separable_conv_1.activation", "separable_conv_2.filters"),
            *("separable_conv_2.kernel_size", "separable_conv_2.activation"),
        ],
        "dropout": ["spatial_dropout_1.rate"],
        "optimizer": ["nadam_1.learning_rate"],
    },
    "recurrent": {
        "embedding": ["embedding_1.output_dim"],
        "recurrent": ["lstm_1.units", "lstm_1.dropout", "gru_1.units"],
        "optimizer": ["adam_1.learning_rate"],
    },
    "attention": {
        "embedding": ["embedding_1.output_dim"],
        "attention": [
            *("multi_head_attention_1.num_heads", "multi_head_attention_1.key_dim"),
            "multi_head_attention_1.dropout",
        ],
        "dense": ["dense_1.units", "dense_1.activation"],
        "optimizer": ["adam_1.learning_rate"],
    },
    "backbone": {
        "dense": ["dense_1.units", "dense_1.activation"],
        "dropout": ["dropout_1.rate"],
        "optimizer": ["adam_1.learning_rate"],
    },
    "residual": {
        "conv": [
            *("conv_1.filters", "conv_1.kernel_size", "conv_2.filters", "conv_2.kernel_size"),
            *("conv_2.activation", "conv_3.kernel_size"),
        ],
        "optimizer": ["lion_1.learning_rate"],
    },
    "autoencoder": {
        "dense": ["dense_1.units", "dense_1.activation", "dense_2.units", "dense_3.activation"],
        "conv": [
            *("conv_transpose_1.filters", "conv_transpose_1.kernel_size"),
            "conv_transpose_1.activation",
        ],
        "optimizer": ["adam_1.learning_rate"],
    },
    "own_layers": {
        "dense": ["gate_1.units", "dense_1.units", "dense_1.activation"],
        "dropout": ["gate_1.dropout"],
        "optimizer": ["adagrad_1.learning_rate"],
    },
}


@pytest.fixture(scope="module", params=sorted(ZOO))
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a function of the zoo; its tests come one after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def found(name: str) -> Suggestion:
    """Return what is suggested for it."""
    return suggest(ZOO[name])


def built(function: Callable[[], Any], values: Any = None) -> keras.Model:
    """Return the model of a function with some values."""
    return tracing.run(function, tracing.from_values(values or {}, tracing.defaults))[0]


def fresh(function: Callable[[], Any]) -> keras.Model:
    """Return the model of a function with its defaults, from a clean state and a seed."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return built(function)


def config(model: keras.Model) -> dict[str, Any]:
    """Return what Keras can say of a model, and of what it is compiled with."""
    described: dict[str, Any] = {"weights": [weight.shape for weight in model.weights]}
    with contextlib.suppress(NotImplementedError):
        described["model"] = model.get_config()
    if type(model).get_config is keras.Model.get_config:  # a subclass says nothing of its layers
        described["layers"] = [layer.get_config() for layer in model.layers]
    return {**described, "compiled": model.get_compile_config()}


def shapes(model: keras.Model) -> list[Any]:
    """Return the shapes of a model's outputs, where it knows them."""
    try:
        return [tensor.shape for tensor in model.outputs or []]
    except AttributeError:
        return []


def equal_weights(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def test_the_space_is_what_the_function_constructs(name: str, found: Suggestion) -> None:
    """Of every function the hyperparameters are found, by group and name; nothing else is."""
    names = {group: [h.name for h in members] for group, members in found.space.groups.items()}
    assert names == FOUND[name]


def test_the_defaults_are_what_the_code_says(name: str, found: Suggestion) -> None:
    """With every default the model is the untouched function's, to the bit of each weight."""
    plain = fresh(ZOO[name])
    discovered = fresh(discovering(ZOO[name], found.declarations))
    assert config(discovered) == config(plain)
    assert equal_weights(discovered, plain)


def test_every_hyperparameter_changes_the_model(name: str, found: Suggestion) -> None:
    """Each one, given another value than its default, makes another model."""
    function = discovering(ZOO[name], found.declarations)
    default = run_abstractly(lambda: config(built(function)))
    for h in found.space:
        other = next(v for v in (h.domain.decode(0.0), h.domain.decode(1.0)) if v != h.default)
        values = {h.group: {h.name: other}}
        changed = run_abstractly(lambda values=values: config(built(function, values)))
        assert changed != default, h.label


def test_every_configuration_builds(name: str, found: Suggestion) -> None:
    """Configurations drawn at random build, with the outputs of the untouched function."""
    function = discovering(ZOO[name], found.declarations)
    expected = run_abstractly(lambda: shapes(ZOO[name]()))
    draw = random.Random(name)
    for _ in range(6):
        values = found.space.decode([draw.random() for _ in found.space])
        assert run_abstractly(lambda v=values: shapes(built(function, v))) == expected, values


@pytest.mark.parametrize("name", ["sequential", "residual", "subclassed"])
def test_the_first_call_is_like_every_other(name: str) -> None:
    """What is run to find the space leaves no name counted up and no random state moved."""
    expected = fresh(ZOO[name])
    after = random.getstate(), np.random.get_state()[1].tolist(), layers.Dense(1).name
    first = fresh(discovering(ZOO[name]))
    assert after == (random.getstate(), np.random.get_state()[1].tolist(), layers.Dense(1).name)
    assert config(first) == config(expected)
    assert equal_weights(first, expected)
