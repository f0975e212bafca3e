"""Files that are whole or not there: written under a temporary name, flushed, then renamed."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[io.BufferedRandom]:
    """Open a file that takes the place of another when the block ends, and never if it raises.

    When this returns, the file and its name are on disk.

    Raises:
        OSError: it cannot be written; what was there is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # never written through: it may be a link to anywhere
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_directory(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def flush_directory(directory: Path) -> None:
    """Make the names in a directory durable: what was renamed stays renamed."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
