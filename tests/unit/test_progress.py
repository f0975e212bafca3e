"""Progress: what is shown of a search never decides what becomes of it."""

import errno
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import plain_fn, run_search

from tunedeco.events import Built, Ended, Lost, Trained
from tunedeco.journal.journal import Journal, load
from tunedeco.journal.search_state import SearchState
from tunedeco.report import tables
from tunedeco.report.progress import Progress


class Gone:
    """A stream whose reader, or terminal, is gone after so many writes."""

    encoding = "utf-8"

    def __init__(self, error: int, terminal: bool, writes: int) -> None:
        self.error, self.terminal, self.left = error, terminal, writes

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.error, os.strerror(self.error))
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "terminal", "writes"), [(errno.EPIPE, False, 0), (errno.EIO, True, 9)]
)
def test_nobody_is_left_to_see_it(
    error: int, terminal: bool, writes: int, tmp_path: Path, monkeypatch: Any
) -> None:
    """A closed pipe or a lost terminal raises nothing, whatever happens in the search."""
    run_search(tmp_path, max_trials=4)
    monkeypatch.setattr("sys.stderr", Gone(error, terminal, writes))
    progress = Progress(load(tmp_path), 12, verbose=1)
    with Journal(tmp_path) as journal:
        events = list(journal.events())
    for event in events:
        progress.update(event)
    progress.close()
    assert {Built, Trained, Ended} <= {type(event) for event in events}


def test_what_is_left_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After each trial a line says how many epochs the budgets leave, and about how long that is.

    So does `status`, also of a search that runs: as fast as it was so far.
    """
    run_search(tmp_path, plain_fn, epoch_budget=12)
    with Journal(tmp_path) as journal:
        events = list(journal.events())
    state = SearchState()
    progress = Progress(state, 12, verbose=1)
    for event in events:
        if isinstance(event, (Trained, Ended)):
            event = replace(event, runtime={"elapsed": 60.0})  # noqa: PLW2901 (of a slow machine)
        state.apply(event)
        progress.update(event)
        if isinstance(event, Ended) and event.trial == 0:
            status = tables.status(state)
            assert status["epochs_left"] == 9
            assert status["runtime"]["seconds_left"] == 180.0  # three epochs took a minute
            assert tables.status_line(state).endswith("; about 3m left")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("; 9 epochs, about 3m left")
    assert lines[3].endswith("; 0 epochs, about 0s left")


def test_the_shorter_of_two_budgets_counts(tmp_path: Path) -> None:
    """With several budgets, what is left is what the first of them leaves."""
    run = run_search(tmp_path, plain_fn, epoch_budget=9, max_trials=5, time_budget=3600.0)
    state = run.state
    state.elapsed = 3590.0
    assert (tables.epochs_left(state), tables.seconds_left(state)) == (0, 0.0)
    state.budgets = {**state.budgets, "epoch_budget": 100}
    assert (tables.epochs_left(state), tables.seconds_left(state)) == (6, 10.0)


def test_trials_at_once(tmp_path: Path, monkeypatch: Any) -> None:
    """Trials that are under way together have a bar each, and lose it when they end."""
    run_search(tmp_path, max_trials=5, capacity=3)
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", screen)
    state = SearchState()
    progress = Progress(state, 15, verbose=1)
    most = 0
    with Journal(tmp_path) as journal:
        for event in journal.events():
            state.apply(event)
            progress.update(event)
            most = max(most, len(progress._trials))
            if isinstance(event, Built) and event.trial == 1:
                lost = Lost(1, 0, "killed by SIGKILL")
                state.apply(lost)
                progress.update(lost)
                assert (1, 0) not in progress._trials
                progress.update(event)  # built anew
    assert most == 3
    assert not progress._trials
    progress.close()
    assert all(f"trial {number}:" in screen.getvalue() for number in range(5))
