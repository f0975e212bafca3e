"""What deciding and remembering cost for each trial, and what opening a long search costs.

Run it as it stands: ``python benchmarks/oracle.py``. The real search runs on a real journal, with
all that a tuner does beside training: each event is flushed to disk, followed by a look for
checkpoints that nobody needs, and the end of a trial is shown on a line. Its executor "trains" at
once: one epoch, whose losses are a function of the values. Beside it, each in a process of its own,
with the same six hyperparameters: Optuna's random sampler (`ask`, six suggestions, `tell`), whose
journal file is flushed to disk as ours is, and Keras Tuner's random oracle, which flushes nothing.
Between the trials that are timed nothing is flushed but SQLite, to save time.

Opening is timed in fresh processes, without their imports: ours locks, reads and folds the journal,
Optuna loads the study and its trials, Keras Tuner reloads its oracle.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tables import publish

from tunedeco import Linear, Logarithmic, Range, keeping, tracing
from tunedeco.budgets import Budgets
from tunedeco.events import Built, Created, Ended, Event, Trained
from tunedeco.executors import checkpoints
from tunedeco.executors.base import Emit, Slice
from tunedeco.journal.journal import FILE_NAME
from tunedeco.objective import Objective
from tunedeco.opening import open_search
from tunedeco.oracles import Aging, Decision, Evolution, Grid, Oracle, Random, describe
from tunedeco.report.progress import Progress
from tunedeco.search import Search
from tunedeco.space import Space
from tunedeco.trial import Checkpoint, Epoch, State, Trial

PERIOD = 100  # trials of which a median is made
BEGINNINGS = (0, 900, 4_900, 9_900)
EVENTS = 4  # of a trial: Proposed, Built, Trained, Ended
OPENINGS = 5

LEGEND = (
    f"Milliseconds for each trial, wall clock (CPU): medians of {PERIOD} trials, numbered as in "
    f"the head. `status` is the whole command; {EVENTS} flushes are as many appends of as many "
    "bytes as a trial's events, flushed to this disk by themselves."
)

Tick = Callable[[], None]
"""What is called at the end of each trial."""


def space_fn() -> None:
    """Ask as the design's model function does, for finer values."""
    Logarithmic("learning_rate", 0.0001, 0.01, 21, group="optimizer")
    Linear("dropout_rate", 0.0, 0.5, 11, group="dense")
    Range("num_dims", 8, 512, 8, group="dense")
    Range("num_layers", 1, 4, group="dense")
    Range("l1_num_filters", 8, 64, 8, group="cnn")
    Range("l2_num_filters", 8, 64, 8, group="cnn")


SPACE = tracing.run(space_fn, tracing.defaults)[1].space


def loss_of(places: Sequence[float]) -> float:
    """Return the loss of what lies there in the unit cube."""
    return sum((place - 0.3) ** 2 for place in places)


class AtOnce:
    """An executor whose trials have been trained when it is asked about them."""

    capacity = 1
    trial: Trial

    def submit(self, work: Slice) -> None:
        self.trial = work.trial

    def wait(self, emit: Emit) -> None:
        number, values = self.trial.number, self.trial.values
        loss = loss_of(SPACE.encode(values))
        logs = {"accuracy": 0.8125, "loss": loss, "val_accuracy": 0.79, "val_loss": loss + 0.1}
        inputs = {"shape": [None, 28, 28, 1], "dtype": "float32"}
        emit(Built(number, values, (), 10_000, "float32", inputs))
        epoch = Epoch(1, logs, {"seconds": 1.234567})
        emit(Trained(number, (epoch,), Checkpoint(1, 0, "9f" * 32)))
        emit(Ended(number, State.COMPLETED))

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Timed:
    """An oracle for the trials that are timed, and random search between them: it takes long."""

    oracle: Oracle

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Decision:
        timed = any(begin <= len(trials) < begin + PERIOD for begin in BEGINNINGS)
        return (self.oracle if timed else Random()).next(space, trials, seed)


