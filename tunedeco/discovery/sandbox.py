"""Running a function to learn about it, and leaving nothing behind.

HEAVY: importing this module loads Keras.

The one place that decides how models are built while a space is being found.
"""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from keras.src.backend.common import global_state

R = TypeVar("R")


def run_abstractly(function: Callable[[], R]) -> tuple[R, str | None]:
    """Return what a function returns, and why it could not be run without allocating weights."""
    with weightless():
        return function(), None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put back, in the end, the names that Keras has counted up, and the random states."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global one)
    tracker = global_state.GLOBAL_STATE_TRACKER
    before = dict(vars(tracker))
    for name, value in before.items():
        if isinstance(value, (dict, list)):
            setattr(tracker, name, copy.copy(value))
    global_state.set_global_attribute("global_seed_generator", None)
    try:
        yield
    finally:
        global_state.GLOBAL_STATE_TRACKER = tracker  # clear_session makes a new one
        vars(tracker).clear()
        vars(tracker).update(before)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 (see above)


weightless = undisturbed
