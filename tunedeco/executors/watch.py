"""The callback that watches a trial train: it reports, checkpoints, and ends what has diverged."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import keras
import numpy as np

from tunedeco.errors import ConfigurationError
from tunedeco.events import Trained
from tunedeco.executors import checkpoints, devices, generators
from tunedeco.executors.base import Emit, Interrupted, Slice
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
from tunedeco.randomness import training_seed
from tunedeco.trial import Checkpoint, Epoch, State, Trial

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
            put("model", model.variables, self.arrays)
            if model.optimizer is not None:
                if not model.optimizer.built:  # a loss scale built twice has its variables twice
                    model.optimizer.build(model.trainable_variables)
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


def ended(reached: Snapshot, work: Slice) -> State | None:
    """Return how a slice has ended in a state of training; None if it goes on."""
    if reached.meta.get("diverged"):
        return State.DIVERGED
    if reached.meta.get("stop") or reached.epoch >= work.trial.until:
        return State.COMPLETED
    best = float(reached.meta.get("best_loss", math.inf))
    good = work.target is not None and best <= work.target
    return State.PAUSED if good or reached.epoch >= work.until else None


class TooLarge(Exception):  # noqa: N818 (it leaves fit; it is not an error)
    """A model has more parameters than the search allows."""


@dataclass(frozen=True)
class Job:
    """What a watch needs to know of the trial it watches."""

    work: Slice
    trial: Trial
    """The slice's, with the values that its model function asked for."""
    objective: Objective
    first_due: int
    """The epoch after which the logs must contain the objective."""
    callbacks: Sequence[keras.callbacks.Callback]
    """The user's: what they remember is part of the state of training."""
    feed: Feed | None
    """The order of the data, where it is arrays."""
    directory: Path
    """Where the checkpoints go."""
    pace: Pace
    began: Callable[[keras.Model], None]
    """Called when the model is built, and nothing is trained."""
    emit: Emit
    interrupted: Callable[[], bool]
    """Whether to stop at the next safe point."""


