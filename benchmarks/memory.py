"""The memory of a search, from trial to trial, beside that of the loop one would write oneself.

``python benchmarks/memory.py --data mnist.npz`` trains 200 small networks on a few images of MNIST
in one process: by tunedeco's grid, and by a plain loop with ``clear_session``. In ``same`` they
differ in their learning rates only; in ``changing`` no two have the same shapes. From the outside,
the memory of the process (and the most it ever had) is read whenever another trial has ended.
``--runs FILE`` keeps each run, to go on from.
"""

import argparse
import contextlib
import datetime as dt
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from children import mnist, surroundings
from kept import results
from tables import publish

SPACES: dict[str, dict[str, list[Any]]] = {
    "same": {"learning_rate": [(i + 1) / 10_000 for i in range(200)]},
    "changing": {"filters": list(range(2, 12)), "units": list(range(8, 28))},
}
METHODS = ("tunedeco", "loop")
ENDED = '"event":"ended"'
EARLY = 20
"""The trial that the last one is compared with."""
AROUND = 5
"""Of so many trials that end there, the median is taken."""


def network(learning_rate=1e-3, filters=4, units=16):
    import keras

    model = keras.Sequential()
    model.add(keras.layers.Conv2D(filters, kernel_size=(3, 3), strides=2, activation="relu"))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def search(space, data, trials, folder) -> None:
    from tunedeco import Choice, Tuner

    def model_fn():
        return network(**{name: Choice(name, listed) for name, listed in space.items()})

    (x, y), validation = data
    tuner = Tuner(
        *(model_fn, "val_accuracy"),
        max_epochs=1,
        max_trials=trials,
        oracle="grid",
        directory=folder,
    )
    tuner.search(x, y, validation_data=validation, verbose=0)


def loop(space, data, trials, folder) -> None:
    import keras

    (x, y), validation = data
    with Path(folder, "journal.jsonl").open("w") as journal:
        for values in itertools.islice(itertools.product(*space.values()), trials):
            keras.utils.clear_session()
            model = network(**dict(zip(space, values, strict=True)))
            model.fit(x, y, validation_data=validation, verbose=0)
            print(ENDED, file=journal, flush=True)


def one(options) -> None:
    """Train all trials in this process."""
    data = mnist(options.data, options.images, options.images)
    run = {"tunedeco": search, "loop": loop}[options.one]
    run(SPACES[options.spaces[0]], data, options.trials, options.folder)


def memory(pid: int) -> tuple[float, float]:
    """Return what a process has in memory, and the most it ever had, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    resident, peak = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return resident, peak


def watched(options, backend: str, space: str, method: str) -> dict[str, Any]:
    """Train all trials in a process; return what it held at the end of each."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"--data": options.data, "--images": options.images, "--trials": options.trials}
        settings |= {"--spaces": space, "--one": method, "--folder": folder}
        command = [sys.executable, __file__, *map(str, itertools.chain(*settings.items()))]
        journal, at_end, began = Path(folder, "journal.jsonl"), [], time.monotonic()
        with subprocess.Popen(command, env=surroundings(backend)) as child:
            while child.poll() is None:
                ended = journal.read_text().count(ENDED) if journal.exists() else 0
                if ended > len(at_end):
                    with contextlib.suppress(KeyError):  # the process has ended meanwhile
                        now = memory(child.pid)
                        at_end += [now] * (ended - len(at_end))
                time.sleep(0.02)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, command)
    # the last one ends together with the process, so it may not be there
    assert options.trials - len(at_end) <= 1, (method, len(at_end))
    peak = max(peak for _, peak in at_end)
    return {"at_end": at_end, "wall": time.monotonic() - began, "peak": peak}


def report(found: dict[tuple[Any, ...], dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| backend | models | by | {EARLY}th | last | ratio | peak, {EARLY}th | last | ratio |"
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|"
    for (_, backend, space, method), result in found.items():
        cells = []
        for figures in zip(*result["at_end"], strict=True):
            early, last = (
                statistics.median(figures[end - AROUND : end]) for end in (EARLY, len(figures))
            )
            cells += [f"{early:.0f}", f"{last:.0f}", f"{last / early:.3f}"]
        yield f"| {backend} | {space} | {method} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax"])
    parser.add_argument("--spaces", nargs="+", default=[*SPACES], choices=SPACES)
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--runs", type=Path, help="a file that keeps each run, to go on from")
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options)
        return
    what = f"{options.trials} trials of one epoch on {options.images} images"

    def run(_: str, *key: str) -> dict[str, Any]:
        return watched(options, *key)

    wanted = [
        (what, *key) for key in itertools.product(options.backends, options.spaces, options.methods)
    ]
    lines = [
        f"# Memory from trial to trial, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
        "",
        f"`python benchmarks/memory.py --data mnist.npz`: {what}, in one process. MiB that it has",
        "when a trial has ended, and the most it ever had until then; each the median of the",
        f"{AROUND} trials that end there.",
        "",
        *report(results(wanted, run, options.runs)),
    ]
    publish(lines, options.out)


if __name__ == "__main__":
    main()
