"""What finding the hyperparameters of a function costs, beside building its model.

``python benchmarks/tracing.py``, with ``KERAS_BACKEND`` for another backend. Each model and each
way is a process of its own, which first builds a model of one layer, so that what the backend loads
when it is first used is not counted. Prints, as a table: seconds, how far the peak of resident
memory rose, and that in parts of the bytes of the weights. The ways:

- once: the function is run once without weights, and its model measured (`size_of`).
- space: ``tunable(function).space``, all that tracing does.
- built: the model is built as it stands.
- keras-tuner: the constructor of its RandomSearch, which builds until it knows the space.

``--out FILE`` also writes the table there.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tunedeco import Choice, Linear, Range, tunable
from tunedeco.abstract import size_of, weightless


class Ours:
    """Keras Tuner's words for what both have, so that both run the same functions."""

    @staticmethod
    def Choice(name, values):  # noqa: N802
        return Choice(name, values)

    @staticmethod
    def Int(name, low, high, step):  # noqa: N802
        return Range(name, low, high, step)

    @staticmethod
    def Float(name, low, high, step):  # noqa: N802
        return Linear(name, low, high, round((high - low) / step) + 1)


def design(hp):
    rate = hp.Choice("learning_rate", [0.001, 0.0005, 0.0001])
    dropout = hp.Float("dropout_rate", 0.0, 0.5, 0.125)
    dims = hp.Int("num_dims", 8, 32, 8)
    filters = [hp.Int(f"l{i}_num_filters", 8, 64, 8) for i in (1, 2)]
    model = keras.Sequential([keras.layers.Conv2D(n, 3, activation="relu") for n in filters])
    model.add(keras.layers.Flatten())
    for _ in range(hp.Int("num_layers", 1, 3, 1)):
        model.add(keras.layers.Dense(dims, activation="relu"))
        model.add(keras.layers.Dropout(dropout))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(rate))
    return model


def resnet(hp):
    model = keras.applications.ResNet50(weights=None)
    optimizer = keras.optimizers.SGD(hp.Choice("learning_rate", [0.1, 0.01]), momentum=0.9)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer)
    return model


def dense(hp):
    units = hp.Int("units", 26_624, 28_672, 1024)
    layers = [keras.Input((26_624,)), keras.layers.Dense(units), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(hp.Choice("rate", [0.1, 0.01])))
    return model


MODELS: dict[str, tuple[Callable[[Any], keras.Model], tuple[int | None, ...] | None]] = {
    "design": (design, (None, 28, 28, 1)),
    "resnet50": (resnet, None),
    "dense": (dense, None),
}


def built(name, hp):
    function, inputs = MODELS[name]
    model = function(hp)
    if inputs is not None:
        model(keras.KerasTensor(inputs))
    return model


def once(name):
    with weightless():
        size_of(built(name, Ours))


def space(name):
    assert len(tunable(lambda: MODELS[name][0](Ours)).space)


def really(name):
    built(name, Ours)


def keras_tuner(name):
    import keras_tuner as peer

    # What importing it loads is not part of it
    import_done()
    with tempfile.TemporaryDirectory() as directory:
        peer.RandomSearch(
            lambda hp: built(name, hp), peer.Objective("loss", "min"), directory=directory
        )


WAYS = {"once": once, "space": space, "built": really, "keras-tuner": keras_tuner}

began = {}


def peak():
    """Return the most resident memory so far, in MB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def import_done():
    began.update(memory=peak(), time=time.perf_counter())


def measure(name, way):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).compile(loss="mse")
    import_done()
    WAYS[way](name)
    print("measured", time.perf_counter() - began["time"], peak() - began["memory"])


def measured(name, way):
    command = [sys.executable, __file__, "--measure", name, way]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or [f"exit {answer.returncode}"])[-1]
        return None, last[:60]
    line = next(line for line in answer.stdout.splitlines() if line.startswith("measured"))
    return tuple(map(float, line.split()[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.measure:
        return measure(*options.measure)
    python, backend = platform.python_version(), keras.backend.backend()
    lines = [
        f"Keras {keras.__version__} on {backend}, Python {python}, {os.cpu_count()} CPUs",
        "",
        "| model | parameters | way | seconds | peak memory, MB | of the weights |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for name in options.models:
        with weightless():
            parameters = size_of(built(name, Ours)).parameters
        for way in options.ways:
            seconds, memory = measured(name, way)
            if seconds is None:
                lines.append(f"| {name} | {parameters:,} | {way} | - | {memory} | - |")
                continue
            share = memory * 1e6 / (4 * parameters)
            lines.append(
                f"| {name} | {parameters:,} | {way} | {seconds:.3f} | {memory:.1f} | {share:.2%} |"
            )
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)
    return None


if __name__ == "__main__":
    main()
