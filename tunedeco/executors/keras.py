"""The Keras executor: builds the model of a trial, trains it, reports every epoch.

HEAVY: importing this module loads Keras and its backend. It uses nothing of a backend but what
`tunedeco.executors.devices` knows. Trials run one after the other in this process, each from a
clean Keras state and from seeds of its own, so that a trial does not depend on those before it.
"""

import contextlib
import copy
import errno
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import keras

from tunedeco import tracing
from tunedeco.abstract import Size, size_of, try_abstractly, unless_larger
from tunedeco.errors import (
    CheckpointError,
    ConfigurationError,
    JournalError,
    ModelFunctionError,
    NeedsWeights,
)
from tunedeco.events import Built, Ended, Resumed
from tunedeco.executors import checkpoints, devices
from tunedeco.executors.base import Emit, Interrupted, Slice
from tunedeco.executors.data import Callbacks, FitData, first_batch, input_spec, symbolic
from tunedeco.executors.training_state import put
from tunedeco.executors.watch import Job, Pace, Snapshot, TooLarge, Watch, ended
from tunedeco.objective import Objective
from tunedeco.randomness import stream, training_seed
from tunedeco.space import Hyperparameter
from tunedeco.tracing import Trace
from tunedeco.trial import State, Trial
from tunedeco.units import readable

_UNNOTICED = 50  # a model that takes less than this part of the memory may as well be built


