"""Faults at the calls by which a program writes to its disk: the nth fails, or kills the process.

A write that is hit puts half of its bytes on the disk first, as a full disk and a crash do.
"""

import io
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

Kind = Literal["append", "write", "make", "rename", "flush", "cut"]


@dataclass
class Faults:
    """Counts calls, and makes one of them go wrong.

    Args:
        at: which call, from 1; None counts and does nothing.
        error: the ``errno`` that the call fails with; None kills the process.
        kind: what calls are meant: those that append to the journal, write to another file, make
            a file or a folder, rename, flush, or cut a file short; all of them if None.
        for_good: whether all later calls that need room fail too.
    """

    at: int | None = None
    error: int | None = None
    kind: Kind | None = None
    for_good: bool = False
    counts: Counter[Kind] = field(default_factory=Counter)
    struck: bool = False

    @contextmanager
    def installed(self) -> Iterator["Faults"]:
        """Watch this process's calls."""
        watched = mock.patch.multiple(
            os,
            pwrite=self._writing("append", os.pwrite),
            open=self._opening(os.open),
            mkdir=self._calling("make", os.mkdir),
            rename=self._calling("rename", os.rename),
            replace=self._calling("rename", os.replace),
            fsync=self._calling("flush", os.fsync),
            ftruncate=self._calling("cut", os.ftruncate),
        )
        with watched, mock.patch.object(io, "open", self._file(io.open)):
            yield self

    def _hit(self, kind: Kind) -> bool:
        """Count a call; return whether it is to go wrong."""
        self.counts[kind] += 1
        if self.struck:
            return self.for_good and kind not in ("flush", "cut")
        count = self.counts[self.kind] if self.kind else self.counts.total()
        self.struck = count == self.at and self.kind in (None, kind)
        return self.struck

    def _strike(self) -> None:
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise OSError(self.error, os.strerror(self.error))

    def _calling(self, kind: Kind, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            if self._hit(kind):
                self._strike()
            return call(*arguments, **options)

        return called

    def _writing(self, kind: Kind, write: Callable[..., int]) -> Callable[..., int]:
        def written(file: Any, data: Any, *place: int) -> int:
            if self._hit(kind):
                write(file, bytes(data)[: len(data) // 2], *place)
                self._strike()
            return write(file, data, *place)

        return written

    def _opening(self, call: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and not Path(path).exists() and self._hit("make"):
                self._strike()
            return call(path, flags, *arguments, **options)

        return opened

    def _file(self, call: Callable[..., Any]) -> Callable[..., Any]:
        class File(io.FileIO):
            write = self._writing("write", io.FileIO.write)

        def opened(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode not in ("w", "wb", "x+b"):
                return call(path, mode, *arguments, **options)
            if self._hit("make"):
                self._strike()
            raw = File(path, mode.replace("b", ""))
            file = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
            return file if "b" in mode else io.TextIOWrapper(file, encoding="utf-8")

        return opened
