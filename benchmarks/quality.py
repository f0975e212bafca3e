"""How good a configuration so many evaluations find, in tables of real trainings, beside the peers.

``python benchmarks/quality.py --tables DIR`` searches every task of every suite in ``DIR`` (see
`tables`) with each method, and reports the regret after 25, 50 and 100 evaluations, cut off at 1:
for each suite the mean over tasks and seeds, with the standard error of the seeds' means; then the
average rank over tasks, and ours as a share of the best peer's. All methods are told which
configuration it really was that a pool answered with. Peers that are not installed are left out,
and slow ones run on fewer seeds (``--slow-seeds``). ``--runs FILE`` keeps each run, to go on from.
"""

import argparse
import contextlib
import datetime as dt
import logging
import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from kept import results
from tables import GROUP, Answers, Task, load, names, publish

from tunedeco import domains
from tunedeco.oracles import Aging, Evolution, Oracle, Random, Start
from tunedeco.space import Values
from tunedeco.trial import Epoch, State, Trial

BUDGETS = (25, 50, 100)


class Search:
    """One run: evaluates configurations until the budget is spent."""

    def __init__(self, task: Task, budget: int) -> None:
        self.task = task
        self.space = task.space
        self.budget = budget
        self.regrets: list[float] = []
        self._answers = Answers(task)

    def evaluate(self, values: Values) -> tuple[Values, float]:
        """Return the configuration that was evaluated, and its regret."""
        row, real = self._answers.nearest(values)
        self.regrets.append(float(self.task.regrets[row]))
        return real, self.regrets[-1]

    @property
    def over(self) -> bool:
        return len(self.regrets) >= self.budget


def ours(oracle: Oracle) -> Callable[[Search, int], None]:
    def run(search: Search, seed: int) -> None:
        trials: list[Trial] = []
        while not search.over:
            decision = oracle.next(search.space, trials, seed)
            assert isinstance(decision, Start)
            values, loss = search.evaluate(decision.values)
            trials.append(
                Trial(
                    *(len(trials), values, 1, State.COMPLETED, loss),
                    loss=loss,
                    losses=(loss,),
                    epochs=(Epoch(1, {}),),
                )
            )

    return run


def optunas(make: Callable[[Any, int], Any]) -> Callable[[Search, int], None]:
    def run(search: Search, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=make(optuna.samplers, seed))
        kinds = {h.name: _distribution(h.domain) for h in search.space}
        while not search.over:
            trial = study.ask(kinds)
            proposed = {n: _own(search, n, value) for n, value in trial.params.items()}
            values, loss = search.evaluate({GROUP: proposed})
            for name, value in values[GROUP].items():  # what it really was
                kind = kinds[name]
                internal = kind.to_internal_repr(_theirs(search, name, value))
                study._storage.set_trial_param(trial._trial_id, name, internal, kind)
            study.tell(trial, loss)

    return run


def _distribution(domain: domains.Domain) -> Any:
    from optuna import distributions as d

    if isinstance(domain, domains.Range):
        return d.IntDistribution(domain.start, domain.stop, log=domain.log)
    if isinstance(domain, domains.Float):
        return d.FloatDistribution(domain.low, domain.high, log=domain.log)
    if domain.ordered:  # its places, which is how one would write it: they mean something there
        assert domain.size is not None
        return d.IntDistribution(0, domain.size - 1)
    assert isinstance(domain, domains.Choice)
    return d.CategoricalDistribution(domain.values)


def _by_place(domain: domains.Domain) -> bool:
    return isinstance(domain, domains.Choice) and domain.ordered


def _own(search: Search, name: str, value: Any) -> Any:
    domain = search.space.by_key[GROUP, name].domain
    return domain.at(int(value)) if _by_place(domain) else value


def _theirs(search: Search, name: str, value: Any) -> Any:
    domain = search.space.by_key[GROUP, name].domain
    return domain.index(value) if _by_place(domain) else value


