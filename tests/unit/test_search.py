"""The loop: budgets, resuming, refusals and failures, on a real journal."""

import errno
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fakes import Curve, Run, plain_fn, records, run_search

from tunedeco import Choice, Float, Linear, Range
from tunedeco.errors import (
    JournalError,
    JournalLocked,
    OracleError,
    SearchMismatch,
    TooManyFailures,
)
from tunedeco.executors.base import Interrupted
from tunedeco.journal.journal import FILE_NAME, Journal, load
from tunedeco.oracles import Aging, Done, Grid, Oracle, Random, Start
from tunedeco.trial import State

ORACLES: list[Oracle] = [Grid(), Random(), Aging(3, 2)]
Search = Callable[[Path], Run]


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is written to the page cache: thousands of searches run here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize(("budget", "max_epochs"), [(1, 1), (1, 5), (7, 3), (30, 4), (50, 50)])
def test_the_epoch_budget_is_spent_exactly(
    tmp_path: Path, oracle: Oracle, budget: int, max_epochs: int
) -> None:
    """The epochs of all trials sum up to the budget, the last trial being shortened to fit."""
    run = run_search(tmp_path, plain_fn, oracle=oracle, epoch_budget=budget, max_epochs=max_epochs)
    lengths = [len(trial.epochs) for trial in run.state.trials]
    assert sum(lengths) == run.state.epochs == budget
    assert all(length == max_epochs for length in lengths[:-1])
    assert run.state.stopped == "epoch_budget"


@pytest.mark.parametrize("budget", range(1, 40, 3))
@pytest.mark.parametrize("capacity", [1, 3])
def test_the_epoch_budget_is_never_exceeded(tmp_path: Path, budget: int, capacity: int) -> None:
    """Trials that fail, diverge or stop early give back what they leave, and no more."""
    run = run_search(tmp_path, epoch_budget=budget, capacity=capacity)
    assert sum(len(trial.epochs) for trial in run.state.trials) == run.state.epochs == budget


def test_max_trials_is_reached_exactly(tmp_path: Path) -> None:
    """As many trials are run as `max_trials` says, and more when it says more."""
    assert len(run_search(tmp_path, max_trials=3).state.trials) == 3
    more = run_search(tmp_path, max_trials=5)
    assert more.executor.submitted == [3, 4]
    assert more.state.stopped == "max_trials"


def test_a_larger_budget_continues_to_the_same_search(tmp_path: Path) -> None:
    """Epochs asked for in two runs train the trials that one run would have, where they align."""
    run_search(tmp_path / "two", plain_fn, epoch_budget=6)
    two = run_search(tmp_path / "two", plain_fn, epoch_budget=15)
    one = run_search(tmp_path / "one", plain_fn, epoch_budget=15)
    assert two.executor.submitted == [2, 3, 4]
    assert records(two.state) == records(one.state)


def test_an_oracle_that_gives_fewer_epochs_is_heard(tmp_path: Path) -> None:
    """`Start(until=)` shortens a trial, and does not lengthen it beyond `max_epochs`."""

    @dataclass(frozen=True)
    class Impatient:
        def next(self, space: Any, trials: Any, seed: int) -> Start | Done:
            return Start({"units": len(trials) + 1}, until=(2, 9, None)[len(trials) % 3])

    run = run_search(tmp_path, plain_fn, oracle=Impatient(), max_trials=3, max_epochs=4)
    assert [len(trial.epochs) for trial in run.state.trials] == [2, 4, 4]


def test_the_whole_space_is_exhausted(tmp_path: Path) -> None:
    """A grid without budgets ends when every distinct configuration has had its trial."""
    run = run_search(tmp_path, oracle=Grid(), max_epochs=1)
    assert run.state.stopped == "exhausted"
    assert len({trial.key for trial in run.state.trials}) == len(run.state.trials)
    assert len(run.state.trials) == 20 + 3 * 20  # adam, and sgd with three momenta


def test_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    """A search run again after its end returns False and leaves every file as it is."""
    for oracle, options in (
        (Grid(), {}),
        (Random(), {"max_trials": 3}),
        (Aging(), {"epoch_budget": 7}),
    ):
        directory = tmp_path / type(oracle).__name__
        assert run_search(directory, oracle=oracle, **options).worked is True
        before = (directory / FILE_NAME).read_bytes()
        again = run_search(directory, oracle=oracle, **options)
        assert again.worked is False
        assert again.executor.submitted == []
        assert (directory / FILE_NAME).read_bytes() == before


