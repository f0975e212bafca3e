"""The loop: ask the oracle, write it down, have it trained, write that down, until a budget ends.

It decides nothing that an oracle, the journal or an executor could decide, and it remembers nothing
that is not in the journal: interrupted anywhere, it is run again and goes on.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from tunedeco import narrowing
from tunedeco.budgets import Budgets
from tunedeco.circumstances import circumstances
from tunedeco.conditions import Key
from tunedeco.domains import Value
from tunedeco.enqueued import Waiting, waiting
from tunedeco.errors import HyperparameterError, OracleError, TooManyFailures
from tunedeco.events import (
    Continued,
    Created,
    Ended,
    Enqueued,
    Event,
    Lost,
    Proposed,
    Resumed,
    Started,
    Stopped,
    Trained,
)
from tunedeco.executors.base import Executor, Interrupted, Slice
from tunedeco.journal.journal import Journal
from tunedeco.journal.search_state import SearchState
from tunedeco.oracles import Continue, Decision, Done, Given, Oracle, Scheduler, Start, Wait
from tunedeco.space import Space, Values, flat, nested
from tunedeco.trial import UNFINISHED, State, Trial

MAX_REJECTIONS = 100
"""Rejected trials in a row that stop a search: they cost no epochs, so no budget would."""


Run = tuple[int, int]
"""One training: the number of a trial, and of its execution."""


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
        self._under_way: dict[Run, int] = {}  # what the executor has, and up to which epoch
        self._ending: str | None = None  # why the executor was told to stop, if a budget did
        self._began = time.monotonic()
        self._seed = 0
        self._pinned: dict[Key, Value] = {}

    def run(
        self,
        wanted: Created,
        groups: Collection[str] | None = None,
        freeze: Mapping[str, Any] = MappingProxyType({}),
        enqueue: Sequence[Enqueued] = (),
    ) -> bool:
        """Search until a budget ends it; return False if there was nothing to do.

        Args:
            wanted: what to create where the journal is empty.
            groups: those that are searched, the others held at the best known values; None: all.
            freeze: values to hold.
            enqueue: what is known, to be tried before the oracle is asked.

        Raises:
            ConfigurationError: there is no such group or value to hold.
            Interrupted: `Executor.interrupt` was called; all that was reported is on disk.
            TooManyFailures: one trial after another failed.
            OracleError: the oracle answered something that cannot be done.
        """
        state = self._state
        if state.created is None:
            self._record(wanted)
        for event in enqueue:
            self._record(event)
        self._seed = wanted.seed
        self._pinned = self._pins(groups, freeze)
        self._check_failures()
        goes_on = self._spent() in (None, "epoch_budget") and any(self._waiting())
        if state.stopped is not None and not goes_on and self._next() == state.stopped:
            return False
        for number, execution in self._unfinished():  # before Started, which forgets the reason
            if state.trials[number].runs[execution].state is State.FAILED:
                self._record(Resumed(number, 0, 0, execution))
        pinned = nested((h, self._pinned[h.key]) for h in state.space if h.key in self._pinned)
        self._record(Started(asdict(self._budgets), circumstances(), pinned))
        self._began = time.monotonic()
        with self._clock():
            self._train()
        for number, execution in self._unfinished():
            if state.trials[number].runs[execution].state is State.RUNNING:
                self._record(Ended(number, State.PAUSED, execution=execution))
        self._record(Stopped(self._ending or self._reason()))
        return True

    def _train(self) -> None:
        """Keep the executor busy until nothing is left to do, or a budget stops it."""
        self._submit()
        while self._under_way:
            try:
                self._executor.wait(self._record)
            except Interrupted:
                if self._ending is None:
                    self._record(Stopped("interrupted"))
                    raise
                return
            self._check_failures()
            if self._ending is None and self._budgets.reached(self._state):
                self._end("target")
            self._submit()

    @contextlib.contextmanager
    def _clock(self) -> Iterator[None]:
        """Stop the executor when the time is up."""
        left = self._budgets.seconds_left(self._state)
        timer = None if left is None else threading.Timer(left, self._end, ["time_budget"])
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    def _end(self, reason: str) -> None:
        self._ending = reason
        self._executor.interrupt()

    def _submit(self) -> None:
        """Keep the executor busy: with what was begun first, then with what the oracle says."""
        while self._ending is None and len(self._under_way) < self._executor.capacity:
            run = next(self._waiting(), None)
            if run is not None:
                self._give(run)
                continue
            decision = self._next()
            if decision is None or isinstance(decision, str):
                return
            self._record(decision)  # which is what waits now

    def _waiting(self) -> Iterator[Trial]:
        """Yield the trainings to go on with, as far as the budget lets them."""
        left = self._left()
        for number, execution in self._unfinished():
            run = self._state.trials[number].runs[execution]
            # without any budget, the executor can still say how one that was cut off has ended
            cut_off = run.state is State.RUNNING and run.epochs
            if (number, execution) not in self._under_way and (left != 0 or cut_off):
                yield run

    def _give(self, run: Trial) -> None:
        """Give a training to the executor."""
        number, execution = run.number, run.execution
        until = self._affordable(run)
        if run.state is State.PAUSED and run.parameters is None and not run.checkpoints:
            self._record(Resumed(number, 0, 0, execution))  # the executor takes it for a new one
        target = self._budgets.target
        trial = self._state.trials[number]
        objective = self._state.objective
        # one of several executions reaches no target: their mean does; nor does an epoch reach one
        # that is of the whole trial
        unreachable = trial.executions or objective.supplied
        loss = None if target is None or unreachable else objective.loss(target)
        self._under_way[number, execution] = until
        self._executor.submit(Slice(trial.runs[execution], self._seed, until, loss))

    def _left(self) -> int | None:
        """Return how many epochs the executor has not been given yet; None without a limit."""
        state, budget = self._state, self._budgets.epoch_budget
        if budget is None:
            return None
        taken = (
            until - len(state.trials[number].runs[execution].epochs)
            for (number, execution), until in self._under_way.items()
        )
        return max(budget - state.epochs - sum(taken), 0)

    def _affordable(self, run: Trial) -> int:
        """Return the epoch up to which the budget lets a training go on."""
        left = self._left()
        return run.until if left is None else min(run.until, len(run.epochs) + left)

    def _pins(self, groups: Collection[str] | None, freeze: Mapping[str, Any]) -> dict[Key, Value]:
        """Return what to hold; a run that goes on holds what the one before it held."""
        state = self._state
        scored = any(state.inside.ranked)
        fresh = narrowing.pins(state.space, groups, freeze, state.best.values if scored else {})
        before = flat(state.pinned)
        if state.stopped in (None, "interrupted") and before.keys() == fresh.keys():
            frozen = flat(state.space.checked(freeze))
            if all(before[key] == value for key, value in frozen.items()):
                return before
        return fresh

    def _unfinished(self) -> list[Run]:
        """Return the trainings to begin with: without an end, or with another chance."""
        state = self._state
        found = [(run.number, run.execution) for run in state.unfinished if run.state in UNFINISHED]
        if state.stopped == "failures":  # the user has seen to it: those trials get another chance
            left = self._budgets.epochs_left(state)
            failed = itertools.takewhile(lambda t: t.state is State.FAILED, reversed(state.trials))
            for trial in reversed(list(failed)):
                more = trial.epochs_left
                if left is None or more <= left:
                    left = None if left is None else left - more
                    found += [
                        (trial.number, run.execution)
                        for run in trial.runs
                        if run.state is not State.COMPLETED
                    ]
        return sorted(found)

    def _spent(self) -> str | None:
        """Return which budget lets nothing go on, begun or not; None if there is none."""
        if self._budgets.seconds_left(self._state) == 0:
            return "time_budget"
        if self._budgets.reached(self._state):
            return "target"
        return "epoch_budget" if self._left() == 0 else None

    def _reason(self) -> str:
        """Return why nothing more is done."""
        reason = self._next()
        if isinstance(reason, str):
            return reason
        msg = f"{type(self._oracle).__name__} waits for a running trial, and none is running"
        raise OracleError(msg)

    def _next(self) -> Proposed | Continued | str | None:
        """Return what to do next; the reason why there is nothing, or None to wait."""
        state, budgets = self._state, self._budgets
        left = budgets.epochs_left(state)
        if spent := self._spent() or ("epoch_budget" if left is not None and left < 1 else None):
            return spent
        trials = state.inside
        full = budgets.max_trials is not None and len(trials) >= budgets.max_trials
        known = None if full else self._known(trials)
        oracle = self._oracle if known is None else Given(known.whole or {}, self._oracle)
        decision = self._finish(trials) if full else oracle.next(*self._asked(trials))
        match decision:
            case Wait():
                return None
            case Done():
                return "max_trials" if full else "exhausted"
            case Continue():
                return self._continued(decision)
            case Start() if not full:
                if left is not None and left < budgets.min_epochs:
                    return "epoch_budget"
                return self._proposed(decision, None if known is None else known.values)
        msg = (
            f"{type(self._oracle).__name__} must answer with Start(values), Wait(), Done() or "
            f"Continue(trial, until), and answered {decision!r}"
        )
        raise OracleError(msg)

    def _asked(self, trials: Sequence[Trial]) -> tuple[Space, Sequence[Trial], int]:
        """Return what to ask an oracle with."""
        space = self._state.space
        return narrowing.pinned(space, self._pinned) if self._pinned else space, trials, self._seed

    def _known(self, trials: Sequence[Trial]) -> Waiting | None:
        """Return what is to be tried before the oracle is asked, if anything waits."""
        state = self._state
        queue = waiting(state.queue, state.space, self._pinned, trials)
        return next((w for w in queue if w.whole is not None and w.trial is None), None)

    def _finish(self, trials: Sequence[Trial]) -> Decision:
        """Return what the oracle wants where no more trials may be started."""
        return self._oracle.finish(trials) if isinstance(self._oracle, Scheduler) else Done()

    def _proposed(self, decision: Start, enqueued: Values | None = None) -> Proposed:
        until = self._epoch(decision.until)
        space, _, _ = self._asked(())
        try:
            values = space.complete(decision.values)
        except (HyperparameterError, AttributeError) as error:
            msg = f"{type(self._oracle).__name__} proposed a trial outside the space: {error}"
            raise OracleError(msg) from error
        number = len(self._state.trials)
        return Proposed(number, values, until, decision.bracket, decision.rung, enqueued)

    def _continued(self, decision: Continue) -> Continued:
        trials, number = self._state.trials, decision.trial
        oracle = type(self._oracle).__name__
        if type(number) is not int or not 0 <= number < len(trials):
            msg = f"{oracle} continues trial {number!r}, and there is no such trial"
            raise OracleError(msg)
        trial, until = trials[number], self._epoch(decision.until)
        if trial.state is not State.COMPLETED or trial.stopped_early or until <= trial.until:
            msg = (
                f"{oracle} continues trial {number} to epoch {until}, and it is {trial.state} "
                f"after {len(trial.epochs)} epochs of {trial.until}"
            )
            raise OracleError(msg)
        return Continued(number, until, decision.rung)

    def _epoch(self, until: int | None) -> int:
        """Return the epoch that an oracle names, at most the last one."""
        last = self._budgets.max_epochs
        if until is None:
            return last
        if type(until) is not int or until < 1:
            msg = (
                f"{type(self._oracle).__name__} must give until= as a whole number of at least 1, "
                f"and gave {until!r}"
            )
            raise OracleError(msg)
        return min(until, last)

    def _record(self, event: Event) -> None:
        if isinstance(event, (Trained, Ended, Stopped)):
            seconds = round(time.monotonic() - self._began, 3)
            event = replace(event, runtime={"elapsed": seconds})
        self._journal.record(event, self._state)
        if isinstance(event, (Ended, Lost)):
            self._under_way.pop((event.trial, event.execution), None)
        self._observe(event)
        if isinstance(event, Lost):
            self._retry(event)

    def _retry(self, event: Lost) -> None:
        """End a trial whose process died too often; otherwise it waits to go on."""
        run = self._state.trials[event.trial].runs[event.execution]
        times = run.runtime["lost"]
        if times <= self._budgets.max_retries:
            return
        message = f"the process that trained it died {times} times, lastly: {event.reason}"
        error = {"type": "WorkerDied", "message": message, "traceback": ""}
        self._record(Ended(event.trial, State.FAILED, error, event.execution))

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
