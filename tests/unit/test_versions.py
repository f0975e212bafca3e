"""Journals of every released version stay readable: `tests/data` has one of each."""

import json
import shutil
from pathlib import Path

import pytest

from tunedeco.cli import main
from tunedeco.events import Event
from tunedeco.journal import lines
from tunedeco.journal.journal import FILE_NAME, Journal

DATA = Path(__file__).parents[1] / "data"
KEPT = sorted(DATA.glob("journal-*"))


def test_there_is_one_of_this_version() -> None:
    """The version that is written now is among those kept, with every kind of event."""
    directory = DATA / f"journal-{lines.SCHEMA[1]}"
    with Journal(directory) as journal:
        assert {type(event) for event in journal.events()} == set(Event.__subclasses__())


@pytest.mark.parametrize("directory", KEPT, ids=lambda path: path.name)
def test_it_says_what_it_said(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal of an earlier version tells what it told then, compacted or not."""
    shutil.copy(directory / FILE_NAME, tmp_path / FILE_NAME)
    main(["doctor", str(tmp_path)])  # the weights are not kept, and it says so
    assert "is sound" in capsys.readouterr().out
    for command in ("trials", "status"):
        assert main([command, str(tmp_path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == json.loads(
            (directory / f"{command}.json").read_text("utf-8")
        )
    assert main(["compact", str(tmp_path)]) == 0
    main(["doctor", str(tmp_path)])
    assert "is sound" in capsys.readouterr().out


def test_a_newer_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal of a version that is not known says which, to every command; nothing is written."""
    line, _ = lines.encoded(0, ["tunedeco-journal", 2], 0)
    (tmp_path / FILE_NAME).write_bytes(line)
    for command in ("status", "trials", "best", "export", "doctor", "compact"):
        assert main([command, str(tmp_path)]) == 1
        assert "has version 2; use a newer tunedeco to read it" in capsys.readouterr().err
    assert (tmp_path / FILE_NAME).read_bytes() == line
