"""How well importances of some trials agree with those of a whole table, beside Optuna's.

``python benchmarks/importances.py --tables DIR``, of suites as `tables` describes them.

On grids the truth is exact: the variance of P(among the best tenth, or quarter | value). Trials are
drawn at random, or proposed by evolution. On curves it is what ours says of all configurations
after all epochs; trials are halved at 2, 5 and 16 of 50 epochs, and importances are asked of all
of them, of the first rung's epochs alone, or of those that reached the second rung.

``first``: how often the hyperparameter that matters most has the largest share; ``off``: half the
sum of what shares differ by.
"""

import argparse
import datetime as dt
import os
import random
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import optuna
from tables import Answers, Task, load, names, publish

from tunedeco.importances import importances
from tunedeco.oracles import Aging, Start
from tunedeco.space import Space
from tunedeco.trial import Epoch, State, Trial

GRIDS = ("hpobench_mlp", "nasbench201")
CURVES = "lcbench_dev"
RUNGS = (2, 5, 16, 50)
Shares = dict[str, float]


def trial(number: int, values: Any, losses: Sequence[float]) -> Trial:
    best = min(losses)
    epochs = tuple(Epoch(e, {"loss": loss}) for e, loss in enumerate(losses, 1))
    return Trial(
        *(number, values, len(losses), State.COMPLETED),
        score=best,
        loss=best,
        losses=tuple(losses),
        epochs=epochs,
    )


def drawn(task: Task, number: int, seed: int, *, evolve: bool) -> list[Trial]:
    assert task.space.size is not None
    indices = random.Random(seed).sample(range(task.space.size), number)
    answers = Answers(task)
    trials: list[Trial] = []
    for i in range(number):
        values = task.space.at(indices[i])
        if evolve:
            decision = Aging().next(task.space, trials, seed)
            assert isinstance(decision, Start)
            values = decision.values
        row, _ = answers.nearest(values)
        trials.append(trial(i, values, [task.regrets[row]]))
    return trials


def truth(task: Task, share: float) -> Shares:
    best = task.regrets <= np.quantile(task.regrets, share)
    sizes = [h.domain.size or 0 for h in task.space]
    found = {}
    for h, places in zip(task.space, np.indices(sizes).reshape(len(sizes), -1), strict=True):
        found[h.label] = (np.bincount(places, best) / np.bincount(places)).var()
    return {label: part / sum(found.values()) for label, part in found.items()}


def optunas(space: Space, trials: list[Trial]) -> Shares:
    """Return what Optuna's own default, PED-ANOVA of the best tenth, says."""
    kinds = {
        h.label: optuna.distributions.IntDistribution(0, (h.domain.size or 0) - 1)
        if h.domain.ordered
        else optuna.distributions.CategoricalDistribution(range(h.domain.size or 0))
        for h in space
    }
    study = optuna.create_study()
    for t in trials:
        params = {h.label: h.domain.index(t.values["g"][h.name]) for h in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=t.loss))
    return optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )


def shares(evaluator: str) -> Callable[[Space, list[Trial]], Shares]:
    def found(space: Space, trials: list[Trial]) -> Shares:
        says = importances(space, trials, evaluator).hyperparameters
        return dict(says) or {h.label: 1 / len(space) for h in space}

    return found


def judged(found: Shares, true: Shares) -> tuple[float, float]:
    first = max(found, key=found.__getitem__) == max(true, key=true.__getitem__)
    return first, sum(abs(found[label] - true[label]) for label in true) / 2


def averages(scores: dict[str, list[tuple[float, float]]]) -> str:
    """Return the means of both columns of each method, as cells of a table."""
    columns = (column for pairs in scores.values() for column in zip(*pairs, strict=True))
    return " | ".join(f"{statistics.fmean(column):.2f}" for column in columns)


def on_grids(tables: Path, seeds: int) -> Iterator[str]:
    methods = {"built in": shares("ped-anova"), "Optuna PED-ANOVA": optunas}
    methods["fANOVA"] = shares("fanova")
    yield "| trials | " + " | ".join(f"{m}: first | off" for m in methods) + " |"
    yield "|---|" + "---|" * 2 * len(methods)
    for evolve in (False, True):
        for number in (30, 50, 100):
            scores: dict[str, list[tuple[float, float]]] = {m: [] for m in methods}
            for suite in GRIDS:
                for one in names(tables / suite):
                    task = load(tables / suite, one)
                    true = [truth(task, share) for share in (0.1, 0.25)]
                    for seed in range(seeds):
                        trials = drawn(task, number, seed, evolve=evolve)
                        for name, method in methods.items():
                            found = method(task.space, trials)
                            scores[name] += [judged(found, t) for t in true]
            yield f"| {number}, {'aging evolution' if evolve else 'random'} | {averages(scores)} |"


def halved(trials: list[Trial]) -> list[Trial]:
    """Return trials of as many epochs as brackets of 27 would have given them."""
    reached = [RUNGS[0]] * len(trials)
    for begin in range(0, len(trials), 27):
        there = list(range(begin, min(begin + 27, len(trials))))
        for rung, epoch in enumerate(RUNGS[:-1]):
            there.sort(key=lambda i: trials[i].loss_at(epoch))
            there = there[: max(27 // 3 ** (rung + 1), 1)]
            for i in there:
                reached[i] = RUNGS[rung + 1]
    return [cut(t, epoch) for t, epoch in zip(trials, reached, strict=True)]


def cut(one: Trial, epoch: int) -> Trial:
    return replace(trial(one.number, one.values, one.losses[:epoch]), until=epoch)


def on_curves(tables: Path, seeds: int) -> Iterator[str]:
    folder = tables / CURVES
    ask = shares("ped-anova")
    ways: dict[str, Callable[[list[Trial]], list[Trial]]] = {
        "all trials": lambda trials: trials,
        "first rung": lambda trials: [cut(t, RUNGS[0]) for t in trials],
        "from the second rung": lambda trials: [
            cut(t, RUNGS[1]) for t in trials if len(t.losses) >= RUNGS[1]
        ],
    }
    yield "| trials | " + " | ".join(f"{way}: first | off" for way in ways) + " |"
    yield "|---|" + "---|" * 2 * len(ways)
    for number in (54, 108, 270):
        scores: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for one in names(folder):
            task = load(folder, one)
            assert task.values is not None
            assert task.curves is not None
            everything = [
                trial(i, values, curve)
                for i, (values, curve) in enumerate(
                    zip(task.values, task.curves.tolist(), strict=True)
                )
            ]
            true = ask(task.space, everything)
            for seed in range(seeds):
                trials = halved(random.Random(seed).sample(everything, number))
                for name, way in ways.items():
                    scores[name].append(judged(ask(task.space, way(trials)), true))
        yield f"| {number} | {averages(scores)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the tables there, too")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    lines = [
        f"# Importances against those of whole tables, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
        "",
        f"`python benchmarks/importances.py --tables DIR`, {options.seeds} seeds a task, Optuna",
        f"{optuna.__version__}. The script says what the columns mean.",
        "",
        *on_grids(options.tables, options.seeds),
        "",
        *on_curves(options.tables, options.seeds),
    ]
    publish(lines, options.out)


if __name__ == "__main__":
    main()
