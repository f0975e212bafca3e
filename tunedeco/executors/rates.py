"""Rates of dropout, regularisation and weight decay as variables of a model.

Keras reads them as numbers of Python while a program is made, which has them as constants. Kept in
variables they may differ between models that share a program, as learning rates do. What the layers
compute stays the same, and so do their attributes and configurations.

HEAVY: importing this module loads Keras.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import keras
import numpy as np

_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)
_PENALTIES = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)

CONFIG = "_auto_config"
"""Where a layer has the arguments that it was made with."""

Owners = Mapping[int, tuple[Any, tuple[str, ...]]]
"""By their ids, the objects whose attributes say a rate, with the names of those attributes: the
program does not depend on them."""


def in_variables(model: keras.Model) -> Owners:
    """Keep the rates of a built model in variables from now on; return whose they are."""
    layers = model._flatten_layers()  # noqa: SLF001 (the public `layers` are the outer ones)
    owners: dict[int, tuple[Any, tuple[str, ...]]] = {}
    for layer in layers:
        if type(layer) in _DROPOUTS and 0 < layer.rate < 1:
            owners[id(layer)] = layer, ("rate", CONFIG)
            _drop(layer)
        for variable in layer._trainable_variables:  # noqa: SLF001 (without the inner layers')
            penalty = variable.regularizer
            if type(penalty) in _PENALTIES:
                owners[id(penalty)] = penalty, tuple(vars(penalty))
                _penalise(layer, variable, penalty)
    for layer in layers:  # where a penalty is on outputs too, the program has its numbers
        owners.pop(id(layer.activity_regularizer), None)
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    if isinstance(getattr(optimizer, "weight_decay", None), float):
        owners[id(optimizer)] = optimizer, ("weight_decay",)
        _decay(optimizer)
    return owners


@final
class _Rate(keras.random.SeedGenerator):  # type: ignore[misc]  # Keras has no types
    """Numbers in a variable that layers count among theirs, but not among their weights."""

    def __init__(self, *numbers: float) -> None:  # no super(): it would draw a seed
        self.state = keras.Variable(
            np.array(numbers, "float32"),
            trainable=False,
            dtype="float32",
            autocast=False,
            name="rate",
        )


def _drop(layer: Any) -> None:  # noqa: ANN401 (Keras has no types)
    numbers = (layer.rate, 1 - layer.rate, 1 / (1 - layer.rate))
    seeds = layer._seed_generators  # noqa: SLF001
    for kept in seeds:
        if isinstance(kept, _Rate):  # the models of several trials have this layer in common
            kept.state.assign(numbers)
            return
    rate = _Rate(*numbers)
    seeds.append(rate)
    layer.call = functools.partial(_dropped, layer, rate)


def _dropped(layer: Any, rate: _Rate, inputs: Any, *, training: bool = False) -> Any:  # noqa: ANN401
    """Return what a layer of dropout makes of its inputs, to the bit, on each backend."""
    if not training:
        return inputs
    ops = keras.ops
    jax = keras.backend.backend() == "jax"
    shape = layer.noise_shape
    if hasattr(layer, "_get_noise_shape"):
        shape = layer._get_noise_shape(inputs)  # noqa: SLF001
    there = ops.shape(inputs)
    if shape is not None:
        shape = [m if n is None else n for n, m in zip(shape, there, strict=True)]
    dtype = "float32" if jax else inputs.dtype
    drawn = keras.random.uniform(
        there if shape is None else shape, dtype=dtype, seed=layer.seed_generator
    )
    dropping, keeping, scale = (rate.state[i] for i in range(3))
    kept = drawn < keeping if jax else drawn >= ops.cast(dropping, dtype)
    return ops.where(kept, inputs * ops.cast(scale, inputs.dtype), ops.zeros_like(inputs))


def _penalise(layer: Any, variable: Any, penalty: Any) -> None:  # noqa: ANN401
    l1, l2 = (float(getattr(penalty, name, 0.0)) for name in ("l1", "l2"))
    rate = _Rate(l1, l2)
    layer._seed_generators.append(rate)  # noqa: SLF001
    variable.regularizer = _Penalty(rate, bool(l1), bool(l2))


@final
@dataclass(frozen=True)
class _Penalty:
    """L1 and L2 of a variable, with their factors in another."""

    rate: _Rate
    l1: bool
    l2: bool

    def __call__(self, x: Any) -> Any:  # noqa: ANN401
        ops, total = keras.ops, 0.0
        if self.l1:
            total += ops.cast(self.rate.state[0], x.dtype) * ops.sum(ops.absolute(x))
        if self.l2:
            total += ops.cast(self.rate.state[1], x.dtype) * ops.sum(ops.square(x))
        return total


def _decay(optimizer: Any) -> None:  # noqa: ANN401
    rate = _Rate(optimizer.weight_decay)
    plain = optimizer._apply_weight_decay  # noqa: SLF001

    def apply(variables: Sequence[keras.Variable]) -> None:
        number, optimizer.weight_decay = optimizer.weight_decay, rate.state[0]
        try:
            plain(variables)
        finally:
            optimizer.weight_decay = number

    def save(store: Any) -> None:  # noqa: ANN401 (a user's file is as Keras would have written it)
        saved = (v for v in optimizer.variables if v is not rate.state)
        for i, variable in enumerate(saved):
            store[str(i)] = keras.ops.convert_to_numpy(variable)

    optimizer._track_variable(rate.state)  # noqa: SLF001
    optimizer._apply_weight_decay = apply  # noqa: SLF001
    optimizer.save_own_variables = save
