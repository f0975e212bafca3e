"""Train thousands of small networks, and keep how each went: tables for anybody to compare oracles.

``python benchmarks/make_tables.py --out DIR`` makes a suite, ``DIR/small_nets``, of real learning
curves that `quality` and `multifidelity` read: a pool of random configurations for each task
(`tables` says what that is). Needs JAX and scikit-learn, whose digits are the data of three tasks;
the fourth is drawn. A network has noise at its inputs, layers of as many ReLUs each with dropout
before them, and learns by stochastic gradients with momentum. Five to ten minutes a task.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np

SUITE = "small_nets"
EPOCHS = 40
BATCH = 32
WIDEST, DEEPEST = 64, 3
Array = np.ndarray[Any, Any]

TASKS = ("digits", "digits_mislabelled", "digits_parity", "drawn")
HYPERPARAMETERS: list[dict[str, Any]] = [
    {"name": "learning_rate", "type": "float", "low": 1e-3, "high": 1.0, "log": True},
    {"name": "momentum", "type": "float", "low": 0.0, "high": 0.99, "log": False},
    {"name": "decay", "type": "float", "low": 0.01, "high": 1.0, "log": True},
    {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True},
    {"name": "dropout", "type": "float", "low": 0.0, "high": 0.5, "log": False},
    {"name": "noise", "type": "float", "low": 0.0, "high": 1.0, "log": False},
    {"name": "smoothing", "type": "float", "low": 0.0, "high": 0.5, "log": False},
    {"name": "units", "type": "int", "low": 4, "high": WIDEST, "log": True},
    {"name": "layers", "type": "int", "low": 1, "high": DEEPEST, "log": False},
]
"""Of ``decay``: the share of the learning rate that is left at the end."""


def data(task: str) -> tuple[Array, Array, Array, Array]:
    """Return what a task trains on and what it is judged by: inputs and labels each."""
    from sklearn.datasets import load_digits, make_classification

    draw = np.random.default_rng(0)
    if task == "drawn":
        count = 1000
        x, y = make_classification(
            *(4000, 40), n_informative=12, n_classes=8, class_sep=1.5, flip_y=0.05, random_state=0
        )
    else:
        count = 800 if task == "digits_mislabelled" else 400
        x, y = load_digits(return_X_y=True)
    order = draw.permutation(len(x))
    x, y = x[order], y[order]
    if task == "digits_parity":
        y = y % 2
    x = (x - x[:count].mean(axis=0)) / (x[:count].std(axis=0) + 1e-3)
    taught = y.copy()
    if task == "digits_mislabelled":
        wrong = np.flatnonzero(draw.random(len(y)) < 0.4)
        taught[wrong] = draw.integers(0, 10, len(wrong))
    return x[:count].astype(np.float32), taught[:count], x[count:].astype(np.float32), y[count:]


def drawn(count: int, draw: np.random.Generator) -> Array:
    """Return random configurations, (count, hyperparameters)."""
    columns = []
    for hp in HYPERPARAMETERS:
        low, high = hp["low"], hp["high"]
        if hp["type"] == "int":
            low, high = low - 0.499, high + 0.499
        ends = np.log([low, high]) if hp["log"] else np.array([low, high])
        values = ends[0] + (ends[1] - ends[0]) * draw.random(count)
        values = np.exp(values) if hp["log"] else values
        columns.append(values.round() if hp["type"] == "int" else values)
    return np.stack(columns, axis=1)


def curves(task: str, configurations: Array) -> Array:
    """Return the accuracies after each epoch, in per cent: (configurations, epochs)."""
    import jax
    import jax.numpy as jnp

    x, y, judged, truth = data(task)
    classes = int(max(y.max(), truth.max())) + 1
    steps = len(x) // BATCH
    names = [hp["name"] for hp in HYPERPARAMETERS]

    def apply(weights: Any, config: Any, inputs: Any, key: Any) -> Any:
        """Return the logits; of training, where there is a key."""
        out = inputs
        used = jnp.arange(WIDEST) < config["units"]
        for i, (w, b) in enumerate(weights[:-1]):
            if key is not None:
                key, one, two = jax.random.split(key, 3)
                if i == 0:
                    out = out + config["noise"] * jax.random.normal(one, out.shape)
                keep = jax.random.uniform(two, out.shape) >= config["dropout"]
                out = out * keep / (1 - config["dropout"])
            new = jax.nn.relu(out @ w + b) * used
            out = new if i == 0 else jnp.where(i < config["layers"], new, out)
        w, b = weights[-1]
        return out @ w + b

    def loss(weights: Any, config: Any, inputs: Any, labels: Any, key: Any) -> Any:
        target = jax.nn.one_hot(labels, classes)
        target = target * (1 - config["smoothing"]) + config["smoothing"] / classes
        logits = apply(weights, config, inputs, key)
        return -(target * jax.nn.log_softmax(logits)).sum(axis=1).mean()

    @jax.jit
    def trained(values: Any, key: Any) -> Any:
        config = dict(zip(names, values, strict=True))
        key, *keys = jax.random.split(key, DEEPEST + 2)
        sizes = [x.shape[1], *[WIDEST] * DEEPEST, classes]
        fans = [x.shape[1], *[config["units"]] * DEEPEST]
        weights = [
            (jax.random.normal(k, (a, b)) * jnp.sqrt(2 / fan), jnp.zeros(b))
            for k, a, b, fan in zip(keys, sizes[:-1], sizes[1:], fans, strict=True)
        ]

        def step(state: Any, batch: Any) -> Any:
            weights, speed, key, number = state
            key, once = jax.random.split(key)
            rate = config["learning_rate"] * config["decay"] ** (number / (steps * EPOCHS))
            slope = jax.grad(loss)(weights, config, x_[batch], y_[batch], once)
            speed = jax.tree.map(
                lambda v, g, w: config["momentum"] * v - rate * (g + config["weight_decay"] * w),
                *(speed, slope, weights),
            )
            weights = jax.tree.map(jnp.add, weights, speed)
            return (weights, speed, key, number + 1), None

        def epoch(state: Any, _: Any) -> Any:
            weights, speed, key, number = state
            key, once = jax.random.split(key)
            batches = jax.random.permutation(once, len(x))[: steps * BATCH].reshape(steps, BATCH)
            state, _ = jax.lax.scan(step, (weights, speed, key, number), batches)
            right = apply(state[0], config, judged_, None).argmax(axis=1) == truth_
            return state, 100 * right.mean()

        still = jax.tree.map(jnp.zeros_like, weights)
        return jax.lax.scan(epoch, (weights, still, key, 0), None, EPOCHS)[1]

    x_, y_, judged_, truth_ = map(jnp.asarray, (x, y, judged, truth))
    found = [
        np.asarray(trained(jnp.asarray(values, jnp.float32), jax.random.key(i)))
        for i, values in enumerate(configurations)
    ]
    return np.stack(found)


def made(task: str, folder: Path, count: int) -> str:
    """Write the table of a task, unless it is there."""
    path = folder / f"{task}.npz"
    if not path.exists():
        # rounded to what a table holds, so that what is trained is what it says
        configurations = drawn(count, np.random.default_rng(TASKS.index(task))).astype(np.float32)
        found = curves(task, configurations)
        part = path.with_suffix(".part")  # what is cut off here is no table
        with part.open("wb") as file:
            np.savez_compressed(file, X=configurations.astype(float), C=found)
        part.replace(path)
    best = np.load(path)["C"].max(axis=1)
    return f"{task}: best {best.max():.2f} %, median {np.median(best):.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--count", type=int, default=2000, help="configurations of each task")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    folder = options.out / SUITE
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "hps": HYPERPARAMETERS,
        "metric": "validation accuracy in per cent, each epoch",
        "direction": "max",
        "fidelity": {"name": "epoch", "values": list(range(1, EPOCHS + 1))},
    }
    (folder / "space.json").write_text(json.dumps(described, indent=1))
    with ProcessPoolExecutor(options.jobs) as pool:
        print(*pool.map(partial(made, folder=folder, count=options.count), options.tasks), sep="\n")


if __name__ == "__main__":
    main()