def assert_resumes(
    directory: Path, search: Search, reference: Run, *, begin: int = 0, continues: bool = False
) -> None:
    """Check that a search cut after any event, or within one, ends as the reference did.

    Args:
        directory: where the reference ran.
        search: runs it again.
        reference: how it went.
        begin: the size of the journal before the reference.
        continues: whether its oracle continues what was completed.
    """
    journal = (directory / FILE_NAME).read_bytes()
    sizes = [begin, *reference.sizes]
    middles = [(size + after) // 2 for size, after in itertools.pairwise(sizes)]
    for cut in sorted({*sizes, *middles}):
        copy = directory.with_name(f"{directory.name}-{cut}")
        copy.mkdir()
        (copy / FILE_NAME).write_bytes(journal[:cut])
        known = Journal(copy).state()
        run = search(copy)
        assert records(run.state) == records(reference.state)
        assert str(run.error) == str(reference.error)
        if not begin:  # else those that had failed begin anew
            runs = [training for trial in known.trials for training in trial.runs]
            done = {(r.number, r.execution, e.epoch) for r in runs for e in r.epochs}
            assert not done & set(run.executor.trained_runs)
            going = (State.RUNNING, State.COMPLETED) if continues else (State.RUNNING,)
            over = {t.number for t in known.trials if t.state not in going}
            assert not over & set(run.executor.submitted)


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ORACLES)
def test_cut_after_any_event_a_search_ends_the_same(tmp_path: Path, oracle: Oracle) -> None:
    """Run again from any prefix of the journal, torn or not, all trials, values and logs are equal.

    No trial that had ended is begun again, and no epoch that was on disk is trained again.
    """

    def search(directory: Path) -> Run:
        options = {"epoch_budget": 12, "max_epochs": 2, "max_parameters": 24}
        return run_search(directory, oracle=oracle, seed=18, **options)

    reference = search(tmp_path / "whole")
    assert len({trial.state for trial in reference.state.trials}) >= 3
    assert_resumes(tmp_path / "whole", search, reference)


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("capacity", [1, 2])
def test_interrupted_anywhere_a_search_goes_on(tmp_path: Path, every: int, capacity: int) -> None:
    """Interrupted after any event, a search says so in its journal, and ends as it would have."""
    options: dict[str, Any] = {"epoch_budget": 8, "every": every, "capacity": capacity}
    oracle = Random()  # with several at once, what the others have reached is circumstance
    reference = run_search(tmp_path / "whole", oracle=oracle, **options)
    for number in range(1, len(reference.sizes)):
        directory = tmp_path / str(number)
        run = run_search(directory, oracle=oracle, interrupt_at=number, **options)
        if isinstance(run.error, Interrupted):
            assert run.state.stopped == "interrupted"
        again = run_search(directory, oracle=oracle, **options)
        assert records(again.state)["epochs"] == 8
        if capacity == 1:
            assert records(again.state) == records(reference.state)


def failing_fn() -> Curve:
    return Curve(1.0, 0.9, breaks=Range("breaks", 1, 9, default=2))


def test_cut_anywhere_failures_stop_a_search_at_the_same_trial(tmp_path: Path) -> None:
    """Failures in a row are counted over an interruption, as if there had been none."""

    def search(directory: Path) -> Run:
        return run_search(
            directory, failing_fn, epoch_budget=100, max_epochs=9, max_consecutive_failures=3
        )

    reference = search(tmp_path / "whole")
    assert isinstance(reference.error, TooManyFailures)
    size = reference.sizes.pop()  # with its last event, it would be another chance
    assert_resumes(tmp_path / "whole", search, reference)
    assert (tmp_path / "whole" / FILE_NAME).stat().st_size == size


def test_interrupted_anywhere_failures_stop_a_search_at_the_same_trial(tmp_path: Path) -> None:
    """To interrupt a search between two failures does not make it forget the first."""
    options: dict[str, Any] = {"epoch_budget": 100, "max_epochs": 9, "max_consecutive_failures": 3}
    reference = run_search(tmp_path / "whole", failing_fn, **options)
    assert isinstance(reference.error, TooManyFailures)
    for number in range(1, len(reference.sizes)):
        directory = tmp_path / str(number)
        run = run_search(directory, failing_fn, interrupt_at=number, **options)
        if isinstance(run.error, Interrupted):
            run = run_search(directory, failing_fn, **options)
        assert records(run.state) == records(reference.state)