@final
class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Trains one trial and watches; the last of its callbacks, so it sees what the others did.

    `snapshot` is the state of training at the latest safe point; set it before `train` to go on
    from there.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.snapshot = Snapshot()
        self._job = job
        self._announced = False
        self._started = 0.0
        self._epoch = 0
        self._best_loss = math.inf
        self._best: list[Any] = []
        self._epochs: list[Epoch] = []  # trained, and not yet in a checkpoint

    def train(self, model: keras.Model, arguments: Mapping[str, Any]) -> None:
        """Train to the trial's last epoch, or to where a callback stops it.

        Raises:
            TooLarge: from `Job.began`.
            Interrupted: `Job.interrupted` said so; all that was reported is on disk.
            ObjectiveError: the logs do not contain the objective.
            CheckpointError: a checkpoint cannot be written, or is of another model.
            ConfigurationError: a checkpoint within an epoch is of other data.
        """
        while ended(self.snapshot, self._job.work) is None:
            start = self.snapshot
            self._best = named("best", start.arrays)
            self._best_loss = float(start.meta.get("best_loss", math.inf))
            if self._job.feed is not None:
                self._check_batches(start)
                self._job.feed.first_step = start.step
                if start.step and len(model.metrics_variables) < len(
                    named("metrics", start.arrays)
                ):
                    # TensorFlow makes the metrics' variables in the first batch, and not before
                    model.test_on_batch(*self._job.feed[0])
            start.restore(model)
            for callback in self._job.callbacks:
                if start.meta and isinstance(callback, keras.callbacks.CSVLogger):
                    callback.append = True  # else it would begin its file anew
            model.fit(
                **arguments,
                initial_epoch=start.epoch,
                # the rest of an epoch is a fit of its own: it has fewer batches than the others
                epochs=start.epoch + 1 if start.step else self._job.work.until,
                callbacks=[*self._job.callbacks, self],
                verbose=0,
            )
            if self.snapshot is start:  # Keras was told elsewhere to train no epochs
                break

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if self.model.built:
            self._announce()
        self.params["epochs"] = self._job.trial.until  # all callbacks share it
        self._remind()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self._started = time.monotonic()
        self._epoch = epoch
        # whatever draws from the global generators draws the same after a crash
        run = self._job.trial
        keras.utils.set_random_seed(
            training_seed(self._job.work.seed, run.number, run.execution, f"epoch {epoch}")
        )
        if self._job.feed is not None:
            self._job.feed.epoch = epoch
        if self.snapshot.step and epoch == self.snapshot.epoch:
            # this epoch had begun before: what the others do at its beginning has been done
            self._remind()
            self.snapshot.restore(self.model)
            put("metrics", self.model.metrics_variables, self.snapshot.arrays)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if batch == 0 and self.snapshot.step and self._epoch == self.snapshot.epoch:
            # not before: to begin reading the data draws from them too
            generators.put(self.snapshot.arrays)
        if not self._job.interrupted():
            return
        if self._job.feed is not None and (step := self._job.feed.first_step + batch):
            devices.synchronize(self.model)
            self._write(self._taken(self._epoch, step, stop=False))
        elif self._epochs:
            self._write(self.snapshot)
        raise Interrupted

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        scalars = _scalars(logs or {})
        name = self._job.objective.find(scalars)
        if name is None and self._best_loss == math.inf and epoch + 1 >= self._job.first_due:
            raise self._job.objective.missing(scalars)
        if not self._announced:  # only training itself could build it
            self._announce()
        seconds = round(time.monotonic() - self._started, 6)
        self._epochs.append(Epoch(epoch + 1, scalars, {"seconds": seconds}))
        watched = [scalars[n] for n in (name, "loss") if n in scalars]
        diverged = not all(map(math.isfinite, watched))
        if name is not None and self._job.objective.loss(scalars[name]) < self._best_loss:
            self._best_loss = self._job.objective.loss(scalars[name])
            self._best = [np.array(w) for w in self.model.get_weights()]  # torch shares memory
        if diverged:
            self.model.stop_training = True
        stop = bool(self.model.stop_training)
        self.snapshot = self._taken(epoch + 1, 0, stop=stop, diverged=diverged)
        over = ended(self.snapshot, self._job.work) is not None
        self.model.stop_training = over
        if over or self._job.pace.due or self._job.interrupted():
            self._write(self.snapshot)
        if self._job.interrupted() and not over:
            raise Interrupted

    def _check_batches(self, start: Snapshot) -> None:
        feed = self._job.feed
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
        if self.snapshot.meta:
            restore_callbacks(
                self._job.callbacks, self.snapshot.meta["callbacks"], self.snapshot.arrays
            )

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._job.began(self.model)

    def _taken(self, epoch: int, step: int, *, stop: bool, diverged: bool = False) -> Snapshot:
        """Return the present state of training."""
        states, arrays = callbacks_state(self._job.callbacks)
        arrays |= take("model", self.model.variables)
        if self.model.optimizer is not None:  # a training step of one's own may do without
            arrays |= take("optimizer", self.model.optimizer.variables)
        arrays |= {f"best/{i:05}": weights for i, weights in enumerate(self._best)}
        if step:
            arrays |= take("metrics", self.model.metrics_variables) | generators.take()
        meta = {
            "stop": stop,
            "diverged": diverged,
            "best_loss": repr(self._best_loss),
            "callbacks": states,
            "batches": self._job.feed.batches if self._job.feed is not None else None,
        }
        return Snapshot(epoch, step, arrays, meta)

    def _write(self, snapshot: Snapshot) -> None:
        """Put a state of training on disk, and report the epochs that led to it."""
        before = time.monotonic()
        run = self._job.trial
        path = checkpoints.path(self._job.directory, run, snapshot.epoch, snapshot.step)
        sha256 = checkpoints.write(path, snapshot.arrays, snapshot.meta)
        checkpoint = Checkpoint(snapshot.epoch, snapshot.step, sha256)
        self._job.emit(Trained(run.number, tuple(self._epochs), checkpoint, run.execution))
        self._epochs.clear()
        self._job.pace.latest = time.monotonic()
        self._job.pace.cost = self._job.pace.latest - before


def _scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    scalars = {}
    for name, value in logs.items():
        try:
            scalars[name] = float(value)
        except (TypeError, ValueError):
            continue  # a metric that is not one number, such as a value for each class
    return scalars
