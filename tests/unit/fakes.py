"""A search without Keras: model functions that return curves, and an executor that follows them."""

import math
import random
import re
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunedeco import Choice, Linear, Range, enqueued, tracing, warm_starts
from tunedeco.budgets import Budgets
from tunedeco.errors import CheckpointError, TunedecoError
from tunedeco.events import Built, Created, Ended, Event, Resumed, Trained
from tunedeco.executors import checkpoints
from tunedeco.executors.base import Emit, Interrupted, Report, Slice
from tunedeco.journal.journal import load
from tunedeco.journal.search_state import SearchState
from tunedeco.objectives import several
from tunedeco.opening import carried_over, open_search
from tunedeco.oracles import Oracle, Random, Scheduler, describe
from tunedeco.randomness import stream
from tunedeco.search import Search
from tunedeco.tracing import MAX_TRACES, explore
from tunedeco.trial import Checkpoint, Epoch, State, Trial


@dataclass
class Curve:
    """What a model function returns here: a loss that falls, and a size."""

    start: float
    rate: float
    parameters: int = 10
    breaks: int | None = None
    """The epoch in which training raises."""
    diverges: int | None = None
    """The epoch in which the loss is NaN."""
    stops: int | None = None
    """The epoch after which a callback stops training."""

    def train(self, epoch: int, noise: random.Random) -> dict[str, float]:
        if epoch == self.breaks:
            msg = f"broken in epoch {epoch}"
            raise RuntimeError(msg)
        loss = self.start * self.rate**epoch + noise.random() / 100
        return {"loss": loss, "val_loss": math.nan if epoch == self.diverges else loss + 0.1}


class FakeExecutor:
    """Follows curves: one event of one trial at each `wait`, the trials under way in turns."""

    def __init__(
        self,
        model_fn: Callable[[], Curve],
        *,
        capacity: int = 1,
        max_parameters: int | None = None,
        every: int = 1,
        checkpoints: Path | None = None,
        supplied: Collection[str] = (),
    ) -> None:
        self.capacity = capacity
        self.submitted: list[int] = []
        self.trained: list[tuple[int, int]] = []
        """Each epoch trained here, as (trial, epoch)."""
        self.trained_runs: list[tuple[int, int, int]] = []
        """The same as (trial, execution, epoch)."""
        self._model_fn = model_fn
        self._max_parameters = max_parameters
        self._every = every
        self._checkpoints = checkpoints
        self._supplied = supplied
        self._under_way: list[Iterator[Report]] = []
        self._interrupted = False

    def submit(self, work: Slice) -> None:
        assert len(self._under_way) < self.capacity
        self.submitted.append(work.trial.number)
        self._under_way.append(self._train(work))

    def wait(self, emit: Emit) -> None:
        if self._interrupted:
            raise Interrupted
        if self._under_way:
            trial = self._under_way.pop(0)
            event = next(trial)
            if not isinstance(event, Ended):
                self._under_way.append(trial)
            emit(event)

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        pass

    def _train(self, work: Slice) -> Iterator[Report]:
        try:
            yield from self._followed(work)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 (as the real one: it fails the trial)
            described = {"type": type(error).__name__, "message": str(error)}
            described["traceback"] = _traceback(error)
            yield Ended(work.trial.number, State.FAILED, described, work.trial.execution)

    def _followed(self, work: Slice) -> Iterator[Report]:
        trial, seed = work.trial, work.seed
        number, execution = trial.number, trial.execution

        def draw(hyperparameter: Any) -> Any:
            return hyperparameter.domain.decode(
                stream(seed, number, f"met {hyperparameter.label}").random()
            )

        begin = trial.checkpoints[-1].epoch if trial.checkpoints else 0
        if begin and self._checkpoints is not None:
            file = checkpoints.path(self._checkpoints, trial, begin, 0)
            checkpoints.read(file, trial.checkpoints[-1].sha256)
        if trial.checkpoints or trial.parameters is not None:
            yield Resumed(number, begin, 0, execution)
        curve, trace = tracing.run(self._model_fn, tracing.from_values(trial.values, draw))
        if begin == 0:
            met = tuple(h for h in trace.space if h.key not in trial.asked)
            inputs = {"shape": [None, 2], "dtype": "float32"}
            found = (trace.values, met, curve.parameters, "float32", inputs)
            yield Built(number, *found, execution)
        if self._max_parameters is not None and curve.parameters > self._max_parameters:
            message = {"message": f"{curve.parameters} parameters"}
            yield Ended(number, State.REJECTED, message, execution)
            return
        epochs = list(trial.epochs[:begin])
        state = _over(curve, epochs, work)
        while state is None:
            epoch = len(epochs) + 1
            logs = curve.train(epoch, stream(seed, number, f"epoch {epoch} of {execution}"))
            if "parameters" in self._supplied:
                logs["parameters"] = float(curve.parameters)
            self.trained.append((number, epoch))
            self.trained_runs.append((number, execution, epoch))
            epochs.append(Epoch(epoch, logs, {"seconds": random.random()}))
            state = _over(curve, epochs, work)
            if state is not None or epoch % self._every == 0:
                checkpoint = self._checkpoint(trial, epoch)
                yield Trained(number, tuple(epochs[begin:]), checkpoint, execution)
                begin = epoch
        yield Ended(number, state, execution=execution)

    def _checkpoint(self, trial: Trial, epoch: int) -> Checkpoint:
        """Write a checkpoint, if there is a place for them."""
        if self._checkpoints is None:
            return Checkpoint(epoch, 0, "0" * 64)
        file = checkpoints.path(self._checkpoints, trial, epoch, 0)
        return Checkpoint(epoch, 0, checkpoints.write(file, {"epoch": np.array([epoch])}, {}))


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _over(curve: Curve, epochs: list[Epoch], work: Slice) -> State | None:
    """Return how a slice ends after these epochs; None if it goes on."""
    losses = [epoch.logs["val_loss"] for epoch in epochs]
    if losses and not math.isfinite(losses[-1]):
        return State.DIVERGED
    if len(epochs) in (work.trial.until, curve.stops):
        return State.COMPLETED
    reached = work.target is not None and min(losses, default=math.inf) <= work.target
    return State.PAUSED if reached or len(epochs) >= work.until else None