def created(oracle: Oracle) -> Created:
    return Created("model_fn", Objective.of("val_loss"), SPACE, describe(oracle), 0)


class Ours:
    """tunedeco with one of its oracles."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def run(self, directory: Path, trials: int, tick: Tick) -> None:
        wanted = created(self.oracle)
        journal, state = open_search(directory, wanted)
        budgets = Budgets(epoch_budget=trials, max_epochs=1, max_trials=trials)
        progress = Progress(state, trials, 1)
        folder = directory / "checkpoints"

        def observe(event: Event) -> None:  # as the tuner does
            if isinstance(event, (Trained, Ended)):
                needed = keeping.needed(state, self.oracle, 1, folder)
                checkpoints.prune(folder, needed, state.unfinished)
            progress.update(event)
            if isinstance(event, Ended):
                tick()

        with journal, contextlib.redirect_stderr(io.StringIO()):
            Search(journal, state, self.oracle, AtOnce(), budgets, observe).run(wanted)

    def open(self, directory: Path) -> int:
        journal, state = open_search(directory, created(self.oracle))
        with journal:
            return len(state.trials)


class Optuna:
    """Optuna's random sampler with a storage."""

    def __init__(self, storage: Callable[[Path], Any]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.optuna, self.storage = optuna, storage

    def run(self, directory: Path, trials: int, tick: Tick) -> None:
        study = self.optuna.create_study(
            study_name="s",
            storage=self.storage(directory),
            sampler=self.optuna.samplers.RandomSampler(seed=0),
        )
        for _ in range(trials):
            trial = study.ask()
            for h in SPACE:
                trial.suggest_int(h.name, 0, (h.domain.size or 1) - 1)
            places = [trial.params[h.name] / (h.domain.size or 1) for h in SPACE]
            study.tell(trial, loss_of(places))
            tick()

    def open(self, directory: Path) -> int:
        study = self.optuna.load_study(study_name="s", storage=self.storage(directory))
        return len(study.get_trials(deepcopy=False))


def optuna_journal(directory: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(directory / "journal")))


def optuna_sqlite(directory: Path) -> Any:
    from optuna.storages import RDBStorage

    return RDBStorage(f"sqlite:///{directory / 'study.db'}")


class KerasTuner:
    """Keras Tuner's random oracle."""

    def oracle(self, directory: Path) -> Any:
        import keras_tuner as kt

        hps = kt.HyperParameters()
        for h in SPACE:
            hps.Int(h.name, 0, (h.domain.size or 1) - 1)
        objective = kt.Objective("val_loss", "min")
        oracle = kt.oracles.RandomSearchOracle(objective, 10**6, seed=0, hyperparameters=hps)
        oracle._set_project_dir(str(directory), "search")
        return oracle

    def run(self, directory: Path, trials: int, tick: Tick) -> None:
        oracle = self.oracle(directory)
        for _ in range(trials):
            trial = oracle.create_trial("tuner0")
            values = trial.hyperparameters.values
            loss = loss_of([values[h.name] / (h.domain.size or 1) for h in SPACE])
            oracle.update_trial(trial.trial_id, {"val_loss": loss})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
            tick()

    def open(self, directory: Path) -> int:
        oracle = self.oracle(directory)
        oracle.reload()
        return len(oracle.trials)


