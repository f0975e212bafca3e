"""The Keras executor: builds the model of a trial, trains it, reports every epoch.

HEAVY: importing this module loads Keras and its backend. It uses nothing of a backend but what
`tunedeco.executors.devices` knows. Trials run one after the other in this process, each from a
clean Keras state and from seeds of its own, so that a trial does not depend on those before it.
"""

import contextlib
import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import keras

from tunedeco import tracing
from tunedeco.abstract import Size, size_of, unless_larger
from tunedeco.errors import CheckpointError, ConfigurationError, NeedsWeights
from tunedeco.events import Built, Ended, Resumed
from tunedeco.executors import checkpoints, devices
from tunedeco.executors.base import Emit, Interrupted, Slice
from tunedeco.executors.data import Callbacks, FitData, input_spec
from tunedeco.executors.failures import failure
from tunedeco.executors.loop import Context, Train
from tunedeco.executors.models import (
    Made,
    Maker,
    built_by_training,
    clear_session,
)
from tunedeco.executors.pipelines import Pipelines
from tunedeco.executors.plan import Plan, as_kept
from tunedeco.executors.programs import Programs
from tunedeco.executors.recorder import Job, Pace, Snapshot, TooLarge, ended
from tunedeco.executors.supplied import Supplier, wanted
from tunedeco.executors.watch import Watch
from tunedeco.objectives import Objectives
from tunedeco.space import Hyperparameter
from tunedeco.trial import State, Trial
from tunedeco.units import readable

_KEPT = 20  # the part of the memory that models of shared programs may take
_UNNOTICED = 50  # a model that takes less than this part of the memory may as well be built


@final
@dataclass(frozen=True)
class Opened:
    """A trial whose model is made, and whose training can begin, or go on."""

    job: Job
    made: Made
    data: FitData
    """Of this execution."""
    start: Snapshot
    callbacks: Sequence[keras.callbacks.Callback]
    """The user's."""


