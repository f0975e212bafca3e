"""The executor protocol: take slices of trials, report what happens to them.

An executor trains; it decides nothing. It sees neither oracles nor the journal: the tuner hands it
a slice, and writes down the events it emits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from tunedeco.events import Built, Ended, Lost, Resumed, Trained
from tunedeco.trial import Trial

Report = Resumed | Built | Trained | Lost | Ended
"""What an executor can say: a trial goes on, was built, was trained further, lost the process that
trained it, came to its end."""

Emit = Callable[[Report], None]


@final
@dataclass(frozen=True)
class Slice:
    """A piece of work: train a trial from the epoch it has reached up to ``until``."""

    trial: Trial
    """The record of one training: where a trial has several executions, one of these."""
    seed: int
    """The search's; with the numbers of trial and execution it decides weights and shuffling."""
    until: int
    """The last epoch to train: ``trial.until``, or an earlier one that the budget allows."""
    target: float | None = None
    """The loss, in the sense of `Trial.loss`, at which training may stop."""


class Interrupted(Exception):  # noqa: N818 (it is asked for, and no error)
    """Training stopped because `Executor.interrupt` was called; all that was emitted is on disk."""


class Executor(Protocol):
    """Anything that trains slices.

    Events of one slice are emitted in order: ``Resumed`` if it was begun before, ``Built``, then
    ``Trained`` until all its epochs are, then ``Ended``; a trial that cannot be built is ``Ended``
    at once. The end is ``PAUSED`` where the slice was cut before ``trial.until``, by its own
    ``until`` or its ``target``. What ``Trained`` says is on disk before it is emitted. A slice
    whose process died is ``Lost``, and given up: the search submits it again. An error that
    concerns the search and not the trial, such as an objective that the logs lack, is raised from
    `wait`.
    """

    @property
    def capacity(self) -> int:
        """How many slices it can train at once."""
        ...

    def submit(self, work: Slice) -> None:
        """Accept a slice; at most `capacity` are under way."""
        ...

    def wait(self, emit: Emit) -> None:
        """Let slices proceed, and emit at least one event."""
        ...

    def interrupt(self) -> None:
        """Stop at the next safe point, where `wait` raises `Interrupted`; for signal handlers."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...
