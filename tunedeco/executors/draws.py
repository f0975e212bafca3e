"""Initial weights on JAX, drawn by few programs.

JAX compiles a program for each shape in which random numbers are drawn, in a third of a second. Its
generator counts: the first numbers of a long draw are those of a short one, to the bit. So weights
are cut from draws of few sizes, whatever their shapes.

HEAVY: importing this module loads Keras.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import keras
import numpy as np
from keras.src.utils.jax_utils import is_in_jax_tracing_scope

_SIZES = (2**12, 2**16, 2**20)
"""Of the draws; what is larger takes longer to train than to compile."""

_USUAL = (int, float, str, type(None), keras.random.SeedGenerator)
"""Limits, dtypes and seeds of the draws that are cut; not a limit for each number, for instance."""

_DRAWS = ("normal", "truncated_normal", "uniform")


@contextlib.contextmanager
def by_few_programs() -> Iterator[None]:
    """Draw in few sizes, on JAX, what is drawn at once and where that changes no number."""
    if keras.backend.backend() != "jax":
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
        size = _size(shape) if _counts() else None
        usual = all(isinstance(value, _USUAL) for value in (*arguments, *named.values()))
        if size is None or not usual or is_in_jax_tracing_scope():
            return draw(shape, *arguments, **named)
        numbers = np.asarray(draw((size,), *arguments, **named))
        first = numbers[: math.prod(shape)].reshape(shape).copy()  # or all would be kept
        return jax.device_put(first)  # which compiles nothing

    return cut


def _counts() -> bool:
    """Return whether JAX draws by a generator whose first numbers do not depend on how many."""
    import jax

    # asked at each draw: a model function may set them
    impl = jax.config.jax_default_prng_impl
    return impl == "threefry2x32" and getattr(jax.config, "jax_threefry_partitionable", False)


def _size(shape: object) -> int | None:
    """Return the size of the draw to cut a shape from; None for what is not cut."""
    if not isinstance(shape, (tuple, list)) or not all(type(n) is int and n >= 0 for n in shape):
        return None
    return next((size for size in _SIZES if size >= math.prod(shape)), None)
