"""What ends a search, and what is left of it."""

from dataclasses import dataclass

from tunedeco.journal.search_state import SearchState
from tunedeco.trial import State


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
    """The score that is good enough."""
    max_consecutive_failures: int = 5
    max_retries: int = 2
    """How often a trial goes on after the process that trained it died."""

    def promised(self, state: SearchState) -> int:
        """Return how many epochs the trials that are not at their end may still take."""
        open_ones = (t for t in state.trials if t.state in (State.RUNNING, State.PAUSED))
        runs = (run for trial in open_ones for run in trial.runs)
        return sum(r.epochs_left for r in runs if r.state in (State.RUNNING, State.PAUSED))

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
        ended = (t.loss for t in state.trials if t.state is not State.RUNNING)
        return any(loss is not None and loss <= limit for loss in ended)
