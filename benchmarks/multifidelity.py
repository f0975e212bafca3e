"""How good a configuration so many epochs find, on recorded learning curves, beside Optuna.

``python benchmarks/multifidelity.py --tables DIR`` searches the tasks of a pool in ``DIR``
(``--suite``); `tables` says what that is. Ours and Optuna's are told which configuration it really
was. An epoch is an epoch, whoever trains it.

Ours are asked as in a search: `Start` and `Continue`, one trial at a time. Optuna's trials report
each epoch, and end when it says so.

Regret is cut off at 1.
"""

import argparse
import datetime as dt
import itertools
import math
import os
import statistics
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import optuna
import scipy.special
from kept import results
from tables import GROUP, Answers, Task, load, names, publish

from tunedeco import domains
from tunedeco.oracles import (
    ASHA,
    Aging,
    Continue,
    Evolution,
    Hyperband,
    Oracle,
    Random,
    Scheduler,
    Start,
    SuccessiveHalving,
)
from tunedeco.trial import Epoch, State, Trial

BUDGETS = (5, 10, 20, 30)
"""In trainings of all epochs."""


class Pool:
    """Answers with the nearest configuration that it has not answered with, and counts epochs."""

    def __init__(self, table: Task, budget: int) -> None:
        self.table = table
        self.nearest = Answers(table).nearest
        self.budget = budget
        self.epochs = 0
        self.best = 1.0
        self.trace = np.ones(budget)
        """The regret after each epoch."""

    def train(self, row: int, epoch: int) -> float:
        """Return the regret of one epoch of a configuration."""
        assert self.table.curves is not None
        found = float(self.table.curves[row, epoch - 1])
        self.best = min(self.best, found)
        self.trace[self.epochs] = self.best
        self.epochs += 1
        return found

    @property
    def over(self) -> bool:
        return self.epochs >= self.budget

    def ended(self) -> np.ndarray[Any, Any]:
        self.trace[self.epochs :] = self.best
        return self.trace


def ours(oracle: Oracle, pool: Pool, seed: int) -> None:
    """Search with one of our oracles until the epochs are spent."""
    most = len(pool.table.curves[0])
    if isinstance(oracle, Scheduler):
        oracle = oracle.within(1, most)
    logs = [Epoch(epoch, {}) for epoch in range(1, most + 1)]
    trials: list[Trial] = []
    rows: list[int] = []
    while not pool.over:
        decision = oracle.next(pool.table.space, trials, seed)
        match decision:
            case Start():
                row, values = pool.nearest(decision.values)
                rows.append(row)
                until = decision.until or most
                trial = Trial(
                    len(trials), values, until, bracket=decision.bracket, rung=decision.rung
                )
                trials.append(trial)
            case Continue():
                trial = trials[decision.trial]
                until = decision.until
            case _:
                raise AssertionError(decision)
        losses = list(trial.losses)
        while len(losses) < until and not pool.over:
            losses.append(pool.train(rows[trial.number], len(losses) + 1))
        trials[trial.number] = Trial(
            trial.number,
            trial.values,
            until,
            State.COMPLETED,
            loss=min(losses),
            losses=tuple(losses),
            epochs=tuple(logs[: len(losses)]),
            bracket=trial.bracket,
            rung=decision.rung,
        )


def theirs(
    sampler: Callable[[int], optuna.samplers.BaseSampler],
    pruner: Callable[[int], optuna.pruners.BasePruner],
    pool: Pool,
    seed: int,
) -> None:
    """Search with Optuna until the epochs are spent."""
    most = len(pool.table.curves[0])
    study = optuna.create_study(sampler=sampler(seed), pruner=pruner(most), study_name=str(seed))
    distributions = {h.name: _distribution(h.domain) for h in pool.table.space}
    while not pool.over:
        trial = study.ask(distributions)
        row, values = pool.nearest({GROUP: trial.params})
        for name, value in values[GROUP].items():  # what it really was
            kind = distributions[name]
            internal = kind.to_internal_repr(value)
            study._storage.set_trial_param(trial._trial_id, name, internal, kind)
        best = math.inf
        for epoch in range(1, most + 1):
            if pool.over:
                return
            best = min(best, pool.train(row, epoch))
            trial.report(best, epoch)
            if epoch < most and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, best)


