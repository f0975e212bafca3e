"""Checkpoint files: written where a search lives, and read in no more memory than they have."""

import hashlib
import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tunedeco.errors import CheckpointError
from tunedeco.executors import checkpoints
from tunedeco.trial import Checkpoint, Trial


def test_a_directory_that_was_moved_is_not_made_anew(tmp_path: Path) -> None:
    """A checkpoint of a search whose directory is gone is refused; nothing is left in its place."""
    file = checkpoints.path(tmp_path / "run" / "checkpoints", Trial(0, {}, 1), 1, 0)
    with pytest.raises(CheckpointError, match="run was moved or deleted while"):
        checkpoints.write(file, {"a": np.zeros(2)}, {})
    assert list(tmp_path.iterdir()) == []


def test_entries_that_overlap(tmp_path: Path) -> None:
    """An archive whose entries share their bytes is refused, before they are read."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, archive.open("meta.json.npy", "w") as entry:
        np.save(entry, np.frombuffer(b"{}" + b" " * 2000, np.uint8))
    data = content.getvalue()
    (at,) = struct.unpack("<I", data[-6:-2])
    directory = data[at:-22] * 100  # a hundred entries, and one content
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 100, 100, len(directory), at, 0)
    file = checkpoints.path(tmp_path, Trial(0, {}, 1), 1, 0)
    file.write_bytes(data[:at] + directory + end)
    with pytest.raises(CheckpointError, match="overlap"):
        checkpoints.read(file, hashlib.sha256(file.read_bytes()).hexdigest())


def test_the_best_without_weights(tmp_path: Path) -> None:
    """Where the best trial's weights are gone, the error names the trials whose are there."""

    def trial(number: int, *epochs: int) -> Trial:
        there = tuple(Checkpoint(epoch, 0, f"{epoch}") for epoch in epochs)
        return Trial(number, {}, 9, checkpoints=there)

    trials = [trial(3, 1, 2), trial(1), trial(2, 4), trial(0, 1)]
    for number, epoch in ((3, 1), (2, 4)):
        checkpoints.path(tmp_path, Trial(number, {}, 1), epoch, 0).touch()
    with pytest.raises(CheckpointError, match=r"There are weights of trial 2$") as error:
        checkpoints.of_first(tmp_path, trials)
    assert "00003-00002-0000000.npz is missing" in str(error.value)
    with pytest.raises(CheckpointError, match="of trial 1 are not on disk:"):
        checkpoints.of_first(tmp_path, trials[1:])
    found = checkpoints.of_first(tmp_path, trials[2:])
    assert found == (checkpoints.path(tmp_path, Trial(2, {}, 1), 4, 0), "4")


def test_what_a_worker_has_just_written_stays(tmp_path: Path) -> None:
    """What is newer than the latest checkpoint that is known of a training stays, while it goes on.

    A worker writes it before it reports it; another's report may come first.
    """
    run = Trial(1, {}, 9, checkpoints=(Checkpoint(2, 0, ""), Checkpoint(3, 0, "")))
    other = Trial(1, {}, 9, execution=2)
    keep = {checkpoints.place(tmp_path, run, c) for c in run.checkpoints}
    newer = [
        checkpoints.path(tmp_path, run, 3, 5),
        checkpoints.path(tmp_path, other, 1, 0),
        tmp_path / ".00001-00004-0000000.npz.77.tmp",
    ]
    older = [
        checkpoints.path(tmp_path, run, 1, 0),
        checkpoints.path(tmp_path, replace(run, number=2), 4, 0),
        tmp_path / ".00001-00001-0000000.npz.77.tmp",
        tmp_path / ".00003-00001-0000000.npz.77.tmp",
    ]
    for file in (*keep, *newer, *older):
        file.touch()
    checkpoints.prune(tmp_path, keep, [run, other])
    assert set(tmp_path.iterdir()) == {*keep, *newer}
    checkpoints.prune(tmp_path, keep)
    assert set(tmp_path.iterdir()) == keep
