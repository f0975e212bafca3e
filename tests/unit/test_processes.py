"""Worker processes: what dies, hangs or is told to stop, and what becomes of the search."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from fakes import Curve, FakeExecutor, records

from tunedeco import Choice, Objective, Range, Tuner
from tunedeco.budgets import Budgets
from tunedeco.errors import ConfigurationError, ObjectiveError, TooManyFailures, WorkerError
from tunedeco.events import Created, Ended, Event, Lost, Proposed, Trained
from tunedeco.executors.base import Interrupted, Slice
from tunedeco.executors.processes import ProcessExecutor, with_keras
from tunedeco.journal.journal import Journal
from tunedeco.journal.search_state import SearchState
from tunedeco.opening import open_search
from tunedeco.oracles import Aging, Oracle, Random, Start, describe
from tunedeco.search import Search
from tunedeco.tracing import explore
from tunedeco.trial import State, Trial

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

# the workers cannot import this module: pytest has loaded it under a name of its own
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Slow(Curve):
    """A curve whose epochs take some time."""

    def train(self, epoch: int, noise: random.Random) -> dict[str, float]:
        time.sleep(0.02)
        return super().train(epoch, noise)


def slow_fn() -> Curve:
    return Slow(1.0, 0.9, parameters=Range("units", 1, 100))


def aborting_fn() -> Curve:
    if Choice("kind", ["well", "aborts"]) == "aborts" and "pytest" not in sys.modules:
        os.abort()
    return Curve(Range("units", 1, 5), 0.9)


def hanging_fn() -> Curve:
    units = Range("units", 1, 4)
    if units == 2 and "pytest" not in sys.modules:
        time.sleep(1000)
    return Curve(units, 0.9)


@pytest.fixture
def started() -> Iterator[Callable[..., ProcessExecutor]]:
    """Return what starts workers; none of them outlives the test."""
    executors = []

    def start(workers: int = 2, **options: Any) -> ProcessExecutor:
        executors.append(ProcessExecutor([dict(os.environ)] * workers, **options))
        return executors[-1]

    yield start
    for executor in executors:
        executor.close()


def pids(executor: ProcessExecutor) -> list[int]:
    return [worker.process.pid for worker in executor._workers]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def search(
    directory: Path,
    executor: ProcessExecutor | None,
    function: Callable[[], Curve],
    *,
    trials: int = 8,
    epochs: int = 5,
    oracle: Oracle | None = None,
    max_retries: int = 2,
    tell: Callable[[Event], None] = lambda _: None,
) -> SearchState:
    """Search with workers on a real journal; without them, in this process."""
    oracle = oracle or Random()
    wanted = Created("f", Objective("val_loss"), explore(function), describe(oracle), 0)
    budgets = Budgets(max_epochs=epochs, max_trials=trials, max_retries=max_retries)
    making = {"model_fn": function, "checkpoints": directory / "checkpoints"}
    if executor is not None:
        executor.furnish(make=FakeExecutor, **making)
    journal, state = open_search(directory, wanted)
    with journal:
        working = executor or FakeExecutor(**making)  # type: ignore[arg-type]
        Search(journal, state, oracle, working, budgets, tell).run(wanted)
    return state


def events(directory: Path) -> list[Event]:
    with Journal(directory) as journal:
        return list(journal.events())


def test_killed_workers_cost_nothing(tmp_path: Path, started: Any) -> None:
    """Workers killed at random instants: the same trials and epochs, none lost, none twice.

    They are those of a search in this process, one after the other.
    """
    whole = search(tmp_path / "whole", None, slow_fn, trials=20)
    executor = started()
    draw, kills, over = random.Random(0), [], threading.Event()

    def kill() -> None:
        while len(kills) < 6 and not over.wait(draw.uniform(0.02, 0.3)):
            if busy := [w for w in executor._workers if w.ready and w.busy]:
                draw.choice(busy).process.kill()
                kills.append(time.monotonic())

    killer = threading.Thread(target=kill)
    killer.start()
    killed = search(tmp_path / "killed", executor, slow_fn, trials=20, max_retries=6)
    over.set()
    killer.join()
    assert len(kills) == 6
    assert records(killed) == records(whole)
    told = events(tmp_path / "killed")
    assert 1 <= sum(isinstance(event, Lost) for event in told) <= 6
    assert {event.reason for event in told if isinstance(event, Lost)} == {"killed by SIGKILL"}
    trained = [
        (event.trial, epoch.epoch)
        for event in told
        if isinstance(event, Trained)
        for epoch in event.epochs
    ]
    assert sorted(trained) == [(n, epoch) for n in range(20) for epoch in range(1, 6)]


def test_a_model_that_kills_its_worker_fails_alone(tmp_path: Path, started: Any) -> None:
    """A trial whose worker dies each time fails after ``max_retries``, and the search goes on."""
    state = search(tmp_path, started(), aborting_fn, trials=6, max_retries=1, epochs=2)
    aborted = [t for t in state.trials if t.values["default"]["kind"] == "aborts"]
    assert 1 <= len(aborted) <= 5
    for trial in state.trials:
        assert trial.state is (State.FAILED if trial in aborted else State.COMPLETED)
    error = aborted[0].error
    assert error is not None
    assert error["type"] == "WorkerDied"
    assert error["message"].endswith("died 2 times, lastly: killed by SIGABRT")
    lost = [event for event in events(tmp_path) if isinstance(event, Lost)]
    assert len(lost) == 2 * len(aborted)


def test_failures_of_workers_stop_a_search_as_others_do(tmp_path: Path, started: Any) -> None:
    """Where every model kills its worker, the search stops and says so."""

    def function() -> Curve:
        Range("units", 1, 9)
        if "pytest" not in sys.modules:
            os.abort()
        return Curve(1.0, 0.9)

    with pytest.raises(TooManyFailures, match="killed by SIGABRT"):
        search(tmp_path, started(), function, max_retries=0)


def test_what_hangs_is_ended(tmp_path: Path, started: Any) -> None:
    """A slice that takes longer than ``trial_timeout`` fails its trial, and no other."""
    state = search(tmp_path, started(trial_timeout=1.0), hanging_fn, trials=4)
    hung = {t.values["default"]["units"]: t for t in state.trials}
    assert [hung[units].state for units in (1, 2, 3, 4)] == [
        *(State.COMPLETED, State.FAILED, State.COMPLETED, State.COMPLETED)
    ]
    assert hung[2].error is not None
    assert hung[2].error["type"] == "TrialTimeout"
    assert hung[2].error["message"] == "it took longer than the trial_timeout of 1 seconds"


def test_workers_that_cannot_start_stop_the_search(tmp_path: Path, started: Any) -> None:
    """Workers that die, or raise, before they can train are no endless loop."""
    executor = started()
    executor.furnish(make=os._exit, status=3)
    executor.submit(Slice(Trial(0, {}, 1), 0, 1))
    with pytest.raises(WorkerError, match=r"6 worker processes in a row .* exited with status 3"):
        executor.wait(lambda _: None)
    executor = started()
    executor.furnish(make=FakeExecutor, wrong=1)
    executor.submit(Slice(Trial(0, {}, 1), 0, 1))
    with pytest.raises(WorkerError, match=r"Traceback(?s:.*)unexpected keyword argument 'wrong'"):
        executor.wait(lambda _: None)


def test_an_error_of_the_search_is_raised(tmp_path: Path, started: Any) -> None:
    """What concerns the search and no trial reaches the user as the error that it is."""

    class Picky(FakeExecutor):
        def wait(self, emit: Any) -> None:
            msg = "no such log"
            raise ObjectiveError(msg)

    executor = started(1)
    executor.furnish(make=Picky, model_fn=slow_fn)
    executor.submit(Slice(Trial(0, {}, 1), 0, 1))
    with pytest.raises(ObjectiveError, match=r"^no such log$"):
        executor.wait(lambda _: None)


def test_nothing_survives(tmp_path: Path, started: Any) -> None:
    """When an executor is closed its workers are gone, and what they have started, too."""

    def parent() -> Curve:
        if "pytest" not in sys.modules:
            child = subprocess.Popen(["sleep", "1000"])
            (tmp_path / "child").write_text(str(child.pid))
        return slow_fn()

    executor = started()
    ended: list[int] = []

    def close(event: Event) -> None:
        if isinstance(event, Trained):
            ended.extend(pids(executor))
            executor.close()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, executor, parent, trials=1, tell=close)
    ended.append(int((tmp_path / "child").read_text()))
    assert len(ended) == 3
    assert not any(map(alive, ended))


PROGRAM = """
import os, sys, time
from pathlib import Path
import test_processes as tests
from tunedeco import Range
from tunedeco import signals
from tunedeco.executors.base import Interrupted
from tunedeco.executors.processes import ProcessExecutor