def mended_fn() -> Curve:
    Range("breaks", 1, 9, default=2)
    return Curve(1.0, 0.9)


def test_failed_trials_get_another_chance(tmp_path: Path) -> None:
    """Five failures in a row stop a search; the next run begins with those five, then goes on."""
    stopped = run_search(tmp_path, failing_fn, oracle=Grid(), max_epochs=9, epoch_budget=90)
    assert isinstance(stopped.error, TooManyFailures)
    assert "5 trials in a row were failed" in str(stopped.error)
    assert "RuntimeError: broken in epoch 5" in str(stopped.error)
    assert stopped.state.stopped == "failures"
    assert [len(trial.epochs) for trial in stopped.state.trials] == [0, 1, 2, 3, 4]
    mended = run_search(tmp_path, mended_fn, oracle=Grid(), max_epochs=9, epoch_budget=90)
    assert mended.executor.submitted == list(range(9))
    assert {trial.state for trial in mended.state.trials} == {State.COMPLETED}
    assert mended.state.stopped == "exhausted"
    assert all(trial.error is None for trial in mended.state.trials)


def test_five_failures_again_stop_again(tmp_path: Path) -> None:
    """Another chance is not for ever: what is not mended stops the search as before."""
    first = run_search(tmp_path, failing_fn, max_epochs=9, epoch_budget=90)
    again = run_search(tmp_path, failing_fn, max_epochs=9, epoch_budget=90)
    assert isinstance(again.error, TooManyFailures)
    assert again.executor.submitted == first.executor.submitted == [0, 1, 2, 3, 4]
    assert records(again.state) == records(first.state)


def test_other_failures_before_are_left_alone(tmp_path: Path) -> None:
    """Only the failures in a row that stopped the search are tried again."""

    def mixed() -> Curve:
        number = Range("number", 1, 9)
        return Curve(1.0, 0.9, breaks=None if number == 2 else 1)

    def mended() -> Curve:
        Range("number", 1, 9)
        return Curve(1.0, 0.9)

    run_search(tmp_path, mixed, oracle=Grid(), max_consecutive_failures=2)
    run = run_search(tmp_path, mended, oracle=Grid(), max_consecutive_failures=2)
    assert run.executor.submitted == [2, 3, 4, 5, 6, 7, 8]
    assert run.state.trials[0].state is State.FAILED


def test_cut_anywhere_another_chance_is_the_same(tmp_path: Path) -> None:
    """A run that gives failed trials another chance can be cut after any event, as any other."""
    options: dict[str, Any] = {
        "epoch_budget": 20,
        "max_epochs": 9,
        "max_consecutive_failures": 3,
    }
    stopped = run_search(tmp_path / "whole", failing_fn, **options)
    assert stopped.state.stopped == "failures"

    def search(directory: Path) -> Run:
        return run_search(directory, mended_fn, **options)

    reference = search(tmp_path / "whole")
    assert reference.state.epochs == 20
    assert_resumes(tmp_path / "whole", search, reference, begin=stopped.sizes[-1])


@pytest.mark.parametrize("budget", range(5, 40, 5))
def test_another_chance_stays_within_the_budget(tmp_path: Path, budget: int) -> None:
    """What a failed trial would train beyond the budget, it does not."""
    run_search(tmp_path, failing_fn, max_epochs=9, epoch_budget=budget)
    run = run_search(tmp_path, mended_fn, max_epochs=9, epoch_budget=budget)
    assert run.state.epochs <= budget
    assert run.state.stopped in ("epoch_budget", "exhausted")


def test_a_hundred_rejections_stop_a_search(tmp_path: Path) -> None:
    """Trials that cost no epochs cannot go on for ever; a further run looks at a hundred more."""

    def large_fn() -> Curve:
        return Curve(1.0, 0.9, parameters=Range("units", 100, 999))

    run = run_search(tmp_path, large_fn, epoch_budget=10, max_parameters=99)
    assert isinstance(run.error, TooManyFailures)
    assert "100 trials in a row were rejected" in str(run.error)
    assert "parameters" in str(run.error)
    assert len(run.state.trials) == 100
    assert run.state.epochs == 0
    assert run.state.stopped == "rejections"
    assert (
        len(run_search(tmp_path, large_fn, epoch_budget=10, max_parameters=99).state.trials) == 200
    )


