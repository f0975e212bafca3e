"""Tracing leaves nothing behind: not in Keras, not in random states, on disk or in memory."""

import gc
import random
import resource
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.backend.common import global_state

from tunedeco import Boolean, Choice, Linear, Range, tunable
from tunedeco.decorator import Tunable
from tunedeco.errors import NeedsWeights

pytestmark = pytest.mark.keras

sys.path.insert(0, str(Path(__file__).parent / "functions"))
import zoo  # noqa: E402 (whatever pytest's import mode)
import zoo_hp  # noqa: E402


@tunable
def declared() -> keras.Model:
    """Have what counts names and draws: layers with seeds, a branch, metrics."""
    model = keras.Sequential([keras.Input((6,))])
    for _ in range(Range("layers", 1, 2)):
        model.add(layers.Dense(Choice("units", [4, 8])))
        model.add(layers.Dropout(0.5))
    if Boolean("noise"):
        model.add(layers.GaussianNoise(0.1))
    model.add(layers.Dense(1))
    model.compile("adam", "mse", metrics=["mae"])
    return model


class NeedsValues(layers.Dense):
    """A layer that cannot be built without its values."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.kernel._value is None:
            msg = "I need my values"
            raise RuntimeError(msg)


@tunable
def with_weights() -> keras.Model:
    """Need weights, and draw in all ways: this one is really built."""
    random.random()
    np.random.rand()
    keras.random.normal((2,))
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((6,)), NeedsValues(Choice("units", [4, 8]))])
    model.compile("adam", "mse")
    return model


@tunable
def raising() -> keras.Model:
    """Raise on one of its branches."""
    if Boolean("broken"):
        keras.utils.set_random_seed(3)
        raise ZeroDivisionError
    return declared.function()


TRACED: dict[str, Tunable[..., keras.Model]] = {
    "declared": declared,
    "with weights": with_weights,
    "raising": raising,
    "discovered": tunable(zoo.sequential, discover=True),
    "keras tuner": tunable(zoo_hp.multi_output),
}
each = pytest.mark.parametrize("function", TRACED.values(), ids=TRACED)


def traced(function: Tunable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeedsWeights)
        assert function.space.coverage is not None


def tensorflow_seed() -> list[Any]:
    from tensorflow.python.eager.context import context

    return [context()._seed, context()._rng.getstate()]


def remembered() -> dict[str, Any]:
    """Return all that could be left behind in this process, and in this directory."""
    policy = keras.config.dtype_policy().name  # asked for first, since it sets what is not set yet
    state = dict(vars(global_state.GLOBAL_STATE_TRACKER))
    generator = state.pop("global_seed_generator", None)
    return {
        "python": random.getstate(),
        "numpy": [np.array(part).tolist() for part in np.random.get_state()],
        "keras": generator and keras.ops.convert_to_numpy(generator.state).tolist(),
        "tensorflow": keras.backend.backend() == "tensorflow" and tensorflow_seed(),
        "torch": sys.modules["torch"].get_rng_state().tolist() if "torch" in sys.modules else None,
        "names": dict(state.pop("object_name_uids", {})),
        "state": {name: value for name, value in state.items() if value not in (None, [])},
        "policy": policy,
        "constructors": [
            vars(base)["__init__"]
            for kind in (keras.Variable, keras.Layer, keras.Model, keras.optimizers.Adam)
            for base in kind.__mro__
            if "__init__" in vars(base)
        ],
        "trace": [sys.gettrace(), threading.gettrace(), sys.getprofile()],
        "output": [sys.stdout, sys.stderr],
        "files": sorted(map(str, Path().rglob("*"))),
    }


@each
@pytest.mark.parametrize("drawn", [False, True], ids=["fresh", "drawn"])
def test_state(function: Tunable[..., Any], drawn: bool) -> None:
    """`.space` moves no random state, counts no name, and leaves no policy, file or trace."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    if drawn:
        keras.random.normal((2,))
    before = remembered()
    traced(function)
    assert remembered() == before
    assert layers.Dense(1).name == "dense"
    assert keras.Sequential().name == "sequential"


@each
def test_training(function: Tunable[..., Any], arrays: tuple[np.ndarray, np.ndarray]) -> None:
    """Training that draws from every generator is the same after tracing, to the bit."""

    def trained(before: Callable[[], object]) -> list[np.ndarray]:
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        before()
        x = arrays[0] + np.random.normal(size=arrays[0].shape) * random.random()
        model = declared.build({"noise": True})
        history = model.fit(x, arrays[1], epochs=2, batch_size=32, verbose=0).history
        return [np.array(history["loss"]), *model.get_weights()]

    plain, after = trained(lambda: None), trained(lambda: traced(function))
    assert all(np.array_equal(*pair) for pair in zip(plain, after, strict=True))


def resident() -> int:
    """Return the bytes of memory that this process takes now; nothing where that is not told."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * resource.getpagesize() if status.exists() else 0


def test_a_thousand_runs() -> None:
    """After a thousand more runs of a function nothing of them is left, object or memory."""
    runs = 0

    def counted() -> keras.Model:
        nonlocal runs
        runs += 1
        model = keras.Sequential([keras.Input((4,)), layers.Dense(Choice("units", [4, 8]))])
        if Boolean("dropout"):
            model.add(layers.Dropout(Linear("rate", 0.1, 0.5, 4)))
        model.compile("adam", "mse")
        return model

    def counts() -> tuple[int, int]:
        gc.collect()
        return len(gc.get_objects()), resident()

    for _ in range(5):  # what is kept once, such as caches, is no growth
        traced(tunable(counted))
    before, runs = counts(), 0
    while runs < 1000:
        traced(tunable(counted))
    objects, memory = (now - then for now, then in zip(counts(), before, strict=True))
    assert objects < 1000  # one of each run would be as many
    assert memory < 16e6  # 16 kB a run; such a model takes more than ten times that
