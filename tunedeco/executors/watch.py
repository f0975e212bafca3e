"""The callbacks that watch `fit` train a trial, and tell its `Recorder`."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import keras

from tunedeco.errors import ConfigurationError
from tunedeco.executors import devices, generators
from tunedeco.executors.base import Interrupted
from tunedeco.executors.feed import Feed
from tunedeco.executors.recorder import Job, Recorder, Stored
from tunedeco.executors.training_state import (
    best_weights,
    callbacks_state,
    model_state,
    named,
    put,
    restore_callbacks,
    take,
)
from tunedeco.objectives import Objectives

_TIMES = 32
"""Calls of an epoch whose beginnings are noted."""


@final
class Measuring(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Logs objectives that are functions of the model; the first callback, so all see them."""

    def __init__(self, objectives: Objectives) -> None:
        super().__init__()
        self._objectives = objectives

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        if logs is not None:
            for objective in self._objectives:
                logs[objective.name] = objective.measured(self.model)


@final
class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Trains one trial and watches; the last of its callbacks, so it sees what the others did.

    Args:
        job: what is trained.
        callbacks: the user's: what they remember is part of the state of training.
        feed: the order of the data, where it is arrays.
    """

    def __init__(
        self, job: Job, callbacks: Sequence[keras.callbacks.Callback], feed: Feed | None
    ) -> None:
        super().__init__()
        self.recorder = Recorder(job, "fit", lambda: self.model, self._present, self._best)
        self._job = job
        self._callbacks = callbacks
        self._feed = feed
        self._epoch = 0
        self.times: list[float] = []
        """When the first calls of the latest epoch began, in seconds."""

    def train(self, model: keras.Model, arguments: Callable[[], Mapping[str, Any]]) -> None:
        """Train to the trial's last epoch, or to where a callback stops it.

        Args:
            model: of the trial.
            arguments: returns those of `fit`, given how much of an epoch is left.

        Raises:
            TooLarge: from `Job.began`.
            Interrupted: `Job.interrupted` said so; all that was reported is on disk.
            ObjectiveError: the logs do not contain an objective.
            CheckpointError: a checkpoint cannot be written, or is of another model.
            ConfigurationError: a checkpoint within an epoch is of other data.
        """
        while self.recorder.ended is None:
            start = self.recorder.snapshot
            if self._feed is not None:
                self._check_batches()
                self._feed.first_step = start.step
                if start.step and len(model.metrics_variables) < len(
                    named("metrics", start.arrays)
                ):
                    # TensorFlow makes the metrics' variables in the first batch, and not before
                    model.test_on_batch(*self._feed[0])
            self.put_back(model)
            model.fit(
                **arguments(),
                initial_epoch=start.epoch,
                # the rest of an epoch is a fit of its own: it has fewer batches than the others
                epochs=start.epoch + 1 if start.step else self._job.work.until,
                callbacks=self.all,
                verbose=0,
            )
            if self.recorder.snapshot is start:  # Keras was told elsewhere to train no epochs
                break

    @property
    def all(self) -> list[keras.callbacks.Callback]:
        """All that are to see the training, in order; itself the last of them."""
        functions = tuple(o for o in self._job.objectives if o.measure is not None)
        measuring = [Measuring(functions)] if functions else []
        return [*measuring, *self._callbacks, self]

    def put_back(self, model: keras.Model) -> None:
        """Put a model, before it is trained, into the state from which that goes on."""
        start = self.recorder.snapshot
        start.restore(model)
        for callback in self._callbacks:
            if start.meta and isinstance(callback, keras.callbacks.CSVLogger):
                callback.append = True  # else it would begin its file anew

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if self.model.built:
            self.recorder.announce()
        self.params["epochs"] = self._job.end  # all callbacks share it
        self._remind()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch
        self.times.clear()
        self.recorder.begin(epoch)
        if self._feed is not None:
            self._feed.epoch = epoch
        snapshot = self.recorder.snapshot
        if snapshot.step and epoch == snapshot.epoch:
            # this epoch had begun before: what the others do at its beginning has been done
            self._remind()
            snapshot.restore(self.model)
            put("metrics", self.model.metrics_variables, snapshot.arrays)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if len(self.times) < _TIMES:
            self.times.append(time.perf_counter())
        snapshot = self.recorder.snapshot
        if batch == 0 and snapshot.step and self._epoch == snapshot.epoch:
            # not before: to begin reading the data draws from them too
            generators.put(snapshot.arrays)
        if not self._job.interrupted():
            return
        step = 0 if self._feed is None else self._feed.first_step + batch
        if step:
            devices.synchronize(self.model)
        self.recorder.cut(self._epoch, step)
        raise Interrupted

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        over = self.recorder.end(epoch, _scalars(logs or {}), stop=bool(self.model.stop_training))
        self.model.stop_training = over
        if self._job.interrupted() and not over:
            raise Interrupted

    def _present(self, step: int) -> Stored:
        """Return the present state of training, within an epoch with what only that has."""
        states, arrays = callbacks_state(self._callbacks)
        arrays |= model_state(self.model)
        if step:
            arrays |= take("metrics", self.model.metrics_variables) | generators.take()
        batches = self._feed.batches if self._feed is not None else None
        return arrays, {"callbacks": states, "batches": batches}

    def _best(self) -> Stored:
        """Return the weights: what is kept of the best epoch."""
        return best_weights(self.model), {}

    def _check_batches(self) -> None:
        feed, start = self._feed, self.recorder.snapshot
        assert feed is not None
        there = start.meta.get("batches", feed.batches)
        if start.step and there != feed.batches:
            msg = (
                f"trial {self._job.trial.number} was interrupted within an epoch of {there} "
                f"batches, and there are {feed.batches} now: go on with the former data and "
                "batch_size, or pass overwrite=True to begin anew"
            )
            raise ConfigurationError(msg)

    def _remind(self) -> None:
        """Give the other callbacks back what they remembered: they forget when training begins."""
        snapshot = self.recorder.snapshot
        if snapshot.meta:
            restore_callbacks(self._callbacks, snapshot.meta["callbacks"], snapshot.arrays)


def _scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    scalars = {}
    for name, value in logs.items():
        try:
            scalars[name] = float(value)
        except (TypeError, ValueError):
            continue  # a metric that is not one number, such as a value for each class
    return scalars
