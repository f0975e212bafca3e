"""What an append and an opening of the journal cost, beside TinyDB's own storage and Optuna's.

Run it as it stands: ``python benchmarks/journal.py``. At each size a few hundred more events are
appended and timed, one by one, each flushed to disk where the storage does that; then the file is
opened and read in a fresh object. Optuna's journal is driven as Optuna drives it: one log appended
at a time, with its lock and its flush.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinydb import TinyDB

from tunedeco.journal.storage import JournalDB

EVENT = {
    "event": "trained",
    "trial": 17,
    "epochs": [
        {
            "epoch": 3,
            "logs": {"accuracy": 0.8125, "loss": 0.5121, "val_accuracy": 0.79, "val_loss": 0.6012},
            "runtime": {"seconds": 1.234567},
        }
    ],
    "checkpoint": {"epoch": 3, "step": 0, "sha256": "9f" * 32},
}


class Ours:
    """tunedeco's journal."""

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self.make = lambda: JournalDB(path, fsync=fsync)
        self.db = self.make()

    def append(self) -> None:
        self.db.insert(EVENT)

    def extend(self, count: int) -> None:
        self.db.insert_multiple([EVENT] * count)

    def open(self) -> int:
        self.db.close()
        self.db = self.make()
        return len(self.db)


class PlainTinyDB:
    """TinyDB with its JSONStorage, which rewrites the file at each insert."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = TinyDB(path)

    def append(self) -> None:
        self.db.insert(EVENT)

    def extend(self, count: int) -> None:
        self.db.insert_multiple([EVENT] * count)

    def open(self) -> int:
        self.db.close()
        self.db = TinyDB(self.path)
        return len(self.db)


class Optuna:
    """Optuna's journal file, which flushes each append."""

    def __init__(self, path: Path) -> None:
        from optuna.storages.journal import JournalFileBackend

        self.make = lambda: JournalFileBackend(str(path))
        self.backend = self.make()

    def append(self) -> None:
        self.backend.append_logs([EVENT])

    def extend(self, count: int) -> None:
        self.backend.append_logs([EVENT] * count)

    def open(self) -> int:
        self.backend = self.make()
        return sum(1 for _ in self.backend.read_logs(0))


def measure(
    store: Any, sizes: list[int], appends: int, seconds: float
) -> Iterator[tuple[int, float, float, float]]:
    """Yield (events, median and 99th percentile of an append in ms, opening in s) for each size."""
    began, held = time.perf_counter(), 0
    for size in sizes:
        if time.perf_counter() - began > seconds:
            return
        store.extend(size - held)
        times = []
        for _ in range(appends):
            before = time.perf_counter()
            store.append()
            times.append(time.perf_counter() - before)
            if time.perf_counter() - began > seconds:
                break
        held = size + len(times)
        before = time.perf_counter()
        found = store.open()
        opening = time.perf_counter() - before
        if found != held:
            msg = f"{type(store).__name__} gave back {found} of {held} events"
            raise RuntimeError(msg)
        times.sort()
        worst = times[min(len(times) - 1, int(len(times) * 0.99))]
        yield size, statistics.median(times) * 1e3, worst * 1e3, opening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--appends", type=int, default=500, help="appends timed at each size")
    parser.add_argument("--seconds", type=float, default=60, help="what one storage may take")
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    options = parser.parse_args()

    stores: dict[str, Callable[[Path], Any]] = {
        "tunedeco": Ours,
        "tunedeco, not flushed": lambda path: Ours(path, fsync=False),
        "TinyDB JSONStorage": PlainTinyDB,
        "Optuna journal file": Optuna,
    }
    lines = [
        f"Events of {len(json.dumps(EVENT))} bytes; {options.appends} appends at each size.",
        "",
        "| storage | events | append, median ms | append, p99 ms | open, s |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines))
    for name, make in stores.items():
        with tempfile.TemporaryDirectory() as directory:
            try:
                store = make(Path(directory) / "journal")
            except ImportError:
                lines.append(f"| {name} | not installed | | | |")
                print(lines[-1])
                continue
            for size, median, worst, opening in measure(
                store, options.sizes, options.appends, options.seconds
            ):
                lines.append(f"| {name} | {size:,} | {median:.3f} | {worst:.3f} | {opening:.2f} |")
                print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
