"""The exported JSON: what a search found, in a file that any other program can read.

Schema ``tunedeco/best/1``: one object with ``schema``, ``name`` (of the model function),
``objective`` (``name``, ``direction``), ``score``, ``epoch``, ``trial``, ``seed``, ``precision``,
``hyperparameters`` (group, then name) and ``versions`` (of packages). Of several objectives also
``objectives``, a list of them, and ``scores``, by name; ``objective`` is the first of them then.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunedeco.errors import ExportError
from tunedeco.files import replacing
from tunedeco.space import Values

SCHEMA = "tunedeco/best/1"

_MAX_BYTES = 16 * 2**20  # far above any real one; a wrong file is not worth reading further


@dataclass(frozen=True)
class Export:
    """The part of an exported file that building a model needs."""

    values: Values
    source: str


def is_export(data: Mapping[str, Any]) -> bool:
    """Return whether a mapping is what an exported file holds, rather than plain values."""
    return isinstance(data.get("schema"), str) and isinstance(data.get("hyperparameters"), Mapping)


def read(source: str | os.PathLike[str] | Mapping[str, Any]) -> Export:
    """Read an exported file, or the object that was in one.

    Raises:
        ExportError: there is no such file, or it is not what `write` wrote.
    """
    if isinstance(source, Mapping):
        return parsed(source, "the exported object")
    return parsed(loaded(Path(source)), str(source))


def loaded(path: Path, most: int = _MAX_BYTES) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """Read a JSON file that somebody may have written by hand.

    Args:
        path: the file.
        most: how many bytes it may have.

    Raises:
        ExportError: there is no such file, it is too large, or it is not JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            msg = f"{path} is too large for an exported search ({most // 2**20} MiB at most)"
            raise ExportError(msg)
        return json.loads(content)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise ExportError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not JSON: {error}"
        raise ExportError(msg) from error


def parsed(data: object, source: str) -> Export:
    """Return what an exported object holds.

    Args:
        data: what was in the file.
        source: how an error names it.

    Raises:
        ExportError: it is not what `write` wrote.
    """
    if not isinstance(data, Mapping) or not is_export(data):
        msg = f"{source} is not a search that tunedeco exported: it has no schema {SCHEMA!r}"
        raise ExportError(msg)
    if data["schema"] != SCHEMA:
        msg = (
            f"{source} has schema {data['schema']!r}, and this version reads {SCHEMA!r}; "
            "use the version of tunedeco that wrote it, or a newer one"
        )
        raise ExportError(msg)
    values = data["hyperparameters"]
    if not all(isinstance(names, Mapping) for names in values.values()):
        msg = f"{source}: hyperparameters must be {{group: {{name: value}}}}"
        raise ExportError(msg)
    return Export(values, source)


def write(path: str | os.PathLike[str], data: Mapping[str, Any]) -> Path:
    """Write a JSON file atomically: under a temporary name, flushed, then renamed.

    Raises:
        ExportError: the file cannot be written there.
    """
    content = json.dumps(data, indent=2, allow_nan=False) + "\n"
    target = Path(path)
    try:
        with replacing(target) as file:
            file.write(content.encode())
    except OSError as error:
        msg = f"cannot write {target}: {error.strerror or error}; give a path that is writable"
        raise ExportError(msg) from error
    return target
