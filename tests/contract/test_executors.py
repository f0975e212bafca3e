"""The executor that the tests of the loop use is one: it satisfies the contract."""

import os
import sys
from typing import Any

import cloudpickle
import pytest
from fakes import Curve, FakeExecutor

from tunedeco.errors import JournalError
from tunedeco.events import Built, Ended, Trained
from tunedeco.executors.base import Emit, Slice
from tunedeco.executors.processes import ProcessExecutor
from tunedeco.testing import ExecutorContract, toy
from tunedeco.trial import Checkpoint, Epoch, State

# workers cannot import this module: pytest has loaded it under a name of its own
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def model_fn() -> Curve:
    return Curve(start=toy(), rate=0.8)


class TestOneAtATime(ExecutorContract):
    def executor(self) -> FakeExecutor:
        return FakeExecutor(model_fn)


class TestSeveralAtOnce(ExecutorContract):
    def executor(self) -> FakeExecutor:
        return FakeExecutor(model_fn, capacity=3)


class TestFewCheckpoints(ExecutorContract):
    def executor(self) -> FakeExecutor:
        return FakeExecutor(model_fn, every=3)


class TestInProcesses(ExecutorContract):
    """With a worker that holds such an executor."""

    def executor(self) -> ProcessExecutor:
        executor = ProcessExecutor([dict(os.environ)])
        executor.furnish(make=FakeExecutor, model_fn=model_fn)
        return executor


class Wrong(FakeExecutor):
    """Says what it likes."""

    def __init__(self, kind: str) -> None:
        super().__init__(model_fn)
        self._kind = kind
        self._before = 0

    def submit(self, work: Slice) -> None:
        super().submit(work)
        self._before += 1

    def wait(self, emit: Emit) -> None:
        def twisted(event: Any) -> None:
            match event:
                case Built() if self._kind == "values":
                    emit(Built(event.trial, {}, event.met, 1, "float32", None))
                case Built() if self._kind == "json":
                    emit(Built(event.trial, event.values, event.met, 1, "float32", (None, 2)))
                case Built() if self._kind == "met":
                    emit(Built(event.trial, event.values, (), 1, "float32", None))
                case Trained() if self._kind == "dependent":
                    logs = {"loss": float(self._before)}
                    epochs = tuple(Epoch(epoch.epoch, logs) for epoch in event.epochs)
                    emit(Trained(event.trial, epochs, event.checkpoint))
                case Trained() if self._kind == "checkpoint":
                    emit(Trained(event.trial, event.epochs, Checkpoint(0, 0, "")))
                case Ended() if self._kind == "error" and event.error:
                    emit(Ended(event.trial, State.FAILED, {"type": "Error", "message": ""}))
                case _:
                    emit(event)

        if self._kind != "silent":
            super().wait(twisted)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        ("silent", "test_events_come_in_order"),
        ("checkpoint", "test_events_come_in_order"),
        ("json", "test_events_survive_json"),
        ("values", "test_what_was_asked_is_reported"),
        ("met", "test_what_is_met_in_a_trial_is_drawn_and_reported"),
        ("error", "test_an_error_fails_its_trial_and_no_other"),
        ("dependent", "test_a_trial_does_not_depend_on_those_before_it"),
    ],
)
def test_the_contract_finds_an_executor_that_breaks_it(kind: str, test: str) -> None:
    """Each test of the contract fails for an executor that breaks what it is about."""

    class Contract(ExecutorContract):
        def executor(self) -> Wrong:
            return Wrong(kind)

    with pytest.raises((AssertionError, KeyError, JournalError)):
        getattr(Contract(), test)()
