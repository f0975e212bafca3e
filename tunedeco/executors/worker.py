"""A worker: a process that trains the slices it is sent, and reports each event.

It is started by `tunedeco.executors.processes`, holds Keras from then on, and ends when the
process that started it does. What it says and hears are tuples whose first item names the rest:

- it hears ``("make", place)``: with what and how to train, see `tunedeco.executors.parcel`;
  ``("train", slice)``; and ``("interrupt",)``.
- it says ``("ready",)``; ``("event", event)``; ``("interrupted",)`` where it heard so before the
  slice was at its end; and ``("error", error)`` of what concerns the search.
"""

import contextlib
import faulthandler
import gc
import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from tunedeco.errors import TunedecoError, WorkerError
from tunedeco.events import Ended
from tunedeco.executors import parcel
from tunedeco.executors.base import Executor, Interrupted, Report, Slice


def main(socket: int, file: int, preloaded: str | None) -> None:
    """Work until the other process closes the connection, or dies.

    Args:
        socket: the handle of the connection.
        file: that of the parcel's file.
        preloaded: a module that takes long to import, and will be needed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        # they come to all processes of a terminal or a service: what to do is said by the search's.
        # A function, since what is ignored is ignored by whatever a worker starts, too
        signal.signal(number, lambda *_: None)
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are text files
    for handle in (socket, file):
        os.set_inheritable(handle, False)  # noqa: FBT003 (it has no name)
    worker = _Worker(Connection(socket), file)
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.work(preloaded)


class _Worker:
    def __init__(self, connection: Connection, file: int) -> None:
        self._connection = connection
        self._file = file
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._executor: Executor | None = None

    def listen(self) -> None:
        """Hear what the search says; when that ends, end at once, with all that was started."""
        parent = os.getppid()
        with contextlib.suppress(EOFError, OSError):
            while True:
                # a fork of the search's process may hold the connection open when it is gone
                if not self._connection.poll(1):
                    if os.getppid() != parent:
                        break
                    continue
                message = self._connection.recv()
                if message[0] == "interrupt" and self._executor is not None:
                    self._executor.interrupt()
                else:
                    self._inbox.put(message)
        os.killpg(0, signal.SIGKILL)

    def work(self, preloaded: str | None) -> None:
        """Do what is said, one after the other."""
        try:
            if preloaded is not None:
                importlib.import_module(preloaded)
            while True:
                match self._inbox.get():
                    case "make", place:
                        parts = parcel.unpack(self._file, place)
                        self._executor = parts.pop("make")(**parts)
                        gc.freeze()  # it need not look at a backend again and again
                        self._connection.send(("ready",))
                    case "train", work:
                        self._train(work)
        except TunedecoError as error:
            self._connection.send(("error", error))
        except Exception:  # noqa: BLE001 (it is told where it can be seen)
            msg = f"a worker process cannot go on:\n{traceback.format_exc()}"
            self._connection.send(("error", WorkerError(msg)))
        threading.Event().wait()  # `listen` ends the process

    def _train(self, work: Slice) -> None:
        assert self._executor is not None
        ended = False

        def emit(event: Report) -> None:
            nonlocal ended
            self._connection.send(("event", event))
            ended = ended or isinstance(event, Ended)

        try:
            self._executor.submit(work)
            while not ended:
                self._executor.wait(emit)
        except Interrupted:
            self._connection.send(("interrupted",))
