"""Many small models at once: slices whose models share a program, trained together by one of JAX's.

A slice is trained as `KerasExecutor` would, epoch by epoch: its own data order, seeds, callbacks,
reports and checkpoints; only what happens within an epoch happens to all together. What cannot be
done so is trained alone. Which of the two it is depends on the trial, never on those beside it.

HEAVY: importing this module loads Keras and JAX.
"""

import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import keras

from tunedeco.errors import ConfigurationError, TrainedAlone
from tunedeco.events import Ended
from tunedeco.executors import alone, devices, generators
from tunedeco.executors.base import Emit, Interrupted, Report, Slice
from tunedeco.executors.data import FitData, numpy_tree
from tunedeco.executors.failures import failure
from tunedeco.executors.feed import Feed
from tunedeco.executors.fingerprint import fingerprint
from tunedeco.executors.keras import KerasExecutor, Opened
from tunedeco.executors.lanes import Program, on_device
from tunedeco.executors.models import clear_session, forget
from tunedeco.executors.recorder import Pace
from tunedeco.executors.watch import Watch
from tunedeco.objectives import Objectives

_PROGRAMS = 4  # that are kept though nothing is trained with them at the moment


class _Alone(Exception):  # noqa: N818 (it is no error)
    """A trial cannot be trained with others; says why."""


@final
@dataclass(frozen=True)
class _Lane:
    """A slice that is being trained."""

    work: Slice
    model: keras.Model
    feed: Feed
    watch: Watch
    callbacks: keras.callbacks.CallbackList
    program: Program

    @property
    def epoch(self) -> int:
        """The one to train next, from 0."""
        return self.watch.recorder.snapshot.epoch

    def end(self, logs: Mapping[str, Any]) -> Ended | None:
        """End an epoch; return the slice's end, if it is that."""
        # callbacks that draw find what they would find alone, not what others have left
        generators.seed(self.watch.recorder.job.seed(f"epoch {self.epoch}"))
        self.callbacks.on_epoch_end(self.epoch, logs)
        state = self.watch.recorder.ended
        if state is None:
            return None
        self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        self.callbacks.on_train_end(logs)
        return Ended(self.work.trial.number, state, execution=self.work.trial.execution)


