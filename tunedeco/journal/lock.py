"""The lock of a journal's one writer: the operating system's, which goes with the process."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tunedeco.errors import JournalError, JournalLocked

_held: set[int] = set()  # the handles of this process's locks


def _not_held() -> None:
    """Let go of the locks in a fork: a worker that outlives the search must not hold its lock."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_not_held)


class Lock:
    """An exclusive lock beside a journal, in a file that says who holds it.

    Raises:
        JournalLocked: another process has it; says which.
        JournalError: the file cannot be made or written.
    """

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(f"{journal.name}.lock")
        try:
            while True:
                self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                with _closed_on_error(self._handle):
                    self._take(journal)
                if _same_file(path, self._handle):
                    break
                os.close(self._handle)  # the directory was moved aside in between: look again
            with _closed_on_error(self._handle):
                self._sign()
            _held.add(self._handle)
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror or error}; choose another directory"
            raise JournalError(msg) from error

    def _take(self, journal: Path) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{journal} is being written by {self._holder()}; wait for it, or stop it"
            raise JournalLocked(msg) from None

    def _holder(self) -> str:
        """Who signed; a process that took the lock just now is given a second to do so."""
        for _ in range(100):
            time.sleep(0.01)
            if signature := os.pread(self._handle, 1000, 0).decode(errors="replace").strip():
                return signature
        return "another process"

    def _sign(self) -> None:
        """Say in the file who holds it."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, holder.encode(), 0)

    def release(self) -> None:
        """Let another process write."""
        if self._handle in _held:  # else this is a fork, or it has been released
            _held.remove(self._handle)
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


@contextmanager
def _closed_on_error(handle: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(handle)
        raise


def _same_file(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