def hyperopts(search: Search, seed: int) -> None:
    import hyperopt

    logging.getLogger("hyperopt").setLevel(logging.ERROR)
    space = {h.name: _stochastic(h.name, h.domain) for h in search.space}
    problem = hyperopt.base.Domain(_never_called, space)
    trials = hyperopt.Trials()
    draw = np.random.default_rng(seed)
    while not search.over:
        (document,) = hyperopt.tpe.suggest(
            trials.new_trial_ids(1), problem, trials, int(draw.integers(2**31))
        )
        places = document["misc"]["vals"]
        proposed = {h.name: _within(places[h.name][0], h.domain) for h in search.space}
        values, loss = search.evaluate({GROUP: proposed})
        for h in search.space:
            value = values[GROUP][h.name]
            by_place = isinstance(h.domain, domains.Choice)
            places[h.name][:] = [h.domain.index(value) if by_place else value]
        document["state"] = hyperopt.JOB_STATE_DONE
        document["result"] = {"loss": loss, "status": "ok"}
        trials.insert_trial_docs([document])
        trials.refresh()


def _stochastic(name: str, domain: domains.Domain) -> Any:
    from hyperopt import hp

    if isinstance(domain, domains.Choice) and not domain.ordered:
        return hp.choice(name, range(domain.size))
    if isinstance(domain, domains.Float):
        low, high, step = domain.low, domain.high, []
    elif isinstance(domain, domains.Range):
        low, high, step = domain.start - 0.5, domain.stop + 0.5, [1]
    else:
        low, high, step = -0.5, (domain.size or 0) - 0.5, [1]
    if getattr(domain, "log", False):
        kind, low, high = hp.qloguniform if step else hp.loguniform, math.log(low), math.log(high)
    else:
        kind = hp.quniform if step else hp.uniform
    return kind(name, low, high, *step)


def _within(value: float, domain: domains.Domain) -> Any:
    if isinstance(domain, domains.Float):
        return min(max(float(value), domain.low), domain.high)
    if isinstance(domain, domains.Range):
        return min(max(round(value), domain.start), domain.stop)
    assert domain.size is not None
    return domain.at(min(max(round(value), 0), domain.size - 1))


def keras_tuners(search: Search, seed: int) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    for h in search.space:
        domain = h.domain
        if isinstance(domain, domains.Float):
            hp.Float(h.name, domain.low, domain.high, sampling="log" if domain.log else "linear")
        elif isinstance(domain, domains.Range):
            hp.Int(h.name, domain.start, domain.stop, sampling="log" if domain.log else "linear")
        else:
            # which takes no list of floats and whole numbers
            listed = [float(v) for v in domain.values] if domain.ordered else list(domain.values)
            hp.Choice(h.name, listed, ordered=domain.ordered or None)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            objective=keras_tuner.Objective("loss", "min"),
            max_trials=search.budget + 1,
            hyperparameters=hp,
            allow_new_entries=False,
            seed=seed,
        )
        oracle._set_project_dir(folder, "p")
        while not search.over:
            trial = oracle.create_trial("one")
            if trial.hyperparameters is None or trial.status == "STOPPED":
                break
            proposed = trial.hyperparameters.values
            numbers = [h for h in search.space if not isinstance(h.domain, domains.Choice)]
            # on a log scale its whole numbers go one too far
            inside = {h.name: _within(proposed[h.name], h.domain) for h in numbers}
            values, loss = search.evaluate({GROUP: {**proposed, **inside}})
            trial.hyperparameters.values.update(values[GROUP])
            oracle.update_trial(trial.trial_id, {"loss": loss})
            trial = oracle.get_trial(trial.trial_id)
            trial.status = "COMPLETED"
            oracle.end_trial(trial)


