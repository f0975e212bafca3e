"""Initial weights on JAX, drawn by few programs.

JAX compiles a program for each shape in which random numbers are drawn, about as long as a layer's
training step takes to compile. Its generator counts: the first numbers of a long draw are those of
a short one, to the bit. So weights are cut from draws of few sizes, whatever their shapes.

HEAVY: importing this module loads Keras.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import keras
import numpy as np

_SIZES = (2**12, 2**16, 2**20)
"""Of the draws; what is larger takes longer to train than to compile."""

_DRAWS = ("normal", "truncated_normal", "uniform")


@contextlib.contextmanager
def by_few_programs() -> Iterator[None]:
    """Draw in few sizes, where that changes no number: on JAX, by the generator it begins with."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    counts = getattr(jax.config, "jax_threefry_partitionable", False)
    if not counts or jax.config.jax_default_prng_impl != "threefry2x32":
        yield
        return
    backend = keras.src.backend.random
    found = {name: getattr(backend, name) for name in _DRAWS}
    own = {name: draw for name, draw in found.items() if not hasattr(draw, "__wrapped__")}
    for name, draw in own.items():
        setattr(backend, name, _cut(draw))
    try:
        yield
    finally:
        for name, draw in own.items():
            setattr(backend, name, draw)


def _cut(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return a draw that makes more numbers than it is asked for, and returns the first of them."""
    import jax

    @wraps(draw)
    def cut(shape: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 (as Keras's)
        count = math.prod(shape)
        size = next((size for size in _SIZES if size >= count), None)
        arrays = (jax.Array, np.ndarray)  # limits for each number, or a key of another generator
        if size is None or any(isinstance(v, arrays) for v in (*arguments, *named.values())):
            return draw(shape, *arguments, **named)
        numbers = draw((size,), *arguments, **named)
        if isinstance(numbers, jax.core.Tracer):  # of a program of the user's
            return numbers[:count].reshape(shape)
        return jax.device_put(np.asarray(numbers)[:count].reshape(shape).copy())  # compiles nothing

    return cut
