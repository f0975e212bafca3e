"""How large a model is: what it holds, and what training it takes at least.

HEAVY: importing this module loads Keras. Sizes follow from shapes and dtypes alone, so they can be
asked of a model that was built without its weights (`tunedeco.abstract`).
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, final

import keras
import numpy as np

from tunedeco.abstract.building import standing_in
from tunedeco.abstract.observing import observed_by

R = TypeVar("R")


@dataclass(frozen=True)
class Size:
    """The size of a model."""

    parameters: int
    """How many numbers its weights hold, as `count_params` says."""
    training_bytes: int
    """What training must hold at least: weights, also those that mixed precision casts, gradients
    and the optimizer's state. Activations, which depend on the batch, come on top."""


def size_of(model: keras.Model) -> Size:
    """Return the size of a model that is built; its optimizer is built, if it has one.

    Raises:
        ValueError: the model is not built.
    """
    parameters = int(model.count_params())
    held = [*model.variables, *model.trainable_variables, *_state(model)]
    arrays = [(v.shape, v.dtype) for v in held] + list(_casts(model))
    return Size(parameters, sum(_bytes(shape, dtype) for shape, dtype in arrays))


def unless_larger(
    function: Callable[[], R], parameters: int | None, nbytes: int | None
) -> R | None:
    """Return what a function returns; None, if it makes variables of more than so many numbers.

    It is stopped before the variable that would be too much holds anything. What it did to names
    and random states until then is not undone.

    Args:
        function: builds a model.
        parameters: how many numbers all its variables may hold; None for any.
        nbytes: how many bytes they may take; None for any.
    """
    meter = _Meter(math.inf if parameters is None else parameters, nbytes or math.inf)
    try:
        with observed_by(meter):
            result = function()
    except _TooMuch:
        return None
    return None if meter.exceeded else result


class _TooMuch(BaseException):
    """Not an `Exception`: a function that handles those would go on, and build something else."""


@final
class _Meter:
    """Adds up what variables will hold."""

    def __init__(self, parameters: float, nbytes: float) -> None:
        self.exceeded = False
        self._parameters = parameters
        self._bytes = nbytes

    def variable(
        self,
        init: Callable[..., None],
        variable: Any,  # noqa: ANN401
        initializer: Any,  # noqa: ANN401
        shape: Any = None,  # noqa: ANN401
        dtype: Any = None,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Let a variable be made, unless it is too much."""
        by_function = callable(initializer) or isinstance(initializer, str)
        shape = (shape or ()) if by_function else np.shape(initializer)
        self._parameters -= math.prod(shape)
        self._bytes -= _bytes(shape, keras.backend.standardize_dtype(dtype))
        if self._parameters < 0 or self._bytes < 0:
            self.exceeded = True
            raise _TooMuch
        init(variable, initializer, shape, dtype, **options)

    def made(self, thing: object) -> None:
        """Only variables hold anything."""


def _casts(model: keras.Model) -> Iterable[tuple[Iterable[int], str]]:
    """Return shape and dtype of weights as layers compute with them, where the dtype is another."""
    for layer in model._flatten_layers():  # noqa: SLF001 (all of them, however deep)
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):  # noqa: SLF001
            floats = keras.backend.is_float_dtype(variable.dtype)
            if floats and variable.dtype != layer.compute_dtype and variable._autocast:  # noqa: SLF001
                yield variable.shape, layer.compute_dtype


def _state(model: keras.Model) -> list[keras.Variable]:
    """Return the optimizer's variables."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:  # it is not compiled, or a training step of one's own may do without
        return []
    if not optimizer.built:
        if _valued(optimizer) and not _valued(model):
            # It was made elsewhere, for a model with weights; Keras ties it to the first it sees
            optimizer = type(optimizer).from_config(optimizer.get_config())
        with standing_in():
            optimizer.build(model.trainable_variables)
    return list(optimizer.variables)


def _valued(holder: Any) -> bool:  # noqa: ANN401 (a model or an optimizer)
    return all(variable._value is not None for variable in holder.variables)  # noqa: SLF001


def _bytes(shape: Iterable[int], dtype: str) -> int:
    bits = re.search(r"\d+", dtype)  # bool has none in its name, and takes a byte
    return math.prod(shape) * (int(bits[0]) if bits else 8) // 8
