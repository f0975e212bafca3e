"""Many at once: an executor whose slices are trained by worker processes.

Each worker holds an executor of its own, and stays alive from slice to slice. One that dies is
replaced, and so is one that hangs. See `tunedeco.executors.worker` for what is said between them.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, final

from tunedeco.errors import ConfigurationError, WorkerError
from tunedeco.events import Ended, Lost
from tunedeco.executors import parcel, sharing
from tunedeco.executors.base import Emit, Interrupted, Slice
from tunedeco.trial import State

_STARTS = 3  # deaths for each worker, in a row and before any is ready
_GLANCE = 1.0  # seconds after which a death is seen that the connection does not tell

_PROGRAM = """\
import sys
sys.path[:] = {path!r}
from tunedeco.executors.worker import main
main({socket}, {file}, {preloaded!r})
"""


@dataclass
class _Worker:
    """What is known of one."""

    process: subprocess.Popen[bytes]
    connection: connection.Connection
    environment: Mapping[str, str]
    ready: bool = False
    work: Slice | None = None
    """What it trains, or will when it is ready."""
    began: float = 0.0
    """When it was given that."""
    overdue: bool = False
    """Whether it was killed for taking too long."""

    @property
    def busy(self) -> bool:
        return self.work is not None

    def say(self, *message: object) -> None:
        with suppress(OSError):  # that it is dead is seen when it is listened to
            self.connection.send(message)

    def kill(self) -> None:
        """End it, and whatever it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@final
class ProcessExecutor:
    """Trains as many slices at once as there are environments.

    The workers begin to load what they need at once; `furnish` tells them the rest.

    Args:
        environments: the environment variables of each worker.
        preloaded: a module that takes workers long to import.
        trial_timeout: seconds after which a slice is ended and its trial fails; None: never.

    Raises:
        WorkerError: no process can be started.
    """

    def __init__(
        self,
        environments: Sequence[Mapping[str, str]],
        *,
        preloaded: str | None = None,
        trial_timeout: float | None = None,
    ) -> None:
        self.capacity = len(environments)
        self._preloaded = preloaded
        self._timeout = trial_timeout
        self._place: parcel.Place | None = None
        self._failed_starts = 0
        self._interrupted = False
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed with the workers)
        # sockets, and no pipe: a signal handler or a thread may use one that is closed by then
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)  # noqa: FBT003 (it has no name)
        self._woken.setblocking(False)  # noqa: FBT003
        self._workers: list[_Worker] = []
        try:
            for environment in environments:
                self._workers.append(self._started(environment))
        except BaseException:
            self.close()
            raise

    def furnish(self, **parts: object) -> None:
        """Tell the workers how to make their executors: ``make(**parts)``.

        Raises:
            ConfigurationError: something in it cannot be sent to another process.
        """
        self._place = parcel.pack(self._file, parts)
        for worker in self._workers:
            worker.ready = False
            worker.say("make", self._place)

    def submit(self, work: Slice) -> None:
        """Give a slice to a worker that has none."""
        if self._interrupted:  # as `wait` says
            return
        idle = [worker for worker in self._workers if not worker.busy]
        worker = next((worker for worker in idle if worker.ready), idle[0])
        worker.work = work
        if worker.ready:
            self._begin(worker)

    def wait(self, emit: Emit) -> None:
        """Wait for the next event of any worker, and emit it.

        Raises:
            Interrupted: `interrupt` was called, and no worker trains any more.
            WorkerError: worker after worker dies before it is ready.
            TunedecoError: what a worker raised that concerns the search.
        """
        emitted = 0

        def counted(event: Any) -> None:  # noqa: ANN401 (a report)
            nonlocal emitted
            emitted += 1
            emit(event)

        while not emitted:
            if self._interrupted:
                self._pass_on()
            if not any(worker.busy for worker in self._workers):
                if self._interrupted:
                    raise Interrupted
                return
            for worker in self._heard():
                self._listen(worker, counted)

    def interrupt(self) -> None:
        """Have all workers stop at the end of the batch they train."""
        self._interrupted = True
        with suppress(OSError):  # it is full, and so it wakes; or all is closed
            self._wake.send(b"\0")

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.connection.close()  # which alone would end it, but for what holds it up
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        for thing in (self._file, self._wake, self._woken):
            thing.close()

    def _started(self, environment: Mapping[str, str]) -> _Worker:
        """Start a worker."""
        ours, theirs = socket.socketpair()
        program = _PROGRAM.format(
            path=sys.path,
            socket=theirs.fileno(),
            file=self._file.fileno(),
            preloaded=self._preloaded,
        )
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603 (this very Python, and what stands above)
                    [sys.executable, "-c", program],
                    env=environment,
                    pass_fds=(theirs.fileno(), self._file.fileno()),
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # a terminal's Ctrl-C is for this process
                )
            except OSError as error:
                ours.close()
                msg = f"no worker process can be started ({error})"
                raise WorkerError(msg) from error
        worker = _Worker(process, connection.Connection(ours.detach()), environment)
        if self._place is not None:
            worker.say("make", self._place)
        return worker

    def _begin(self, worker: _Worker) -> None:
        worker.began = time.monotonic()
        worker.say("train", worker.work)

    def _pass_on(self) -> None:
        """Tell those that train to stop; take back what none has begun."""
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                for worker in self._workers:
                    if worker.ready and worker.busy:
                        worker.say("interrupt")
        for worker in self._workers:
            if not worker.ready:
                worker.work = None

    def _heard(self) -> list[_Worker]:
        """Wait until workers have something to say, or are dead; return them."""
        now = time.monotonic()
        wait = _GLANCE
        for worker in self._workers:
            if self._timeout is not None and worker.ready and worker.busy and not worker.overdue:
                left = worker.began + self._timeout - now
                wait = min(wait, max(left, 0.0))
                if left <= 0:
                    worker.overdue = True
                    worker.kill()
        said = connection.wait([*(w.connection for w in self._workers), self._woken], wait)
        heard = [worker for worker in self._workers if worker.connection in said]
        gone = [w for w in self._workers if w not in heard and w.process.poll() is not None]
        return heard + gone

    def _listen(self, worker: _Worker, emit: Emit) -> None:
        """Take in one message of a worker; its death, where it has no more to say."""
        try:
            # of a dead one a process it has started may hold the connection, which then never ends
            message = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            message = None
        match message:
            case None:
                self._replace(worker, emit)
            case ("ready",):
                self._failed_starts = 0
                if worker.busy and not worker.ready:  # furnished twice it says so twice
                    self._begin(worker)
                worker.ready = True
            case "event", event:
                self._failed_starts = 0  # others do train
                if isinstance(event, Ended):
                    worker.work = None
                emit(event)
            case ("interrupted",):
                worker.work = None
            case "error", error:
                raise error

    def _replace(self, worker: _Worker, emit: Emit) -> None:
        """Put another worker in the place of one that is dead, and say what it has left undone."""
        with suppress(subprocess.TimeoutExpired):  # it may still be busy dying of something else
            worker.process.wait(_GLANCE)
        worker.kill()
        worker.connection.close()
        reason = _reason(worker.process.returncode)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == _STARTS * self.capacity:
                msg = (
                    f"{self._failed_starts} worker processes in a row died before they could "
                    f"train, the last one {reason}; what they printed says more"
                )
                raise WorkerError(msg)
        if self._interrupted:
            self._workers.remove(worker)
        else:
            new = self._started(worker.environment)
            self._workers[self._workers.index(worker)] = new
            if not worker.ready:
                new.work = worker.work
        if worker.ready and worker.work is not None:
            emit(self._end(worker, worker.work, reason))

    def _end(self, worker: _Worker, work: Slice, reason: str) -> Ended | Lost:
        """Return what became of a slice whose worker is dead."""
        number, execution = work.trial.number, work.trial.execution
        if not worker.overdue:
            return Lost(number, execution, reason)
        message = f"it took longer than the trial_timeout of {self._timeout:g} seconds"
        error = {"type": "TrialTimeout", "message": message, "traceback": ""}
        return Ended(number, State.FAILED, error, execution)


