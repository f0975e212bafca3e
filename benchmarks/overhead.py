"""What a tuner adds to the training, or saves of it, beside the loop one would write oneself.

``python benchmarks/overhead.py --data mnist.npz`` trains a grid of configurations of a small
network on MNIST: by a plain loop, by tunedeco, by Keras Tuner's `GridSearch` and by Optuna's
`GridSampler` with SQLite. All train the same models on the same arrays for the same epochs, which
is checked. Each measurement is a process of its own; in every round each method has its turn, in
another order, and is compared with the loop of that round. ``imports`` is a process that imports
Keras and loads the data, and no more.

Four kinds of grids: ``grid`` differs in learning rate, dropout and one width; of ``distinct`` no
two models have the same shapes; ``long`` has two trials of minutes; ``small`` is a perceptron,
which computes a step in less time than Keras takes to call it. ``--images``, ``--validation``
and ``--epochs`` scale them. ``--runs FILE`` keeps each measurement, to go on from.
"""

import argparse
import contextlib
import datetime as dt
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from children import measured, mnist
from kept import results

Axes = Mapping[str, Sequence[Any]]
Record = dict[str, Any]
"""A configuration's ``values``, and ``epochs``, ``steps`` and final ``logs`` of its training."""

KINDS: dict[str, tuple[Axes, dict[str, int]]] = {
    "grid": (
        {"learning_rate": [1e-3, 5e-4, 1e-4], "dropout_rate": [0.2, 0.4], "num_dims": [16, 32]},
        {"images": 2000, "validation": 500, "epochs": 1},
    ),
    "distinct": (
        {"l1_num_filters": [8, 12, 16], "l2_num_filters": [8, 16], "num_dims": [16, 32]},
        {"images": 2000, "validation": 500, "epochs": 1},
    ),
    "small": (
        {
            "learning_rate": [1e-3, 5e-4],
            "dropout_rate": [0.2, 0.4],
            "num_dims": [16, 32],
            "l1_num_filters": [0],  # it has none
            "l2_num_filters": [0],
        },
        {"images": 2000, "validation": 500, "epochs": 30},
    ),
    "long": (
        {"learning_rate": [1e-3, 5e-4]},
        {"images": 12_000, "validation": 2000, "epochs": 15},
    ),
}
"""What differs between configurations, and how long they are trained if nothing else is said."""
BATCH = 32


def network(
    learning_rate=1e-3,
    dropout_rate=0.2,
    num_dims=16,
    num_layers=1,
    l2_num_filters=8,
    l1_num_filters=8,
):
    import keras

    model = keras.Sequential()
    for filters in filter(None, (l1_num_filters, l2_num_filters)):
        model.add(keras.layers.Conv2D(filters, kernel_size=(3, 3), activation="relu"))
    model.add(keras.layers.Flatten())
    for _ in range(num_layers):
        model.add(keras.layers.Dense(num_dims, activation="relu"))
        model.add(keras.layers.Dropout(dropout_rate))
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def trained(values, model, history) -> Record:
    """Return the record of a model that was fitted."""
    logs = {name: float(series[-1]) for name, series in history.history.items()}
    steps = int(model.optimizer.iterations)
    return {"values": values, "epochs": len(history.epoch), "steps": steps, "logs": logs}


def imports(axes, data, epochs, folder) -> list[Record]:  # noqa: ARG001 (as all methods)
    import keras  # noqa: F401 (which is what is measured)

    return []


def loop(axes, data, epochs, folder) -> list[Record]:  # noqa: ARG001 (it keeps nothing)
    import keras

    (x, y), validation = data
    found = []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        keras.utils.clear_session()
        model = network(**values)
        history = model.fit(x, y, validation_data=validation, epochs=epochs, verbose=0)
        found.append(trained(values, model, history))
    return found


def tunedeco(axes, data, epochs, folder) -> list[Record]:
    from tunedeco import Choice, Tuner
    from tunedeco.executors import checkpoints

    def model_fn():
        return network(**{name: Choice(name, list(listed)) for name, listed in axes.items()})

    (x, y), validation = data
    tuner = Tuner(model_fn, "val_accuracy", max_epochs=epochs, oracle="grid", directory=folder)
    tuner.search(x, y, validation_data=validation, verbose=0)
    # one training's state is on disk, and says how many batches it has had
    kept = checkpoints.of_first(folder / "checkpoints", [tuner.best_trial])
    state, _ = checkpoints.read(*kept)
    steps = {tuner.best_trial.number: int(state["optimizer/00000"])}
    return [
        {
            "values": trial.values["default"],
            "epochs": len(trial.epochs),
            "steps": steps.get(trial.number),
            "logs": dict(trial.epochs[-1].logs),
        }
        for trial in tuner.trials
    ]


def keras_tuner(axes, data, epochs, folder) -> list[Record]:
    import keras_tuner as kt

    found = []

    class Network(kt.HyperModel):
        def build(self, hp):
            return network(**{name: hp.Choice(name, list(listed)) for name, listed in axes.items()})

        def fit(self, hp, model, *arguments, **options):
            history = super().fit(hp, model, *arguments, **options)
            found.append(trained(dict(hp.values), model, history))
            return history

    (x, y), validation = data
    tuner = kt.GridSearch(
        Network(), "val_accuracy", max_trials=size(axes), directory=folder, overwrite=True
    )
    tuner.search(x, y, validation_data=validation, epochs=epochs, verbose=0)
    return found