def _distribution(domain: domains.Domain) -> optuna.distributions.BaseDistribution:
    if isinstance(domain, domains.Range):
        return optuna.distributions.IntDistribution(domain.start, domain.stop, log=domain.log)
    assert isinstance(domain, domains.Float)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def _random(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _halving(_: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner()


def _hyperband(most: int) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=most)


OURS: dict[str, Oracle] = {
    "random, full length": Random(),
    "aging, full length": Aging(),
    "evolution, full length": Evolution(),
    "ASHA(random)": ASHA("random"),
    "SuccessiveHalving(random)": SuccessiveHalving("random"),
    "Hyperband(random)": Hyperband("random"),
    "SuccessiveHalving(aging)": SuccessiveHalving("aging"),
    "ASHA(evolution)": ASHA("evolution"),
    "SuccessiveHalving(evolution)": SuccessiveHalving("evolution"),
    "Hyperband(evolution)": Hyperband("evolution"),
}
DEFAULT = SuccessiveHalving("evolution")
THEIRS = {
    "Optuna random + halving": (_random, _halving),
    "Optuna TPE + halving": (_tpe, _halving),
    "Optuna TPE + Hyperband": (_tpe, _hyperband),
}


def run(folder: Path, method: str, name: str, seed: int) -> list[float]:
    """Return the regret of one run at each budget."""
    table = load(folder, name)
    most = len(table.curves[0])
    pool = Pool(table, max(BUDGETS) * most)
    if method in THEIRS:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.samplers._tpe._truncnorm._log_ndtr = scipy.special.log_ndtr
        theirs(*THEIRS[method], pool, seed)
    else:
        ours(OURS[method], pool, seed)
    trace = pool.ended()
    return [float(trace[budget * most - 1]) for budget in BUDGETS]


Key = tuple[str, str, int]
"""Method, task, seed."""


def report(found: dict[Key, list[float]]) -> Iterator[str]:
    """Yield the lines of a table: means over all runs, and their standard errors."""
    methods = list(dict.fromkeys(method for method, _, _ in found))
    names = list(dict.fromkeys(name for _, name, _ in found))
    seeds = sorted({seed for _, _, seed in found})
    yield f"| {len(names)} tasks, {len(seeds)} seeds | " + " | ".join(map(str, BUDGETS)) + " |"
    yield "|---|" + "---|" * len(BUDGETS)
    for method in methods:
        cells = []
        for place in range(len(BUDGETS)):
            # a seed's mean over the tasks is one sample: the tasks are what they are
            means = [
                statistics.fmean(found[method, name, seed][place] for name in names)
                for seed in seeds
            ]
            error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan
            cells.append(f"{statistics.fmean(means):.3f} ± {error:.3f}")
        label = f"**{method}** (default)" if OURS.get(method) == DEFAULT else method
        yield f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--suite", default="lcbench_dev", help="a folder in it")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--methods", nargs="+", default=[*OURS, *THEIRS], choices=[*OURS, *THEIRS])
    parser.add_argument("--runs", type=Path, help="a file that keeps each run, to go on from")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    options = parser.parse_args()
    folder = options.tables / options.suite
    wanted = list(itertools.product(options.methods, names(folder), range(options.seeds)))
    found = results(wanted, partial(run, folder), options.runs, options.jobs)
    lines = [
        f"# Regret against epochs, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
        "",
        f"`python benchmarks/multifidelity.py --tables DIR --suite {options.suite}`, with Optuna",
        f"{optuna.__version__}.",
        "Normalised regret after as many epochs as so many full trainings have; mean ± standard",
        "error over the seeds, of each seed's mean over the tasks.",
        "",
        *report(found),
    ]
    publish(lines, options.out)


if __name__ == "__main__":
    main()