def smacs(search: Search, seed: int) -> None:
    import ConfigSpace
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialInfo, TrialValue

    logging.disable(logging.CRITICAL)
    space = ConfigSpace.ConfigurationSpace(seed=seed)
    for h in search.space:
        domain = h.domain
        if isinstance(domain, domains.Float):
            kind = ConfigSpace.UniformFloatHyperparameter(
                h.name, domain.low, domain.high, log=domain.log
            )
        elif isinstance(domain, domains.Range):
            kind = ConfigSpace.UniformIntegerHyperparameter(
                h.name, domain.start, domain.stop, log=domain.log
            )
        elif domain.ordered:
            kind = ConfigSpace.UniformIntegerHyperparameter(h.name, 0, domain.size - 1)
        else:
            kind = ConfigSpace.CategoricalHyperparameter(h.name, list(domain.values))
        space.add(kind)
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space,
            deterministic=True,
            n_trials=search.budget,
            seed=seed,
            output_directory=Path(folder),
        )
        facade = HyperparameterOptimizationFacade(
            scenario, _never_called, overwrite=True, logging_level=False
        )
        while not search.over:
            info = facade.ask()
            # NumPy's strings are no strings of ours
            plain = {n: getattr(v, "item", lambda v=v: v)() for n, v in dict(info.config).items()}
            proposed = {n: _own(search, n, value) for n, value in plain.items()}
            values, loss = search.evaluate({GROUP: proposed})
            real = {n: _theirs(search, n, value) for n, value in values[GROUP].items()}
            config = ConfigSpace.Configuration(space, real)
            facade.tell(TrialInfo(config, seed=info.seed), TrialValue(loss), save=False)


def _never_called(values: Any, seed: int = 0) -> float:
    raise AssertionError((values, seed))  # they want a function, and are asked and told instead


OURS: dict[str, Callable[[Search, int], None]] = {
    "random": ours(Random()),
    "aging evolution": ours(Aging()),
    "evolution": ours(Evolution()),
}
DEFAULT = "evolution"
PEERS: dict[str, tuple[str, Callable[[Search, int], None]]] = {
    "Optuna TPE": ("optuna", optunas(lambda s, seed: s.TPESampler(seed=seed))),
    "Optuna TPE, univariate": (
        "optuna",
        optunas(lambda s, seed: s.TPESampler(seed=seed, multivariate=False)),
    ),
    "Optuna CMA-ES": ("cmaes", optunas(lambda s, seed: s.CmaEsSampler(seed=seed))),
    "hyperopt TPE": ("hyperopt", hyperopts),
    "Optuna GP": ("torch", optunas(lambda s, seed: s.GPSampler(seed=seed))),
    "SMAC": ("smac", smacs),
    "Keras Tuner Bayesian": ("keras_tuner", keras_tuners),
}
"""What each needs, and how it is run."""
SLOW = ("Optuna GP", "SMAC", "Keras Tuner Bayesian")

Key = tuple[str, str, str, int]
"""Method, suite, task, seed."""


def run(tables: Path, method: str, suite: str, name: str, seed: int) -> list[float]:
    """Return the regret of one run at each budget, and its CPU seconds."""
    search = Search(load(tables / suite, name), max(BUDGETS))
    function = OURS[method] if method in OURS else PEERS[method][1]
    began = time.process_time()
    function(search, seed)
    seconds = time.process_time() - began
    regrets = search.regrets + [1.0] * (max(BUDGETS) - len(search.regrets))
    best = np.minimum(np.minimum.accumulate(regrets), 1.0)
    return [*(float(best[budget - 1]) for budget in BUDGETS), seconds]


