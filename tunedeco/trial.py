"""The records of a search: a trial, its epochs, and the states it passes through.

Frozen; a trial that goes on is a new record. Everything here is derived by folding the journal's
events (`tunedeco.journal.search_state`), and `to_json` is what every command prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from tunedeco import typed
from tunedeco.pareto import Point
from tunedeco.space import Values, canonical_json


class State(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    """Proposed and not ended: training now, or interrupted."""
    PAUSED = "paused"
    """The search came to rest before all its epochs; it goes on first when there is more budget."""
    COMPLETED = "completed"
    """Trained as far as the oracle asked for, or stopped early by a callback."""
    DIVERGED = "diverged"
    """Its objective became NaN or infinite."""
    FAILED = "failed"
    """Building or training it raised an error."""
    REJECTED = "rejected"
    """Turned away before it was built: larger than ``max_parameters`` or ``max_memory`` allow."""
    OUTSIDE = "outside"
    """It does not lie in the space any more, since the search was extended to another one."""


UNFINISHED = (State.RUNNING, State.PAUSED)
"""The states of a trial that goes on when the search does."""


@dataclass(frozen=True)
class Epoch:
    """One trained epoch: its number from 1, what Keras logged, and the circumstances."""

    epoch: int
    logs: Mapping[str, float]
    runtime: Mapping[str, float] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command line prints."""
        return {"epoch": self.epoch, "logs": logs_to_json(self.logs), "runtime": dict(self.runtime)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Epoch":
        """Return the epoch that `to_json` described."""
        logs = logs_from_json(data["logs"])
        return typed.made(cls, {"epoch": data["epoch"], "logs": logs, "runtime": data["runtime"]})


@dataclass(frozen=True)
class Checkpoint:
    """A state of training on disk: after so many epochs and steps, with that SHA-256."""

    epoch: int
    """Whole epochs trained."""
    step: int
    """Batches of the next epoch trained."""
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_json` turns back into an equal one."""
        return {"epoch": self.epoch, "step": self.step, "sha256": self.sha256}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Checkpoint":
        """Return the checkpoint that `to_json` described."""
        return typed.made(cls, data)


@dataclass(frozen=True)
class Trial:
    """One configuration and what became of it.

    Where each is trained several times, every training is such a record too, under `executions`;
    the trial itself then tells of all of them together.
    """

    number: int
    """Its place in the order of proposals, from 0."""
    values: Values
    """``{group: {name: value}}``: what the model function asked for, and nothing else."""
    until: int
    """The epoch up to which it is to be trained."""
    state: State = State.RUNNING
    score: float | None = None
    """The best value of the objective over its epochs; None before the first, and if it failed.

    Of several executions, the mean of theirs, once each has one."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The same for each of several objectives, by name: what they were at the best epoch."""
    best_epoch: int | None = None
    """The epoch of that value, from 1; the earlier one where two are equal.

    Of several executions, that of the best of them."""
    loss: float | None = None
    """The score in the sense of less is better, whatever the objective: what oracles compare.

    Of several objectives, that of the first; oracles compare the `point` then."""
    losses: tuple[float, ...] = ()
    """The objective after each epoch, in that sense; NaN where it was not logged, or not finite.

    Of several objectives, the first."""
    points: tuple[Point, ...] = ()
    """What `point` would be had it ended after each epoch; none where there is one objective."""
    epochs: tuple[Epoch, ...] = ()
    """Of several executions, with the mean of what those logged that came so far."""
    bracket: int | None = None
    """In which bracket of a multi-fidelity oracle it competes, from 0."""
    rung: int | None = None
    """Up to which rung of its bracket it has been sent, from 0."""
    execution: int = 0
    """Which of its trial's executions this record is, from 0."""
    executions: tuple["Trial", ...] = ()
    """Each training by itself, where there are several; else none."""
    spread: float | None = None
    """The sample standard deviation of the executions' scores; None where there is no mean, and
    beyond the largest float."""
    parameters: int | None = None
    """How many numbers the model holds in its weights; None before it is built."""
    precision: str | None = None
    """Keras's dtype policy while it trained."""
    inputs: Any = None
    """Shapes and dtypes of the model's inputs, for rebuilding it without the data."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """The latest two, the older one first."""
    error: Mapping[str, str] | None = None
    """``type``, ``message`` and ``traceback`` of a failure; ``message`` of a rejection."""
    runtime: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def runs(self) -> tuple["Trial", ...]:
        """Every training of it, a record each: the executions, or the trial itself."""
        return self.executions or (self,)

    @property
    def trained(self) -> int:
        """Epochs trained, over all executions."""
        return sum(len(run.epochs) for run in self.runs)

    @property
    def stopped_early(self) -> bool:
        """Whether it was completed before the epoch it was sent to, as by a callback."""
        return self.state is State.COMPLETED and all(r.epochs_left > 0 for r in self.runs)

    @property
    def epochs_left(self) -> int:
        """Epochs between the last one trained and `until`, over all executions."""
        return sum(self.until - len(run.epochs) for run in self.runs)

    @property
    def point(self) -> Point:
        """The losses of all objectives at its best epoch, in their order; ``()`` without a score.

        What the executor supplies is as of its latest epoch.
        """
        if self.loss is None:
            return ()
        return self.points[-1] if self.points else (self.loss,)

    @property
    def standing(self) -> Point:
        """By what oracles compare it: its `point`, and ``()`` where it failed or diverged."""
        return () if self.state in (State.FAILED, State.DIVERGED) else self.point

    def point_at(self, epoch: int) -> Point:
        """Return what its point was after so many epochs; ``()`` if it had none."""
        if self.points:
            return self.points[: max(epoch, 1)][-1]
        loss = self.loss_at(epoch)
        return () if loss is None else (loss,)

    def loss_at(self, epoch: int) -> float | None:
        """Return the least loss of its first epochs; None if none of them has one."""
        seen = [loss for loss in self.losses[:epoch] if loss == loss]  # noqa: PLR0124 (not NaN)
        return min(seen, default=None)

    def but(self, **changes: Any) -> "Trial":  # noqa: ANN401 (any field)
        """Return it with some fields changed.

        As `dataclasses.replace` does, in a tenth of the time: each event of a search is one.
        """
        new = object.__new__(Trial)
        new.__dict__.update(self.__dict__)
        new.__dict__.update(changes)
        if "values" in changes:  # of which these were computed
            new.__dict__.pop("key", None)
            new.__dict__.pop("asked", None)
        return new

    @cached_property
    def key(self) -> str:
        """A text that two trials share when their configurations are the same."""
        return configuration_key(self.values)

    @cached_property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """The (group, name) of each of its values, sorted."""
        return tuple(sorted((group, name) for group in self.values for name in self.values[group]))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command line prints."""
        return {
            "number": self.number,
            "state": str(self.state),
            "values": {group: dict(names) for group, names in self.values.items()},
            "score": self.score,
            **({"scores": dict(self.scores)} if len(self.scores) > 1 else {}),
            "best_epoch": self.best_epoch,
            "until": self.until,
            "parameters": self.parameters,
            "precision": self.precision,
            "error": None if self.error is None else dict(self.error),
            "bracket": self.bracket,
            "rung": self.rung,
            "spread": self.spread,
            "epochs": [epoch.to_json() for epoch in self.epochs],
            "executions": [run.to_json() for run in self.executions],
            "runtime": dict(self.runtime),
        }


def configuration_key(values: Values) -> str:
    """Return a text that is equal for equal configurations, and only for those."""
    return canonical_json(values)


def logs_to_json(logs: Mapping[str, float]) -> dict[str, float | str]:
    """Return logs as JSON can hold them: NaN and the infinities become strings."""
    return {k: v if v - v == 0 else repr(v) for k, v in logs.items()}


def logs_from_json(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the logs that `logs_to_json` wrote."""
    return {name: float(value) for name, value in logs.items()}
