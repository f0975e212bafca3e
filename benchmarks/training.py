"""How good a network so many epochs of real training find, beside the peers.

``python benchmarks/training.py --data mnist.npz`` searches the README's network on 6,000 images of
MNIST, with 60 epochs for each search and 5 at most for each trial: by our default, by random
search, by Keras Tuner's `Hyperband`, and by Optuna's TPE, with trials of full length and with its
Hyperband pruner. All have the same space, images and validation images, and are cut off at the same
number of epochs. Each search is a process of its own; reported is the best val_accuracy of all its
epochs, over ``--seeds``. ``--runs FILE`` keeps each search, to go on from.
"""

import argparse
import contextlib
import datetime as dt
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from children import measured, mnist
from kept import results
from overhead import network
from tables import publish

LEARNING_RATES = [0.001, 0.0005, 0.0001]

Scores = list[list[float]]
"""The val_accuracy of each epoch, for each training that was begun or gone on with."""


def ours(oracle: str) -> Callable[..., Scores]:
    def search(data, options, folder) -> Scores:
        from tunedeco import Choice, Linear, Range, Tuner

        def model_fn():
            return network(
                learning_rate=Choice("learning_rate", LEARNING_RATES, group="optimizer"),
                dropout_rate=Linear("dropout_rate", 0.0, 0.5, 5, group="dense"),
                num_dims=Range("num_dims", 8, 32, 8, group="dense"),
                num_layers=Range("num_layers", 1, 3, group="dense"),
                l2_num_filters=Range("l2_num_filters", 8, 64, 8, group="cnn"),
                l1_num_filters=Range("l1_num_filters", 8, 64, 8, group="cnn"),
            )

        (x, y), validation = data
        tuner = Tuner(
            *(model_fn, "val_accuracy"),
            epoch_budget=options.epoch_budget,
            max_epochs=options.max_epochs,
            oracle=oracle,
            seed=options.seed,
            directory=folder,
        )
        tuner.search(x, y, validation_data=validation, verbose=0)
        return [[epoch.logs["val_accuracy"] for epoch in t.epochs] for t in tuner.trials]

    return search


def hyperband(data, options, folder) -> Scores:
    import keras_tuner as kt

    scores: Scores = []

    class Spent(kt.errors.FatalError):
        """Keras Tuner has no budget of epochs; this error it passes on."""

    class Network(kt.HyperModel):
        def build(self, hp):
            return network(
                learning_rate=hp.Choice("learning_rate", LEARNING_RATES),
                dropout_rate=hp.Float("dropout_rate", 0.0, 0.5, step=0.125),
                num_dims=hp.Int("num_dims", 8, 32, step=8),
                num_layers=hp.Int("num_layers", 1, 3),
                l2_num_filters=hp.Int("l2_num_filters", 8, 64, step=8),
                l1_num_filters=hp.Int("l1_num_filters", 8, 64, step=8),
            )

        def fit(self, hp, model, *arguments, epochs, initial_epoch, **fit_options):
            left = options.epoch_budget - sum(map(len, scores))
            if left == 0:
                raise Spent
            epochs = min(epochs, initial_epoch + left)
            history = super().fit(
                hp, model, *arguments, epochs=epochs, initial_epoch=initial_epoch, **fit_options
            )
            scores.append(history.history["val_accuracy"])
            return history

    (x, y), validation = data
    tuner = kt.Hyperband(
        *(Network(), "val_accuracy"),
        max_epochs=options.max_epochs,
        hyperband_iterations=options.epoch_budget,  # more than there is a budget for
        seed=options.seed + 1,  # 0 would be none
        directory=folder,
        overwrite=True,
    )
    with contextlib.suppress(Spent):
        tuner.search(x, y, validation_data=validation, verbose=0)
    return scores