def report(found: dict[Key, list[float]]) -> Iterator[str]:
    """Yield the lines of the tables."""
    methods = list(dict.fromkeys(key[0] for key in found))
    suites = sorted({key[1] for key in found})
    means: dict[tuple[str, str, int], float] = {}
    errors: dict[tuple[str, str, int], float] = {}
    for suite in suites:
        yield from (f"## {suite}", "")
        yield "| method | seeds | " + " | ".join(map(str, BUDGETS)) + " | CPU seconds a run |"
        yield "|---|---:|" + "---:|" * (len(BUDGETS) + 1)
        for method in methods:
            mine = {k[2:]: v for k, v in found.items() if k[:2] == (method, suite)}
            seeds = sorted({seed for _, seed in mine})
            cells = []
            for place, budget in enumerate(BUDGETS):
                # a seed's mean over the tasks is one sample: the tasks are what they are
                samples = [
                    statistics.fmean(v[place] for (_, s), v in mine.items() if s == seed)
                    for seed in seeds
                ]
                many = len(samples) > 1
                error = statistics.stdev(samples) / math.sqrt(len(samples)) if many else math.nan
                means[method, suite, budget] = statistics.fmean(samples)
                errors[method, suite, budget] = error
                cells.append(f"{means[method, suite, budget]:.3f} ± {error:.3f}")
            seconds = statistics.median(v[-1] for v in mine.values())
            label = f"**{method}**" if method == DEFAULT else method
            yield f"| {label} | {len(seeds)} | " + " | ".join(cells) + f" | {seconds:.2f} |"
        yield ""
    yield from ("## Over all suites", "", "Average rank over tasks, by the mean over seeds:", "")
    yield "| method | " + " | ".join(map(str, BUDGETS)) + " |"
    yield "|---|" + "---:|" * len(BUDGETS)
    ranks = _ranks(found, methods)
    for method in methods:
        yield f"| {method} | " + " | ".join(f"{r:.2f}" for r in ranks[method]) + " |"
    yield ""
    peers = [method for method in methods if method not in OURS]
    if not peers or DEFAULT not in methods:
        return
    yield f"The regret of {DEFAULT} as a share of the best peer's at that budget, and by how many"
    yield "standard errors (of both) it is worse than that, where it is:"
    yield ""
    yield "| suite | " + " | ".join(map(str, BUDGETS)) + " |"
    yield "|---|" + "---:|" * len(BUDGETS)
    shares: dict[str, list[float]] = {}
    for suite in suites:
        cells = []
        for budget in BUDGETS:
            best = min(peers, key=lambda m: means[m, suite, budget])
            own, other = means[DEFAULT, suite, budget], means[best, suite, budget]
            shares.setdefault(suite, []).append(own / other if other else math.nan)
            both = math.hypot(errors[DEFAULT, suite, budget], errors[best, suite, budget])
            worse = f", worse by {(own - other) / both:.1f}" if own > other else ""
            cells.append(f"{own / other:.2f} ({best}{worse})" if other else f"{own:.3f} (0)")
        yield f"| {suite} | " + " | ".join(cells) + " |"
    over = [statistics.fmean(shares[suite][i] for suite in suites) for i in range(len(BUDGETS))]
    yield "| mean | " + " | ".join(f"{share:.2f}" for share in over) + " |"


def _ranks(found: dict[Key, list[float]], methods: list[str]) -> dict[str, list[float]]:
    """Return the mean rank of each method at each budget."""
    tasks = sorted({key[1:3] for key in found})
    collected: dict[str, list[list[float]]] = {m: [[] for _ in BUDGETS] for m in methods}
    for suite, name in tasks:
        for place in range(len(BUDGETS)):
            regrets = {
                m: statistics.fmean(v[place] for k, v in found.items() if k[:3] == (m, suite, name))
                for m in methods
            }
            for method, regret in regrets.items():
                less = sum(r < regret for r in regrets.values())
                same = sum(r == regret for r in regrets.values())
                collected[method][place].append(less + (same + 1) / 2)
    return {m: [statistics.fmean(r) for r in ranks] for m, ranks in collected.items()}


def main() -> None:
    there = [m for m, (package, _) in PEERS.items() if find_spec(package)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--suites", nargs="+", help="folders in it; all if not given")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, default=3, help="of those that take long")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--methods", nargs="+", default=[*OURS, *there], choices=[*OURS, *PEERS])
    parser.add_argument("--runs", type=Path, help="a file that keeps each run, to go on from")
    parser.add_argument("--out", type=Path, help="write the tables there, too")
    options = parser.parse_args()
    suites = options.suites or sorted(p.parent.name for p in options.tables.glob("*/space.json"))
    wanted = [
        (method, suite, name, seed)
        for method in options.methods
        for suite in suites
        for name in names(options.tables / suite)
        for seed in range(options.slow_seeds if method in SLOW else options.seeds)
    ]
    found = results(wanted, partial(run, options.tables), options.runs, options.jobs)
    lines = [
        f"# Regret against evaluations, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
        "",
        "`python benchmarks/quality.py --tables DIR`: normalised regret, 0 the best of a table and",
        "1 its median; mean over tasks and seeds ± standard error of the seeds' means.",
        "",
        *report(found),
    ]
    publish(lines, options.out)


if __name__ == "__main__":
    main()
