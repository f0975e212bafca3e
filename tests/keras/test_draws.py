"""Initial weights on JAX come from few programs, and are what Keras would draw."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedeco.executors import draws

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="others compile no draws"),
]

SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 7, 16, 33]), max_size=4).map(tuple)


def weights(*widths: int) -> list[np.ndarray]:
    """Return the weights of a new model."""
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Dense(width, kernel_initializer=initializer)
        for width, initializer in zip(widths, ("he_normal", "random_normal", None), strict=True)
    ]
    return keras.Sequential([keras.Input((5,)), *layers]).get_weights()


def refused(shape: Any, dtype: Any = None) -> Any:
    msg = "no shape is good enough"
    raise ValueError(msg)


def compiled(caplog: pytest.LogCaptureFixture, what: Callable[[], object]) -> list[str]:
    """Return what JAX says of the draws that it compiles meanwhile."""
    import jax

    caplog.clear()
    with jax.log_compiles():
        what()
    return [said for said in caplog.messages if said.startswith("Compiling jit(_")]


@settings(deadline=None, max_examples=60)
@given(
    draw=st.sampled_from(["normal", "truncated_normal", "uniform"]),
    shape=SHAPES,
    ends=st.tuples(st.floats(-2, 0), st.floats(0.01, 2)),
    dtype=st.sampled_from([None, "float32", "float16", "bfloat16"]),
    seed=st.integers(0, 2**31),
)
def test_each_draw_is_kerass_to_the_bit(
    draw: str, shape: tuple[int, ...], ends: tuple[float, float], dtype: Any, seed: int
) -> None:
    """Whatever the shape, limits and dtype: the numbers are those that Keras draws."""
    draw_plainly = getattr(keras.random, draw)
    plain = draw_plainly(shape, *ends, dtype=dtype, seed=seed)
    with draws.by_few_programs():
        cut = draw_plainly(shape, *ends, dtype=dtype, seed=seed)
    assert (cut.shape, cut.dtype) == (plain.shape, plain.dtype)
    np.testing.assert_array_equal(np.asarray(cut), np.asarray(plain))


def test_large_draws_are_made_as_they_are() -> None:
    """What is larger than the largest size is drawn too, and the same."""
    plain = keras.random.uniform((1025, 1025), seed=1)
    with draws.by_few_programs():
        large = keras.random.uniform((1025, 1025), seed=1)
    np.testing.assert_array_equal(np.asarray(large), np.asarray(plain))


def test_models_of_other_shapes_compile_no_draw(caplog: pytest.LogCaptureFixture) -> None:
    """A second model, of shapes that were never there, begins with Keras's weights at once."""
    plain = weights(6, 7, 8)
    with draws.by_few_programs():
        assert not all(map(np.array_equal, plain, weights(9, 10, 11)))
        assert compiled(caplog, lambda: weights(21, 22, 23)) == []
        found = weights(6, 7, 8)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    assert compiled(caplog, lambda: weights(31, 32, 33)) != []  # as Keras does


def test_draws_within_programs_are_the_same() -> None:
    """A program of the user's that draws, compiled meanwhile, draws what it would."""
    import jax

    def drawn() -> Any:
        return keras.random.normal((3, 5), seed=4)

    with draws.by_few_programs():
        inside = jax.jit(drawn)()
    np.testing.assert_array_equal(np.asarray(inside), np.asarray(jax.jit(drawn)()))


def test_other_generators_are_left_alone() -> None:
    """A generator whose first numbers depend on how many are drawn is asked for no more."""
    import jax

    with jax.threefry_partitionable(new_val=False):
        plain = keras.random.uniform((3, 5), seed=4)
        with draws.by_few_programs():
            same = keras.random.uniform((3, 5), seed=4)
    np.testing.assert_array_equal(np.asarray(same), np.asarray(plain))


def test_keras_is_put_back_whatever_happens() -> None:
    """After an error inside, and where one is within the other, Keras draws by itself again."""
    own = keras.src.backend.random.uniform
    layer = keras.layers.Dense(2, kernel_initializer=refused)
    with pytest.raises(ValueError, match="no shape"), draws.by_few_programs():
        layer.build((None, 3))
    assert keras.src.backend.random.uniform is own
    with draws.by_few_programs():
        with draws.by_few_programs():
            assert keras.src.backend.random.uniform is not own
        assert keras.src.backend.random.uniform is not own
    assert keras.src.backend.random.uniform is own
