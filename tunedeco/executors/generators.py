"""The global generators: seeded, and those of Python, NumPy and PyTorch taken and put back.

At an epoch's beginning they are seeded, so nothing need be kept; within it, PyTorch's dropout and
whatever else draws from them goes on where it was. TensorFlow's cannot be read.
"""

import math
import random
import sys
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from tunedeco.errors import CheckpointError
from tunedeco.executors.training_state import Arrays

_NAME = "generators/"
_MOST = 256
"""Seeds after which TensorFlow's kernels are cleared: one that is drawn from keeps some memory."""
_seeds: set[int] = set()
"""Those that TensorFlow has had since its cache of kernels was cleared."""


def seed(number: int) -> None:
    """Seed all of them, and Keras's own; TensorFlow's where that is loaded.

    Keras would load it on every backend: it takes seconds, and hundreds of megabytes. And with
    each seed TensorFlow clears its kernels, those of compiled steps too, which takes as long as a
    short epoch. It does so since a kernel goes on in the numbers of its seed: with a seed that is
    new to all of them, there is nothing to clear.
    """
    utils: Any = sys.modules.get("keras.src.utils.rng_utils")
    if not hasattr(utils, "tf"):
        keras.utils.set_random_seed(number)
        return
    tensorflow, utils.tf = utils.tf, SimpleNamespace(available=False)
    try:
        keras.utils.set_random_seed(number)
    finally:
        utils.tf = tensorflow
    if "tensorflow" in sys.modules or keras.backend.backend() == "tensorflow":
        _seed_tensorflow(number)


def _seed_tensorflow(number: int) -> None:
    import tensorflow as tf
    from tensorflow.python.eager.context import context

    found = context()  # where `set_seed` writes, and nothing public does
    former, rng = getattr(found, "_seed", None), getattr(found, "_rng", None)
    # an operation that draws outside of any program makes a kernel, each time with another seed
    drawn = rng is None or rng.getstate() != random.Random(former).getstate()  # noqa: S311
    if drawn or number in _seeds or len(_seeds) == _MOST:
        tf.random.set_seed(number)
        _seeds.clear()
    else:
        found._seed, found._rng = number, random.Random(number)  # noqa: SLF001, S311 (as TensorFlow does)
    _seeds.add(number)


def take() -> Arrays:
    """Return the states of the generators, by names of their own."""
    _, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002 (others use it)
    arrays: Arrays = {
        f"{_NAME}python": np.array(words, np.uint32),
        f"{_NAME}python-gauss": np.array(math.nan if gauss is None else gauss),
        f"{_NAME}numpy": np.append(keys, np.uint32(place)),
        f"{_NAME}numpy-gauss": np.array([has_gauss, cached]),
    }
    if keras.backend.backend() == "torch":
        import torch

        arrays[f"{_NAME}torch"] = torch.get_rng_state().numpy()
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            arrays[f"{_NAME}torch-{i}"] = state.numpy()
    return arrays


def put(arrays: Arrays) -> None:
    """Put the generators into the states that `take` returned.

    Raises:
        CheckpointError: they are not such states.
    """
    states = {n.removeprefix(_NAME): a for n, a in arrays.items() if n.startswith(_NAME)}
    try:
        _put(states)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        msg = f"the checkpoint's states of generators are none ({error})"
        raise CheckpointError(msg) from error


def _put(states: Arrays) -> None:
    gauss = float(states["python-gauss"])
    words = tuple(map(int, states["python"]))
    random.setstate((3, words, None if math.isnan(gauss) else gauss))
    keys, place = states["numpy"][:-1], int(states["numpy"][-1])
    has_gauss, cached = states["numpy-gauss"]
    np.random.set_state(("MT19937", keys, place, int(has_gauss), float(cached)))  # noqa: NPY002
    if "torch" in states:
        import torch

        torch.set_rng_state(torch.tensor(states["torch"]))
        for i in range(torch.cuda.device_count()):
            if f"torch-{i}" in states:
                torch.cuda.set_rng_state(torch.tensor(states[f"torch-{i}"]), i)