def _reason(status: int) -> str:
    """Return how a process has ended."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def with_keras(
    workers: int | None, gpus_per_trial: float | None, trial_timeout: float | None
) -> ProcessExecutor | None:
    """Return workers that begin to load Keras, as `Tuner.search` was told; None for none.

    Raises:
        ConfigurationError: an argument is wrong, or there are not so many GPUs.
        WorkerError: no process can be started.
    """
    sharing.check_gpus_per_trial(gpus_per_trial)
    if workers is None:
        given = {"gpus_per_trial": gpus_per_trial, "trial_timeout": trial_timeout}
        for name in (name for name, value in given.items() if value is not None):
            msg = f"{name} is for worker processes: give workers=, of which 1 will do"
            raise ConfigurationError(msg)
        return None
    if type(workers) is not int or workers < 1:
        msg = f"workers must be a whole number of at least 1, or None, not {workers!r}"
        raise ConfigurationError(msg)
    environments = sharing.environments(workers, gpus_per_trial)
    if any(e.get("CUDA_VISIBLE_DEVICES") for e in environments):
        # this process trains nothing, and leaves the GPUs' memory to those that do
        os.environ.update({**sharing.MEMORY_AS_NEEDED, **os.environ})
    if (keras := sys.modules.get("keras")) is not None:  # the program may have chosen its backend
        environments = [{**e, "KERAS_BACKEND": keras.backend.backend()} for e in environments]
    return ProcessExecutor(
        environments, preloaded="tunedeco.executors.setup", trial_timeout=trial_timeout
    )
