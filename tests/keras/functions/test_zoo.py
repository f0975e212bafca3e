"""Functions of many styles, declared by hand and written for Keras Tuner: what tracing finds."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from tunedeco import Space, conditions, tracing, tunable

pytestmark = [pytest.mark.keras, pytest.mark.once]

sys.path.insert(0, str(Path(__file__).parent))
import zoo_hp  # noqa: E402 (beside this file, whatever pytest's import mode)
import zoo_tunable  # noqa: E402

# group/name: values = default [when it is asked for]
DECLARED = {
    "sequential": [
        "cnn/filters: 4 to 16 step 4 = 8",
        "cnn/kernel: 1 to 5 step 2 = 3",
        "cnn/pooling: False, True = True",
        "cnn/pool: 2 to 3 = 2 [pooling is True]",
        "dense/layers: 1 to 3 = 2",
        "dense/units_0: 8 to 16 step 4 = 8",
        "dense/rate: 0 to 0.5, 5 evenly spaced = 0.0",
        "dense/units_1: 8 to 16 step 4 = 8 [layers is 2 or 3]",
        "optimizer/learning_rate: 0.001, 0.0005, 0.0001 = 0.001",
        "dense/units_2: 8 to 16 step 4 = 8 [layers is 3]",
    ],
    "functional": [
        "norm/kind: 'batch', 'group', None = 'batch'",
        "cnn/kernel_0: 3, 5 = 3",
        "norm/momentum: 0.9, 0.99 = 0.9 [kind is 'batch']",
        "cnn/kernel_1: 3, 5 = 3",
        "optimizer/rate: 0.0001 to 0.1, 4 on a log scale = 0.0001",
        "optimizer/optimizer: 'sgd', 'adam' = 'sgd'",
        "optimizer/momentum: 0 to 0.9, 3 evenly spaced = 0.0 [optimizer is 'sgd']",
        "norm/groups: 2, 4 = 2 [kind is 'group']",
        "optimizer/nesterov: False, True = False [momentum is 0.45 or 0.9]",
    ],
    "subclassed": [
        "default/depth: 0 to 2 = 1",
        "default/units_0: 16 to 64 step 16 = 16 [depth is 1 or 2]",
        "default/rate: 0.1 to 0.5, 5 evenly spaced = 0.1 [depth is 1 or 2]",
        "optimizer/learning_rate: 0.0001 to 0.01, continuous, log scale = 0.001",
        "default/units_1: 16 to 64 step 16 = 16 [depth is 2]",
    ],
    "multi_input": [
        "embedding/dims: 4, 8, 16 = 8",
        "dense/units: 8 to 32 step 8 = 16",
        "noise/noise: 0 to 0.2, 3 evenly spaced = 0.1",
    ],
    "multi_output": [
        "optimizer/rate: 0.0003, 0.001 = 0.0003",
        "dense/trunk: 16 to 64 step 16 = 16",
        "dense/head: 0, 8, 16 = 0",
        "loss/number_weight: 0.5, 1.0, 2.0 = 0.5",
        "dense/head_activation: 'tanh', 'relu' = 'tanh' [head is 8 or 16]",
    ],
    "custom_step": [
        "default/units: 16 to 48 step 16 = 16",
        "step/noise: 0 to 0.2, 3 evenly spaced = 0.0",
        "optimizer/rate: 0.01, 0.001 = 0.01",
        "optimizer/decay: False, True = False",
        "optimizer/decay_steps: 100, 1000 = 100 [decay is True]",
    ],
    "preprocessing": [
        "augmentation/augmentation: 'none', 'flip', 'rotate' = 'none'",
        "cnn/filters: 8, 16 = 8",
        "augmentation/flip: 'horizontal', 'vertical' = 'horizontal' [augmentation is 'flip']",
        "augmentation/rotation: 0.05 to 0.2, 4 evenly spaced = 0.05 [augmentation is 'rotate']",
    ],
    "recurrent": [
        "rnn/kind: 'lstm', 'gru' = 'lstm'",
        "rnn/depth: 1 to 2 = 1",
        "rnn/units_0: 8, 16 = 8",
        "embedding/dims: 8 to 16 step 8 = 8",
        "rnn/dropout: 0 to 0.4, 3 evenly spaced = 0.0",
        "rnn/units_1: 8, 16 = 8 [depth is 2]",
    ],
    "attention": [
        "attention/heads: 2, 4 = 2",
        "attention/key_dim: 4, 8 = 4",
        "attention/blocks: 1 to 2 = 1",
        "dense/feed_forward: False, True = False",
        "default/classes: 4 = 4",
        "dense/factor: 1 to 4 = 1 [feed_forward is True]",
    ],
    "backbone": [
        "head/units: 0, 32, 64 = 64",
        "head/dropout: 0.1 to 0.5, 3 evenly spaced = 0.3",
        "optimizer/rate: 0.001, 0.0001 = 0.001",
    ],
}

TRANSLATED = {
    "sequential": [
        "default/num_layers: 1 to 3 = 1",
        "default/units_0: 8 to 32 step 8 = 8",
        "default/activation: 'relu', 'tanh' = 'relu'",
        "default/dropout: False, True = False",
        "default/lr: 0.0001 to 0.01, continuous, log scale = 0.0001",
        "default/units_1: 8 to 32 step 8 = 8 [num_layers is 2 or 3]",
        "default/units_2: 8 to 32 step 8 = 8 [num_layers is 3]",
    ],
    "functional": [
        "default/pooling: 'max', 'avg' = 'max'",
        "default/filters_0: 4 to 12 step 4 = 4",
        "default/filters_1: 4 to 12 step 4 = 4",
        "default/head: 'linear', 'mlp' = 'linear'",
        "default/optimizer: 'adam', 'sgd' = 'adam'",
        "default/rate: 0.01, 0.001 = 0.01",
        "default/units: 16 to 48 step 16 = 16 [head is 'mlp']",
        "default/regularized: False, True = True [head is 'mlp']",
        "default/l2: 1e-05 to 0.001, 3 on a log scale = 1e-05 [regularized is True]",
        "default/momentum: 0 to 0.9, 4 evenly spaced = 0.0 [optimizer is 'sgd']",
    ],
    "subclassed": [
        "default/depth: 1 to 2 = 1",
        "default/units_0: 16, 32 = 16",
        "default/rate: 0.001 to 0.003, 3 evenly spaced = 0.001",
        "default/units_1: 16, 32 = 16 [depth is 2]",
    ],
    "multi_input": [
        "default/category/dims: 4 to 8 step 4 = 4",
        "default/numbers/dims: 8 to 16 step 8 = 8",
        "default/loss: 'mse', 'mae' = 'mse'",
    ],
    "multi_output": [
        "default/trunk: 16, 32, 64 = 16",
        "default/classes: 5 = 5",
        "default/deep: False, True = False",
        "default/weight: 0 to 1, 11 evenly spaced = 0.5",
        "default/head: 4 to 8 step 4 = 4 [deep is True]",
    ],
    "custom_step": [
        "default/units: 16, 32 = 16",
        "default/weight: 1.0, 2.0 = 1.0",
        "default/schedule: 'constant', 'cosine' = 'constant'",
        "default/steps: 100 to 300 step 100 = 100 [schedule is 'cosine']",
    ],
    "preprocessing": [
        "default/kind: 'none', 'flip', 'zoom' = 'none'",
        "default/filters: 4 to 8 step 4 = 4",
        "default/mode: 'horizontal', 'vertical' = 'horizontal' [kind is 'flip']",
        "default/factor: 0.1 to 0.3, 3 evenly spaced = 0.1 [kind is 'zoom']",
    ],
    "recurrent": [
        "default/dims: 8 to 16 step 8 = 8",
        "default/kind: 'lstm', 'gru' = 'lstm'",
        "default/units: 4 to 8 step 4 = 4",
        "default/drop: 0 to 0.4, 3 evenly spaced = 0.0 [kind is 'lstm']",
    ],
    "attention": [
        "default/width: 8, 16 = 8",
        "default/blocks: 0 to 2 = 1",
        "default/heads: 1, 2, 4 = 1 [blocks is 1 or 2]",
        "default/feed_forward_0: False, True = False [blocks is 1 or 2]",
        "default/feed_forward_1: False, True = False [blocks is 2]",
    ],
    "backbone": [
        "default/fine_tune: False, True = False",
        "default/rate: 0.001 = 0.001 [fine_tune is False]",
        "default/units: 16 to 64 step 16 = 16",
        "default/small_rate: 1e-05, 0.0001 = 1e-05 [fine_tune is True]",
    ],
}

CASES = {
    **{f"tunable-{name}": (fn, DECLARED[name]) for name, fn in zoo_tunable.ZOO.items()},
    **{f"hp-{name}": (fn, TRANSLATED[name]) for name, fn in zoo_hp.ZOO.items()},
}


def described(space: Space) -> list[str]:
    """Return a line for each hyperparameter, in order."""
    lines = []
    for h in space:
        when = conditions.describe(h.when, space.domains)
        lines.append(f"{h.label}: {h.domain} = {h.default!r}" + f" [{when}]" * bool(when))
    return lines


def config(model: keras.Model) -> list[Any]:
    """Return what tells two models apart: their layers, weights, and how they are compiled."""
    layers = [layer.get_config() for layer in model._flatten_layers(include_self=False)]
    own = {name: value for name, value in vars(model).items() if name in ("noise", "weight")}
    return [layers, [weight.shape for weight in model.weights], model.get_compile_config(), own]


@pytest.mark.parametrize(("function", "expected"), CASES.values(), ids=CASES)
def test_the_zoo(function: Callable[..., Any], expected: list[str]) -> None:
    """The whole space is found without a weight, and its first and last configurations build."""
    function = tunable(function)
    weightless = []

    def check(model: keras.Model) -> None:
        weightless.append(all(variable._value is None for variable in model.variables))

    space = function.explored(check)
    assert described(space) == expected
    assert space.coverage is not None
    assert space.coverage.complete
    assert space.coverage.problem is None
    assert weightless == [True] * space.coverage.runs
    models = []
    for values in (space.defaults, space.decode([1.0] * len(space))):
        assert tracing.asks_only_for(function.alone, values)
        models.append(config(function.build(values)))
    assert models[0] != models[1]
