"""The state of a search: a fold over its events, one at a time, and nothing beside them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tunedeco.errors import JournalError, NoTrialError
from tunedeco.events import (
    Built,
    Created,
    Ended,
    Event,
    Proposed,
    Resumed,
    Started,
    Stopped,
    Trained,
)
from tunedeco.space import Space
from tunedeco.trial import Epoch, State, Trial


@dataclass
class SearchState:
    """What is true after the events applied so far."""

    created: Created | None = None
    """What the search is; None before its first event."""
    space: Space = field(default_factory=Space)
    """The hyperparameters known: those the search began with, and those met in trials."""
    trials: list[Trial] = field(default_factory=list)
    budgets: Mapping[str, Any] = field(default_factory=dict)
    """Those of the latest run."""
    sessions: list[Mapping[str, Any]] = field(default_factory=list)
    """The circumstances of each run, in order."""
    epochs: int = 0
    """Epochs trained, over all trials."""
    failures: list[Ended] = field(default_factory=list)
    """The latest ends in a row that were all failures, or all rejections, since the last rest."""
    stopped: str | None = None
    """Why the search came to rest; None while it runs, or was interrupted."""

    @property
    def best(self) -> Trial:
        """The trial with the best score; the earlier one where two are equal.

        Raises:
            NoTrialError: none has a score.
        """
        scored = (trial for trial in self.trials if trial.loss is not None)
        best = min(scored, key=lambda trial: trial.loss or 0.0, default=None)
        if best is None:
            msg = "no trial has a score yet"
            raise NoTrialError(msg)
        return best

    def apply(self, event: Event) -> None:
        """Take in one event.

        Raises:
            JournalError: it contradicts the ones before it.
        """
        match event:
            case Created():
                self._check(self.created is None, event, "the search exists already")
                self.created, self.space = event, event.space
            case Started():
                self.budgets, self.stopped = event.budgets, None
                self.sessions.append(event.runtime)
            case Proposed():
                self._check(self.created is not None, event, "the search does not exist yet")
                self._check(event.trial == len(self.trials), event, "trials come in order")
                self.trials.append(Trial(event.trial, event.values, event.until))
            case Resumed():
                self._resume(event)
            case Built():
                self._build(event)
            case Trained():
                self._train(event)
            case Ended():
                self._end(event)
            case Stopped():
                self.stopped = event.reason
                if event.reason != "interrupted":
                    self.failures = []

    def _build(self, event: Built) -> None:
        trial = self._running(event)
        labels = {h.label for h in self.space} if event.met else set()
        met = [h for h in event.met if h.label not in labels]
        self.space = self.space.extended(met) if met else self.space
        self.trials[event.trial] = replace(
            trial,
            values=event.values,
            parameters=event.parameters,
            precision=event.precision,
            inputs=event.inputs,
        )

    def _train(self, event: Trained) -> None:
        trial = self._running(event)
        for epoch in event.epochs:
            self._check(epoch.epoch == len(trial.epochs) + 1, event, "epochs come in order")
            trial = self._scored(trial, epoch)
        latest = (*trial.checkpoints, event.checkpoint)[-2:]
        self.trials[event.trial] = replace(trial, checkpoints=latest)
        self.epochs += len(event.epochs)

    def _end(self, event: Ended) -> None:
        trial = replace(self._running(event), state=event.state, error=event.error)
        if event.state is State.FAILED:  # what broke is no recommendation
            trial = replace(trial, score=None, loss=None, best_epoch=None)
        self.trials[event.trial] = trial
        row = [e for e in (*self.failures, event) if e.state is event.state]
        self.failures = row if event.state in (State.FAILED, State.REJECTED) else []

    def _resume(self, event: Resumed) -> None:
        self._check(0 <= event.trial < len(self.trials), event, "there is no such trial")
        trial = self.trials[event.trial]
        kept = trial.epochs[: event.epoch]
        self._check(len(kept) == event.epoch, event, "it was not trained so far")
        self.epochs -= len(trial.epochs) - len(kept)
        blank = replace(
            trial,
            state=State.RUNNING,
            error=None,
            score=None,
            loss=None,
            best_epoch=None,
            epochs=(),
            checkpoints=tuple(
                c for c in trial.checkpoints if (c.epoch, c.step) <= (event.epoch, event.step)
            ),
        )
        for epoch in kept:
            blank = self._scored(blank, epoch)
        self.trials[event.trial] = replace(
            blank, runtime={"resumes": trial.runtime.get("resumes", 0) + 1}
        )

    def _scored(self, trial: Trial, epoch: Epoch) -> Trial:
        assert self.created is not None
        objective = self.created.objective
        trial = replace(trial, epochs=(*trial.epochs, epoch))
        name = objective.find(epoch.logs)
        if name is None or not math.isfinite(epoch.logs[name]):
            return trial
        loss = objective.loss(epoch.logs[name])
        if trial.loss is not None and trial.loss <= loss:
            return trial
        return replace(trial, score=epoch.logs[name], loss=loss, best_epoch=epoch.epoch)

    def _running(self, event: Built | Trained | Ended) -> Trial:
        self._check(0 <= event.trial < len(self.trials), event, "there is no such trial")
        trial = self.trials[event.trial]
        self._check(trial.state is State.RUNNING, event, "the trial has ended")
        return trial

    def _check(self, holds: bool, event: Event, problem: str) -> None:  # noqa: FBT001 (a condition)
        if not holds:
            msg = f"the journal contradicts itself at {event.to_json()}: {problem}"
            raise JournalError(msg)
