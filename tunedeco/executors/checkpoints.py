"""Checkpoint files: arrays and a little JSON in one file that is whole or not there.

A file is an uncompressed ``.npz`` that NumPy reads without pickle. It is written under a temporary
name, flushed, and renamed; its SHA-256 goes into the journal, and a file that does not have it is
not used.
"""

import errno
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tunedeco.errors import CheckpointError
from tunedeco.files import replacing
from tunedeco.trial import Checkpoint, Trial

Arrays = Mapping[str, npt.NDArray[Any]]

_META = "meta.json"
_NAME = re.compile(r"\.?(\d{5,}(?:\.\d+)?)-(\d{5,})-(\d{7,})\.npz(?:\.\d+\.tmp)?\Z")


def path(directory: Path, run: Trial, epoch: int, step: int) -> Path:
    """Return the file of the checkpoint of a training after so many epochs and steps."""
    return directory / f"{_run_name(run)}-{epoch:05}-{step:07}.npz"


def _run_name(run: Trial) -> str:
    execution = f".{run.execution}" if run.execution else ""
    return f"{run.number:05}{execution}"


def place(directory: Path, run: Trial, checkpoint: Checkpoint) -> Path:
    """Return the file of one of a training's checkpoints."""
    return path(directory, run, checkpoint.epoch, checkpoint.step)


def write(file: Path, arrays: Arrays, meta: Mapping[str, Any]) -> str:
    """Write a checkpoint atomically; return its SHA-256. When this returns it is on disk.

    Args:
        file: where; an earlier file of that name is replaced.
        arrays: by name.
        meta: whatever else, as JSON.

    Raises:
        CheckpointError: it cannot be written; an earlier file of that name is untouched.
    """
    text = np.frombuffer(json.dumps(meta, allow_nan=False).encode(), np.uint8)
    try:
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as handle:
            np.savez(handle, allow_pickle=False, **{_META: text, **arrays})
            handle.flush()
            handle.seek(0)
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError as error:
        msg = (
            f"cannot write {file}: {file.parent.parent} was moved or deleted while the search ran; "
            "put it back, or run the search again to begin anew"
        )
        raise CheckpointError(msg) from error
    except OSError as error:
        msg = f"cannot write {file} ({error}); make room, or choose another directory"
        raise CheckpointError(msg) from error
    return digest


def read(file: Path, digest: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint: its arrays and its JSON.

    The file may be anybody's: nothing in it is run, and no more memory is taken than it has bytes.

    Raises:
        CheckpointError: it is not there, or not what was written.
    """
    try:
        with _opened(file) as handle:
            whole = hashlib.file_digest(handle, "sha256").hexdigest() == digest
            arrays = _arrays(handle) if whole else {}
        meta = dict(json.loads(arrays.pop(_META).tobytes())) if whole else {}
    except Exception as error:  # a file that is anybody's can be wrong in any way
        msg = f"cannot read {file}: {type(error).__name__}: {error}"
        raise CheckpointError(msg) from error
    if not whole:
        msg = f"{file} is damaged: it is not what the journal says was written"
        raise CheckpointError(msg)
    return arrays, meta


def of_first(directory: Path, trials: Sequence[Trial]) -> tuple[Path, str]:
    """Return the latest checkpoint of the first of some trials, and its SHA-256.

    Raises:
        CheckpointError: it is not there; says of which of the others there is one.
    """
    runs = {trial.number: best_run(trial) for trial in trials}
    files = {
        number: place(directory, run, latest)
        for number, run in runs.items()
        for latest in run.checkpoints[-1:]
    }
    first = trials[0]
    file = files.get(first.number)
    if file is not None and file.exists():
        return file, runs[first.number].checkpoints[-1].sha256
    there = [f"trial {number}" for number, other in files.items() if other.exists()]
    msg = (
        f"the weights of trial {first.number} are not on disk"
        + (f" ({file} is missing)" if file else "")
        + ": its checkpoint was deleted, by hand or because better trials, which `extend=True` may "
        "have set aside since, were the ones to keep (`keep=`). Train it again: "
        f"`model_fn.build(tuner.trials[{first.number}].values)` is its model. There are weights of "
        + (", ".join(there) or "no other trial")
    )
    raise CheckpointError(msg)


def best_run(trial: Trial) -> Trial:
    """Return the record of the best training of a trial; of the first, where none has a score."""
    return min(trial.runs, key=lambda run: (run.loss is None, run.point))


def problem(file: Path, digest: str) -> str | None:
    """Return what is wrong with a checkpoint, such as ``"missing"``; None if it is whole."""
    try:
        with _opened(file) as handle:
            whole = hashlib.file_digest(handle, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)
    return None if whole else "damaged"


def _opened(file: Path) -> io.BufferedReader:
    """Open a file, and nothing else of that name: a pipe or a device may never come to an end."""
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "not a file", str(file))
    return file.open("rb")


def _arrays(handle: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    with zipfile.ZipFile(handle) as archive:
        size = handle.seek(0, io.SEEK_END)
        if sum(entry.file_size for entry in archive.filelist) > size:
            msg = "its entries overlap"
            raise ValueError(msg)
        return {e.filename.removesuffix(".npy"): _array(archive, e) for e in archive.filelist}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return an array of an archive as a view of its bytes, so that no header can ask for more."""
    if entry.compress_type != zipfile.ZIP_STORED:
        msg = f"{entry.filename} is compressed, as no checkpoint is"
        raise ValueError(msg)
    data = archive.read(entry)
    stream = io.BytesIO(data)
    if (version := np.lib.format.read_magic(stream)) != (1, 0):
        msg = f"{entry.filename} has version {version}"
        raise ValueError(msg)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if 0 in shape:
        return np.zeros(shape, dtype)
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def prune(directory: Path, keep: Container[Path], under_way: Iterable[Trial] = ()) -> None:
    """Delete every checkpoint but those to keep, and what a crash left half-written.

    Of the trainings under way, what is newer than their latest checkpoint stays: a worker writes
    it, and will report it. What cannot be deleted now is deleted after the next checkpoint. Files
    that are not checkpoints are left alone.
    """
    known = {
        _run_name(run): max(((c.epoch, c.step) for c in run.checkpoints), default=(-1, 0))
        for run in under_way
    }
    for file in directory.glob("*"):
        found = _NAME.match(file.name)
        if found is None or file in keep:
            continue
        run, epoch, step = found.groups()
        if run not in known or (int(epoch), int(step)) <= known[run]:
            with suppress(OSError):
                file.unlink()
