"""Wherever the disk fails, a search stops with an error that says so, and goes on when it can."""

import errno
import os
import resource
from pathlib import Path

import pytest
from fakes import Run, records, run_search
from faults import Faults

from tunedeco import exporting
from tunedeco.errors import (
    CheckpointError,
    ExportError,
    JournalError,
    SearchNotFound,
    TunedecoError,
)
from tunedeco.journal.journal import FILE_NAME
from tunedeco.oracles import Aging

pytestmark = pytest.mark.slow


def search(directory: Path) -> Run:
    return run_search(
        directory, oracle=Aging(2, 1), max_trials=2, max_epochs=2, with_checkpoints=True
    )


@pytest.mark.parametrize(("error", "for_good"), [(errno.ENOSPC, True), (errno.EIO, False)])
def test_a_failure_at_every_write(tmp_path: Path, error: int, for_good: bool) -> None:
    """Where a write fails, or all do from there on, nothing is believed that is not whole.

    Every call of a search that makes, writes, flushes, cuts or renames a file has its turn. When
    the disk works again, the search ends with the same trials as one that never failed.
    """
    with Faults().installed() as whole:
        reference = records(search(tmp_path / "whole").state)
    assert len(whole.counts) == 6
    for at in range(1, whole.counts.total() + 1):
        directory = tmp_path / str(at)
        with Faults(at, error, for_good=for_good).installed() as faults:
            try:
                raised: BaseException | None = search(directory).error
            except TunedecoError as early:
                raised = early
        assert faults.struck
        if raised is not None:  # that a folder cannot be made is no matter where it is there
            assert isinstance(raised, (JournalError, CheckpointError, SearchNotFound))
            assert os.strerror(error) in str(raised) or isinstance(raised, SearchNotFound)
        again = search(directory)
        assert again.error is None
        assert records(again.state) == reference


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """With the system's own limit on the size of files, the same holds at every size."""
    reference = records(search(tmp_path / "whole").state)
    size = (tmp_path / "whole" / FILE_NAME).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(0, size, 97):
        directory = tmp_path / str(limit)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            error: BaseException | None = search(directory).error
        except TunedecoError as early:
            error = early
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert isinstance(error, (JournalError, CheckpointError, SearchNotFound))
        again = search(directory)
        assert again.error is None
        assert records(again.state) == reference


def test_an_export_without_room(tmp_path: Path) -> None:
    """An export that fails anywhere leaves the earlier one as it was, and nothing beside it."""
    path = tmp_path / "best.json"
    exporting.write(path, {"old": 1})
    with Faults().installed() as whole:
        exporting.write(path, {"old": 1})
    for at in range(1, whole.counts.total()):  # the last one flushes a directory: it is written
        with Faults(at, errno.ENOSPC).installed(), pytest.raises(ExportError, match="No space"):
            exporting.write(path, {"new": 2})
        assert path.read_text() == '{\n  "old": 1\n}\n'
        assert list(tmp_path.iterdir()) == [path]
