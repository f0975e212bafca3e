"""A training loop of the user's own: what it is given, and how it says what it has done.

::

    def train(model, context):
        for epoch in context.epochs():
            for x, y in context.batches():
                ...
            context.report(loss=loss, val_accuracy=accuracy)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, final

import keras

from tunedeco.errors import ConfigurationError
from tunedeco.executors import generators, own_state
from tunedeco.executors.base import Interrupted
from tunedeco.executors.data import FitData
from tunedeco.executors.feed import Feed
from tunedeco.executors.recorder import Job, Recorder, Snapshot, Stored
from tunedeco.executors.training_state import best_weights, model_state, put, take
from tunedeco.trial import Trial

T = TypeVar("T")

Train = Callable[[Any, "Context"], object]
"""Trains what a model function returned; what it returns is not looked at."""


@final
@dataclass(frozen=True)
class Data:
    """What the search was given to train on, or the part of it that this execution is to."""

    x: Any
    """Arrays as NumPy's; other data as it was given; None where there was none."""
    y: Any
    sample_weight: Any
    validation_data: Any


@final
class Context:
    """What a training loop of the user's own works with: ``train(model, context)``."""

    data: Data
    """The search's data."""
    trial: Trial
    """Its number and values."""
    arguments: Mapping[str, Any]
    """What the model function returned beside the model."""
    state: dict[str, Any]
    """Whatever else the loop needs to go on, such as parameters and an optimizer's state: dicts,
    lists, arrays, numbers. It is in every checkpoint, and there again when the loop begins."""
    seed: int
    """A seed of its own for each epoch; before the first, for what is drawn before the loop."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 (whatever the model function returned)
        job: Job,
        data: FitData,
        feed: Feed | None,
        arguments: Mapping[str, Any],
    ) -> None:
        x, y, weights = (*(data.arrays or (data.x,)), None, None)[:3]
        self.data = Data(x, y, weights, data.validation_data)
        self.trial = job.trial
        self.arguments = arguments
        self.state = {}
        self.seed = job.seed("loop")
        self.model = model
        self.recorder = Recorder(job, "train_fn", lambda: model, self._present, self._best)
        self._job = job
        self._feed = feed
        self._tracked: list[Any] = []
        self._under_way: int | None = None  # the epoch that is not reported yet, from 0
        self._stop = False

    def epochs(self) -> Iterator[int]:
        """Yield the numbers of the epochs to train, from 1, or from where training goes on.

        They end with the last one that the search wants now, be it that the trial is interrupted.

        Raises:
            ConfigurationError: the loop went on to another epoch, and has not reported the last.
        """
        while self.recorder.ended is None and not self._interrupted:
            if self._under_way is not None:
                msg = "train_fn must call context.report(...) once in each epoch"
                raise ConfigurationError(msg)
            self._under_way = epoch = self.recorder.snapshot.epoch
            self.seed = self._job.seed(f"epoch {epoch}")
            self.recorder.begin(epoch)
            if self._feed is not None:
                self._feed.epoch = epoch
            yield epoch + 1

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch: of arrays ``(x, y)``, shuffled anew in each epoch.

        ``batch_size``, ``shuffle``, ``steps_per_epoch`` and ``augment`` are what the model function
        returned beside the model, or what the search was given. Other data is iterated over.

        Raises:
            ConfigurationError: no epoch is under way, or there is no data.
        """
        if self._under_way is None or self.data.x is None:
            lacking = "data: search(x, y)" if self.data.x is None else "an epoch: context.epochs()"
            msg = f"context.batches() needs {lacking}"
            raise ConfigurationError(msg)
        feed = self._feed
        for batch in self.data.x if feed is None else map(feed.__getitem__, range(len(feed))):
            if self._interrupted:  # the epoch is trained again, from its beginning
                self.recorder.cut(self._under_way)
                raise Interrupted
            yield batch

    def report(self, **logs: Any) -> None:  # noqa: ANN401 (numbers of any library)
        """End the epoch: what it logged is written down, and the state of training.

        Args:
            logs: numbers, the objectives among them; NaN as one of them or as the loss ends the
                trial.

        Raises:
            ObjectiveError: an objective is not among them.
            ConfigurationError: no epoch is under way, or something is no number.
        """
        if self._under_way is None:
            msg = "context.report(...) belongs into `for epoch in context.epochs()`, once in each"
            raise ConfigurationError(msg)
        numbers = {name: _number(name, value) for name, value in logs.items()}
        for objective in self._job.objectives:
            if objective.measure is not None:
                numbers[objective.name] = objective.measured(self.model)
        epoch, self._under_way = self._under_way, None
        self.recorder.end(epoch, numbers, stop=self._stop)

    def stop(self) -> None:
        """Let the epoch under way be the trial's last; call it before `report`."""
        self._stop = True

    def track(self, thing: T) -> T:
        """Keep the variables of an optimizer, a metric or a layer in the checkpoints; return it.

        Not needed for the model, nor for the optimizer that it was compiled with. Call it before
        the loop, in the same order each time. An optimizer is built for the model if it is not.

        Raises:
            ConfigurationError: it has no variables.
            CheckpointError: the checkpoint has those of something else.
        """
        if not hasattr(thing, "variables"):
            msg = f"context.track takes what has Keras variables, not {type(thing).__name__}"
            raise ConfigurationError(msg)
        if isinstance(thing, keras.optimizers.Optimizer) and not thing.built:
            thing.build(self.model.trainable_variables)
        prefix = f"tracked{len(self._tracked)}"
        self._tracked.append(thing)
        arrays = self.recorder.snapshot.arrays
        if any(name.startswith(f"{prefix}/") for name in arrays):
            put(prefix, thing.variables, arrays)
        return thing

    def train(self, train_fn: Train, start: Snapshot) -> None:
        """Run the loop from a state of training on; the search's part.

        Raises:
            Interrupted: `Job.interrupted` said so; all that was reported is on disk.
            ConfigurationError: the loop does not do what it must.
            CheckpointError: a checkpoint cannot be written, or is of another model.
        """
        self.recorder.go_on_from(start)
        if isinstance(self.model, keras.Model):
            if self.model.built:
                self.recorder.announce()
            start.restore(self.model)
        else:
            self.recorder.announce()
        if start.meta:
            self.state.update(own_state.unpacked(start.meta["state"], start.arrays))
        generators.seed(self.seed)
        train_fn(self.model, self)
        if self.recorder.ended is not None:
            return
        if self._interrupted:
            self.recorder.cut(self.recorder.snapshot.epoch)
            raise Interrupted
        if self.recorder.snapshot.epoch == 0:
            msg = (
                "train_fn must train: `for epoch in context.epochs()`, with context.report(...) at "
                "the end of each"
            )
            raise ConfigurationError(msg)
        self.recorder.stop()  # it left the loop by itself

    def _present(self, step: int) -> Stored:  # noqa: ARG002 (a loop is cut at an epoch's end)
        """Return the present state of training."""
        arrays, rest = own_state.packed(self.state, "state")
        if isinstance(self.model, keras.Model):
            arrays |= model_state(self.model)
        for i, thing in enumerate(self._tracked):
            arrays |= take(f"tracked{i}", thing.variables)
        return arrays, {"state": rest}

    def _best(self) -> Stored:
        """Return the weights and the state: what is kept of the best epoch."""
        arrays, rest = own_state.packed(self.state, "best-state")
        if isinstance(self.model, keras.Model):
            arrays |= best_weights(self.model)
        return arrays, {"state": rest}

    @property
    def _interrupted(self) -> bool:
        return self._job.interrupted()


def _number(name: str, value: Any) -> float:  # noqa: ANN401 (a number of any library)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        msg = f"context.report({name}=...) must be given a number, not {value!r:.100}"
        raise ConfigurationError(msg) from error