def tpe(*, pruned: bool) -> Callable[..., Scores]:
    def search(data, options, folder) -> Scores:  # noqa: ARG001 (it keeps nothing)
        import keras
        import optuna

        class Report(keras.callbacks.Callback):
            """Report each epoch, and stop where the pruner says so."""

            def __init__(self, trial):
                super().__init__()
                self.trial, self.pruned = trial, False

            def on_epoch_end(self, epoch, logs):
                self.trial.report(logs["val_accuracy"], epoch + 1)
                self.pruned = self.trial.should_prune()
                self.model.stop_training |= self.pruned

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=options.seed),
            pruner=optuna.pruners.HyperbandPruner(1, options.max_epochs, 3)
            if pruned
            else optuna.pruners.NopPruner(),
            direction="maximize",
        )
        (x, y), validation = data
        scores: Scores = []
        while left := options.epoch_budget - sum(map(len, scores)):
            keras.utils.clear_session()
            trial = study.ask()
            model = network(
                learning_rate=trial.suggest_categorical("learning_rate", LEARNING_RATES),
                dropout_rate=trial.suggest_float("dropout_rate", 0.0, 0.5, step=0.125),
                num_dims=trial.suggest_int("num_dims", 8, 32, step=8),
                num_layers=trial.suggest_int("num_layers", 1, 3),
                l2_num_filters=trial.suggest_int("l2_num_filters", 8, 64, step=8),
                l1_num_filters=trial.suggest_int("l1_num_filters", 8, 64, step=8),
            )
            report = Report(trial)
            epochs = min(options.max_epochs, left)
            history = model.fit(
                *(x, y),
                validation_data=validation,
                epochs=epochs,
                callbacks=[report],
                verbose=0,
            )
            scores.append(history.history["val_accuracy"])
            if report.pruned:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, max(scores[-1]))
        return scores

    return search


METHODS: dict[str, Callable[..., Scores]] = {
    "tunedeco": ours("halving"),
    "random": ours("random"),
    "Keras Tuner, Hyperband": hyperband,
    "Optuna, TPE": tpe(pruned=False),
    "Optuna, TPE + Hyperband": tpe(pruned=True),
}
DEFAULT = "tunedeco"


def one(options) -> None:
    """Search by one method, in this process; print the scores."""
    import keras

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        data = mnist(options.data, options.images, options.validation)
        keras.utils.set_random_seed(options.seed)
        scores = METHODS[options.one](data, options, Path(folder))
    print(json.dumps(scores))


def report(found: dict[tuple[Any, ...], dict[str, Any]], budget: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| method | seeds | mean ± standard error | median | least | trainings | CPU seconds |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for method in dict.fromkeys(key[1] for key in found):
        mine = [result for key, result in found.items() if key[1] == method]
        best = []
        for result in mine:
            epochs = [score for training in result["answer"] for score in training]
            assert len(epochs) == budget, (method, len(epochs))
            best.append(max(epochs))
        error = statistics.stdev(best) / math.sqrt(len(best)) if len(best) > 1 else math.nan
        cells = [
            f"{len(mine)}",
            f"{statistics.fmean(best):.4f} ± {error:.4f}",
            f"{statistics.median(best):.4f}",
            f"{min(best):.4f}",
            f"{statistics.fmean(len(result['answer']) for result in mine):.0f}",
            f"{statistics.median(result['cpu'] for result in mine):.0f}",
        ]
        label = f"**{method}**" if method == DEFAULT else method
        yield f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    parser.add_argument("--images", type=int, default=6000, help="to train on")
    parser.add_argument("--validation", type=int, default=2000, help="images to validate on")
    parser.add_argument("--epoch-budget", type=int, default=60, help="of each search")
    parser.add_argument("--max-epochs", type=int, default=5, help="of a trial")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument("--runs", type=Path, help="a file that keeps each search, to go on from")
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options)
        return
    settings = ("images", "validation", "epoch_budget", "max_epochs")
    what = f"{options.backend}, " + ", ".join(f"{n}={getattr(options, n)}" for n in settings)

    def run(_: str, method: str, seed: int) -> dict[str, Any]:
        chosen = {"--data": options.data, "--one": method, "--seed": seed}
        chosen |= {f"--{n.replace('_', '-')}": getattr(options, n) for n in settings}
        return measured([__file__, *itertools.chain(*chosen.items())], options.backend)

    wanted = [(what, method, seed) for seed in range(options.seeds) for method in options.methods]
    lines = [
        f"# The best of so many epochs of training, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
        "",
        f"`python benchmarks/training.py --data mnist.npz`: {what}.",
        "The best val_accuracy of a search, over seeds.",
        "",
        *report(results(wanted, run, options.runs), options.epoch_budget),
    ]
    publish(lines, options.out)


if __name__ == "__main__":
    main()