ROWS: dict[str, Callable[[], Any]] = {
    "tunedeco, grid": lambda: Ours(Grid()),
    "tunedeco, random": lambda: Ours(Random()),
    "tunedeco, aging evolution": lambda: Ours(Aging()),
    "tunedeco, evolution that learns": lambda: Ours(Timed(Evolution())),
    "Optuna random, journal file": lambda: Optuna(optuna_journal),
    "Optuna random, SQLite": lambda: Optuna(optuna_sqlite),
    "Keras Tuner random": KerasTuner,
}


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def run(name: str, directory: Path, trials: int, seconds: float) -> list[list[float]]:
    """Return for each period that was reached the medians of a trial, wall and CPU, in ms."""
    row, flush = ROWS[name](), os.fsync
    times: list[tuple[float, float]] = []

    def tick() -> None:
        times.append(now())
        done = len(times) - 1
        timed = any(begin - 1 <= done < begin + PERIOD for begin in BEGINNINGS)
        os.fsync = flush if timed else lambda _: None
        if times[-1][0] - times[0][0] > seconds:
            raise TimeoutError

    tick()
    with contextlib.suppress(TimeoutError):
        row.run(directory, trials, tick)
    os.fsync = flush
    found = []
    for begin in BEGINNINGS:
        spans = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(times[begin : begin + PERIOD + 1])]
        if len(spans) == PERIOD:
            found.append([statistics.median(s) * 1e3 for s in zip(*spans, strict=True)])
    return found


def opened(name: str, directory: Path) -> tuple[float, float, int]:
    """Return the seconds that opening takes, wall and CPU, and how many trials there were."""
    row = ROWS[name]()
    if isinstance(row, KerasTuner):
        row.oracle(directory.with_name("unused"))  # imports
    elif isinstance(row, Optuna):
        row.storage(directory)
    wall, cpu = now()
    trials = row.open(directory)
    return now()[0] - wall, now()[1] - cpu, trials


def flushes(directory: Path, size: int, count: int = 500) -> float:
    """Return the median milliseconds of an append of so many bytes that is flushed to disk."""
    times = []
    with (directory / "flushed").open("ab", buffering=0) as file:
        for _ in range(count):
            before = time.perf_counter()
            file.write(b"x" * size)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e3


def fresh(*arguments: object) -> Any:
    """Return what a fresh process of this program says, as JSON."""
    command = [sys.executable, __file__, *map(str, arguments)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def row(name: str, options: argparse.Namespace) -> Iterator[str]:
    """Yield the cells of a row."""
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        directory = Path(folder) / "search"
        directory.mkdir()
        cells = fresh("--run", name, directory, options.trials, options.seconds)
        yield from (f"{wall:.2f} ({cpu:.2f})" for wall, cpu in cells)
        yield from [""] * (len(BEGINNINGS) - len(cells))
        openings = [fresh("--open", name, directory) for _ in range(OPENINGS)]
        wall, cpu, trials = (statistics.median(some) for some in zip(*openings, strict=True))
        yield f"{trials:,}"
        yield f"{wall:.2f} ({cpu:.2f})"
        if not name.startswith("tunedeco"):
            return
        status = []
        for _ in range(OPENINGS):
            before = time.perf_counter()
            command = [sys.executable, "-m", "tunedeco", "status", str(directory)]
            subprocess.run(command, check=True, capture_output=True)
            status.append(time.perf_counter() - before)
        yield f"{statistics.median(status):.2f}"
        size = (directory / FILE_NAME).stat().st_size // (EVENTS * trials)
        yield f"{EVENTS * flushes(Path(folder), int(size)):.2f}"


def main() -> None:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=150, help="what one row may take")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), metavar="NAME")
    parser.add_argument("--directory", help="where the files are; by default a temporary one")
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--open", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, directory, trials, seconds = options.run
        print(json.dumps(run(name, Path(directory), int(trials), float(seconds))))
        return
    if options.open:
        name, directory = options.open
        print(json.dumps(opened(name, Path(directory))))
        return
    periods = [f"{begin:,} to {begin + PERIOD:,}" for begin in BEGINNINGS]
    head = ["", *periods, "trials there", "open, s", "`status`, s", f"{EVENTS} flushes, ms"]
    lines = [
        LEGEND,
        "",
        f"| {' | '.join(head)} |",
        f"|---{'|---:' * (len(head) - 1)}|",
    ]
    for name in options.rows:
        cells = list(row(name, options))
        cells += [""] * (len(head) - 1 - len(cells))
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, options.out)


if __name__ == "__main__":
    main()
