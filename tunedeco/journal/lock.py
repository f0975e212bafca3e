"""The lock of a journal's one writer: the operating system's, which goes with the process."""

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tunedeco.errors import JournalLocked


class Lock:
    """An exclusive lock beside a journal, in a file that says who holds it.

    Raises:
        JournalLocked: another process has it; says which.
        OSError: the file cannot be made or written.
    """

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(f"{journal.name}.lock")
        while True:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(path, self._handle):
                    break
            except BlockingIOError:
                holder = os.pread(self._handle, 1000, 0).decode(errors="replace").strip()
                msg = (
                    f"{journal} is being written by {holder or 'another process'}; wait for it, "
                    "or stop it"
                )
                os.close(self._handle)
                raise JournalLocked(msg) from None
            except BaseException:
                os.close(self._handle)
                raise
            os.close(self._handle)  # the directory was moved aside in between: look again
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, holder.encode(), 0)
        except BaseException:
            os.close(self._handle)
            raise

    def release(self) -> None:
        """Let another process write."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.release()


def _same_file(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
