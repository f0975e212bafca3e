"""What a plug-in must satisfy: subclass a contract in your tests, and pytest runs it.

::

    from tunedeco.testing import OracleContract

    class TestMyOracle(OracleContract):
        def oracle(self):
            return MyOracle()

`OracleContract` is for oracles, `ExecutorContract` for executors. Nothing here needs pytest itself.
Failures tell more with ``pytest.register_assert_rewrite("tunedeco.testing",
"tunedeco.oracle_contract")`` in a ``conftest.py``.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tunedeco.events import Built, Created, Ended, Proposed, Resumed, Trained, event_from_json
from tunedeco.executors.base import Executor, Interrupted, Report, Slice
from tunedeco.hyperparameters import Boolean, Range
from tunedeco.journal.search_state import SearchState
from tunedeco.objective import Objective
from tunedeco.oracle_contract import OracleContract
from tunedeco.tracing import defaults, run
from tunedeco.trial import State, Trial

__all__ = ["ExecutorContract", "OracleContract", "ToyError", "toy"]


class ToyError(Exception):
    """What `toy` raises when its values say so."""


def toy() -> int:
    """Ask for what an `ExecutorContract` needs: a model function under it calls this first.

    Returns:
        A width from 1 to 8, for the model function to do with what it likes.

    Raises:
        ToyError: the trial's values ask for it.
    """
    width = Range("width", 1, 4, group="toy")
    if Boolean("deep", group="toy"):
        width += Range("depth", 1, 4, group="toy")
    if Boolean("broken", group="toy"):
        msg = "broken, as asked for"
        raise ToyError(msg)
    return width


class ExecutorContract:
    """What every executor owes; a subclass says which executor.

    Its model function calls `toy` and returns a model that trains, with ``"loss"`` among its logs;
    its objective is ``"loss"``. All executors of one test share what they keep on disk.
    """

    def executor(self) -> Executor:
        """Return a new executor, as a new process would make it."""
        raise NotImplementedError

    def test_events_come_in_order(self) -> None:
        """A trial is built, trained epoch by epoch up to its last, and ends."""
        bench = _Bench(self.executor, {"width": 2})
        first, *trained, last = bench.train(0)
        assert isinstance(first, Built)
        assert first.parameters >= 0
        assert all(isinstance(event, Trained) for event in trained)
        assert last == Ended(0, State.COMPLETED)
        trial = bench.state.trials[0]
        assert [epoch.epoch for epoch in trial.epochs] == [1, 2, 3, 4]
        assert (trial.checkpoints[-1].epoch, trial.checkpoints[-1].step) == (4, 0)
        assert all(type(epoch.logs["loss"]) is float for epoch in trial.epochs)

    def test_events_survive_json(self) -> None:
        """Every event is the same after it has been to the journal and back."""
        for event in _Bench(self.executor, {"deep": True}, {"broken": True}).train(0, 1):
            text = json.dumps(event.to_json(), allow_nan=False)
            assert repr(event_from_json(json.loads(text))) == repr(_placeless(event))

    def test_what_was_asked_is_reported(self) -> None:
        """The values of a trial are those its model function asked for, as it was told them."""
        bench = _Bench(self.executor, {"width": 3})
        built = bench.train(0)[0]
        assert isinstance(built, Built)
        assert built.values == {"toy": {"width": 3, "deep": False, "broken": False}}
        assert built.met == ()

    def test_what_is_met_in_a_trial_is_drawn_and_reported(self) -> None:
        """A hyperparameter that nobody gave a value is drawn, the same each time."""
        found = []
        for _ in range(2):
            built = _Bench(self.executor, {"width": 1, "deep": True}).train(0)[0]
            assert isinstance(built, Built)
            assert [h.label for h in built.met] == ["toy/depth"]
            assert built.met[0].domain.contains(built.values["toy"]["depth"])
            found.append(built.values)
        assert found[0] == found[1]

    def test_an_error_fails_its_trial_and_no_other(self) -> None:
        """What a model function raises ends its trial with the traceback; others train on."""
        bench = _Bench(self.executor, {"broken": True}, {"width": 2})
        bench.train(0, 1)
        failed, other = bench.state.trials
        assert (failed.state, failed.epochs) == (State.FAILED, ())
        assert failed.error is not None
        assert failed.error["type"] == "ToyError"
        assert failed.error["message"] == "broken, as asked for"
        assert "ToyError" in failed.error["traceback"]
        assert "in toy" in failed.error["traceback"]
        assert (other.state, len(other.epochs)) == (State.COMPLETED, 4)

    def test_a_trial_does_not_depend_on_those_before_it(self) -> None:
        """Trained after others, or alone in a new executor, a trial logs the same."""
        values: list[dict[str, Any]] = [{"width": 1}, {"deep": True}, {"broken": True}, {}]
        together, alone = (_Bench(self.executor, *values) for _ in range(2))
        together.train(0, 1, 2, 3)
        alone.train(3)
        assert _logs(together.state.trials[3]) == _logs(alone.state.trials[3])

    def test_interrupted_a_trial_goes_on(self) -> None:
        """Interrupted after its first report, a trial ends in a new executor as it would have."""
        whole, parted = (_Bench(self.executor, {"width": 3}) for _ in range(2))
        whole.train(0)
        parted.train(0, interrupt=True)
        events = parted.train(0) if parted.state.trials[0].state is State.RUNNING else []
        assert all(isinstance(event, Resumed) for event in events[:1])
        assert _logs(parted.state.trials[0]) == _logs(whole.state.trials[0])
        assert parted.state.trials[0].state is State.COMPLETED

    def test_killed_a_trial_goes_on(self) -> None:
        """Abandoned after any of its reports, a trial ends in a new executor as it would have."""
        whole = _Bench(self.executor, {"width": 3})
        reports = len(whole.train(0))
        for number in range(1, reports):
            killed = _Bench(self.executor, {"width": 3})
            killed.train(0, kill_after=number)
            first, second, *_ = killed.train(0)
            assert isinstance(first, Resumed), f"a trial begun before is resumed: {first}"
            if (first.epoch, first.step) == (0, 0):
                assert isinstance(second, Built), f"from its beginning, it is built anew: {second}"
            assert _logs(killed.state.trials[0]) == _logs(whole.state.trials[0])
            assert killed.state.trials[0].state is State.COMPLETED


class _Killed(BaseException):
    """Ends a bench in the middle of an event, as a crash would."""


class _Bench:
    """A search's part in a contract: gives trials to executors, and folds what they report."""

    def __init__(self, make: Callable[[], Executor], *values: dict[str, Any]) -> None:
        space = run(toy, defaults)[1].space
        self._make = make
        self.state = SearchState()
        self.state.apply(Created("toy", Objective("loss"), space, {}, 0))
        for number, given in enumerate(values):
            self.state.apply(Proposed(number, space.complete({"toy": given}), 4))

    def train(
        self, *numbers: int, interrupt: bool = False, kill_after: int | None = None
    ) -> list[Report]:
        """Train trials to their end in a new executor; return the events in order.

        Args:
            numbers: of the trials.
            interrupt: the executor at the first event that says something was trained.
            kill_after: so many events.
        """
        events: list[Report] = []
        executor = self._make()

        def emit(event: Report) -> None:
            self.state.apply(event)
            events.append(event)
            if interrupt and isinstance(event, Trained):
                executor.interrupt()
            if len(events) == kill_after:
                raise _Killed

        waiting = list(numbers)
        try:
            while waiting or self._under_way(numbers):
                while waiting and self._under_way(numbers, waiting) < executor.capacity:
                    trial = self.state.trials[waiting.pop(0)]
                    executor.submit(Slice(trial, 0, trial.until))
                before = len(events)
                executor.wait(emit)
                assert len(events) > before, "wait() emits at least one event"
        except (Interrupted, _Killed):
            pass
        finally:
            executor.close()
        return events

    def _under_way(self, numbers: tuple[int, ...], waiting: list[int] | None = None) -> int:
        begun = (self.state.trials[n] for n in numbers if n not in (waiting or ()))
        return sum(trial.state is State.RUNNING for trial in begun)


def _logs(trial: Trial) -> list[dict[str, float]]:
    return [dict(epoch.logs) for epoch in trial.epochs]


def _placeless(event: Report) -> Report:
    """Return an event without the places in the source, which the journal does not keep."""
    if isinstance(event, Built):
        return replace(event, met=tuple(replace(h, place="") for h in event.met))
    return event