def test_a_success_between_failures_keeps_a_search_alive(tmp_path: Path) -> None:
    """Only failures in a row count; one trial that ends well, or diverges, begins a new count."""

    def flaky_fn() -> Curve:
        number = Range("number", 0, 29)
        breaks, diverges = (None, None, 1, 1, None, 1)[number % 6], (None, 1)[number % 6 == 1]
        return Curve(1.0, 0.9, breaks=breaks, diverges=diverges)

    run = run_search(tmp_path, flaky_fn, oracle=Grid(), max_consecutive_failures=3)
    assert run.state.stopped == "exhausted"
    assert len(run.state.trials) == 30


@dataclass(frozen=True)
class Says:
    """An oracle that answers what it was made with."""

    answer: Any

    def next(self, space: Any, trials: Any, seed: int) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, r"Says must answer with Start\(values\), .* and answered None"),
        ({"units": 3}, r"must answer with Start\(values\), .* and answered {'units': 3}"),
        (Start, "must answer with Start"),
        (Start(None), "Says proposed a trial outside the space"),  # type: ignore[arg-type]
        (Start([("units", 3)]), "Says proposed a trial outside the space"),  # type: ignore[arg-type]
        (Start({"unitz": 3}), "no hyperparameter 'unitz'; the space has: default/units"),  # type: ignore[dict-item]
        (Start({"default": {"units": 0}}), "default/units: 0 is not in 1 to 100"),
        (Start({"default": {"units": None}}), "default/units: None is not in 1 to 100"),
        (Start({}, until=0), "until= as a whole number of at least 1, and gave 0"),
        (Start({}, until=-3), "until= as a whole number of at least 1, and gave -3"),
        (Start({}, until=True), "until= as a whole number of at least 1, and gave True"),
        (Start({}, until=2.5), "until= as a whole number of at least 1, and gave 2.5"),  # type: ignore[arg-type]
    ],
)
def test_an_oracle_that_answers_nonsense_is_named(tmp_path: Path, answer: Any, says: str) -> None:
    """What is no decision, or lies outside the space, is an error before anything is trained."""
    run = run_search(tmp_path, plain_fn, oracle=Says(answer), max_trials=2)
    assert isinstance(run.error, OracleError)
    assert re.search(says, str(run.error))
    assert run.state.trials == []


def test_a_grid_over_a_continuous_space_is_refused(tmp_path: Path) -> None:
    """A grid says which hyperparameter it cannot list, and what to take instead."""

    def continuous_fn() -> Curve:
        return Curve(Float("start", 1, 2, group="a"), Float("rate", 0, 1, group="b"))

    run = run_search(tmp_path, continuous_fn, oracle=Grid())
    assert isinstance(run.error, OracleError)
    assert "a/start, b/rate is continuous: use Linear or Logarithmic" in str(run.error)


@pytest.mark.parametrize("budget", range(1, 9))
def test_a_smaller_budget_holds_for_what_was_begun(tmp_path: Path, budget: int) -> None:
    """With a smaller epoch_budget later, no trial that goes on exceeds it; a larger one ends it.

    What was cut off at the smaller budget is a shorter trial, what got nothing goes on.
    """
    first = run_search(tmp_path, plain_fn, epoch_budget=9, interrupt_at=9)
    spent = first.state.epochs
    assert first.state.trials[-1].state is State.RUNNING
    second = run_search(tmp_path, plain_fn, epoch_budget=budget)
    assert second.state.epochs == max(budget, spent)
    assert second.state.stopped == "epoch_budget"
    assert not run_search(tmp_path, plain_fn, epoch_budget=budget).executor.trained
    third = run_search(tmp_path, plain_fn, epoch_budget=12)
    assert third.state.epochs == 12
    assert all(trial.state is State.COMPLETED for trial in third.state.trials)


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    """Half-written files of dead processes are deleted by the next search, all others stay."""
    run_search(tmp_path, plain_fn, max_trials=1)
    dead = subprocess.Popen(["true"])
    dead.wait()
    abandoned = [f".journal.jsonl.{dead.pid}.tmp", f".best.json.{dead.pid}.tmp"]
    kept = [f".other.json.{os.getpid()}.tmp", ".mine.tmp", f"notes.{dead.pid}.tmp"]
    for name in (*abandoned, *kept):
        (tmp_path / name).touch()
    run_search(tmp_path, plain_fn, max_trials=2)
    there = {file.name for file in tmp_path.iterdir()}
    assert there.issuperset(kept)
    assert there.isdisjoint(abandoned)


