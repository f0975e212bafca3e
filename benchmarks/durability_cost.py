"""What checkpoints and the journal add to the time of a training.

``python benchmarks/durability_cost.py --data mnist.npz``. One trial of the README's network is
trained on MNIST, again and again, by turns: as every search does it, and with nothing kept (no
state of training is taken, no checkpoint written, and the journal's lines stay in memory). Prints
the seconds of wall and of CPU of each round, their medians, and the ratio of those; and how long
the calls took by themselves that the second kind leaves out.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import keras
import numpy as np

from tunedeco import Choice, Linear, Range, Tuner
from tunedeco.executors import checkpoints
from tunedeco.executors.recorder import Recorder, Snapshot
from tunedeco.journal.storage import JournalStorage


def model_fn():
    learning_rate = Choice("learning_rate", [0.001, 0.0005, 0.0001], group="optimizer")
    rate = Linear("dropout_rate", 0.0, 0.5, 5, group="dense")
    dims = Range("num_dims", 8, 32, 8, group="dense")
    layers = Range("num_layers", 1, 3, group="dense")
    second = Range("l2_num_filters", 8, 64, 8, group="cnn")
    first = Range("l1_num_filters", 8, 64, 8, group="cnn")
    model = keras.Sequential()
    model.add(keras.layers.Conv2D(first, kernel_size=(3, 3), activation="relu"))
    model.add(keras.layers.Conv2D(second, kernel_size=(3, 3), activation="relu"))
    model.add(keras.layers.Flatten())
    for _ in range(layers):
        model.add(keras.layers.Dense(dims, activation="relu"))
        model.add(keras.layers.Dropout(rate))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(learning_rate))
    return model


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Train without taking, writing or flushing anything."""

    def taken(self, epoch, step, *, stop, diverged=False):  # noqa: ARG001
        return Snapshot(epoch, step, {}, {"stop": stop, "callbacks": []})

    with ExitStack() as stack:
        for owner, name, other in (
            (Recorder, "_taken", taken),
            (checkpoints, "write", lambda *_: "0" * 64),
            (checkpoints, "prune", lambda *_: None),
            (JournalStorage, "_write", JournalStorage._take),
        ):
            stack.enter_context(mock.patch.object(owner, name, other))
        yield


@contextmanager
def timed(spent: list[float]) -> Iterator[None]:
    """Sum up the seconds in what `nothing_kept` leaves out."""

    def clock(call):
        def clocked(*arguments, **options):
            began = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                spent[-1] += time.perf_counter() - began

        return clocked

    with ExitStack() as stack:
        for owner, name in (
            *((Recorder, "_taken"), (checkpoints, "write"), (checkpoints, "prune")),
            (JournalStorage, "append"),
        ):
            stack.enter_context(mock.patch.object(owner, name, clock(getattr(owner, name))))
        yield


def train(data, epochs: int) -> tuple[float, float]:
    """Search with one trial in a new directory; return seconds of wall and of CPU."""
    (x, y), validation = data
    with tempfile.TemporaryDirectory() as directory:
        tuner = Tuner(
            model_fn,
            "val_accuracy",
            oracle="grid",
            max_trials=1,
            max_epochs=epochs,
            directory=Path(directory, "run"),
        )
        wall, cpu = time.perf_counter(), time.process_time()
        tuner.search(x, y, validation_data=validation, verbose=0)
        return time.perf_counter() - wall, time.process_time() - cpu


def mnist(path: Path | None):
    if path is None:
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        with np.load(path) as file:
            x, y, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    parts = ((x, y), (x_test, y_test))
    return [(a[..., None].astype("float32") / 255, keras.utils.to_categorical(b)) for a, b in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="mnist.npz (default: Keras's download)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    options = parser.parse_args()
    (x, y), validation = mnist(options.data)
    data = ((x[: options.samples], y[: options.samples]), validation)
    train(data, 1)  # what is done once in a process is done before
    rows: list[tuple[float, ...]] = []
    spent: list[float] = []
    lines = [
        f"{options.epochs} epochs, {keras.backend.backend()}, {os.cpu_count()} cores; seconds.",
        "",
        "| round | wall, kept | wall, not kept | CPU, kept | CPU, not kept | in the calls |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    for number in range(options.rounds):
        spent.append(0.0)
        kept, bare = (0.0, 0.0), (0.0, 0.0)
        for kind in ("kept", "bare") if number % 2 else ("bare", "kept"):
            if kind == "kept":
                with timed(spent):
                    kept = train(data, options.epochs)
            else:
                with nothing_kept():
                    bare = train(data, options.epochs)
        rows.append((kept[0], bare[0], kept[1], bare[1], spent[-1]))
        lines.append(f"| {number + 1} | " + " | ".join(f"{s:.3f}" for s in rows[-1]) + " |")
        print(lines[-1], flush=True)
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    wall, cpu = medians[0] / medians[1], medians[2] / medians[3]
    share = statistics.median(row[4] / row[0] for row in rows)
    lines += [
        "| median | " + " | ".join(f"{s:.3f}" for s in medians) + " |",
        "",
        f"Ratio of the medians: wall {wall:.4f}, CPU {cpu:.4f}. The calls: {share:.2%} of wall.",
    ]
    print("\n".join(lines[-3:]))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
