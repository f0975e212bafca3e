"""The record of one training: epochs in, reports and checkpoints out; however it is trained.

`tunedeco.executors.watch` fills it from `fit`, `tunedeco.executors.loop` from a user's own loop.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import keras

from tunedeco import objectives as of
from tunedeco.errors import ConfigurationError
from tunedeco.events import Trained
from tunedeco.executors import checkpoints, generators
from tunedeco.executors.base import Emit, Slice
from tunedeco.executors.supplied import SECONDS, Supplier
from tunedeco.executors.training_state import Arrays, put
from tunedeco.objectives import Objectives
from tunedeco.randomness import training_seed
from tunedeco.trial import Checkpoint, Epoch, State, Trial

_SHARE = 0.02  # of the time spent training that checkpoints may take

Stored = tuple[Arrays, dict[str, Any]]
"""Something as arrays, and JSON for the rest of it."""


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
            optimizer = getattr(model, "optimizer", None)  # one that is not compiled has none
            if optimizer is not None:
                if not optimizer.built:  # a loss scale built twice has its variables twice
                    optimizer.build(model.trainable_variables)
                put("optimizer", optimizer.variables, self.arrays)


@dataclass
class Pace:
    """How often to checkpoint: at every epoch's end, unless that took too large a share of time."""

    cost: float = 0.0
    """Seconds that the latest one took."""
    latest: float = field(default_factory=time.monotonic)
    """When it was done."""
    among: int = 1
    """How many train at the same time: together they take no larger share."""

    @property
    def due(self) -> bool:
        """Whether enough time has been trained since the latest to pay for another."""
        return (time.monotonic() - self.latest) * _SHARE >= self.cost * self.among


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
    """What is to be known of a training to record it."""

    work: Slice
    trial: Trial
    """The slice's, with the values that its model function asked for."""
    objectives: Objectives
    supplier: Supplier
    first_due: int
    """The epoch after which the logs must contain the objectives."""
    last: int | None
    """The epoch that its model function wants to be the last, if any."""
    directory: Path
    """Where the checkpoints go."""
    pace: Pace
    began: Callable[[Any], None]
    """Called with the model when it is built, and nothing is trained."""
    emit: Emit
    interrupted: Callable[[], bool]
    """Whether to stop at the next safe point."""

    @property
    def end(self) -> int:
        """The epoch that is the last as far as anybody knows."""
        until = self.work.trial.until
        return until if self.last is None else min(until, self.last)

    def seed(self, purpose: str) -> int:
        """Return the seed of something in this training."""
        return training_seed(self.work.seed, self.trial.number, self.trial.execution, purpose)


