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


class Sampling(keras.layers.Layer):
    """Draws noise for whatever batch there is, as the layer of a variational autoencoder does."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(5)

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def test_layers_that_draw_for_any_batch_are_made_and_trained() -> None:
    """A functional model whose size of a batch is open draws what it does by itself."""

    def trained() -> list[np.ndarray]:
        keras.utils.set_random_seed(3)
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2)(Sampling()(inputs)))
        model.compile("sgd", "mse")
        model.fit(np.ones((6, 4)), np.ones((6, 2)), batch_size=4, verbose=0)
        return list(model.get_weights())

    plain = trained()
    with draws.by_few_programs():
        found = trained()
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_draws_within_programs_are_left_alone() -> None:
    """A program of the user's that draws is compiled as Keras has it: it may outlive the making."""
    import jax

    def drawn() -> Any:
        return keras.random.normal((3, 5), seed=4)

    plain = str(jax.make_jaxpr(drawn)())
    with draws.by_few_programs():
        assert str(jax.make_jaxpr(drawn)()) == plain


def test_another_generator_is_left_alone() -> None:
    """One whose first numbers depend on how many are drawn is asked for no more, whenever set."""
    import jax

    with jax.threefry_partitionable(new_val=False):
        plain = keras.random.uniform((3, 5), seed=4)
    with draws.by_few_programs(), jax.threefry_partitionable(new_val=False):
        same = keras.random.uniform((3, 5), seed=4)
    np.testing.assert_array_equal(np.asarray(same), np.asarray(plain))


def test_what_is_unusual_is_drawn_as_it_is() -> None:
    """Limits for each number, a variable, a shape that is a number: Keras is asked as it stands."""
    middle = keras.Variable(np.arange(6.0).reshape(2, 3))
    calls: list[Callable[[], Any]] = [
        lambda: keras.random.normal((2, 3), mean=middle, seed=1),
        lambda: keras.random.uniform((3,), np.zeros(3), np.arange(1.0, 4.0), seed=1),
        lambda: keras.random.uniform(5, seed=1),
    ]
    plain = [np.asarray(call()) for call in calls]
    with draws.by_few_programs():
        for call, expected in zip(calls, plain, strict=True):
            np.testing.assert_array_equal(np.asarray(call()), expected)


def test_a_wrong_shape_is_an_error_of_keras() -> None:
    """What Keras says of a shape is what is said."""
    with pytest.raises(Exception, match=r".") as plain:
        keras.random.uniform((-1,), seed=1)
    with draws.by_few_programs(), pytest.raises(type(plain.value)) as found:
        keras.random.uniform((-1,), seed=1)
    assert str(found.value) == str(plain.value)


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