def model_fn() -> Curve:
    """Ask as real functions do: in groups, behind an ``if``, and not always with success."""
    optimizer = Choice("optimizer", ["adam", "sgd"], group="training")
    rate = Linear("rate", 0.5, 0.9, 5, group="training")
    units = Range("units", 8, 32, 8)
    curve = Curve(units / 8, rate, parameters=units)
    if optimizer == "sgd":
        curve.start += Choice("momentum", [0.0, 0.5, 0.9], group="training")
    if units == 16 and rate < 0.7:
        curve.breaks = 2
    if units == 16 and rate > 0.8:
        curve.diverges = 2
    if units == 24 and rate < 0.7:
        curve.stops = 1
    return curve


def plain_fn() -> Curve:
    """Ask for one thing of a hundred values, and always succeed."""
    return Curve(1.0, 0.9, parameters=Range("units", 1, 100))


def uneven_fn() -> Curve:
    """Ask for a size, of which more is better, and for what only makes things worse."""
    units, worse = Range("units", 1, 6), Choice("worse", [0, 1])
    curve = Curve(8.0 - units + worse, 0.9, parameters=units)
    if worse and units == 3:
        curve.breaks = 2
    if worse and units == 4:
        curve.diverges = 2
    return curve


@dataclass
class Run:
    """How a run went."""

    worked: bool | None
    """What `Search.run` returned; None if it raised."""
    state: SearchState
    executor: FakeExecutor
    error: TunedecoError | Interrupted | None = None
    sizes: list[int] = field(default_factory=list)
    """The size of the journal's file after each event."""


def run_search(
    directory: Path,
    function: Callable[[], Curve] = model_fn,
    *,
    oracle: Oracle | None = None,
    objective: str | Sequence[str] = "val_loss",
    seed: int = 0,
    epoch_budget: int | None = None,
    max_epochs: int = 3,
    min_epochs: int = 1,
    max_trials: int | None = None,
    time_budget: float | None = None,
    target: float | None = None,
    executions: int = 1,
    max_consecutive_failures: int = 5,
    max_parameters: int | None = None,
    overwrite: bool = False,
    extend: bool = False,
    capacity: int = 1,
    every: int = 1,
    with_checkpoints: bool = False,
    interrupt_at: int | None = None,
    traces: int = MAX_TRACES,
    groups: Sequence[str] | None = None,
    freeze: Mapping[str, Any] | None = None,
    defaults: bool = False,
    enqueue: Sequence[Mapping[str, Any]] = (),
    warm_start: Sequence[str] = (),
) -> Run:
    """Search as the tuner does, on a real journal; errors of ours are returned, with the state.

    With ``interrupt_at=``, the executor is interrupted when so many events have been told.
    """
    oracle = Random() if oracle is None else oracle
    space = explore(function, limit=traces)
    if isinstance(oracle, Scheduler):
        oracle = oracle.within(min_epochs, max_epochs)
    objectives = several(objective)
    wanted = Created(
        *("model_fn", objectives[0], space, describe(oracle), seed),
        executions=executions,
        defaults=defaults,
        others=objectives[1:],
    )
    sources = warm_starts.read(warm_start, objectives, None if overwrite else directory)
    executor = FakeExecutor(
        function,
        capacity=capacity,
        max_parameters=max_parameters,
        every=every,
        checkpoints=directory / "checkpoints" if with_checkpoints else None,
        supplied=[o.name for o in objectives if o.supplied],
    )
    budgets = Budgets(
        epoch_budget,
        max_epochs,
        min_epochs,
        max_trials,
        time_budget,
        target,
        max_consecutive_failures,
    )
    journal, state = open_search(
        directory,
        wanted,
        overwrite=overwrite,
        extend=(lambda state: carried_over(state, wanted, function)) if extend else None,
    )
    sizes: list[int] = []

    def observe(event: Event) -> None:
        sizes.append(journal.path.stat().st_size)
        if len(sizes) == interrupt_at:
            executor.interrupt()

    with journal:
        known = state.space if state.created else space
        events = enqueued.new(known, enqueue, state.enqueued)
        events += [one.event for one in warm_starts.taken_over(sources, known, state.sources)]
        search = Search(journal, state, oracle, executor, budgets, observe)
        try:
            worked, error = search.run(wanted, groups, freeze or {}, events), None
        except (TunedecoError, Interrupted) as raised:
            worked, error = None, raised
    assert _shown(load(directory)) == _shown(state)  # the journal and the memory never differ
    return Run(worked, state, executor, error, sizes)


def _shown(state: SearchState) -> str:
    """Return all of a state but the places in the source: NaN is equal to itself in it."""
    return re.sub(r"place='[^']*'", "place=''", repr(state))


def without_runtime(data: Any) -> Any:
    """Return JSON without what is circumstance."""
    if isinstance(data, dict):
        return {key: without_runtime(value) for key, value in data.items() if key != "runtime"}
    if isinstance(data, list):
        return [without_runtime(item) for item in data]
    return data


def records(state: SearchState) -> Any:
    """Return all that is reproducible of a search."""
    return {
        "trials": without_runtime([trial.to_json() for trial in state.trials]),
        "space": state.space.to_json(),
        "epochs": state.epochs,
        "stopped": state.stopped,
    }