@final
class KerasExecutor:
    """Trains one slice at a time, in this process.

    Args:
        model_fn: builds and compiles a model, asking for hyperparameters.
        objectives: what is watched.
        data: what it trains on.
        directory: where the checkpoints go.
        callbacks: a list, deep-copied for each trial, or a function of the `Trial`.
        precision: ``"auto"``, or the name of a dtype policy.
        max_parameters: larger models are turned away; None means any size.
        max_memory: models that need more of it to train are turned away; as in `Tuner`.
        train_fn: the user's own training loop, in place of `fit`.
        share_programs: whether models may be trained by the programs of others.
        steps_per_execution: for models that say nothing of it; None chooses.
    """

    capacity = 1

    def __init__(  # noqa: PLR0913 (a name for every setting, as in `Tuner`)
        self,
        model_fn: Callable[[], object],
        objectives: Objectives,
        data: FitData,
        directory: Path,
        *,
        callbacks: Callbacks | None = None,
        precision: str = "auto",
        max_parameters: int | None = None,
        max_memory: int | str | None = "auto",
        train_fn: Train | None = None,
        share_programs: bool = True,
        steps_per_execution: int | None = None,
    ) -> None:
        self._objectives = objectives
        inputs = input_spec(data)
        self._maker = Maker(model_fn, objectives, data, inputs, own_loop=train_fn is not None)
        self._train_fn = train_fn
        self._directory = directory
        self._callbacks = callbacks
        self.policy: str = devices.resolve_precision(precision)
        self._max_parameters = max_parameters
        self._max_memory = devices.resolve_memory(max_memory)
        self._warned = False
        self._work: Slice | None = None
        memory = self._max_memory
        kept = math.inf if memory is None else memory / _KEPT
        self._programs = Programs(kept if share_programs else 0)
        measures = any(objective.measure is not None for objective in objectives)
        self._plan = Plan(steps_per_execution, measures=measures)
        self._pipelines = Pipelines()
        self._pace = Pace()
        self._interrupted = False

    def submit(self, work: Slice) -> None:
        """Accept a slice; it is trained by the next `wait`."""
        self._work = work

    def wait(self, emit: Emit) -> None:
        """Train the slice, emitting events as they happen.

        Raises:
            Interrupted: `interrupt` was called; all that was emitted is on disk.
            CheckpointError: the disk is full or cannot be written, be it by a callback of the user.
            ConfigurationError: something is wrong with the search and not with the trial, such as
                an objective that the logs do not contain.
        """
        work, self._work = self._work, None
        if self._interrupted:  # before the batches of a trial, of which there may be none
            raise Interrupted
        if work is None:
            return
        with self._session():
            try:
                opened = self.opened(work, emit)
                end = opened if isinstance(opened, Ended) else self.trained(opened)
            except Exception as error:  # noqa: BLE001 (which says whom it concerns)
                end = failure(error, work.trial)
        emit(end)  # out here: whoever hears of the end does not fail the trial

    def interrupt(self) -> None:
        """Stop at the end of the batch that is being trained."""
        self._interrupted = True

    def close(self) -> None:
        """Give back the programs that are kept."""
        self._programs.forget()

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        """Run with a fresh Keras state."""
        with devices.precision(self.policy):
            clear_session(self.policy)
            try:
                yield
            finally:
                keras.utils.clear_session()
                if self._train_fn is not None:  # what a user's loop compiles, nobody can keep
                    self._programs.forget()

    def opened(self, work: Slice, emit: Emit) -> Opened | Ended:
        """Make the model of a slice; or return its end, where there is nothing to train."""
        trial = work.trial
        begun = trial.parameters is not None or bool(trial.checkpoints)
        reached = self._latest(trial)
        if (end := ended(reached, work)) is not None:  # there is nothing to build a model for
            emit(Resumed(trial.number, reached.epoch, reached.step, trial.execution))
            return Ended(trial.number, end, execution=trial.execution)
        made, size, admitted = self._made(work)
        if size is not None and (excess := self._excess(size)):
            return self._rejected(trial, made, size, excess, emit)
        if size is not None:  # it was only looked at
            made = self._maker.made(work)
        start = reached if begun else Snapshot()
        data = made.data.of(work.seed, trial.execution)
        if start.arrays and not made.built:
            feed = data.feed(work.seed, trial)
            if not built_by_training(made.model, data.x if feed is None else feed):
                made, start = self._maker.made(work), Snapshot()
        job = Job(
            work=work,
            trial=replace(trial, values=made.trace.values),
            objectives=self._objectives,
            supplier=Supplier(
                wanted(self._objectives),
                lambda: made.parameters,
                lambda: data.inputs(self._maker.data.batch_size),
            ),
            first_due=self._first_due(data),
            last=made.arguments.get("epochs"),
            directory=self._directory,
            pace=self._pace,
            began=self._began(trial, made, start, admitted, emit),
            emit=emit,
            interrupted=lambda: self._interrupted,
        )
        if begun:
            emit(Resumed(trial.number, start.epoch, start.step, trial.execution))
        return Opened(job, made, data, start, self._callbacks_for(job.trial, made))

    def trained(self, opened: Opened) -> Ended:
        """Train a slice to its end."""
        work = opened.job.work
        trial = work.trial
        reached = self._trained(opened)
        # Keras may have been told elsewhere to train fewer epochs
        end = ended(reached, work) or State.COMPLETED
        return Ended(trial.number, end, execution=trial.execution)

    def _began(
        self,
        trial: Trial,
        made: Made,
        start: Snapshot,
        admitted: bool,  # noqa: FBT001 (whether the model is known not to be too large)
        emit: Emit,
    ) -> Callable[[Any], None]:
        """Return what is called when a trial's model is built, and nothing is trained."""

        def began(model: Any) -> None:  # noqa: ANN401 (of a user's own loop, anything)
            if (start.epoch, start.step) == (0, 0):  # else it has been said
                emit(self._built(trial, made, made.parameters, as_kept(model)))
            if not admitted and isinstance(model, keras.Model):
                excess = self._excess(size_of(model))
                if excess:
                    raise TooLarge(excess)

        return began

    def _trained(self, opened: Opened) -> Snapshot:
        """Train to the end of a slice; return what was reached."""
        job, made, data, start = opened.job, opened.made, opened.data, opened.start
        seed = job.work.seed
        if self._train_fn is not None:
            context = Context(made.model, job, data, data.feed(seed, job.trial), made.arguments)
            train = partial(context.train, self._train_fn, start)
            tracing.run_in(replace(made.trace, answer=_unknown), train)
            return context.recorder.snapshot
        arguments, feed = data.arguments(seed, job.trial)
        watch = Watch(job, opened.callbacks, feed)
        watch.recorder.go_on_from(start)
        program = self._programs.of(made)
        model = made.model if program is None else program.made.model
        epochs = job.work.until - start.epoch
        said = made.model.steps_per_execution
        self._plan.apply(model, said, opened.callbacks, feed, epochs)
        try:
            watch.train(model, lambda: self._pipelines.of(model, arguments, feed))
        finally:
            self._pipelines.release()
        self._plan.measured(watch.times, model)
        if program is not None:
            self._programs.give_back(program, opened.callbacks)
        return watch.recorder.snapshot

    def _made(self, work: Slice) -> tuple[Made, Size | None, bool]:
        """Return a trial's model, and whether it is known not to be too large.

        Where it may be, it is only a look at it, with its size.
        """
        share = None if self._max_memory is None else self._max_memory // _UNNOTICED
        made = unless_larger(lambda: self._maker.made(work), self._max_parameters, share)
        if made is not None:
            return made, None, made.built
        clear_session(self.policy)
        measured = self._measured(work)
        if measured is not None:
            return *measured, True
        return self._maker.made(work), None, False

    def _measured(self, work: Slice) -> tuple[Made, Size] | None:
        """Return a trial's model without its weights, and its size; None where that fails."""
        found, reason = self._maker.measured(work)
        if reason is not None and not self._warned:
            self._warned = True
            msg = (
                f"{self._maker.name} cannot be built without its weights, so models are allocated "
                f"before it is known whether they are too large ({reason})"
            )
            warnings.warn(msg, NeedsWeights, stacklevel=2)
        return found

    def _excess(self, size: Size) -> str | None:
        """Return in what a size is above the limits; None where it is not."""
        if self._max_parameters is not None and size.parameters > self._max_parameters:
            return f"{size.parameters:,} parameters; max_parameters is {self._max_parameters:,}"
        if self._max_memory is not None and size.training_bytes > self._max_memory:
            needed, limit = readable(size.training_bytes), readable(self._max_memory)
            return f"training needs at least {needed} of memory; max_memory is {limit}"
        return None

    def _rejected(self, trial: Trial, made: Made, size: Size, excess: str, emit: Emit) -> Ended:
        """Say what there is to say of a trial whose model is not even built."""
        latest = trial.checkpoints[-1] if trial.checkpoints else None
        if latest is not None or trial.parameters is not None:
            place = (0, 0) if latest is None else (latest.epoch, latest.step)
            emit(Resumed(trial.number, *place, trial.execution))
        if latest is None:
            emit(self._built(trial, made, size.parameters))
        return Ended(trial.number, State.REJECTED, {"message": excess}, trial.execution)

    def _built(
        self, trial: Trial, made: Made, parameters: int, runtime: Mapping[str, Any] | None = None
    ) -> Built:
        """Return the event that a trial's model was built."""
        proposed = {(group, name) for group, names in trial.values.items() for name in names}
        met = tuple(h for h in made.trace.space if h.key not in proposed)
        found = (made.trace.values, met, parameters, self.policy, made.inputs)
        return Built(trial.number, *found, trial.execution, runtime or {})

    def _latest(self, trial: Trial) -> Snapshot:
        """Return the latest state of a trial that is whole; its beginning if none is."""
        for checkpoint in reversed(trial.checkpoints):
            path = checkpoints.place(self._directory, trial, checkpoint)
            with contextlib.suppress(CheckpointError):
                arrays, meta = checkpoints.read(path, checkpoint.sha256)
                return Snapshot(checkpoint.epoch, checkpoint.step, arrays, meta)
        return Snapshot()

    def _callbacks_for(self, trial: Trial, made: Made) -> list[keras.callbacks.Callback]:
        if callable(self._callbacks):
            callbacks = checked_callbacks(self._callbacks(trial))
        else:
            callbacks = list(map(_copied, checked_callbacks(self._callbacks or ())))
        return callbacks + checked_callbacks(made.arguments.get("callbacks", ()))

    def _first_due(self, data: FitData) -> int:
        """Return the epoch after which the objectives must have been logged."""
        frequency = data.options.get("validation_freq", 1)
        if not any(objective.validation for objective in self._objectives):
            return 1
        return frequency if isinstance(frequency, int) else min(frequency)


def checked_callbacks(given: Iterable[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
    """Return callbacks, if they are some.

    Raises:
        ConfigurationError: one is none, or one that a search cannot have.
    """
    callbacks = list(given)
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            msg = f"callbacks must be Keras callbacks, and {callback!r} is none"
            raise ConfigurationError(msg)
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            msg = "leave BackupAndRestore out: a search goes on after a crash by itself"
            raise ConfigurationError(msg)
    return callbacks


def _unknown(hyperparameter: Hyperparameter) -> Any:  # noqa: ANN401 (it always raises)
    msg = (
        f"{hyperparameter.label} is asked for in train_fn, and the search knows only what the "
        "model function asks for: ask there, and hand the value over with "
        f"`return model, {{{hyperparameter.name!r}: value}}`, which is context.arguments"
    )
    raise ConfigurationError(msg)


def _copied(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    try:
        return copy.deepcopy(callback)
    except Exception as error:
        msg = (
            f"the callback {type(callback).__name__} cannot be copied for each trial ({error}); "
            "pass callbacks=lambda trial: [...] that makes new ones"
        )
        raise ConfigurationError(msg) from error