def test_what_an_oracle_raises_passes_through(tmp_path: Path) -> None:
    """An error in a user's own oracle is the user's own, and the journal is still in order."""

    class Broken:
        def next(self, space: Any, trials: Any, seed: int) -> Any:
            if len(trials) == 2:
                raise ZeroDivisionError
            return Start({})

    with pytest.raises(ZeroDivisionError):
        run_search(tmp_path, plain_fn, oracle=Broken())
    assert [len(trial.epochs) for trial in load(tmp_path).trials] == [3, 3]


def changed_fn() -> Curve:
    Linear("rate", 0.5, 0.9, 5, group="training")
    Choice("optimizer", ["adam", "lion"], group="training")
    Range("layers", 1, 3)
    return Curve(1.0, 0.9)


def test_another_search_is_refused_line_by_line(tmp_path: Path) -> None:
    """A directory with another search is refused, with every difference and the ways out."""
    run_search(tmp_path, oracle=Aging(), max_trials=1)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(SearchMismatch) as raised:
        run_search(
            tmp_path, changed_fn, oracle=Aging(8), objective="accuracy", seed=1, max_trials=1
        )
    changed = "'adam', 'sgd' (default 'adam') there, 'adam', 'lion' (default 'adam')"
    when = "(default 0.0), when optimizer is 'sgd'"
    ways_out = (
        "run it with its own settings to continue it, or choose another directory=, "
        "or pass overwrite=True to move it aside and begin anew"
    )
    assert str(raised.value).splitlines() == [
        f"{tmp_path} holds another search:",
        "  objective: val_loss (min) there, accuracy (max) here",
        "  oracle population: 16 there, 8 here",
        "  seed: 0 there, 1 here",
        f"  training/optimizer: {changed} here",
        "  default/units: 8 to 32 step 8 (default 8) there, nothing here",
        f"  training/momentum: 0.0, 0.5, 0.9 {when} there, nothing here",
        "  default/layers: nothing there, 1 to 3 (default 1) here",
        ways_out,
    ]
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert run_search(tmp_path, oracle=Aging(), max_trials=2).executor.submitted == [1]


def test_what_tracing_finds_out_may_differ(tmp_path: Path) -> None:
    """Run again where tracing learns less, or asks in another order, a search is the same one."""
    reference = run_search(tmp_path / "whole", oracle=Grid())
    directory = tmp_path / "parted"
    run_search(directory, oracle=Grid(), max_trials=7)
    before = sys.gettrace()
    sys.settrace(lambda *_: None)  # as a debugger does
    try:
        run = run_search(directory, oracle=Grid())
    finally:
        sys.settrace(before)
    assert records(run.state) == records(reference.state)

    def forwards() -> Curve:
        return Curve(1.0, 1 / Range("a", 1, 2), parameters=Range("b", 1, 2))

    def backwards() -> Curve:
        parameters = Range("b", 1, 2)
        return Curve(1.0, 1 / Range("a", 1, 2), parameters=parameters)

    run_search(tmp_path / "ab", forwards, oracle=Grid(), max_trials=2)
    run = run_search(tmp_path / "ab", backwards, oracle=Grid())
    assert len({trial.key for trial in run.state.trials}) == len(run.state.trials) == 4


def test_budgets_are_not_what_makes_a_search(tmp_path: Path) -> None:
    """Budgets may change from run to run, and `val_loss` is one objective however it is written."""
    run_search(tmp_path, plain_fn, max_trials=1, max_epochs=2)
    run = run_search(tmp_path, plain_fn, epoch_budget=8, max_epochs=3)
    assert [len(trial.epochs) for trial in run.state.trials] == [2, 3, 3]