@final
class Recorder:
    """Takes note of each epoch of a training: seeds it, reports it, and checkpoints.

    `snapshot` is the state of training at the latest safe point.

    Args:
        job: what is trained.
        by: by what, ``"fit"`` or ``"train_fn"``.
        model: returns the model.
        present: returns the present state of training, so many steps after an epoch's end.
        best: returns what is to be kept of the best epoch, its names beginning with "best".
    """

    def __init__(
        self,
        job: Job,
        by: str,
        model: Callable[[], Any],
        present: Callable[[int], Stored],
        best: Callable[[], Stored],
    ) -> None:
        self.snapshot = Snapshot()
        self.job = job
        self._by = by
        self._model = model
        self._present = present
        self._best_of_now = best
        self._announced = False
        self._started = 0.0
        self._best_loss = math.inf  # of the objective that says which epoch is the best
        self._best: Stored = ({}, {})
        self._logged: Mapping[str, float] = {}  # by the latest epoch
        self._epochs: list[Epoch] = []  # trained, and not yet in a checkpoint

    @property
    def ended(self) -> State | None:
        """How the slice has ended; None if it goes on."""
        return ended(self.snapshot, self.job.work)

    def go_on_from(self, snapshot: Snapshot) -> None:
        """Begin in a state of training.

        Raises:
            ConfigurationError: training was begun by something else.
        """
        by = snapshot.meta.get("by", self._by)
        if by != self._by:
            msg = (
                f"trial {self.job.trial.number} was begun by {by}, and cannot go on by {self._by}: "
                "train it as before, or pass overwrite=True to begin anew"
            )
            raise ConfigurationError(msg)
        self.snapshot = snapshot
        trained = self.job.work.trial.epochs[: snapshot.epoch]
        self._logged = trained[-1].logs if trained else {}
        self._best_loss = float(snapshot.meta.get("best_loss", math.inf))
        best = {name: a for name, a in snapshot.arrays.items() if name.startswith("best")}
        self._best = best, dict(snapshot.meta.get("best", {}))

    def announce(self) -> None:
        """Say that the model is built, once."""
        if not self._announced:
            self._announced = True
            self.job.began(self._model())

    def begin(self, epoch: int) -> None:
        """Begin an epoch, counted from 0."""
        self._started = time.monotonic()
        # whatever draws from the global generators draws the same after a crash
        generators.seed(self.job.seed(f"epoch {epoch}"))

    def end(self, epoch: int, logs: Mapping[str, float], *, stop: bool) -> bool:
        """End an epoch, counted from 0; return whether the slice is over.

        Args:
            epoch: which one.
            logs: what it logged.
            stop: whether no more are to follow.

        Raises:
            ObjectiveError: the logs do not contain an objective.
            CheckpointError: a checkpoint cannot be written.
        """
        seconds = round(time.monotonic() - self._started, 6)
        objectives = self.job.objectives
        logs = self._with_supplied(logs, seconds)
        names = [objective.find(logs) for objective in objectives]
        if self._best_loss == math.inf and epoch + 1 >= self.job.first_due:
            for objective in (o for o, name in zip(objectives, names, strict=True) if name is None):
                raise objective.missing(logs)
        self.announce()  # if only training itself could build it
        self._epochs.append(Epoch(epoch + 1, logs, {"seconds": seconds}))
        self._logged = logs
        watched = [logs[n] for n in (*names, "loss") if n is not None and n in logs]
        diverged = not all(map(math.isfinite, watched))
        found = of.losses(objectives, logs)
        if of.improves(objectives, found, self._best_loss):
            self._best_loss = found[of.guide(objectives) or 0]
            self._best = self._best_of_now()
        last = self.job.last is not None and epoch + 1 >= self.job.last
        self.snapshot = self._taken(epoch + 1, 0, stop=stop or diverged or last, diverged=diverged)
        over = self.ended is not None
        if over or self.job.pace.due or self.job.interrupted():
            self._write(self.snapshot)
        return over

    def cut(self, epoch: int, step: int | None = None) -> None:
        """Put on disk what has been trained; within an epoch too, where a step is given."""
        if step:
            self._write(self._taken(epoch, step, stop=False))
        elif self._epochs:
            self._write(self.snapshot)

    def stop(self) -> None:
        """Let the latest epoch be the last one, where the slice is not over."""
        if self.ended is None:
            taken = self.snapshot
            self.snapshot = Snapshot(
                taken.epoch, taken.step, taken.arrays, {**taken.meta, "stop": True}
            )
            self._write(self.snapshot)

    def _with_supplied(self, logs: Mapping[str, float], seconds: float) -> Mapping[str, float]:
        """Return the logs of an epoch with the objectives that are the executor's to measure."""
        supplier = self.job.supplier
        if not supplier.names:
            return logs
        seconds += self.snapshot.meta.get("seconds", 0.0)  # where it was interrupted within
        return {**logs, **supplier.lacking(logs, self._model(), self._logged, seconds)}

    def _taken(self, epoch: int, step: int, *, stop: bool, diverged: bool = False) -> Snapshot:
        """Return the present state of training."""
        arrays, rest = self._present(step)
        best, best_rest = self._best
        meta = {
            "by": self._by,
            "stop": stop,
            "diverged": diverged,
            "best_loss": repr(self._best_loss),
            "best": best_rest,
            **rest,
        }
        if step and SECONDS in self.job.supplier.names:
            before = self.snapshot.meta.get("seconds", 0.0)
            meta["seconds"] = before + time.monotonic() - self._started
        return Snapshot(epoch, step, arrays | best, meta)

    def _write(self, snapshot: Snapshot) -> None:
        """Put a state of training on disk, and report the epochs that led to it."""
        before = time.monotonic()
        run = self.job.trial
        path = checkpoints.path(self.job.directory, run, snapshot.epoch, snapshot.step)
        sha256 = checkpoints.write(path, snapshot.arrays, snapshot.meta)
        checkpoint = Checkpoint(snapshot.epoch, snapshot.step, sha256)
        self.job.emit(Trained(run.number, tuple(self._epochs), checkpoint, run.execution))
        self._epochs.clear()
        self.job.pace.latest = time.monotonic()
        self.job.pace.cost = self.job.pace.latest - before
