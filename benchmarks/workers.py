"""Many at once: the throughput of two workers beside one, and searches whose workers are killed.

``python benchmarks/workers.py --data mnist.npz`` runs one search on MNIST (the network of
``examples/digits_cnn.py``) with ``workers=None``, 1 and 2, in turns, each in a process of its own,
and reports the medians: how long the whole process takes; from its call of ``search`` to the first
epoch; and the time for each epoch from there to the end of the last trial, models built and traced
in it. All train the same trials.

``python benchmarks/workers.py --kills 50`` searches scikit-learn's digits with two workers, one of
which is killed with SIGKILL at random instants, whatever it does: it loads Keras, waits, builds,
trains or writes. At the end all trials and their epochs must be those of a search that nobody
disturbed, compared with ``==``, and the journal must hold each epoch once.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tunedeco.events import Ended, Lost, Trained
from tunedeco.journal.journal import Journal, load


def search(directory, data, trials, epochs, workers, **options):
    """Search the digits network; return the seconds that took."""
    from digits_cnn import model_fn

    from tunedeco import Tuner

    tuner = Tuner(
        model_fn,
        "val_accuracy",
        max_trials=trials,
        max_epochs=epochs,
        oracle="random",
        directory=directory,
        max_retries=1000,
    )
    began = time.monotonic()
    tuner.search(*data, validation_split=0.25, workers=workers, verbose=0, **options)
    return time.monotonic() - began


def mnist(file, images):
    import keras
    import numpy as np

    with np.load(file) as data:
        x, y = data["x_train"][:images, ..., None] / 255, data["y_train"][:images]
    return x.astype("float32"), keras.utils.to_categorical(y, 10)


def digits():
    import keras
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8, 1) / 16, keras.utils.to_categorical(labels, 10)


def one(options):
    """Search once; print what it took, as JSON."""
    workers = None if options.one == "None" else int(options.one)
    with tempfile.TemporaryDirectory() as root:
        directory = Path(root, "search")
        data = mnist(options.data, options.images)
        whole = search(
            directory, data, options.trials, options.epochs, workers, batch_size=options.batch_size
        )
        events = events_in(directory)
    trained = [event for event in events if isinstance(event, Trained)]
    first = trained[0].runtime["elapsed"] - sum(e.runtime["seconds"] for e in trained[0].epochs)
    last = max(event.runtime["elapsed"] for event in events if isinstance(event, Ended))
    epochs = sum(len(event.epochs) for event in trained)
    before = whole - last  # what the search needs before it asks its oracle, and to close
    print(json.dumps({"first": before + first, "epoch": (last - first) / epochs}))


def throughput(options):
    found = {}
    for _ in range(options.rounds):
        for workers in options.workers:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", workers]
            began = time.monotonic()
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            seconds = {"whole": time.monotonic() - began}
            seconds |= json.loads(done.stdout.splitlines()[-1])
            found.setdefault(workers, []).append(seconds)
            load = os.getloadavg()[0]
            print(f"workers={workers}: {seconds} (load {load:.1f})", file=sys.stderr)
    yield (
        f"{options.trials} trials of {options.epochs} epochs on {options.images} images in batches "
        f"of {options.batch_size}; medians of {options.rounds} rounds; seconds."
    )
    yield ""
    yield "| workers | whole process | until the first epoch | each epoch from there |"
    yield "|---|---:|---:|---:|"
    medians = {
        workers: {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
        for workers, rounds in found.items()
    }
    for workers, m in medians.items():
        yield f"| {workers} | {m['whole']:.1f} | {m['first']:.1f} | {m['epoch']:.2f} |"
    yield ""
    one, two = medians[options.workers[-2]], medians[options.workers[-1]]
    times = {name: one[name] / two[name] for name in ("epoch", "whole")}
    yield (
        f"The last beside the one before: {times['epoch']:.2f} times the epochs in the same time; "
        f"{times['whole']:.2f} times over the whole process."
    )


def killed(options):
    """Kill workers, and compare; ends with status 1 where anything differs."""
    data, draw = digits(), random.Random(options.seed)
    totals = {"kills": 0, "lost": 0, "searches": 0, "different": 0, "twice": 0}
    with tempfile.TemporaryDirectory() as root:
        search(Path(root, "whole"), data, options.trials, options.epochs, 2)
        expected = outcome(Path(root, "whole"))
        while totals["kills"] < options.kills:
            directory, over = Path(root, str(totals["searches"])), threading.Event()

            def kill(directory=directory, over=over):
                size = 0
                while totals["kills"] < options.kills:
                    # not again before something was journalled: nobody trains if none ever starts
                    while size_of_journal(directory) <= size:
                        if over.wait(0.05):
                            return
                    if over.wait(draw.uniform(0, options.seconds)):
                        return
                    command = ["pgrep", "-P", str(os.getpid())]
                    found = subprocess.run(command, stdout=subprocess.PIPE, check=False)
                    if workers := [int(pid) for pid in found.stdout.split()]:
                        os.kill(draw.choice(workers), signal.SIGKILL)
                        totals["kills"] += 1
                        size = size_of_journal(directory)

            killer = threading.Thread(target=kill, daemon=True)
            killer.start()
            search(directory, data, options.trials, options.epochs, 2)
            over.set()
            killer.join()
            events = events_in(directory)
            epochs = [
                (e.trial, r.epoch) for e in events if isinstance(e, Trained) for r in e.epochs
            ]
            totals["searches"] += 1
            totals["lost"] += sum(isinstance(event, Lost) for event in events)
            totals["different"] += outcome(directory) != expected
            totals["twice"] += len(epochs) - len(set(epochs))
            print(totals, file=sys.stderr)
    yield f"{options.trials} trials of {options.epochs} epochs on digits, workers=2."
    yield ""
    yield "| kills | that hit a trial | searches | different | epochs journalled twice |"
    yield "|---:|---:|---:|---:|---:|"
    yield "| " + " | ".join(map(str, totals.values())) + " |"
    options.wrong = totals["different"] + totals["twice"]


def size_of_journal(directory):
    file = directory / "journal.jsonl"
    return file.stat().st_size if file.exists() else 0


def events_in(directory):
    with Journal(directory) as journal:
        return list(journal.events())


def outcome(directory):
    """Return all that must be the same."""
    return [without_runtime(trial.to_json()) for trial in load(directory).trials]


def without_runtime(data):
    if isinstance(data, dict):
        return {k: without_runtime(v) for k, v in data.items() if k != "runtime"}
    return [without_runtime(item) for item in data] if isinstance(data, list) else data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="mnist.npz, to measure throughput")
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", nargs="+", default=["None", "1", "2"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10, help="between two kills, at most")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file to append the table to as well")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.append(str(Path(__file__).parents[1] / "examples"))
    if options.data:
        options.data = options.data.absolute()
    if options.one:
        one(options)
        return
    options.wrong = 0
    lines = []
    for line in killed(options) if options.kills else throughput(options):
        print(line, flush=True)
        lines.append(line)
    if options.out:
        with options.out.open("a") as file:
            file.write("\n".join(lines) + "\n\n")
    sys.exit(bool(options.wrong))


if __name__ == "__main__":
    main()
