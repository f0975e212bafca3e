"""`tunedeco compact`: fewer events, the same search."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Run, plain_fn, records, run_search, without_runtime

from tunedeco.cli import main
from tunedeco.errors import JournalLocked
from tunedeco.events import Trained
from tunedeco.journal.compaction import compact
from tunedeco.journal.journal import FILE_NAME, Journal, load
from tunedeco.journal.storage import JournalDB
from tunedeco.oracles import Aging, Grid, Oracle, Random

ORACLES: list[Oracle] = [Grid(), Random(), Aging(3, 2)]


def shown(directory: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Return all that the commands print of a search, without circumstances."""
    printed = []
    for command in ("status", "trials", "best"):
        main([command, str(directory)])
        main([command, str(directory), "--json"])
        text, _, data = capsys.readouterr().out.partition("\n{" if command != "trials" else "\n[")
        printed += [text, without_runtime(json.loads(("[" if command == "trials" else "{") + data))]
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ORACLES)
def test_cut_after_any_event_and_compacted(tmp_path: Path, oracle: Oracle) -> None:
    """From any prefix of a journal, compacted, a search ends with the same trials."""

    def search(directory: Path) -> Run:
        options = {"epoch_budget": 12, "max_epochs": 2, "max_parameters": 24}
        return run_search(directory, oracle=oracle, seed=14, **options)

    reference = search(tmp_path / "whole")
    journal = (tmp_path / "whole" / FILE_NAME).read_bytes()
    for size in reference.sizes:
        directory = tmp_path / str(size)
        directory.mkdir()
        (directory / FILE_NAME).write_bytes(journal[:size])
        before = records(load(directory))
        compact(directory)
        assert records(load(directory)) == before
        assert records(search(directory).state) == records(reference.state)


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2])
def test_after_interruptions_and_failures(
    tmp_path: Path, every: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was interrupted, failed, was tried again or set aside is told as before."""
    options: dict[str, Any] = {"max_epochs": 3, "max_consecutive_failures": 1, "every": every}
    options["with_checkpoints"] = True
    for number in range(1, 40):
        run_search(tmp_path, epoch_budget=10, interrupt_at=number % 7 + 2, **options)
    run_search(tmp_path, seed=1, epoch_budget=14, extend=True, **options)
    before = shown(tmp_path, capsys)
    done = compact(tmp_path)
    assert shown(tmp_path, capsys) == before
    assert done.dropped > 10
    assert done.bytes_after < done.bytes_before
    assert compact(tmp_path).dropped == 0
    run_search(tmp_path, seed=1, epoch_budget=20, **options)
    assert main(["doctor", str(tmp_path)]) == 0


def test_each_trial_is_one_event(tmp_path: Path) -> None:
    """The slices of a trial that has ended are one event, with all its epochs."""
    run_search(tmp_path, plain_fn, max_trials=3, max_epochs=5)
    with Journal(tmp_path) as journal:
        assert sum(isinstance(event, Trained) for event in journal.events()) == 15
    compact(tmp_path)
    with Journal(tmp_path) as journal:
        slices = [event for event in journal.events() if isinstance(event, Trained)]
    assert [len(event.epochs) for event in slices] == [5, 5, 5]


def test_other_tables_are_kept(tmp_path: Path) -> None:
    """What its owner has put into other tables of the database stays, under the same ids."""
    run_search(tmp_path, plain_fn, max_trials=2)
    with JournalDB(tmp_path / FILE_NAME) as db:
        db.table("notes").insert_multiple([{"a": 1}, {"b": [2]}])
    compact(tmp_path)
    with JournalDB(tmp_path / FILE_NAME) as db:
        assert {document.doc_id: document for document in db.table("notes")} == {
            1: {"a": 1},
            2: {"b": [2]},
        }


def test_a_reader_goes_on(tmp_path: Path) -> None:
    """A program that had the journal open reads the compacted one."""
    run_search(tmp_path, plain_fn, max_trials=2)
    with Journal(tmp_path) as reader:
        before = records(reader.state())
        compact(tmp_path)
        assert records(reader.state()) == before


def test_a_running_search_is_not_compacted(tmp_path: Path) -> None:
    """While a search writes, its journal is not compacted."""
    run_search(tmp_path, plain_fn, max_trials=2)
    content = (tmp_path / FILE_NAME).read_bytes()
    with Journal(tmp_path) as journal:
        journal.lock()
        with pytest.raises(JournalLocked):
            compact(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`compact` says what it gained, as text and as JSON."""
    for number in itertools.count():
        run_search(tmp_path, plain_fn, max_trials=number + 1)
        if number == 2:
            break
    assert main(["compact", str(tmp_path)]) == 0
    assert " events became " in capsys.readouterr().out
    assert main(["compact", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"] == 0