class Slow(tests.Curve):
    def train(self, epoch, noise):
        time.sleep(0.02)
        return super().train(epoch, noise)

def slow_fn():
    return Slow(1.0, 0.9, parameters=Range("units", 1, 100))

executor = ProcessExecutor([dict(os.environ)] * 2)
Path(sys.argv[1]).with_suffix(".pids").write_text(" ".join(map(str, tests.pids(executor))))
with signals.caught(executor.interrupt) as caught:
    try:
        tests.search(Path(sys.argv[1]), executor, slow_fn)
    except Interrupted:
        executor.close()
        caught.leave()
executor.close()
"""


def program(directory: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a program that searches with two workers; return it with their numbers."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    script = directory.with_suffix(".py")
    script.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, script, directory],
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    journal = directory / "journal.jsonl"
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b'"trained"') < 5:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    return process, list(map(int, directory.with_suffix(".pids").read_text().split()))


def test_workers_die_with_the_search(tmp_path: Path, started: Any) -> None:
    """When the search's process is killed, its workers end at once; run again, it goes on.

    It is a script whose function is defined in it, and that has no ``if __name__ == "__main__"``.
    """
    process, workers = program(tmp_path / "run")
    assert all(map(alive, workers))
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    whole = search(tmp_path / "whole", None, slow_fn)
    assert records(search(tmp_path / "run", started(), slow_fn)) == records(whole)


def test_interrupted(tmp_path: Path, started: Any) -> None:
    """Ctrl-C comes to the whole group: the workers stop at a safe point; run again, it goes on."""
    process, workers = program(tmp_path / "run")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == 130
    assert not any(map(alive, workers))
    told = events(tmp_path / "run")
    assert not any(isinstance(event, Lost) for event in told)
    assert told[-1].to_json()["reason"] == "interrupted"
    whole = search(tmp_path / "whole", None, slow_fn)
    assert records(search(tmp_path / "run", started(), slow_fn)) == records(whole)


def test_interrupted_before_anything_is_ready(started: Any) -> None:
    """Workers that have begun nothing need not be waited for."""
    executor = started()
    executor.submit(Slice(Trial(0, {}, 1), 0, 1))
    executor.interrupt()
    with pytest.raises(Interrupted):
        executor.wait(lambda _: None)


def test_furnished_twice_a_worker_trains_a_slice_once(tmp_path: Path, started: Any) -> None:
    """A worker that says twice that it is ready is given what it has to do once."""
    executor = started(1)
    for _ in range(2):
        executor.furnish(make=FakeExecutor, model_fn=slow_fn, checkpoints=tmp_path)
    ended: list[int] = []
    for number in range(2):
        executor.submit(Slice(Trial(number, {"default": {"units": 3}}, 2), 0, 2))
        for _ in range(20):  # more than there are events
            executor.wait(lambda e: ended.append(e.trial) if isinstance(e, Ended) else None)
    assert ended == [0, 1]


def test_the_journal_decides(tmp_path: Path, started: Any) -> None:
    """Folded one by one, the events of a parallel search give the proposals that it holds."""
    oracle = Aging()
    search(tmp_path, started(), slow_fn, trials=40, epochs=1, oracle=oracle)
    state = SearchState()
    proposals = 0
    out_of_order = False
    for event in events(tmp_path):
        if isinstance(event, Proposed):
            answer = oracle.next(state.space, tuple(state.trials), 0)
            assert isinstance(answer, Start)
            assert state.space.complete(answer.values) == event.values
            proposals += 1
        out_of_order |= isinstance(event, Ended) and event.trial < len(state.trials) - 1
        state.apply(event)
    assert proposals == 40
    assert out_of_order  # else it would prove no more than a search of one at a time


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, or None, not 0"),
        ({"workers": 1.5}, "workers must be"),
        ({"workers": True}, "workers must be"),
        ({"workers": 1, "gpus_per_trial": 1.5}, "gpus_per_trial must be a whole number, a fract"),
        ({"gpus_per_trial": 1}, "gpus_per_trial is for worker processes: give workers="),
        ({"trial_timeout": 60}, "trial_timeout is for worker processes: give workers="),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    """A wrong argument is an error that names it, and no process is started."""
    given = {"workers": None, "gpus_per_trial": None, "trial_timeout": None, **options}
    with pytest.raises(ConfigurationError, match=message):
        with_keras(**given)


def test_a_wrong_timeout() -> None:
    """A timeout that is no amount of time is an error, before Keras is loaded."""
    with pytest.raises(ConfigurationError, match="trial_timeout must be seconds, or text"):
        Tuner(slow_fn, "loss", max_trials=1).search([1], workers=1, trial_timeout="soon")
