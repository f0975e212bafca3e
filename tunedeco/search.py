"""The loop: ask the oracle, write it down, have it trained, write that down, until a budget ends.

It decides nothing that an oracle, the journal or an executor could decide, and it remembers nothing
that is not in the journal: interrupted anywhere, it is run again and goes on.
"""

import itertools
import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tunedeco import conditions, narrowing, tracing
from tunedeco.conditions import Key
from tunedeco.domains import Value
from tunedeco.errors import (
    HyperparameterError,
    JournalError,
    OracleError,
    SearchMismatch,
    TooManyFailures,
)
from tunedeco.events import Created, Ended, Event, Extended, Proposed, Resumed, Started, Stopped
from tunedeco.executors.base import Executor, Interrupted, Slice
from tunedeco.files import clear_abandoned
from tunedeco.journal.journal import Journal
from tunedeco.journal.search_state import SearchState
from tunedeco.oracles import Done, Oracle, Start
from tunedeco.space import Hyperparameter, Space, flat, nested
from tunedeco.trial import State, Trial

MAX_REJECTIONS = 100
"""Rejected trials in a row that stop a search: they cost no epochs, so no budget would."""


@dataclass(frozen=True)
class Budgets:
    """What ends a search; the first one reached does. None means no limit."""

    epoch_budget: int | None
    """Epochs of all trials together."""
    max_epochs: int
    """Epochs of one trial."""
    max_trials: int | None
    max_consecutive_failures: int

    def epochs_left(self, state: SearchState) -> int | None:
        """Return how many epochs no trial has been promised yet; None without a limit."""
        if self.epoch_budget is None:
            return None
        running = (t for t in state.trials if t.state is State.RUNNING)
        promised = sum(t.until - len(t.epochs) for t in running)
        return self.epoch_budget - state.epochs - promised


def open_search(
    directory: Path,
    wanted: Created,
    *,
    overwrite: bool = False,
    extend: Callable[[SearchState], Extended] | None = None,
) -> tuple[Journal, SearchState]:
    """Open the journal of a search for writing, and fold it; a new directory gives an empty one.

    A search there that has trained nothing yet makes way; any other must be the same one.

    Args:
        directory: where the search lives.
        wanted: the search that is to be there.
        overwrite: move any other aside.
        extend: makes another with the same objective into this one.

    Raises:
        SearchMismatch: another search lives in the directory; shows the differences.
        JournalError: the journal cannot be read or written, or another process holds it.
    """
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(directory))
        journal.lock()
        for folder in (directory, directory / "checkpoints"):
            clear_abandoned(folder)
        state = journal.state()
        differences = compare(state.created, wanted) if state.created else []
        if not differences and not (overwrite and state.created):
            stack.pop_all()  # it stays open
            return journal, state
        if extend and state.created and state.created.objective == wanted.objective:
            _recorded(extend(state), journal, state)
            stack.pop_all()
            return journal, state
        if state.epochs and not overwrite:
            msg = "\n  ".join([f"{directory} holds another search:", *differences]) + (
                "\nrun it with its own settings to continue it, or choose another directory=, "
                "or pass overwrite=True to move it aside and begin anew"
            )
            if state.created and state.created.objective == wanted.objective:
                msg += (
                    ", or extend=True to go on with those of its trials that lie in the new space"
                )
            raise SearchMismatch(msg)
        move_aside(directory)  # under its lock, so that nobody writes it meanwhile
    return open_search(directory, wanted)


def _recorded(event: Event, journal: Journal, state: SearchState) -> None:
    """Write an event, then take it in; one that the journal could not go on from is not written.

    Raises:
        JournalError: it contradicts those before it, or cannot be written.
    """
    changes = state.changes(event)
    journal.append(event)
    state.take(changes)


def carried_over(state: SearchState, wanted: Created, model_fn: Callable[[], object]) -> Extended:
    """Return what makes a search into another, with those of its trials that lie in the new space.

    A trial does if the model function, given its values, asks for exactly these. Trials that failed
    or were rejected are not carried over: what has changed may have mended it.
    """
    space = wanted.space
    carried = []
    for trial in (state.outside.get(t.number, t) for t in state.trials):
        if trial.state in (State.FAILED, State.REJECTED):
            continue
        asked = tracing.asks_only_for(model_fn, trial.values)
        if asked is not None:
            carried.append(trial.number)
            space = space.extended(h for h in asked if h.key not in space.by_key)
    return Extended(
        wanted.space,
        tuple(space)[len(wanted.space) :],
        wanted.oracle,
        wanted.seed,
        tuple(carried),
        circumstances(),
    )