def optuna(axes, data, epochs, folder) -> list[Record]:
    import keras
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    (x, y), validation = data
    found = []

    def objective(trial):
        keras.utils.clear_session()  # as in their own example for Keras
        values = {name: trial.suggest_categorical(name, listed) for name, listed in axes.items()}
        model = network(**values)
        history = model.fit(x, y, validation_data=validation, epochs=epochs, verbose=0)
        found.append(trained(values, model, history))
        return history.history["val_accuracy"][-1]

    study = optuna.create_study(
        storage=f"sqlite:///{folder}/study.db",
        sampler=optuna.samplers.GridSampler(axes, seed=0),
        direction="maximize",
    )
    study.optimize(objective, n_trials=size(axes))
    return found


METHODS: dict[str, Callable[..., list[Record]]] = {
    "imports": imports,
    "loop": loop,
    "tunedeco": tunedeco,
    "Keras Tuner": keras_tuner,
    "Optuna": optuna,
}
LABELS = {
    "imports": "imports and data only",
    "loop": "a plain loop",
    "tunedeco": "**tunedeco**",
    "Keras Tuner": "Keras Tuner, GridSearch",
    "Optuna": "Optuna, GridSampler, SQLite",
}


def size(axes: Axes) -> int:
    return math.prod(map(len, axes.values()))


def one(options) -> None:
    """Train the grid by one method, in this process; print the records."""
    axes, _ = KINDS[options.kind]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        data = mnist(options.data, options.images, options.validation)
        found = METHODS[options.one](axes, data, options.epochs, Path(folder))
    print(json.dumps(found))


def check(method: str, found: list[Record], options) -> None:
    """See that every configuration was trained once, on all images, for all epochs."""
    axes, _ = KINDS[options.kind]
    configurations = [tuple(record["values"][name] for name in axes) for record in found]
    assert sorted(configurations) == sorted(itertools.product(*axes.values())), (method, found)
    steps = options.epochs * math.ceil(options.images / BATCH)
    for record in found:
        assert record["epochs"] == options.epochs, (method, record)
        assert record["steps"] in {steps, None}, (method, record)
        assert math.isfinite(record["logs"]["val_loss"]), (method, record)
    assert any(record["steps"] for record in found), method


def measure(options) -> list[dict[str, dict[str, Any]]]:
    """Return what each method took in each round."""

    def run(_: str, __: int, method: str) -> dict[str, Any]:
        settings = ("kind", "data", "images", "validation", "epochs")
        chosen = [part for n in settings for part in (f"--{n}", getattr(options, n))]
        return measured([__file__, *chosen, "--one", method], options.backend)

    what = described(options)
    wanted = []
    for number in range(options.rounds):
        first = number % len(options.methods)
        turns = options.methods[first:] + options.methods[:first]
        wanted += [(what, number, method) for method in turns]
    found = results(wanted, run, options.runs)
    for (_, __, method), result in found.items():
        if method != "imports":
            check(method, result["answer"], options)
    return [{m: found[what, n, m] for m in options.methods} for n in range(options.rounds)]


def described(options) -> str:
    axes, _ = KINDS[options.kind]
    return (
        f"{options.kind}, {options.backend}: {size(axes)} configurations, {options.images} images, "
        f"{options.validation} to validate on, epochs: {options.epochs}"
    )


def report(rounds: list[dict[str, dict[str, Any]]], options) -> Iterator[str]:
    """Yield the lines of the table."""
    yield from (f"## {described(options)}", "")
    yield (
        f"Medians of {len(rounds)} rounds, whole processes: seconds, and the ratio to the loop of "
        "the same round, in brackets with imports and data taken off; peak memory; mean of the "
        "configurations' final val_accuracy."
    )
    yield ""
    yield "| | wall | to the loop | CPU | to the loop | peak MiB | val_accuracy |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    imported = {n: statistics.median(r["imports"][n] for r in rounds) for n in ("wall", "cpu")}
    for method, label in ((m, label) for m, label in LABELS.items() if m in options.methods):
        cells = []
        for figure in ("wall", "cpu"):
            cells.append(f"{statistics.median(r[method][figure] for r in rounds):.2f}")
            whole = statistics.median(r[method][figure] / r["loop"][figure] for r in rounds)
            net = statistics.median(
                (r[method][figure] - imported[figure]) / (r["loop"][figure] - imported[figure])
                for r in rounds
            )
            cells.append("" if method == "imports" else f"{whole:.2f} ({net:.2f})")
        cells.append(f"{statistics.median(r[method]['peak'] for r in rounds):.0f}")
        scores = [record["logs"]["val_accuracy"] for r in rounds for record in r[method]["answer"]]
        cells.append(f"{statistics.fmean(scores):.3f}" if scores else "")
        yield f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--kind", choices=KINDS, default="grid")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    parser.add_argument("--images", type=int, help="to train on; if not given, as the kind has it")
    parser.add_argument("--validation", type=int, help="images to validate on; the same")
    parser.add_argument("--epochs", type=int, help="of each configuration; the same")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS], help="some")
    parser.add_argument("--runs", type=Path, help="a file that keeps each run, to go on from")
    parser.add_argument("--out", type=Path, help="a file to add the table to")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.methods = list(dict.fromkeys(["imports", "loop", *options.methods]))
    for name, default in KINDS[options.kind][1].items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    if options.one:
        one(options)
        return
    lines = [*report(measure(options), options), ""]
    print("\n".join(lines))
    if options.out:
        if not options.out.exists():
            options.out.write_text(f"# What a tuner adds, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}\n")
        with options.out.open("a") as file:
            print("", *lines[:-1], sep="\n", file=file)


if __name__ == "__main__":
    main()
