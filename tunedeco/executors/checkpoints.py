"""Checkpoint files: arrays and a little JSON in one file that is whole or not there.

A file is an uncompressed ``.npz`` that NumPy reads without pickle. It is written under a temporary
name, flushed, and renamed; its SHA-256 goes into the journal, and a file that does not have it is
not used.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tunedeco.errors import CheckpointError

Arrays = Mapping[str, npt.NDArray[Any]]

_META = "meta.json"


def path(directory: Path, trial: int, epoch: int, step: int) -> Path:
    """Return the file of the checkpoint of a trial after so many epochs and steps."""
    return directory / f"{trial:05}-{epoch:05}-{step:07}.npz"


def write(file: Path, arrays: Arrays, meta: Mapping[str, Any]) -> str:
    """Write a checkpoint atomically; return its SHA-256. When this returns it is on disk.

    Args:
        file: where; an earlier file of that name is replaced.
        arrays: by name.
        meta: whatever else, as JSON.

    Raises:
        CheckpointError: it cannot be written; an earlier file of that name is untouched.
    """
    temporary = file.with_name(f".{file.name}.tmp")
    text = np.frombuffer(json.dumps(meta, allow_nan=False).encode(), np.uint8)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w+b") as handle:
            np.savez(handle, allow_pickle=False, **{_META: text, **arrays})
            handle.flush()
            os.fsync(handle.fileno())
            handle.seek(0)
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        temporary.replace(file)
        flush_directory(file.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        msg = f"cannot write {file} ({error}); make room, or choose another directory"
        raise CheckpointError(msg) from error
    return digest


def read(file: Path, digest: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint: its arrays and its JSON.

    Raises:
        CheckpointError: it is not there, or not what was written.
    """
    try:
        with file.open("rb") as handle:
            if hashlib.file_digest(handle, "sha256").hexdigest() != digest:
                msg = f"{file} is damaged: it is not what the journal says was written"
                raise CheckpointError(msg)
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        msg = f"cannot read {file}: {error}"
        raise CheckpointError(msg) from error
    meta = json.loads(arrays.pop(_META).tobytes())
    return arrays, meta


def prune(directory: Path, keep: Container[Path]) -> None:
    """Delete every checkpoint but those to keep, and what a crash left half-written."""
    for file in directory.glob("*.npz*"):
        if file not in keep:
            file.unlink(missing_ok=True)
    for file in directory.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def flush_directory(directory: Path) -> None:
    """Make the names in a directory durable: what was renamed stays renamed."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