def move_aside(directory: Path) -> Path:
    """Rename a directory to the first free of ``<name>.1``, ``<name>.2`` and so on.

    Raises:
        JournalError: it cannot be renamed; it is as it was.
    """
    directory = directory.absolute()  # "." has no name of its own
    if Path.cwd().is_relative_to(directory.resolve()):  # it would take this process with it
        msg = f"cannot move {directory} aside: this program runs in it; run it from elsewhere"
        raise JournalError(msg)
    names = (directory.with_name(f"{directory.name}.{i}") for i in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    try:
        return directory.rename(aside)
    except OSError as error:
        msg = f"cannot move {directory} aside: {error.strerror or error}; choose another directory"
        raise JournalError(msg) from error


def compare(there: Created, here: Created) -> list[str]:
    """Return what makes two searches different ones, a line each."""
    lines = []
    old, new = there.objective, here.objective
    if old != new:
        lines.append(
            f"objective: {old.name} ({old.direction}) there, {new.name} ({new.direction}) here"
        )
    lines += [
        f"oracle {setting}: {there.oracle.get(setting)!r} there, {here.oracle.get(setting)!r} here"
        for setting in {**there.oracle, **here.oracle}
        if there.oracle.get(setting) != here.oracle.get(setting)
    ]
    if there.seed != here.seed:
        lines.append(f"seed: {there.seed} there, {here.seed} here")
    return lines + compare_spaces(there.space, here.space)


def compare_spaces(there: Space, here: Space) -> list[str]:
    """Return how two spaces differ, a line for each hyperparameter that does.

    What tracing has found out of conditions and order is not what was declared: where that differs,
    as it may under a debugger, the search goes on with what it knows.
    """
    lines = []
    for key in {**there.by_key, **here.by_key}:
        old, new = there.by_key.get(key), here.by_key.get(key)
        if old is None or new is None or replace(old, when=()) != replace(new, when=()):
            shown = _described(old, there), _described(new, here)
            lines.append(f"{'/'.join(key)}: {shown[0]} there, {shown[1]} here")
    return lines


def _described(hyperparameter: Hyperparameter | None, space: Space) -> str:
    if hyperparameter is None:
        return "nothing"
    text = f"{hyperparameter.domain} (default {hyperparameter.default!r})"
    when = conditions.describe(hyperparameter.when, space.domains)
    return f"{text}, when {when}" if when else text


class Search:
    """One search under way in this process.

    Args:
        journal: open and locked.
        state: what its events amount to.
        oracle: asked for every new trial.
        executor: trains them.
        budgets: what ends the search.
        observe: told of each event, after it is on disk and in the state.
    """

    def __init__(
        self,
        journal: Journal,
        state: SearchState,
        oracle: Oracle,
        executor: Executor,
        budgets: Budgets,
        observe: Callable[[Event], None],
    ) -> None:
        self._journal = journal
        self._state = state
        self._oracle = oracle
        self._executor = executor
        self._budgets = budgets
        self._observe = observe
        self._under_way: dict[int, int] = {}  # trials that the executor has, and up to which epoch
        self._seed = 0
        self._pinned: dict[Key, Value] = {}

    def run(
        self,
        wanted: Created,
        groups: Collection[str] | None = None,
        freeze: Mapping[str, Any] = MappingProxyType({}),
    ) -> bool:
        """Search until a budget ends it; return False if there was nothing to do.

        Args:
            wanted: what to create where the journal is empty.
            groups: those that are searched, the others held at the best known values; None: all.
            freeze: values to hold.

        Raises:
            ConfigurationError: there is no such group or value to hold.
            Interrupted: `Executor.interrupt` was called; all that was reported is on disk.
            TooManyFailures: one trial after another failed.
            OracleError: the oracle answered something outside the space.
        """
        state = self._state
        if state.created is None:
            self._record(wanted)
        self._seed = wanted.seed
        self._pinned = self._pins(groups, freeze)
        self._check_failures()
        interrupted = self._interrupted()
        if not interrupted and self._next() == state.stopped:
            return False
        for number in interrupted:  # before Started, which forgets why the search had stopped
            if state.trials[number].state is State.FAILED:
                self._record(Resumed(number, 0, 0))
        pinned = nested((h, self._pinned[h.key]) for h in state.space if h.key in self._pinned)
        self._record(Started(asdict(self._budgets), circumstances(), pinned))
        self._submit(interrupted)
        while self._under_way:
            try:
                self._executor.wait(self._record)
            except Interrupted:
                self._record(Stopped("interrupted"))
                raise
            self._check_failures()
            self._submit(interrupted)
        reason = self._next()
        assert isinstance(reason, str)
        self._record(Stopped(reason))
        return True

    def _submit(self, interrupted: list[int]) -> None:
        """Keep the executor busy: with interrupted trials first, then with new ones."""
        while len(self._under_way) < self._executor.capacity:
            if interrupted:
                waiting = self._state.trials[interrupted.pop(0)]
                trial = self._affordable(waiting)
                if len(trial.epochs) == trial.until < waiting.until:
                    continue  # it goes on when there is more budget
            else:
                decision = self._next()
                if isinstance(decision, str):
                    return
                self._record(decision)
                trial = self._state.trials[decision.trial]
            self._under_way[trial.number] = trial.until
            self._executor.submit(Slice(trial, self._seed))

    def _affordable(self, trial: Trial) -> Trial:
        """Return a trial that goes on, cut to what a budget leaves that is smaller by now."""
        state, budget = self._state, self._budgets.epoch_budget
        if budget is None:
            return trial
        under_way = self._under_way.items()
        promised = sum(until - len(state.trials[number].epochs) for number, until in under_way)
        left = budget - state.epochs - promised
        return replace(trial, until=min(trial.until, len(trial.epochs) + max(left, 0)))

    def _pins(self, groups: Collection[str] | None, freeze: Mapping[str, Any]) -> dict[Key, Value]:
        """Return what to hold; a run that goes on holds what the one before it held."""
        state = self._state
        scored = any(trial.loss is not None for trial in state.trials)
        fresh = narrowing.pins(state.space, groups, freeze, state.best.values if scored else {})
        before = flat(state.pinned)
        if state.stopped in (None, "interrupted") and before.keys() == fresh.keys():
            frozen = flat(state.space.checked(freeze))
            if all(before[key] == value for key, value in frozen.items()):
                return before
        return fresh

    def _interrupted(self) -> list[int]:
        """Return the trials to begin with: those without an end, and those that get a new one."""
        state = self._state
        numbers = [t.number for t in state.trials if t.state is State.RUNNING]
        if state.stopped == "failures":  # the user has seen to it: those trials get another chance
            left = self._budgets.epochs_left(state)
            failed = itertools.takewhile(lambda t: t.state is State.FAILED, reversed(state.trials))
            for trial in reversed(list(failed)):
                more = trial.until - len(trial.epochs)
                if left is None or more <= left:
                    left = None if left is None else left - more
                    numbers.append(trial.number)
        return sorted(numbers)

    def _next(self) -> Proposed | str:
        """Return the next trial, or the reason why there is none."""
        state, budgets = self._state, self._budgets
        left = budgets.epochs_left(state)
        if left is not None and left < 1:
            return "epoch_budget"
        trials = tuple(t for t in state.trials if t.state is not State.OUTSIDE)
        if budgets.max_trials is not None and len(trials) >= budgets.max_trials:
            return "max_trials"
        assert state.created is not None
        space = narrowing.pinned(state.space, self._pinned) if self._pinned else state.space
        decision = self._oracle.next(space, trials, state.created.seed)
        if isinstance(decision, Done):
            return "exhausted"
        oracle = type(self._oracle).__name__
        if not isinstance(decision, Start):
            msg = f"{oracle} must answer with Start(values) or Done(), and answered {decision!r}"
            raise OracleError(msg)
        until = budgets.max_epochs if decision.until is None else decision.until
        if type(until) is not int or until < 1:
            msg = f"{oracle} must give until= as a whole number of at least 1, and gave {until!r}"
            raise OracleError(msg)
        until = min(until, budgets.max_epochs, until if left is None else left)
        try:
            values = space.complete(decision.values)
        except (HyperparameterError, AttributeError) as error:
            msg = f"{oracle} proposed a trial outside the space: {error}"
            raise OracleError(msg) from error
        return Proposed(len(state.trials), values, until)

    def _record(self, event: Event) -> None:
        _recorded(event, self._journal, self._state)
        if isinstance(event, Ended):
            self._under_way.pop(event.trial, None)
        self._observe(event)

    def _check_failures(self) -> None:
        """Stop a search in which nothing works any more."""
        failures = self._state.failures
        if not failures:
            return
        state = failures[-1].state
        limit, reason = {
            State.FAILED: (self._budgets.max_consecutive_failures, "failures"),
            State.REJECTED: (MAX_REJECTIONS, "rejections"),
        }[state]
        if len(failures) >= limit:
            self._record(Stopped(reason))
            error: Mapping[str, str] = failures[-1].error or {}
            last = error.get("traceback") or error.get("message", "")
            msg = (
                f"{len(failures)} trials in a row were {state}, so the search stopped; run it "
                f"again to go on. The last one, trial {failures[-1].trial}:\n{last}"
            )
            raise TooManyFailures(msg)


def circumstances() -> dict[str, Any]:
    """Return when and where this process runs, and with which packages."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on, as far as installed."""
    found = {}
    for package in ("tunedeco", "keras", "tensorflow", "jax", "torch", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
