"""Discovery: what is found in functions that declare nothing, and what putting values in does."""

import contextlib
import importlib.util
import random
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tunedeco import Choice, Range, Space, domains, tracing
from tunedeco.discovery import Suggestion, discovering, suggest, watching
from tunedeco.domains import Domain
from tunedeco.errors import HyperparameterError, ModelFunctionError
from tunedeco.tracing import UNSET

pytestmark = pytest.mark.keras

sys.path.insert(0, str(Path(__file__).parent))
from zoo import ZOO, Gate  # noqa: E402 (beside this file, whatever pytest's import mode)


@dataclass(frozen=True)
class Declaration:
    """A hyperparameter without a name."""

    domain: Domain
    group: str = "default"
    default: Any = UNSET


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


def built(function: Callable[[], Any], values: Any = None, seed: int = 0) -> keras.Model:
    """Return the model of a function with some values, from a clean state."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    return tracing.run(function, tracing.from_values(values or {}, tracing.defaults))[0]


def config(thing: Any) -> Any:
    """Return what Keras can say of a model and of what it is compiled with."""
    described: dict[str, Any] = {"weights": [w.shape for w in thing.weights]}
    with contextlib.suppress(NotImplementedError):
        described["model"] = thing.get_config()
    if type(thing).get_config is keras.Model.get_config:  # a subclass says nothing of its layers
        described["layers"] = [layer.get_config() for layer in thing.layers]
    return {**described, "compiled": thing.get_compile_config()}


def patched() -> list[str]:
    """Return what of Keras is not its own code."""
    classes = {cls for module in (keras.layers, keras.optimizers, keras.losses, keras.regularizers)
               for cls in vars(module).values() if isinstance(cls, type)}
    classes |= {base for cls in (*classes, keras.Model, keras.Sequential, Gate, *ZOO_CLASSES)
                for base in cls.__mro__}
    return [
        f"{cls.__name__}.{name}"
        for cls in classes
        for name in ("__init__", "__new__", "__call__", "add", "compile")
        if "tunedeco" in getattr(getattr(vars(cls).get(name), "__code__", None), "co_filename", "")
    ]


ZOO_CLASSES = [cls for cls in vars(sys.modules["zoo"]).values() if isinstance(cls, type)]


def test_the_space_is_what_the_function_constructs(name: str, found: Suggestion) -> None:
    """Of every function the hyperparameters are found, by group and name; nothing else is."""
    names = {group: [h.name for h in members] for group, members in found.space.groups.items()}
    assert names == FOUND[name]


def test_the_defaults_are_what_the_code_says(name: str, found: Suggestion) -> None:
    """With every default the model is the untouched function's, to the bit of each weight."""
    function = ZOO[name]
    plain = built(function)
    discovered = built(discovering(function, found.declarations))
    assert config(discovered) == config(plain)
    assert all(
        np.array_equal(one, other)
        for one, other in zip(plain.get_weights(), discovered.get_weights(), strict=True)
    )


def test_the_first_call_is_like_every_other(name: str) -> None:
    """What is run to find the space leaves no name counted up and no random state moved."""
    plain, discovered = ZOO[name], discovering(ZOO[name])
    expected = built(plain)
    state = random.getstate(), np.random.get_state()[1].tolist(), layers.Dense(1).name
    first = built(discovered)
    assert state == (random.getstate(), np.random.get_state()[1].tolist(), layers.Dense(1).name)
    assert config(first) == config(expected)
    assert all(map(np.array_equal, first.get_weights(), expected.get_weights()))


def test_every_hyperparameter_changes_the_model(name: str, found: Suggestion) -> None:
    """Each one, given another value than its default, makes another model."""
    function = discovering(ZOO[name], found.declarations)
    default = config(built(function))
    for h in found.space:
        other = next(v for v in (h.domain.decode(0.0), h.domain.decode(1.0)) if v != h.default)
        changed = config(built(function, {h.group: {h.name: other}}))
        assert changed != default, h.label


def test_every_configuration_builds(name: str, found: Suggestion) -> None:
    """Configurations drawn at random build, with the outputs of the untouched function."""
    function = discovering(ZOO[name], found.declarations)
    shapes = watching_shapes(built(ZOO[name]))
    draw = random.Random(name)
    for _ in range(6):
        values = found.space.decode([draw.random() for _ in found.space])
        assert watching_shapes(built(function, values)) == shapes, values


def watching_shapes(model: keras.Model) -> list[Any]:
    return [tensor.shape for tensor in getattr(model, "outputs", None) or []]
