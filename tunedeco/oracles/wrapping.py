"""What the oracles share that wrap another one: it says which values, they say how many epochs."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from tunedeco.errors import ConfigurationError
from tunedeco.oracles.base import Continue, Decision, Done, Oracle, Start, Wait
from tunedeco.oracles.plain import plain
from tunedeco.space import Space
from tunedeco.trial import UNFINISHED, State, Trial


@dataclass(frozen=True, kw_only=True)
class Wrapper(ABC):
    """Decides how far trials are trained, whose values another oracle proposes.

    Args:
        oracle: proposes the values: ``"evolution"``, ``"aging"``, ``"random"``, ``"grid"``, or your
            own.
        min_epochs: epochs before which no trial is judged; None for those of the tuner.
        max_epochs: epochs of one trial at most; None for those of the tuner, which are never
            exceeded.

    Raises:
        ConfigurationError: an argument is wrong; says which.
    """

    oracle: str | Oracle = field(default="evolution", kw_only=False)
    min_epochs: int | None = None
    max_epochs: int | None = None
    span: tuple[int, int] | None = field(default=None, repr=False)
    """The least and the most epochs of a trial, once `within` has said so: budgets, no settings."""

    def __post_init__(self) -> None:
        """Check the arguments, and find the oracle."""
        object.__setattr__(self, "oracle", plain(self.oracle, type(self).__name__))
        for name in ("min_epochs", "max_epochs"):
            self._check_count(name, getattr(self, name), optional=True)

    @property
    def inner(self) -> Oracle:
        """The oracle that proposes the values."""
        assert not isinstance(self.oracle, str)
        return self.oracle

    def within(self, min_epochs: int, max_epochs: int) -> Self:
        """Return it for trials of so many epochs, at least and at most, where it says nothing.

        Raises:
            ConfigurationError: its own ``min_epochs`` are more than there are.
        """
        most = min(self.max_epochs or max_epochs, max_epochs)
        least = self.min_epochs or min_epochs
        if least > most:
            name = type(self).__name__
            msg = f"{name} judges after min_epochs={least}, and a trial has only {most} epochs"
            raise ConfigurationError(msg)
        return replace(self, span=(least, most))

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Decision:
        """Return which trial goes on, or the next one's values; see `Oracle.next`."""
        going = self._going(trials)
        if going is not None:
            return going
        seen = [self._seen(trial) for trial in trials]
        decision = self.inner.next(space, seen, seed)
        if isinstance(decision, Start):
            return self._begun(decision, trials)
        return self.finish(trials) if isinstance(decision, Done) else decision

    def finish(self, trials: Sequence[Trial]) -> Continue | Wait | Done:
        """Return what to do next where no more trials may be started."""
        going = self._going(trials)
        if going is not None:
            return going
        if any(trial.state in UNFINISHED for trial in trials):
            return Wait()
        return self._completing(trials) or Done()

    @abstractmethod
    def open(self, trials: Sequence[Trial]) -> Collection[int]:
        """Return the numbers of the trials that it may yet continue."""

    @abstractmethod
    def _going(self, trials: Sequence[Trial]) -> Continue | None:
        """Return which trial goes on, if one has earned it."""

    @abstractmethod
    def _begun(self, decision: Start, trials: Sequence[Trial]) -> Start:
        """Return how far to train a new trial."""

    def _completing(self, trials: Sequence[Trial]) -> Continue | None:  # noqa: ARG002 (for those that need it)
        """Return which trial goes on where none will come that it would have to wait for."""
        return None

    @property
    def _least(self) -> int:
        return self._span[0]

    @property
    def _most(self) -> int:
        return self._span[1]

    @property
    def _span(self) -> tuple[int, int]:
        if self.span is None:
            msg = f"say how long trials are: {type(self).__name__}(...).within(min_epochs, "
            raise ConfigurationError(msg + "max_epochs), as the tuner does")
        return self.span

    def _seen(self, trial: Trial) -> Trial:
        """Return a trial as the wrapped oracle sees it: one that goes on has ended already.

        What it has reached counts, or the most promising would be missing while they are trained.
        """
        if trial.state in UNFINISHED and self._goes_on(trial):
            return trial.but(state=State.COMPLETED, until=reached(trial))
        return trial

    def _goes_on(self, trial: Trial) -> bool:
        """Return whether an unfinished trial has been judged before."""
        return bool(trial.rung)

    def _check_count(self, name: str, value: object, *, optional: bool, least: int = 1) -> None:
        if value is None and optional:
            return
        if type(value) is not int or value < least:
            choices = f"a whole number of at least {least}" + (", or None" if optional else "")
            msg = f"{type(self).__name__} needs {name} to be {choices}, not {value!r}"
            raise ConfigurationError(msg)


def reached(trial: Trial) -> int:
    """Return how many epochs every training of a trial has."""
    return min(len(run.epochs) for run in trial.runs)


def ended_well(trial: Trial) -> bool:
    """Return whether a trial has come to its end, and has a loss to be compared by."""
    return trial.state is State.COMPLETED and trial.loss is not None


def can_go_on(trial: Trial) -> bool:
    """Return whether a trial has come to the end of a slice, and could be continued."""
    return ended_well(trial) and not trial.stopped_early