def test_overwrite_moves_the_old_search_aside(tmp_path: Path) -> None:
    """`overwrite=True` begins anew, and what was there lies whole beside it, numbered."""
    directory = tmp_path / "search"
    journals = []
    for seed in (1, 2, 3):
        run = run_search(directory, plain_fn, seed=seed, max_trials=2, overwrite=True)
        assert run.executor.submitted == [0, 1]
        journals.append((directory / FILE_NAME).read_bytes())
    assert (tmp_path / "search.1" / FILE_NAME).read_bytes() == journals[0]
    assert (tmp_path / "search.2" / FILE_NAME).read_bytes() == journals[1]
    assert load(tmp_path / "search.1").created.seed == 1  # type: ignore[union-attr]
    assert not (tmp_path / "search.3").exists()


def test_what_cannot_be_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its directory cannot be renamed, or is where the program runs, a search stays."""
    whole = run_search(tmp_path / "run", max_trials=1).state
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "run")
        with pytest.raises(JournalError, match="this program runs in it"):
            run_search(Path(), overwrite=True)
        patch.chdir(tmp_path)
        busy = OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        patch.setattr(Path, "rename", mock.Mock(side_effect=busy))
        with pytest.raises(JournalError, match="aside: Device or resource busy; choose"):
            run_search(tmp_path / "run", overwrite=True)
    assert records(load(tmp_path / "run")) == records(whole)


def test_a_search_that_trained_nothing_makes_way(tmp_path: Path) -> None:
    """A directory where no epoch was trained does not refuse another search."""
    directory = tmp_path / "search"
    run_search(directory, plain_fn, oracle=Says(None), max_trials=1)
    run = run_search(directory, plain_fn, oracle=Random(), max_trials=1)
    assert run.executor.submitted == [0]


def test_a_search_under_way_is_locked(tmp_path: Path) -> None:
    """Two runs in one directory cannot write at once; the second is told who does."""
    with Journal(tmp_path) as journal:
        journal.lock()
        with pytest.raises(JournalLocked, match="is being written by process"):
            run_search(tmp_path, plain_fn, max_trials=1)
    assert run_search(tmp_path, plain_fn, max_trials=1).worked


def test_an_event_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    """Whoever observes an event finds it in the file, read as another process would."""
    run = run_search(tmp_path / "search", plain_fn, max_trials=2)
    lines = (tmp_path / "search" / FILE_NAME).read_bytes().splitlines(keepends=True)
    sizes = list(itertools.accumulate(map(len, lines)))
    assert run.sizes == sizes[1:]  # the first line is the header


def test_circumstances_are_kept_apart(tmp_path: Path) -> None:
    """Two runs of the same search differ in what stands under `runtime`, and in nothing else."""
    runs = [run_search(tmp_path / name, epoch_budget=20) for name in ("one", "two")]
    assert records(runs[0].state) == records(runs[1].state)
    session = runs[0].state.sessions[0]
    assert {"time", "host", "pid", "versions"} <= set(session)


@pytest.mark.parametrize(
    "event",
    [
        {"event": "proposed", "trial": 7, "values": {}, "until": 3},
        {
            "event": "trained",
            "trial": 0,
            "epochs": [{"epoch": 9, "logs": {}, "runtime": {}}],
            "checkpoint": {"epoch": 9, "step": 0, "sha256": ""},
        },
        {"event": "ended", "trial": 0, "state": "completed", "error": None},
        {"event": "ended", "trial": 5, "state": "completed", "error": None},
        {"event": "resumed", "trial": 0, "epoch": 9, "step": 0},
        {"event": "resumed", "trial": -1, "epoch": 0, "step": 0},
    ],
)
def test_a_journal_that_contradicts_itself_is_refused(tmp_path: Path, event: Any) -> None:
    """An event that cannot follow the ones before it is an error that shows it."""
    run_search(tmp_path, plain_fn, max_trials=1)
    with Journal(tmp_path) as journal:
        journal._db.insert(event)
    with pytest.raises(JournalError, match="contradicts the events before it"):
        load(tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": "imagined"},
        {"event": "proposed", "trial": 1},
        {"event": "stopped", "reason": "x", "more": 1},
        {"event": "ended", "trial": 0, "state": "dreaming"},
        {"event": "built", "trial": 0, "met": 3},
    ],
)
def test_an_event_of_another_version_is_refused(tmp_path: Path, event: Any) -> None:
    """An event this version does not know is an error that says which, and what to do."""
    run_search(tmp_path, plain_fn, max_trials=1)
    with Journal(tmp_path) as journal:
        number = journal._db.insert(event)
    with pytest.raises(JournalError, match=f"event {number}: it is not one this version"):
        load(tmp_path)
