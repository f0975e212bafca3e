"""A search's directory that somebody else has prepared: links and pipes where files should be."""

import os
from pathlib import Path

import pytest
from fakes import plain_fn, run_search

from tunedeco.errors import CheckpointError, JournalError
from tunedeco.executors import checkpoints
from tunedeco.files import replacing
from tunedeco.journal.compaction import compact
from tunedeco.journal.journal import FILE_NAME, load
from tunedeco.trial import Trial


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Return a file outside of the search, which is empty, so that a journal could begin there."""
    file = tmp_path / "precious"
    file.touch()
    return file


@pytest.mark.parametrize("name", [FILE_NAME, f"{FILE_NAME}.lock"])
def test_a_link_is_not_written_through(name: str, precious: Path, tmp_path: Path) -> None:
    """Whoever writes a journal does not follow a link to another file: it stays as it was."""
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / name).symlink_to(precious)
    with pytest.raises(JournalError, match="cannot write"):
        run_search(directory, plain_fn, max_trials=1)
    assert precious.read_bytes() == b""


def test_a_command_does_not_write_through_a_link(precious: Path, tmp_path: Path) -> None:
    """A link in the place of a lock ends `compact`, and not what it points to."""
    precious.write_text("mine")
    run_search(tmp_path / "run", plain_fn, max_trials=1)
    lock = tmp_path / "run" / f"{FILE_NAME}.lock"
    lock.unlink()
    lock.symlink_to(precious)
    with pytest.raises(JournalError, match="cannot write"):
        compact(tmp_path / "run")
    assert precious.read_text() == "mine"
    assert load(tmp_path / "run").epochs == 3


def test_a_temporary_name_is_not_written_through(precious: Path, tmp_path: Path) -> None:
    """A link under the name of a temporary file is replaced."""
    target = tmp_path / "file"
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(precious)
    with replacing(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), precious.read_bytes()) == (b"new", b"")


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_a_checkpoint_that_is_no_file(kind: str, tmp_path: Path) -> None:
    """A pipe or a device in the place of a checkpoint is not read: it may never end."""
    file = checkpoints.path(tmp_path, Trial(0, {}, 1), 1, 0)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    with pytest.raises(CheckpointError, match="not a file"):
        checkpoints.read(file, "0" * 64)
    assert checkpoints.problem(file, "0" * 64) == "not a file"
