"""What ends a search, and what is left of it."""

import math
from dataclasses import dataclass

from tunedeco.errors import ConfigurationError
from tunedeco.journal.search_state import SearchState
from tunedeco.trial import UNFINISHED, State


@dataclass(frozen=True)
class Budgets:
    """What ends a search; the first one reached does. None means no limit."""

    epoch_budget: int | None = None
    """Epochs of all trials together."""
    max_epochs: int = 10
    """Epochs of one trial."""
    min_epochs: int = 1
    """Epochs below which no trial is begun, nor judged by an oracle that stops or promotes."""
    max_trials: int | None = None
    time_budget: float | None = None
    """Seconds of all sessions together."""
    target: float | None = None
    """The score that is good enough; of several objectives, the first one's."""
    max_consecutive_failures: int = 5
    max_retries: int = 2
    """How often a trial goes on after the process that trained it died."""

    def __post_init__(self) -> None:
        """Check that they make sense.

        Raises:
            ConfigurationError: one does not; says which.
        """
        check_counts(
            max_epochs=self.max_epochs,
            min_epochs=self.min_epochs,
            max_consecutive_failures=self.max_consecutive_failures,
        )
        check_counts(optional=True, epoch_budget=self.epoch_budget, max_trials=self.max_trials)
        if self.min_epochs > self.max_epochs:
            msg = f"min_epochs is {self.min_epochs}, and max_epochs is only {self.max_epochs}"
            raise ConfigurationError(msg)
        if type(self.max_retries) is not int or self.max_retries < 0:
            msg = f"max_retries must be a whole number of at least 0, not {self.max_retries!r}"
            raise ConfigurationError(msg)
        number = type(self.target) in (int, float) and math.isfinite(self.target or 0.0)
        if self.target is not None and not number:
            msg = f"target must be a number that the score can reach, not {self.target!r}"
            raise ConfigurationError(msg)

    def in_all(self, size: int | None, executions: int) -> int | None:
        """Return how many epochs a search can train at most; None without a limit.

        Args:
            size: configurations in its space; None of an infinite one.
            executions: how often each trial is trained.
        """
        trials = [n for n in (self.max_trials, size) if n is not None]
        limits = [n * self.max_epochs * executions for n in trials]
        if self.epoch_budget is not None:
            limits.append(self.epoch_budget)
        return min(limits, default=None)

    def promised(self, state: SearchState) -> int:
        """Return how many epochs the trials that are not at their end may still take."""
        return sum(run.epochs_left for run in state.unfinished if run.state in UNFINISHED)

    def epochs_left(self, state: SearchState) -> int | None:
        """Return how many epochs no trial has been promised yet; None without a limit."""
        if self.epoch_budget is None:
            return None
        return self.epoch_budget - state.epochs - self.promised(state)

    def seconds_left(self, state: SearchState) -> float | None:
        """Return how many seconds the search may still run; None without a limit."""
        return None if self.time_budget is None else max(self.time_budget - state.elapsed, 0.0)

    def reached(self, state: SearchState) -> bool:
        """Return whether a trial that is not running has reached the target."""
        if self.target is None:
            return False
        limit = state.objective.loss(self.target)
        best = next((t.loss for t in state.inside.ranked if t.state is not State.RUNNING), None)
        return best is not None and best <= limit


def check_counts(*, optional: bool = False, **counts: object) -> None:
    """Check that arguments are positive integers, or None where that is allowed.

    Raises:
        ConfigurationError: one is not; says which.
    """
    for name, value in counts.items():
        if not (value is None and optional) and (type(value) is not int or value < 1):
            choices = "a whole number of at least 1" + (", or None" if optional else "")
            msg = f"{name} must be {choices}, not {value!r}"
            raise ConfigurationError(msg)
