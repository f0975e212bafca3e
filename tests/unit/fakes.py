"""A search without Keras: model functions that return curves, and an executor that follows them."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunedeco import Choice, Linear, Objective, Range, tracing
from tunedeco.errors import TunedecoError
from tunedeco.events import Built, Created, Ended, EpochEnded, Event
from tunedeco.executors.base import Emit, Report, Slice
from tunedeco.journal.journal import load
from tunedeco.journal.search_state import SearchState
from tunedeco.oracles import Oracle, Random, describe
from tunedeco.randomness import stream, training_seed
from tunedeco.search import Budgets, Search, open_search
from tunedeco.trial import State


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
    ) -> None:
        self.capacity = capacity
        self.trained: list[int] = []
        self._model_fn = model_fn
        self._max_parameters = max_parameters
        self._under_way: list[Iterator[Report]] = []

    def submit(self, work: Slice) -> None:
        assert len(self._under_way) < self.capacity
        self.trained.append(work.trial.number)
        self._under_way.append(self._train(work))

    def wait(self, emit: Emit) -> None:
        if self._under_way:
            trial = self._under_way.pop(0)
            event = next(trial)
            if not isinstance(event, Ended):
                self._under_way.append(trial)
            emit(event)

    def close(self) -> None:
        pass

    def _train(self, work: Slice) -> Iterator[Report]:
        number = work.trial.number

        def draw(hyperparameter: Any) -> Any:
            draws = stream(work.seed, number, f"met {hyperparameter.label}")
            return hyperparameter.domain.decode(draws.random())

        try:
            answer = tracing.from_values(work.trial.values, draw)
            curve, trace = tracing.run(self._model_fn, answer)
            given = {(g, name) for g, names in work.trial.values.items() for name in names}
            met = tuple(h for h in trace.space if h.key not in given)
            inputs = {"shape": [None, 2], "dtype": "float32"}
            yield Built(number, trace.values, met, curve.parameters, "float32", inputs)
            if self._max_parameters is not None and curve.parameters > self._max_parameters:
                yield Ended(number, State.REJECTED, {"message": f"{curve.parameters} parameters"})
                return
            noise = random.Random(training_seed(work.seed, number))
            for epoch in range(1, work.trial.until + 1):
                logs = curve.train(epoch, noise)
                yield EpochEnded(number, epoch, logs, {"seconds": random.random()})
                if not math.isfinite(logs["val_loss"]):
                    yield Ended(number, State.DIVERGED)
                    return
                if epoch == curve.stops:
                    break
            yield Ended(number, State.COMPLETED)
        except Exception as error:  # noqa: BLE001 (as the real one: it fails the trial)
            described = {"type": type(error).__name__, "message": str(error), "traceback": repr(error)}
            yield Ended(number, State.FAILED, described)


def model_fn() -> Curve:
    """Ask as real functions do: in groups, behind an ``if``, and not always with success."""
    optimizer = Choice("optimizer", ["adam", "sgd"], group="training")
    rate = Linear("rate", 0.5, 0.9, 5, group="training")
    units = Range("units", 8, 32, 8)
    curve = Curve(units / 8, rate, parameters=units)
    if optimizer == "sgd":
        curve.start += Choice("momentum", [0.0, 0.5, 0.9], group="training")
    if (units, rate) == (24, 0.7):
        curve.breaks = 2
    if (units, rate) == (16, 0.9):
        curve.diverges = 2
    if (units, rate) == (8, 0.5):
        curve.stops = 1
    return curve


def plain_fn() -> Curve:
    """Ask for one thing of a hundred values, and always succeed."""
    return Curve(1.0, 0.9, parameters=Range("units", 1, 100))


@dataclass
class Run:
    """How a run went."""

    worked: bool | None
    """What `Search.run` returned; None if it raised."""
    state: SearchState
    executor: FakeExecutor
    error: TunedecoError | None = None
    sizes: list[int] = field(default_factory=list)
    """The size of the journal's file after each event."""


def run_search(
    directory: Path,
    function: Callable[[], Curve] = model_fn,
    *,
    oracle: Oracle | None = None,
    objective: str = "val_loss",
    seed: int = 0,
    epoch_budget: int | None = None,
    max_epochs: int = 3,
    max_trials: int | None = None,
    max_consecutive_failures: int = 5,
    max_parameters: int | None = None,
    overwrite: bool = False,
    capacity: int = 1,
) -> Run:
    """Search as the tuner does, on a real journal; errors of ours are returned, with the state."""
    oracle = Random() if oracle is None else oracle
    space = tracing.run(function, tracing.defaults)[1].space
    wanted = Created("model_fn", Objective(objective), space, describe(oracle), seed)
    executor = FakeExecutor(function, capacity=capacity, max_parameters=max_parameters)
    budgets = Budgets(epoch_budget, max_epochs, max_trials, max_consecutive_failures)
    journal, state = open_search(directory, wanted, overwrite=overwrite)
    sizes: list[int] = []

    def observe(event: Event) -> None:
        sizes.append(journal.path.stat().st_size)

    with journal:
        search = Search(journal, state, oracle, executor, budgets, observe)
        try:
            worked, error = search.run(wanted), None
        except TunedecoError as raised:
            worked, error = None, raised
    assert repr(load(directory)) == repr(state)  # the journal and the memory never differ
    return Run(worked, state, executor, error, sizes)


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
