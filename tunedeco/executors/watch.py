"""The callback that watches a trial train: it reports, checkpoints, and ends what has diverged."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import keras
import numpy as np

from tunedeco.events import Trained
from tunedeco.executors import checkpoints, devices
from tunedeco.executors.base import Emit, Interrupted
from tunedeco.executors.feed import Feed
from tunedeco.executors.training_state import (
    Arrays,
    callbacks_state,
    named,
    put,
    restore_callbacks,
    take,
)
from tunedeco.objective import Objective
from tunedeco.trial import Checkpoint, Epoch

_SHARE = 0.02  # of the time spent training that checkpoints may take


@dataclass(frozen=True)
class Snapshot:
    """The state of training after so many epochs, and so many steps of the next one."""

    epoch: int = 0
    step: int = 0
    arrays: Arrays = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def restore(self, model: keras.Model) -> None:
        """Put the model and its optimizer into this state.

        Raises:
            CheckpointError: it is the state of another model.
        """
        if self.arrays:
            model.optimizer.build(model.trainable_variables)
            put("model", model.variables, self.arrays)
            put("optimizer", model.optimizer.variables, self.arrays)


@dataclass
class Pace:
    """How often to checkpoint: at every epoch's end, unless that took too large a share of time."""

    cost: float = 0.0
    """Seconds that the latest one took."""
    latest: float = field(default_factory=time.monotonic)
    """When it was done."""

    @property
    def due(self) -> bool:
        """Whether enough time has been trained since the latest to pay for another."""
        return (time.monotonic() - self.latest) * _SHARE >= self.cost


class TooLarge(Exception):  # noqa: N818 (it leaves fit; it is not an error)
    """A model has more parameters than the search allows."""


@final
class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Watches one trial; the last of its callbacks, so that it sees what the others did.

    Args:
        number: the trial's number.
        until: the epoch at which it is done.
        objective: what is watched.
        first_due: the epoch after which the logs must contain it.
        callbacks: the user's, whose memory is part of the state.
        feed: the arrays' order, if the data is arrays.
        path: gives the file of the checkpoint after an epoch and a step.
        pace: how often to write one.
        began: called when the model is built, and nothing is trained.
        emit: takes the events.
        interrupted: whether to stop.
    """

    def __init__(
        self,
        number: int,
        until: int,
        objective: Objective,
        first_due: int,
        callbacks: Sequence[keras.callbacks.Callback],
        feed: Feed | None,
        path: Callable[[int, int], Path],
        pace: Pace,
        began: Callable[[keras.Model], None],
        emit: Emit,
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._number = number
        self._until = until
        self._objective = objective
        self._first_due = first_due
        self._callbacks = callbacks
        self._feed = feed
        self._path = path
        self._pace = pace
        self._began = began
        self._emit = emit
        self._interrupted = interrupted
        self._announced = False
        self._started = 0.0
        self._best_loss = math.inf
        self._best: list[Any] = []
        self._epochs: list[Epoch] = []  # trained, and not yet in a checkpoint
        self.snapshot = Snapshot()
        self.diverged = False

    def begin(self, snapshot: Snapshot) -> None:
        """Go on from a state of training; call it before each `fit`."""
        self.snapshot = snapshot
        self._best = named("best", snapshot.arrays)
        self._best_loss = float(snapshot.meta.get("best_loss", math.inf))
        self.diverged = bool(snapshot.meta.get("diverged", False))

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if self.model.built:
            self._announce()
        if self.snapshot.meta:
            # the others have just forgotten everything
            restore_callbacks(
                self._callbacks, self.snapshot.meta["callbacks"], self.snapshot.arrays
            )

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self._started = time.monotonic()
        self._epoch = epoch
        if self._feed is not None:
            self._feed.epoch = epoch
        if self.snapshot.step and epoch == self.snapshot.epoch:
            put("metrics", self.model.metrics_variables, self.snapshot.arrays)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if not self._interrupted():
            return
        if self._feed is not None:
            devices.synchronize(self.model)
            step = self._feed.first_step + batch
            self._write(self._taken(self._epoch, step, stop=False))
        elif self._epochs:
            self._write(self.snapshot)
        raise Interrupted

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        scalars = _scalars(logs or {})
        name = self._objective.find(scalars)
        if name is None and epoch + 1 >= self._first_due:
            raise self._objective.missing(scalars)
        if not self._announced:  # only training itself could build it
            self._announce()
        seconds = round(time.monotonic() - self._started, 6)
        self._epochs.append(Epoch(epoch + 1, scalars, {"seconds": seconds}))
        watched = [scalars[n] for n in (name, "loss") if n in scalars]
        if not all(map(math.isfinite, watched)):
            self.diverged = True
            self.model.stop_training = True
        if name is not None and self._objective.loss(scalars[name]) < self._best_loss:
            self._best_loss = self._objective.loss(scalars[name])
            self._best = [np.array(w) for w in self.model.get_weights()]  # torch shares memory
        stop = self.model.stop_training or epoch + 1 >= self._until
        self.snapshot = self._taken(epoch + 1, 0, stop=stop)
        if stop or self._pace.due or self._interrupted():
            self._write(self.snapshot)
        if self._interrupted() and not stop:
            raise Interrupted

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._began(self.model)

    def _taken(self, epoch: int, step: int, *, stop: bool) -> Snapshot:
        """Return the present state of training."""
        states, arrays = callbacks_state(self._callbacks)
        arrays |= take("model", self.model.variables)
        arrays |= take("optimizer", self.model.optimizer.variables)
        arrays |= {f"best/{i:05}": weights for i, weights in enumerate(self._best)}
        if step:
            arrays |= take("metrics", self.model.metrics_variables)
        meta = {
            "stop": stop,
            "diverged": self.diverged,
            "best_loss": repr(self._best_loss),
            "callbacks": states,
        }
        return Snapshot(epoch, step, arrays, meta)

    def _write(self, snapshot: Snapshot) -> None:
        """Put a state of training on disk, and report the epochs that led to it."""
        before = time.monotonic()
        path = self._path(snapshot.epoch, snapshot.step)
        digest = checkpoints.write(path, snapshot.arrays, snapshot.meta)
        self._emit(
            Trained(
                self._number,
                tuple(self._epochs),
                Checkpoint(snapshot.epoch, snapshot.step, digest),
            )
        )
        self._epochs.clear()
        self._pace.latest = time.monotonic()
        self._pace.cost = self._pace.latest - before


def _scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    scalars = {}
    for name, value in logs.items():
        try:
            scalars[name] = float(value)
        except (TypeError, ValueError):
            continue  # a metric that is not one number, such as a value for each class
    return scalars