@final
class VectorisedExecutor:
    """Trains up to so many slices at once, in this process, those that share a program together.

    Args:
        lanes: how many.
        data: what they train on; `alone.check` has nothing against it.
        objectives: what is watched.
        settings: the other arguments of `KerasExecutor`.
    """

    def __init__(
        self,
        lanes: int,
        data: FitData,
        objectives: Objectives,
        **settings: Any,  # noqa: ANN401 (see there)
    ) -> None:
        self.capacity = lanes
        self._alone = KerasExecutor(data=data, objectives=objectives, **settings)
        self._memory = devices.resolve_memory(settings.get("max_memory", "auto"))
        self._given = data
        self._data = on_device(data.arrays)
        self._validation = on_device(numpy_tree(data.validation_data))
        self._waiting: list[Slice] = []
        self._lanes: list[_Lane] = []
        self._programs: dict[Hashable, Program] = {}  # those used last at the end
        self._warned: set[str] = set()
        self._interrupted = False
        self._emit: Emit = lambda _: None
        self._emitted = False

    def submit(self, work: Slice) -> None:
        """Accept a slice; the next `wait` begins it."""
        self._waiting.append(work)

    def wait(self, emit: Emit) -> None:
        """Train by epochs until there is something to report.

        Raises:
            Interrupted: `interrupt` was called; all that was emitted is on disk.
            TunedecoError: as `KerasExecutor.wait`.
        """
        self._emit, self._emitted = emit, False
        with devices.precision(self._alone.policy):
            while not self._emitted:
                if self._interrupted:
                    for lane in self._lanes:
                        lane.watch.recorder.cut(lane.epoch)
                    raise Interrupted
                if self._waiting:
                    self._begin(self._waiting.pop(0))
                elif self._lanes:
                    self._train(self._lanes[0].program)
                else:
                    return

    def interrupt(self) -> None:
        """Stop at the end of the batch; an epoch that is under way is trained again."""
        self._interrupted = True
        self._alone.interrupt()

    def close(self) -> None:
        """Give back the programs and the models."""
        self._alone.close()
        self._lanes.clear()
        self._programs = {}
        with devices.precision(self._alone.policy):
            forget()

    def _say(self, report: Report) -> None:
        self._emitted = True
        self._emit(report)

    def _begin(self, work: Slice) -> None:
        """Give a slice a lane, its model made; train it to its end if it can have none."""
        clear_session(self._alone.policy)
        end = None
        try:
            opened = self._alone.opened(work, self._say)
            if isinstance(opened, Ended):
                end = opened
            else:
                try:
                    self._lanes.append(self._lane(opened))
                except _Alone as reason:
                    self._warn(str(reason))
                    end = self._alone.trained(opened)
        except Exception as error:  # noqa: BLE001 (which says whom it concerns)
            end = failure(error, work.trial)
        if end is not None:
            self._say(end)

    def _train(self, program: Program) -> None:
        """Train the slices of a program by one epoch."""
        lanes = [lane for lane in self._lanes if lane.program is program]
        self._lanes = [lane for lane in self._lanes if lane.program is not program] + lanes
        lanes = self._each(lanes, lambda lane: lane.callbacks.on_epoch_begin(lane.epoch))
        if not lanes:
            return
        try:
            logs = program.epoch(
                [lane.model for lane in lanes],
                [lane.feed.order for lane in lanes],
                self._data,
                self._validation,
                self._check_interrupted,
            )
        except Interrupted:
            return  # to where all are cut
        except Exception as error:  # noqa: BLE001 (such as that the memory does not suffice)
            for lane in lanes:
                self._lanes.remove(lane)
                self._say(failure(error, lane.work.trial))
            return
        found = iter(logs)
        self._each(lanes, lambda lane: lane.end(next(found)))

    def _each(self, lanes: Iterable[_Lane], act: Callable[[_Lane], Ended | None]) -> list[_Lane]:
        """Do something with lanes; return those that have not come to their end by it."""
        going_on = []
        for lane in lanes:
            end = None
            try:
                end = act(lane)
            except Interrupted:
                pass  # that is seen to when all are at this point
            except Exception as error:  # noqa: BLE001 (as above)
                end = failure(error, lane.work.trial)
            if end is None:
                going_on.append(lane)
            else:
                self._lanes.remove(lane)
                self._say(end)
        return going_on

    def _check_interrupted(self) -> None:
        if self._interrupted:
            raise Interrupted

    def _lane(self, opened: Opened) -> _Lane:
        """Return the lane of a trial, its model in the state from which it goes on.

        Raises:
            _Alone: it can have none.
        """
        model, data, job = opened.made.model, opened.data, opened.job
        same = fingerprint(model, opened.made.rates)
        if same is None:
            msg = "it is not known what its program depends on"
            raise _Alone(msg)
        memory = None if self._memory is None else self._memory // self.capacity
        if reason := alone.reason(opened, self._given, memory):
            raise _Alone(reason)
        self._check_callbacks(opened)
        feed = data.feed(job.work.seed, job.trial)
        assert feed is not None
        model._symbolic_build(data_batch=feed[0])  # noqa: SLF001 (what fit begins with)
        program = self._program(same, model, data, feed)
        job = replace(job, pace=Pace(among=self.capacity))
        watch = Watch(job, opened.callbacks, feed)
        watch.recorder.go_on_from(opened.start)
        watch.put_back(model)
        model.stop_training = False
        callbacks = keras.callbacks.CallbackList(
            watch.all, add_history=True, model=model, epochs=job.end, steps=len(feed), verbose=0
        )
        callbacks.on_train_begin()
        return _Lane(job.work, model, feed, watch, callbacks, program)

    def _check_callbacks(self, opened: Opened) -> None:
        for lane in self._lanes:
            for callback in opened.callbacks:
                if callback in lane.callbacks.callbacks:
                    msg = (
                        f"the callback {type(callback).__name__} of trial "
                        f"{opened.job.trial.number} is that of trial {lane.work.trial.number}, "
                        "which is trained together with it: make new ones for each trial"
                    )
                    raise ConfigurationError(msg)

    def _program(self, same: Hashable, model: keras.Model, data: FitData, feed: Feed) -> Program:
        """Return the program that trains a model.

        Raises:
            _Alone: there can be none.
        """
        batch_size = data.batch_size
        validation_batch_size = data.options.get("validation_batch_size", batch_size)
        key = (same, batch_size, feed.batches, validation_batch_size)
        program = self._programs.pop(key, None)
        if program is None:
            sizes = (batch_size, feed.batches, validation_batch_size)
            try:
                program = Program(model, self.capacity, self._data, self._validation, *sizes)
            except Exception as error:
                msg = f"its step cannot be vectorised ({type(error).__name__}: {error!s:.200})"
                raise _Alone(msg) from error
        self._programs[key] = program
        used = {lane.program for lane in self._lanes}
        unused = [key for key, known in self._programs.items() if known not in used]
        for old in unused[:-_PROGRAMS]:
            del self._programs[old]
            devices.forget_programs()
        return program

    def _warn(self, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            msg = f"vectorise: a trial is trained alone, since {reason}"
            warnings.warn(msg, TrainedAlone, stacklevel=2)
