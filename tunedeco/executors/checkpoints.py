"""Checkpoint files: arrays and a little JSON in one file that is whole or not there.

A file is an uncompressed ``.npz`` that NumPy reads without pickle. It is written under a temporary
name, flushed, and renamed; its SHA-256 goes into the journal, and a file that does not have it is
not used.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tunedeco.errors import CheckpointError

Arrays = Mapping[str, npt.NDArray[Any]]

_META = "meta.json"


def write(path: Path, arrays: Arrays, meta: Mapping[str, Any]) -> str:
    """Write a checkpoint atomically; return its SHA-256. When this returns it is on disk.

    Args:
        path: where; an earlier file of that name is replaced.
        arrays: by name.
        meta: whatever else, as JSON.

    Raises:
        CheckpointError: it cannot be written; an earlier file of that name is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    text = np.frombuffer(json.dumps(meta, allow_nan=False).encode(), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w+b") as file:
            np.savez(file, **{_META: text}, **arrays)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        temporary.replace(path)
        flush_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        msg = f"cannot write {path} ({error}); make room, or choose another directory"
        raise CheckpointError(msg) from error
    return digest


def read(path: Path, digest: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint: its arrays and its JSON.

    Raises:
        CheckpointError: it is not there, or not what was written.
    """
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                msg = f"{path} is damaged: it is not what the journal says was written"
                raise CheckpointError(msg)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        msg = f"cannot read {path}: {error}"
        raise CheckpointError(msg) from error
    meta = json.loads(arrays.pop(_META).tobytes())
    return arrays, meta


def flush_directory(directory: Path) -> None:
    """Make the names in a directory durable: what was renamed stays renamed."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
