"""The next trial's model: made before the present one trains, and its program while that does.

To make a model draws from the global generators, and counts Keras's names. All is put back after
it, so that the present trial does not notice, and forward when its turn comes, so that the next one
does not. Its program is made in a thread, of copies of its variables, by what Keras's `fit` would
call. So nothing depends on whether, or when, this was done.

HEAVY: importing this module loads Keras.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import keras
from keras.src.backend.common import global_state

from tunedeco.executors import devices, generators
from tunedeco.executors.base import Slice
from tunedeco.executors.feed import Feed
from tunedeco.executors.models import Made
from tunedeco.executors.pipelines import feeds
from tunedeco.executors.sharing import available_cores

_CORES = 4
"""From so many on, there is one left to train with."""

State = dict[str, Any]
"""What Keras keeps for a thread: a dtype policy, the names it has given, a generator of seeds."""


@final
@dataclass(frozen=True)
class _Next:
    work: Slice
    made: Made
    state: State
    """Keras's after it was made."""
    forward: Callable[[], None]
    """Puts the generators to where they were then."""


@final
class Ahead:
    """At most one model that is made ahead.

    Args:
        policy: Keras's dtype policy.
    """

    def __init__(self, policy: str) -> None:
        self._policy = policy
        self._next: _Next | None = None
        self._thread: threading.Thread | None = None

    def make(self, work: Slice, make: Callable[[], Made | None]) -> Made | None:
        """Make the model of a slice that is expected; None where it cannot be made."""
        self._next = None
        back = generators.as_they_are()
        former = _swapped({})
        try:
            keras.config.set_dtype_policy(self._policy)
            # in its turn it is made again, and its error told
            with contextlib.suppress(Exception):
                made = make()
                if made is not None:
                    state = _swapped({})
                    self._next = _Next(work, made, state, generators.as_they_are())
        finally:
            _swapped(former)
            back()
        return None if self._next is None else self._next.made

    def compile(self, compile_: Callable[[], None]) -> None:
        """Make the program of the model in a thread."""
        self._thread = threading.Thread(target=self._compiled, args=[compile_])
        self._thread.start()

    def wait(self) -> None:
        """Wait until the program is made: Keras may be cleared only then."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def taken(self, work: Slice) -> Made | None:
        """Return the model that was made for a slice, as if it had just been; None if none was."""
        found, self._next = self._next, None
        if found is None or _what(found.work) != _what(work):
            return None
        _swapped(found.state)
        found.forward()
        return found.made

    def drop(self) -> None:
        """Give back the model."""
        self._next = None

    def _compiled(self, compile_: Callable[[], None]) -> None:
        keras.config.set_dtype_policy(self._policy)  # Keras keeps it for each thread
        with contextlib.suppress(Exception):  # else `fit` makes the program, and says what is wrong
            compile_()


def _what(work: Slice) -> tuple[object, ...]:
    """Return by what the model of a slice is decided."""
    return work.trial.number, work.trial.execution, work.trial.key, work.seed


def _swapped(state: State) -> State:
    """Put a state into the place of Keras's own for this thread; return that."""
    here = vars(global_state.GLOBAL_STATE_TRACKER)
    former = dict(here)
    here.clear()
    here.update(state)
    return former


def pays() -> bool:
    """Return whether the machine has something to do a program's making with, beside training.

    To make one keeps two cores busy; TensorFlow's are traced by Python, which trains meanwhile.
    """
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is not None:
        return False
    return devices.accelerator() is not None or available_cores() >= _CORES


def compiled(
    model: keras.Model, arguments: Mapping[str, Any], feed: Feed
) -> Callable[[], None] | None:
    """Return what makes the programs by which `fit` trains and evaluates; None if nothing can.

    Args:
        model: all its variables are made.
        arguments: of `fit`.
        feed: the training data among them.
    """
    batches = {name: list(_batches(found)) for name, found in feeds(arguments, feed).items()}
    return (lambda: _rehearsed(model, batches)) if "x" in batches else None


def _batches(feed: Feed) -> Iterator[Any]:
    """Yield a batch of each shape."""
    yield feed[0]
    if len(feed) > 1:
        yield feed[len(feed) - 1]


def _rehearsed(model: keras.Model, batches: Mapping[str, Any]) -> None:
    """Have JAX make the programs for batches, by a step with each in copies of the variables."""
    import jax

    def state(*, optimizer: bool) -> Any:  # noqa: ANN401 (a step uses it up)
        kept = model._get_jax_state(  # noqa: SLF001 (as fit does)
            trainable_variables=True,
            non_trainable_variables=True,
            optimizer_variables=optimizer,
            metrics_variables=True,
        )
        return jax.tree.map(jax.numpy.copy, kept)

    model.make_train_function()
    for batch in batches["x"]:
        model.train_function(state(optimizer=True), iter([batch]))
    if "validation_data" in batches:
        model.make_test_function()
        for batch in batches["validation_data"]:
            model.test_function(state(optimizer=False), iter([batch]))
