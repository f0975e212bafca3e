"""Many small models: trained together by one program, beside one after the other.

``python benchmarks/vectorised.py --data mnist.npz`` searches learning rates of a dense network, or
with ``--network convolutions`` of a small convolutional one, on MNIST: as many trials as there are
lanes, without ``vectorise=`` and with it, in turns, each in a process of its own. It reports
medians of wall-clock and CPU seconds of ``search``, for few epochs and for many, and how far the
losses of the last epoch are apart. JAX only; it runs on whatever device JAX finds.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def dense(keras):
    yield keras.layers.Flatten()
    for _ in range(2):
        yield keras.layers.Dense(64, activation="relu")
        yield keras.layers.Dropout(0.2)


def convolutions(keras):
    for _ in range(2):
        yield keras.layers.Conv2D(8, 3, activation="relu")
        yield keras.layers.MaxPooling2D()
    yield keras.layers.Flatten()


def one(options):
    """Search once; print what it took, and the losses, as JSON."""
    import keras
    import numpy as np

    from tunedeco import Logarithmic, Tuner

    with np.load(options.data) as data:
        x = data["x_train"][: options.images, ..., None].astype("float32") / 255
        y = data["y_train"][: options.images]
    lanes, epochs, vectorise = options.one

    def model_fn():
        rate = Logarithmic("learning_rate", 1e-4, 1e-2, lanes)
        layers = globals()[options.network](keras)
        model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        return model

    with tempfile.TemporaryDirectory() as directory:
        tuner = Tuner(
            model_fn, "val_accuracy", oracle="grid", max_epochs=epochs, directory=directory
        )
        cpu, wall = time.process_time(), time.monotonic()
        tuner.search(x, y, validation_split=0.2, vectorise=lanes if vectorise else None, verbose=0)
        took = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**took, "losses": [t.epochs[-1].logs["val_loss"] for t in tuner.trials]}))


def rows(options):
    yield (
        f"{options.images} images of MNIST in batches of 32, network of {options.network}, on "
        f"{device()}; seconds of `search`, medians of {options.rounds} rounds."
    )
    yield ""
    yield (
        "| models | epochs each | one after the other: wall | CPU | together: wall | CPU "
        "| ratio: wall | CPU | losses differ by at most |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for lanes in options.lanes:
        for epochs in options.epochs:
            found = {0: [], 1: []}
            for _ in range(options.rounds):
                for vectorise, runs in found.items():
                    task = ["--one", *map(str, (lanes, epochs, vectorise))]
                    command = [sys.executable, __file__, *sys.argv[1:], *task]
                    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                    runs.append(json.loads(done.stdout.splitlines()[-1]))
                    print(lanes, epochs, vectorise, runs[-1], file=sys.stderr)
            medians = [
                statistics.median(run[name] for run in runs)
                for runs in found.values()
                for name in ("wall", "cpu")
            ]
            ratios = [medians[2] / medians[0], medians[3] / medians[1]]
            pairs = zip(found[0][0]["losses"], found[1][0]["losses"], strict=True)
            apart = max(abs(a - b) / abs(a) for a, b in pairs)
            cells = [f"{m:.1f}" for m in medians] + [f"{r:.2f}" for r in ratios]
            yield f"| {lanes} | {epochs} | " + " | ".join(cells) + f" | {apart:.0e} |"


def device():
    program = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind)"
    return subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, text=True
    ).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--network", choices=["dense", "convolutions"], default="dense")
    parser.add_argument("--lanes", type=int, nargs="+", default=[8])
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a file to append the table to as well")
    parser.add_argument("--one", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    if options.one:
        one(options)
        return
    for line in itertools.chain(rows(options), [""]):
        print(line, flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
