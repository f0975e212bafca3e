"""The state of a search: a fold over its events, one at a time, and nothing beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunedeco.errors import JournalError, NoTrialError
from tunedeco.events import (
    Built,
    Continued,
    Created,
    Ended,
    Enqueued,
    Event,
    Extended,
    Lost,
    Proposed,
    Resumed,
    Started,
    Stopped,
    Trained,
)
from tunedeco.journal.executions import together
from tunedeco.journal.scoring import UNSCORED, scored
from tunedeco.objective import Objective
from tunedeco.objectives import Objectives
from tunedeco.space import Space, Values, flat
from tunedeco.trial import State, Trial, configuration_key
from tunedeco.trials import Trials

Changes = Mapping[str, Any]
"""What an event changes in a state."""


@dataclass
class SearchState:
    """What is true after the events applied so far."""

    created: Created | None = None
    """What the search is; None before its first event."""
    space: Space = field(default_factory=Space)
    """The hyperparameters known: those the search began with, and those met in trials."""
    trials: list[Trial] = field(default_factory=list)
    outside: dict[int, Trial] = field(default_factory=dict)
    """What the trials of state ``OUTSIDE`` were before the search was extended."""
    budgets: Mapping[str, Any] = field(default_factory=dict)
    """Those of the latest run."""
    pinned: Values = field(default_factory=dict)
    """What the latest run does not search, and the values it holds it at."""
    queue: tuple[Values, ...] = ()
    """What was enqueued and no trial was begun with, in order; ``{}`` stands for all defaults.

    All that ever was, after the search was extended to another space."""
    enqueued: tuple[str, ...] = ()
    """The keys of all that was ever enqueued."""
    sources: tuple[str, ...] = ()
    """The other searches from which configurations were taken over."""
    sessions: list[Mapping[str, Any]] = field(default_factory=list)
    """The circumstances of each run, in order."""
    epochs: int = 0
    """Epochs trained, over all trials."""
    elapsed: float = 0.0
    """Seconds that the search has run, over all sessions."""
    elapsed_before: float = 0.0
    """The same, before the latest session."""
    failures: list[Ended] = field(default_factory=list)
    """The latest ends in a row that were all failures, or all rejections, since the last rest."""
    stopped: str | None = None
    """Why the search came to rest; None while it runs, or was interrupted."""
    _inside: Trials | None = field(default=None, init=False, repr=False, compare=False)
    """What `inside` has returned since all trials changed at once."""

    @property
    def inside(self) -> Trials:
        """The trials that lie in the space: all but those of state ``OUTSIDE``."""
        if self._inside is None:
            self._inside = Trials(t for t in self.trials if t.state is not State.OUTSIDE)
        return self._inside

    @property
    def objective(self) -> Objective:
        """What the search is for; the first, where it is for several."""
        assert self.created is not None
        return self.created.objective

    @property
    def objectives(self) -> Objectives:
        """All that the search is for."""
        assert self.created is not None
        return self.created.objectives

    @property
    def best(self) -> Trial:
        """The trial with the best score; the earlier one where two are equal.

        Of several objectives the first decides, and the next where that is equal.

        Raises:
            NoTrialError: none has a score.
        """
        best = next(self.inside.ranked, None)
        if best is None:
            msg = "no trial has a score yet"
            raise NoTrialError(msg)
        return best

    @property
    def unfinished(self) -> list[Trial]:
        """The trainings of all trials that are not at their end."""
        return [run for trial in self.inside.unfinished for run in trial.runs]

    def apply(self, event: Event) -> None:
        """Take in one event; the state is as it was if that raises.

        Raises:
            JournalError: it contradicts the ones before it.
        """
        self.take(self.changes(event))

    def take(self, changes: Changes) -> None:
        """Take in what `changes` returned of an event, before any other is taken in."""
        for name, value in changes.items():
            if name == "trial":
                self.trials[value.number : value.number + 1] = [value]
                if self._inside is not None:
                    self._inside.put(value)
            else:
                setattr(self, name, value)

    def changes(self, event: Event) -> Changes:  # noqa: PLR0911, C901 (one case for each event)
        """Return what an event changes: fields of the state, and one ``"trial"``, old or new.

        Raises:
            JournalError: it contradicts the ones before it.
        """
        match event:  # those first of which there are many
            case Proposed():
                self._check(self.created is not None, event, "the search does not exist yet")
                self._check(event.trial == len(self.trials), event, "trials come in order")
                return {"trial": self._proposed(event), **self._dequeued(event.enqueued)}
            case Built():
                return self._built(event)
            case Trained():
                return self._trained(event)
            case Ended():
                return self._ended(event)
            case Created():
                self._check(self.created is None, event, "the search exists already")
                first = self._enqueued(({},)) if event.defaults else {}
                return {"created": event, "space": event.space, **first}
            case Started():
                return {
                    "budgets": event.budgets,
                    "pinned": event.pinned,
                    "stopped": None,
                    "sessions": [*self.sessions, event.runtime],
                    "elapsed_before": self.elapsed,
                }
            case Extended():
                return self._extended(event)
            case Enqueued():
                self._check(self.created is not None, event, "the search does not exist yet")
                sources = () if event.source is None else (event.source,)
                new = self._enqueued(event.configurations)
                return {**new, "sources": (*self.sources, *sources)}
            case Continued():
                return self._continued(event)
            case Lost():
                run = self._running(event)
                lost = run.runtime.get("lost", 0) + 1
                return {"trial": self._with(run.but(runtime={**run.runtime, "lost": lost}))}
            case Resumed():
                return self._resumed(event)
            case Stopped():
                rests = event.reason != "interrupted"
                changes = {"stopped": event.reason, "elapsed": self._elapsed(event)}
                return changes | ({"failures": []} if rests else {})
        msg = f"{type(event).__name__} is no event of a search"
        raise JournalError(msg)

    def _extended(self, event: Extended) -> Changes:
        self._check(self.created is not None, event, "the search does not exist yet")
        assert self.created is not None
        known = [self.outside.get(trial.number, trial) for trial in self.trials]
        outside = {t.number: t for t in known if t.number not in event.carried}
        space = event.space.extended(event.met)
        return {
            "space": space,
            "created": replace(
                self.created, space=event.space, oracle=event.oracle, seed=event.seed
            ),
            "outside": outside,
            # in this space they may come to others; what a carried trial has had is passed over
            "queue": tuple(json.loads(key) for key in self.enqueued),
            "trials": [_set_aside(t) if t.number in outside else _carried(t, space) for t in known],
            "_inside": None,
            "epochs": sum(t.trained for t in known if t.number not in outside),
            "failures": [],
            "stopped": None,
        }

    def _enqueued(self, configurations: Sequence[Values]) -> dict[str, Any]:
        """Return what changes when these are enqueued; nothing is a second time."""
        new = {configuration_key(values): values for values in configurations}
        new = {key: values for key, values in new.items() if key not in self.enqueued}
        return {"queue": (*self.queue, *new.values()), "enqueued": (*self.enqueued, *new)}

    def _dequeued(self, values: Values | None) -> Changes:
        """Return what changes when a trial is begun with one that was enqueued, if it was."""
        if values is None:
            return {}
        key = configuration_key(values)
        return {
            "queue": tuple(v for v in self.queue if configuration_key(v) != key),
            # where the event that enqueued it is lost, this one still says so
            "enqueued": tuple(dict.fromkeys((*self.enqueued, key))),
        }

    def _proposed(self, event: Proposed) -> Trial:
        assert self.created is not None
        trial = Trial(
            event.trial, event.values, event.until, bracket=event.bracket, rung=event.rung
        )
        if self.created.executions == 1:
            return trial
        runs = (trial.but(execution=i) for i in range(self.created.executions))
        return trial.but(executions=tuple(runs))

    def _continued(self, event: Continued) -> Changes:
        trial = self._known(event)
        self._check(trial.state is State.COMPLETED, event, "only a completed trial goes on")
        self._check(event.until > trial.until, event, "it has been sent so far")
        runs = [
            run.but(
                until=event.until,
                rung=event.rung,
                # one that a callback has stopped stays as it is
                state=run.state if run.stopped_early else State.RUNNING,
            )
            for run in trial.runs
        ]
        self._check(any(r.state is State.RUNNING for r in runs), event, "it stopped by itself")
        sent = trial.but(until=event.until, rung=event.rung)
        return {"trial": together(sent, runs) if trial.executions else runs[0]}

    def _built(self, event: Built) -> Changes:
        run = self._running(event)
        met = [h for h in event.met if h.key not in self.space.by_key]
        space = self.space.extended(met) if met else self.space
        if space.conditional:
            asked = flat(event.values)
            expected = flat(space.asked(space.assigned(asked)))
            unforeseen = [key for key in asked if key in space.by_key and key not in expected]
            if unforeseen:  # their conditions are not what tracing took them for
                space = space.unconditional(unforeseen)
        built = run.but(
            values=event.values,
            parameters=event.parameters,
            precision=event.precision,
            inputs=event.inputs,
        )
        return {"space": space, "trial": self._with(built)}

    def _trained(self, event: Trained) -> Changes:
        run = self._running(event)
        for number, epoch in enumerate(event.epochs, len(run.epochs) + 1):
            self._check(epoch.epoch == number, event, "epochs come in order")
        epochs = len(run.epochs) + len(event.epochs)
        self._check(event.checkpoint.epoch == epochs, event, "its checkpoint is of another epoch")
        latest = (*run.checkpoints, event.checkpoint)[-2:]
        longer = scored(run, self.objectives, event.epochs, checkpoints=latest)
        return {
            "trial": self._with(longer),
            "epochs": self.epochs + len(event.epochs),
            "elapsed": self._elapsed(event),
        }

    def _ended(self, event: Ended) -> Changes:
        self._check(event.state is not State.OUTSIDE, event, "only an extension sets one aside")
        run = self._running(event).but(state=event.state, error=event.error)
        if event.state is State.FAILED:  # what broke is no recommendation
            run = run.but(**UNSCORED)
        trial = self._with(run)
        return {
            "trial": trial,
            "failures": self._failures_with(event, trial.state),
            "elapsed": self._elapsed(event),
        }

    def _failures_with(self, event: Ended, state: State) -> list[Ended]:
        """Return the latest failures in a row, one a trial, when one of a trial's trainings ended.

        What went well of one whose other trainings are still to come says nothing yet.
        """
        if event.state in (State.FAILED, State.REJECTED):
            others = [e for e in self.failures if e.trial != event.trial]
            return [*(e for e in others if e.state is event.state), event]
        return [] if state in (State.COMPLETED, State.DIVERGED) else self.failures

    def _resumed(self, event: Resumed) -> Changes:
        run = self._run(event)
        kept = run.epochs[: event.epoch]
        self._check(len(kept) == event.epoch, event, "it was not trained so far")
        blank = run.but(
            state=State.RUNNING,
            error=None,
            losses=(),
            points=(),
            epochs=(),
            checkpoints=tuple(
                c for c in run.checkpoints if (c.epoch, c.step) <= (event.epoch, event.step)
            ),
            runtime={**run.runtime, "resumes": run.runtime.get("resumes", 0) + 1},
            **UNSCORED,
        )
        resumed = scored(blank, self.objectives, kept)
        return {
            "trial": self._with(resumed),
            "epochs": self.epochs - len(run.epochs) + len(kept),
        }

    def _elapsed(self, event: Trained | Ended | Stopped) -> float:
        return self.elapsed_before + float(event.runtime.get("elapsed", 0.0))

    def _known(self, event: Continued | Resumed | Built | Trained | Lost | Ended) -> Trial:
        self._check(0 <= event.trial < len(self.trials), event, "there is no such trial")
        return self.trials[event.trial]

    def _run(self, event: Resumed | Built | Trained | Lost | Ended) -> Trial:
        """Return the record of the training that an event speaks of."""
        trial = self._known(event)
        if not trial.executions and event.execution == 0:  # nearly always
            return trial
        runs = trial.runs
        self._check(0 <= event.execution < len(runs), event, "there is no such execution")
        return runs[event.execution]

    def _running(self, event: Built | Trained | Lost | Ended) -> Trial:
        run = self._run(event)
        self._check(run.state is State.RUNNING, event, "the trial has ended")
        return run

    def _with(self, run: Trial) -> Trial:
        """Return the trial of which this is the new record of one training."""
        trial = self.trials[run.number]
        if not trial.executions:
            return run
        runs = list(trial.executions)
        runs[run.execution] = run
        return together(trial, runs)

    def _check(self, holds: bool, event: Event, problem: str) -> None:  # noqa: FBT001 (a condition)
        if not holds:
            msg = f"{event.to_json()!r:.200} contradicts the events before it: {problem}"
            raise JournalError(msg)


def _carried(trial: Trial, space: Space) -> Trial:
    """Return a trial with a space's own values for those that equal them: 8 where it was 8.0."""
    values = {
        group: {
            name: domain.canonical(value)
            if (domain := space.domains.get((group, name))) and domain.contains(value)
            else value
            for name, value in names.items()
        }
        for group, names in trial.values.items()
    }
    runs = tuple(_carried(run, space) for run in trial.executions)
    return trial.but(values=values, executions=runs)


def _set_aside(trial: Trial) -> Trial:
    blank = trial.but(state=State.OUTSIDE, checkpoints=(), **UNSCORED)
    return blank.but(executions=tuple(map(_set_aside, trial.executions)))
