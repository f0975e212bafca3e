"""Files that are whole or not there: written under a temporary name, flushed, then renamed."""

import io
import os
import re
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


def clear_abandoned(directory: Path) -> None:
    """Delete what `replacing` left in a directory when its process was killed."""
    with suppress(OSError):  # it is in nobody's way
        for file in directory.glob(".*.tmp"):
            found = re.fullmatch(r"\..+\.(\d+)\.tmp", file.name)
            if found and not _alive(int(found[1])):
                file.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True


def flush_directory(directory: Path) -> None:
    """Make the names in a directory durable: what was renamed stays renamed."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
