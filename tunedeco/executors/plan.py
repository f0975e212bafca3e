"""How many steps a model is trained by in one call: what changes nothing but the time it takes.

On TensorFlow, to call a compiled step takes about a millisecond, in which a small model could train
several. Keras can have one call run many (`steps_per_execution`), to the same bits. That takes
another program, so it is done where so many steps are trained by it that it pays: how long a step
takes has been measured in the training before, and how many steps a program has trained is counted.

HEAVY: importing this module loads Keras.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any, final
from weakref import WeakKeyDictionary

import keras

from tunedeco.errors import ConfigurationError
from tunedeco.executors import devices
from tunedeco.executors.feed import Feed
from tunedeco.executors.overridden import WITHIN_EPOCH, is_keras

_SECONDS = 0.05
"""What a call may take: so long, an interruption waits for it."""
_MOST = 32
_LEAST = 4
"""Fewer in a call save too little."""
_FEW = 5
"""Calls whose median says something, though the first of them may have made the program."""
_PAYS = 200
"""Steps of a model after which the loop pays for being compiled with the step."""
_PAYS_AGAIN = 1000
"""Steps of one that is compiled already, after which another program does."""
_METHODS = ("fit", "evaluate", "make_train_function", "make_test_function")


@final
class Plan:
    """Sets `steps_per_execution` of models that say nothing of it.

    Args:
        steps_per_execution: how many for all of them; None chooses.
        measures: whether an objective is a function of the model, which may predict: for that Keras
            would compile as many copies of it.

    Raises:
        ConfigurationError: the backend cannot run several.
    """

    def __init__(self, steps_per_execution: int | None, *, measures: bool) -> None:
        backend = keras.backend.backend()
        if steps_per_execution not in (None, 1) and not devices.compiles():
            msg = f"steps_per_execution={steps_per_execution} cannot be with Keras on {backend!r}"
            raise ConfigurationError(msg)
        self._given = steps_per_execution
        self._chooses = steps_per_execution is None and not measures
        self._seconds: float | None = None  # of a step, of a model with so many parameters
        self._parameters = 1
        self._steps: WeakKeyDictionary[keras.Model, int] = WeakKeyDictionary()

    def apply(
        self,
        model: keras.Model,
        said: int,
        callbacks: Sequence[keras.callbacks.Callback],
        feed: Feed | None,
        epochs: int,
    ) -> None:
        """Set how many steps a call of a model's program is, before it is trained.

        Args:
            model: it may have been trained before, and changed by this.
            said: what its model function says.
            callbacks: the user's.
            feed: what it is trained on, where it is arrays.
            epochs: for how many it is trained now.
        """
        if said != 1:
            return
        steps = epochs * feed.batches if feed is not None else 0
        self._steps[model] = self._steps.get(model, 0) + steps
        many = self._given or self._chosen(model, callbacks)
        if many != model.steps_per_execution:
            model.steps_per_execution = many
            # each of them is made for so many steps a call
            model.train_function = model.test_function = model.predict_function = None

    def measured(self, times: Sequence[float], model: keras.Model) -> None:
        """Take note of how long a step takes.

        Args:
            times: when calls of one epoch began, one after the other, in seconds.
            model: what was trained.
        """
        durations = [after - before for before, after in itertools.pairwise(times)]
        if len(durations) >= _FEW:  # of which one made the program
            self._seconds = statistics.median(durations) / model.steps_per_execution
            self._parameters = max(1, model.count_params())

    def _chosen(self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> int:
        pays = _PAYS if model.train_function is None else _PAYS_AGAIN
        if (
            not self._chooses
            or self._seconds is None
            or (self._steps[model] < pays and model.steps_per_execution == 1)
            or model.run_eagerly
            or not devices.plain_tensorflow()
            or not all(is_keras(model, name) for name in _METHODS)
            or not all(map(_hears_of_epochs_only, callbacks))
        ):
            return 1
        if model.steps_per_execution != 1:  # it has been measured before, and is compiled
            return int(model.steps_per_execution)
        larger = max(1.0, model.count_params() / self._parameters)
        many = min(_MOST, int(_SECONDS / (self._seconds * larger)))
        return many if many >= _LEAST else 1


def as_kept(model: object) -> dict[str, Any]:
    """Return how a model is trained, as the journal keeps it."""
    many = getattr(model, "steps_per_execution", 1)
    return {"steps_per_execution": many} if many != 1 else {}


def _hears_of_epochs_only(callback: keras.callbacks.Callback) -> bool:
    if type(callback) is keras.callbacks.ModelCheckpoint:  # its hook is for a frequency in batches
        return bool(callback.save_freq == "epoch")
    return all(is_keras(callback, name) for name in WITHIN_EPOCH)
