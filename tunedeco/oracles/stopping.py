"""Stopping rules: a trial is trained in slices, and goes on as long as it looks worth it.

Both wrap an oracle for the values, as the multi-fidelity ones do. A trial that is not continued has
ended, and what it has reached counts.
"""

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

from tunedeco.errors import ConfigurationError
from tunedeco.means import mean
from tunedeco.objective import Objective
from tunedeco.oracles.base import Continue, Oracle, Start
from tunedeco.oracles.wrapping import Wrapper, can_go_on, reached
from tunedeco.trial import UNFINISHED, State, Trial


@dataclass(frozen=True, kw_only=True)
class Stopping(Wrapper, ABC):
    """Judges each trial at its first check, and every ``interval`` epochs after it.

    Args:
        interval: epochs between two checks; None for a tenth of the most epochs.
    """

    interval: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("interval", self.interval, optional=True)

    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        """Return the numbers of the trials that it may yet continue."""
        found: set[int] = set()
        unsettled = False  # what an earlier trial comes to may yet change a later one's verdict
        for trial, passes in self._verdicts(trials):
            going = self._between(trial) and (passes or unsettled)
            if going:
                found.add(trial.number)
            unsettled = unsettled or going or trial.state in UNFINISHED
        return found

    @property
    def _first(self) -> int:
        """The epoch of the first check."""
        return self._least

    @abstractmethod
    def _verdicts(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, bool]]:
        """Yield each trial, and whether it goes on if it can."""

    def _going(self, trials: Sequence[Trial]) -> Continue | None:
        for trial, passes in self._verdicts(trials):
            if passes and self._between(trial):
                after = trial.until + (self.interval or max(self._most // 10, 1))
                return Continue(trial.number, min(max(after, self._first), self._most))
        return None

    def _begun(self, decision: Start, trials: Sequence[Trial]) -> Start:  # noqa: ARG002 (all begin alike)
        return replace(decision, until=min(self._first, self._most))

    def _between(self, trial: Trial) -> bool:
        return can_go_on(trial) and trial.until < self._most

    def _goes_on(self, trial: Trial) -> bool:
        return min(self._first, self._most) <= reached(trial) < trial.until


@final
@dataclass(frozen=True, kw_only=True)
class MedianStopping(Stopping):
    """Stops a trial whose best is worse than the median of what the others had been on average.

    Daniel Golovin, Benjamin Solnik, Subhodeep Moitra, Greg Kochanski, John Karro and D. Sculley,
    "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.1: at a check after
    ``s`` epochs, the best value of the trial is compared with the median of the others' running
    averages over their first ``s`` epochs. The others are those of its predecessors that came so
    far, so that a verdict does not change with every later trial.

    Args:
        min_trials: how many predecessors must have come so far before a trial is judged.
    """

    min_trials: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("min_trials", self.min_trials, optional=False)

    def _verdicts(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, bool]]:
        averages: dict[int, list[float]] = {t.until: [] for t in trials if self._between(t)}
        for trial in trials:
            before = averages.get(trial.until, [])
            best = trial.loss_at(trial.until)
            yield trial, len(before) < self.min_trials or best is None or best <= _median(before)
            for epochs, others in averages.items():
                losses = [loss for loss in trial.losses[:epochs] if loss == loss]  # noqa: PLR0124 (not NaN)
                if losses and reached(trial) >= epochs and trial.state is not State.FAILED:
                    insort(others, mean(losses))  # sorted, the median costs little


def _median(ordered: Sequence[float]) -> float:
    """Return the median of sorted numbers; `statistics.median` adds two, which may overflow."""
    half = len(ordered) // 2
    return mean(ordered[half - 1 : half + 1]) if len(ordered) % 2 == 0 else ordered[half]


@final
@dataclass(frozen=True, kw_only=True)
class PlateauStopping(Stopping):
    """Stops a trial that has not improved for a while, as Keras's ``EarlyStopping`` does.

    Args:
        patience: epochs in which it must improve.
        min_delta: by how much, in the unit of the objective; at least 0.
    """

    patience: int = 3
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("patience", self.patience, optional=False)
        if isinstance(self.min_delta, bool) or not self.min_delta >= 0:
            msg = f"PlateauStopping needs min_delta to be at least 0, not {self.min_delta!r}"
            raise ConfigurationError(msg)

    @property
    def _first(self) -> int:
        return max(self._least, self.patience + 1)

    def _verdicts(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, bool]]:
        for trial in trials:
            now, before = trial.loss_at(trial.until), trial.loss_at(trial.until - self.patience)
            # where there is nothing to compare with yet, as with a rare objective, it goes on
            yield trial, now is None or before is None or before - now > self.min_delta


def check_curves(oracle: Oracle, objective: Objective) -> None:
    """Check that a stopping rule is given an objective that has a value for each epoch.

    Raises:
        ConfigurationError: it is of the whole trial.
    """
    if isinstance(oracle, Stopping) and objective.supplied:
        msg = (
            f"{type(oracle).__name__} judges how the first objective goes from epoch to epoch, and "
            f"{objective.name!r} is of the whole trial: put one that training logs first, or take "
            "another oracle"
        )
        raise ConfigurationError(msg)