@final
class KerasExecutor:
    """Trains one slice at a time, in this process.

    Args:
        model_fn: builds and compiles a model, asking for hyperparameters.
        objective: what is watched.
        data: what it trains on.
        directory: where the checkpoints go.
        callbacks: a list, deep-copied for each trial, or a function of the `Trial`.
        precision: ``"auto"``, or the name of a dtype policy.
        max_parameters: larger models are turned away; None means any size.
        max_memory: models that need more of it to train are turned away; as in `Tuner`.
    """

    capacity = 1

    def __init__(
        self,
        model_fn: Callable[[], object],
        objective: Objective,
        data: FitData,
        directory: Path,
        *,
        callbacks: Callbacks | None = None,
        precision: str = "auto",
        max_parameters: int | None = None,
        max_memory: int | str | None = "auto",
    ) -> None:
        self._model_fn = model_fn
        self._objective = objective
        self._data = data
        self._directory = directory
        self._callbacks = callbacks
        self.policy: str = devices.resolve_precision(precision)
        self._max_parameters = max_parameters
        self._max_memory = devices.resolve_memory(max_memory)
        self._warned = False
        self._inputs = input_spec(data)
        self._work: Slice | None = None
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
        with clean_session(self.policy):
            try:
                end = self._train(work, emit)
            except (ConfigurationError, JournalError, CheckpointError, Interrupted):
                raise  # it concerns the search, and would be the same in every trial
            except Exception as error:
                if _of_the_disk(error):
                    msg = (
                        f"a callback cannot write ({error}); nothing is lost: make room and run "
                        "the search again"
                    )
                    raise CheckpointError(msg) from error
                # whatever user code raises fails its trial
                run = work.trial
                end = Ended(run.number, State.FAILED, describe(error), run.execution)
        emit(end)  # out here: whoever hears of the end does not fail the trial

    def interrupt(self) -> None:
        """Stop at the end of the batch that is being trained."""
        self._interrupted = True

    def close(self) -> None:
        """Nothing is held between trials."""

    def _train(self, work: Slice, emit: Emit) -> Ended:
        trial = work.trial
        begun = trial.parameters is not None or bool(trial.checkpoints)
        reached = self._latest(trial)
        if (end := ended(reached, work)) is not None:  # there is nothing to build a model for
            emit(Resumed(trial.number, reached.epoch, reached.step, trial.execution))
            return Ended(trial.number, end, execution=trial.execution)
        share = None if self._max_memory is None else self._max_memory // _UNNOTICED
        small = unless_larger(lambda: self._made(work), self._max_parameters, share)
        measured = None
        if small is None:
            clear_session(self.policy)
            measured = self._measured(work)
            if measured is not None and (excess := self._excess(measured[0])):
                return self._rejected(trial, *measured, excess, emit)
        model, trace = small or self._made(work)
        admitted = measured is not None or (small is not None and model.built)

        def began(model: keras.Model) -> None:
            if (watch.snapshot.epoch, watch.snapshot.step) == (0, 0):  # else it has been said
                emit(self._built(trial, trace, int(model.count_params())))
            if not admitted and (excess := self._excess(size_of(model))):
                raise TooLarge(excess)

        known = replace(trial, values=trace.values)
        callbacks = self._callbacks_for(known)
        arguments, feed = self._data.arguments(work.seed, trial)
        watch = Watch(
            Job(
                work=work,
                trial=known,
                objective=self._objective,
                first_due=self._first_due(),
                callbacks=callbacks,
                feed=feed,
                directory=self._directory,
                pace=self._pace,
                began=began,
                emit=emit,
                interrupted=lambda: self._interrupted,
            )
        )
        if begun:
            watch.snapshot = reached
            if reached.arrays and not model.built and not _built_by_training(model, arguments["x"]):
                model, watch.snapshot = self._made(work)[0], Snapshot()
            place = (watch.snapshot.epoch, watch.snapshot.step)
            emit(Resumed(trial.number, *place, trial.execution))
        try:
            watch.train(model, arguments)
        except TooLarge as rejection:
            message = {"message": str(rejection)}
            return Ended(trial.number, State.REJECTED, message, trial.execution)
        # Keras may have been told elsewhere to train fewer epochs
        end = ended(watch.snapshot, work) or State.COMPLETED
        return Ended(trial.number, end, execution=trial.execution)

    def _called(self, work: Slice) -> tuple[keras.Model, Trace]:
        """Call the model function with a trial's values and seed."""
        number, execution = work.trial.number, work.trial.execution
        keras.utils.set_random_seed(training_seed(work.seed, number, execution, "weights"))

        def draw(hyperparameter: Hyperparameter) -> Any:  # noqa: ANN401 (a value of its domain)
            draws = stream(work.seed, number, f"met {hyperparameter.group}/{hyperparameter.name}")
            return hyperparameter.domain.decode(draws.random())

        answer = tracing.from_values(work.trial.values, draw)
        result, trace = tracing.run(self._model_fn, answer, number)
        return checked_model(result, tracing.name_of(self._model_fn)), trace

    def _made(self, work: Slice) -> tuple[keras.Model, Trace]:
        """Make the model of a trial, and build it where that can be done before training."""
        model, trace = self._called(work)
        # What cannot be built from shapes alone is left to fit, which then says what is wrong.
        with contextlib.suppress(Exception):
            _build(model, self._inputs)
        _add_objective(model, self._objective)
        return model, trace

    def _measured(self, work: Slice) -> tuple[Size, Trace] | None:
        """Return the size of a trial's model without allocating it; None where that fails."""

        def measured() -> tuple[Size, Trace]:
            model, trace = self._called(work)
            _build(model, self._inputs)
            return size_of(model), trace

        found, reason = try_abstractly(measured)
        if reason is not None and not self._warned:
            self._warned = True
            msg = (
                f"{tracing.name_of(self._model_fn)} cannot be built without its weights, so models "
                f"are allocated before it is known whether they are too large ({reason})"
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

    def _rejected(self, trial: Trial, size: Size, trace: Trace, excess: str, emit: Emit) -> Ended:
        """Say what there is to say of a trial whose model is not even built."""
        latest = trial.checkpoints[-1] if trial.checkpoints else None
        if latest is not None or trial.parameters is not None:
            place = (0, 0) if latest is None else (latest.epoch, latest.step)
            emit(Resumed(trial.number, *place, trial.execution))
        if latest is None:
            emit(self._built(trial, trace, size.parameters))
        return Ended(trial.number, State.REJECTED, {"message": excess}, trial.execution)

    def _built(self, trial: Trial, trace: Trace, parameters: int) -> Built:
        """Return the event that a trial's model was built."""
        proposed = {(group, name) for group, names in trial.values.items() for name in names}
        met = tuple(h for h in trace.space if h.key not in proposed)
        found = (trace.values, met, parameters, self.policy, self._inputs)
        return Built(trial.number, *found, trial.execution)

    def _latest(self, trial: Trial) -> Snapshot:
        """Return the latest state of a trial that is whole; its beginning if none is."""
        for checkpoint in reversed(trial.checkpoints):
            path = checkpoints.place(self._directory, trial, checkpoint)
            with contextlib.suppress(CheckpointError):
                arrays, meta = checkpoints.read(path, checkpoint.sha256)
                return Snapshot(checkpoint.epoch, checkpoint.step, arrays, meta)
        return Snapshot()

    def _callbacks_for(self, trial: Trial) -> list[keras.callbacks.Callback]:
        given = self._callbacks(trial) if callable(self._callbacks) else self._callbacks
        callbacks = [] if given is None else list(given)
        for callback in callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                msg = f"callbacks must be Keras callbacks, and {callback!r} is none"
                raise ConfigurationError(msg)
            if isinstance(callback, keras.callbacks.BackupAndRestore):
                msg = "leave BackupAndRestore out: a search goes on after a crash by itself"
                raise ConfigurationError(msg)
        return callbacks if callable(self._callbacks) else list(map(_copied, callbacks))

    def _first_due(self) -> int:
        """Return the epoch after which the objective must have been logged."""
        frequency = self._data.options.get("validation_freq", 1)
        if not self._objective.validation:
            return 1
        return frequency if isinstance(frequency, int) else min(frequency)


@contextlib.contextmanager
def clean_session(policy: str) -> Iterator[None]:
    """Run with a fresh Keras state and a dtype policy; give the memory back after."""
    with devices.precision(policy):
        clear_session(policy)
        try:
            yield
        finally:
            keras.utils.clear_session()
            devices.forget_programs()


def clear_session(policy: str) -> None:
    """Begin again with a fresh Keras state, and the dtype policy that this would reset."""
    keras.utils.clear_session()
    keras.config.set_dtype_policy(policy)


def checked_model(result: object, name: str) -> keras.Model:
    """Return what a model function returned, if it is a compiled Keras model.

    Raises:
        ModelFunctionError: it is not; says what it is.
    """
    if not isinstance(result, keras.Model):
        hint = "; is there a `return model` at its end?" if result is None else ""
        msg = f"{name} must return a Keras model, and returned {type(result).__name__}{hint}"
        raise ModelFunctionError(msg)
    if not result.compiled:
        msg = f"{name} returned a model that is not compiled; call model.compile(...) in it"
        raise ModelFunctionError(msg)
    return result


def _copied(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    try:
        return copy.deepcopy(callback)
    except Exception as error:
        msg = (
            f"the callback {type(callback).__name__} cannot be copied for each trial ({error}); "
            "pass callbacks=lambda trial: [...] that makes new ones"
        )
        raise ConfigurationError(msg) from error


def restored_model(
    model_fn: Callable[[], object], objective: Objective, trials: Sequence[Trial], directory: Path
) -> keras.Model:
    """Return the model of the best trial with the weights of its best epoch.

    Args:
        model_fn: the model function.
        objective: a metric that the model evaluates, whether `model_fn` compiled it or not.
        trials: those with a score, the best first.
        directory: the directory given to the executor.

    Raises:
        CheckpointError: the weights are not there, or do not fit the model.
    """
    trial = trials[0]
    arrays, _ = checkpoints.read(*checkpoints.of_best(directory, trials))
    answer = tracing.from_values(trial.values, tracing.defaults)
    with devices.precision(trial.precision or keras.config.floatx()):
        result = tracing.run(model_fn, answer, trial.number)[0]
        model = checked_model(result, tracing.name_of(model_fn))
        _build(model, trial.inputs)
        _add_objective(model, objective)
    put("best", model.weights, arrays)
    return model


def _build(model: keras.Model, inputs: object) -> None:
    """Create the weights of a model from what `input_spec` said, where it has none yet."""
    if not model.built and inputs is not None:
        model(symbolic(inputs))


def _built_by_training(model: keras.Model, x: Any) -> bool:  # noqa: ANN401 (whatever fit takes)
    """Build a model that only training can build; what that changes is restored later."""
    try:
        model.train_on_batch(*first_batch(x))
    except Exception:  # noqa: BLE001 (fit says what is wrong, from the beginning)
        return False
    return True


def _of_the_disk(error: BaseException) -> bool:
    """Return whether an error is of the disk: it would be the same in every trial."""
    full = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
    # HDF5, which Keras writes weights with, says the number in its text only
    named = any(f"errno = {number}," in str(error) for number in full)
    return isinstance(error, OSError) and (error.errno in full or named)


def describe(error: BaseException) -> dict[str, str]:
    """Return an exception as the journal keeps it."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _add_objective(model: keras.Model, objective: Objective) -> None:
    """Compile the model again with the metric that the objective names, where it lacks it."""
    # Keras keeps what compile was given here, and nowhere that is public
    compiled = model._compile_config.config  # noqa: SLF001
    metrics = compiled.get("metrics") or []
    one_output = len(getattr(model, "outputs", None) or [None]) == 1
    if not isinstance(metrics, (list, tuple)) or not one_output:
        return  # names for each output: the user knows what is logged under which name
    given = [*metrics, *(compiled.get("weighted_metrics") or [])]
    names = {"loss", *(getattr(m, "name", None) or getattr(m, "__name__", m) for m in given)}
    prefix = "val_" if objective.validation else ""
    if objective.find({f"{prefix}{name}": 0.0 for name in names}) is not None:
        return
    metric: Any = objective.metric
    try:
        keras.metrics.get(metric)
    except (ValueError, TypeError):  # TypeError: it is Keras's, and needs arguments
        metric = getattr(keras.losses, metric, None)
    if metric is not None:  # else it is the user's own, or nobody's, and the logs will tell
        # Trainer.compile itself: a subclass may take other arguments
        keras.Model.compile(model, **{**compiled, "metrics": [*metrics, metric]})
