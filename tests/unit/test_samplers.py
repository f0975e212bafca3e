"""Optuna's samplers as oracles: beside Optuna itself, killed, with conditions, and refused."""

import json
import logging
import os
import random
import re
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, Run, model_fn, run_search
from test_search import assert_resumes

import tunedeco
from tunedeco import Boolean, Range, Tuner, domains, narrowing, tracing
from tunedeco.errors import ConfigurationError, OracleError
from tunedeco.oracles import (
    ASHA,
    Done,
    Hyperband,
    Oracle,
    Random,
    Start,
    SuccessiveHalving,
    describe,
    optuna,
    resolve,
    samplers,
)
from tunedeco.oracles.study import axis
from tunedeco.pareto import Point
from tunedeco.space import Hyperparameter, Space, Values, flat
from tunedeco.trial import UNFINISHED, State, Trial

pytestmark = pytest.mark.slow

theirs = pytest.importorskip("optuna")
needs_cmaes = pytest.mark.skipif(find_spec("cmaes") is None, reason="cmaes is not installed")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
NAMES = [
    "tpe",
    "random",
    "nsgaii",
    "nsgaiii",
    "qmc",
    pytest.param("cmaes", marks=needs_cmaes),
]


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is written to the page cache."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def space_of(**named: domains.Domain) -> Space:
    return Space(tuple(Hyperparameter("default", n, d, d.first) for n, d in named.items()))


MIXED = space_of(
    rate=domains.Float(1e-5, 1.0, log=True),
    units=domains.Range(8, 512, 8),
    share=domains.Float(0.0, 0.5),
    kind=domains.Choice(("relu", None, "gelu")),
)


def loss_of(values: Values) -> float:
    """Return a bowl in all that is ordered, and one good category."""
    flat_values = flat(values)
    rate, units, share, kind = (flat_values["default", h.name] for h in MIXED)
    place = MIXED.encode(values)
    assert (rate, units, share) is not None
    return sum((u - 0.3) ** 2 for u in place[:3]) + (kind is not None) / 10


def ran(
    oracle: Oracle,
    space: Space,
    loss: Callable[[Values], float | None],
    number: int,
    seed: int = 0,
    *,
    lag: int = 0,
) -> list[Trial]:
    """Return trials one after the other, each ending when ``lag`` more have begun."""
    trials: list[Trial] = []
    for _ in range(number):
        decision = oracle.next(space, tuple(trials), seed)
        if isinstance(decision, Done):
            break
        assert isinstance(decision, Start)
        trials.append(Trial(len(trials), decision.values, 3))
        for trial in trials[: len(trials) - lag]:
            if trial.state is State.RUNNING:
                found = loss(trial.values)
                state = State.FAILED if found is None else State.COMPLETED
                trials[trial.number] = replace(trial, state=state, loss=found)
    return trials


@pytest.mark.parametrize(
    "name",
    [
        *NAMES,
        pytest.param("cmaes with margin", marks=needs_cmaes),
        pytest.param("gp", marks=needs_torch),
    ],
)
def test_it_is_what_optuna_does(name: str) -> None:
    """A study of Optuna's, asked and told in turn with the same seeds, has the same trials."""
    genes = {"population_size": 4, "mutation_prob": 0.9}  # no child is its parent again
    settings: dict[str, Any] = {
        "cmaes": {"popsize": 4},
        "gp": {"n_startup_trials": 3},
        "cmaes with margin": {"popsize": 4, "with_margin": True},
        "nsgaii": genes,
        "nsgaiii": genes,
    }.get(name, {})
    oracle = optuna(name.partition(" ")[0], **settings)
    trials = ran(oracle, MIXED, loss_of, 6 if name == "gp" else 25, seed=7)
    with samplers.quiet():
        study = theirs.create_study()
        for number, trial in enumerate(trials):
            study.sampler = oracle.made(7, number)
            asked = study.ask({h.label: axis(h).distribution for h in MIXED})
            values = {h.name: asked.params[h.label] for h in MIXED}
            assert values == trial.values["default"]
            study.tell(asked, loss_of(trial.values))


@pytest.mark.parametrize("name", ["tpe", pytest.param("cmaes", marks=needs_cmaes)])
def test_it_learns(name: str) -> None:
    """After 40 trials its best are better than those of random search."""

    def reached(oracle: Oracle, seed: int) -> float:
        losses = sorted(loss_of(t.values) for t in ran(oracle, MIXED, loss_of, 40, seed))
        return statistics.fmean(losses[:5])

    ours = [reached(optuna(name), seed) for seed in range(2)]
    plain = [reached(Random(), seed) for seed in range(2)]
    assert statistics.fmean(ours) < 0.7 * statistics.fmean(plain)


def failing_fn() -> Curve:
    """Ask for more behind an ``if``, and break with every other width."""
    units = Range("units", 1, 60)
    if Boolean("deep"):
        units += Range("depth", 1, 4)
    return Curve(units % 13, 0.9, breaks=1 if units % 2 else None)


@pytest.mark.parametrize(
    "oracle",
    [
        optuna("nsgaii", population_size=2),
        Hyperband(optuna("tpe", n_startup_trials=2)),
    ],
    ids=["nsgaii", "hyperband"],
)
def test_cut_after_any_event_a_search_ends_the_same(tmp_path: Path, oracle: Oracle) -> None:
    """Killed anywhere, a search goes on with the trials it would have had, failed ones included."""
    wraps = isinstance(oracle, Hyperband)

    def search(directory: Path) -> Run:
        options = {"max_epochs": 4, "epoch_budget": 8} if wraps else {"max_epochs": 1}
        return run_search(
            directory, failing_fn, oracle=oracle, max_trials=6, seed=3, traces=1, **options
        )

    reference = search(tmp_path / "whole")
    assert {t.state for t in reference.state.trials} >= {State.COMPLETED, State.FAILED}
    assert_resumes(tmp_path / "whole", search, reference, continues=wraps)


@pytest.mark.parametrize("wrapper", [ASHA, SuccessiveHalving, Hyperband])
def test_what_decides_on_epochs_wraps_it(tmp_path: Path, wrapper: Any) -> None:
    """Around it, trials begin at a low rung, and the best of them go on to the last epoch."""
    oracle = wrapper(optuna("tpe", n_startup_trials=3), min_epochs=1)
    run = run_search(tmp_path, oracle=oracle, epoch_budget=40, max_epochs=9, capacity=2)
    lengths = {len(trial.epochs) for trial in run.state.trials}
    assert {1, 9} <= lengths
    assert describe(oracle)["oracle"] == describe(optuna("tpe", n_startup_trials=3))


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_comes_once(name: str) -> None:
    """With four running at once, a space is exhausted without a repetition; then it is done."""
    space = tracing.explore(model_fn).unconditional([])
    held = Space(tuple(h for h in space if h.name != "rate"))
    trials = ran(optuna(name), held, lambda values: len(str(values)), 99, lag=3)
    keys = [trial.key for trial in trials]
    assert held.size == len(set(keys)) == len(keys) == 16
    assert all(trial.values == held.complete(trial.values) for trial in trials)
    assert any("momentum" not in trial.values["training"] for trial in trials)


def test_in_a_branch_that_is_not_taken_nothing_is_asked_for() -> None:
    """A sampler sees a conditional hyperparameter in the trials that have it, and in no other."""
    seen: list[tuple[str, bool]] = []

    class Watching(theirs.samplers.RandomSampler):
        def sample_independent(self, study: Any, trial: Any, name: str, over: Any) -> Any:
            if name == "training/momentum":
                seen.append((trial.params["training/optimizer"], True))
                for other in study.get_trials(deepcopy=False):
                    if other.state.is_finished():
                        has = name in other.params
                        seen.append((other.params["training/optimizer"], has))
            return super().sample_independent(study, trial, name, over)

    ran(optuna(Watching), tracing.explore(model_fn), lambda _: 1.0, 20)
    assert set(seen) == {("sgd", True), ("adam", False)}


def test_those_running_are_told_apart_from_those_that_failed() -> None:
    """What runs is running to Optuna; what went wrong is as bad as the worst, and not ignored.

    The loss that a diverged trial had before is not told.
    """
    trials = ran(optuna("random"), MIXED, loss_of, 6)
    trials[1] = replace(trials[1], state=State.FAILED, loss=None)
    trials[2] = replace(trials[2], state=State.REJECTED, loss=None)
    trials[3] = replace(trials[3], state=State.DIVERGED, loss=0.25)
    trials[4] = replace(trials[4], state=State.RUNNING, loss=0.1)
    trials[5] = replace(trials[5], state=State.PAUSED, loss=None)
    worst = max(trials[0].loss or 0.0, 0.1)
    expected = [trials[0].loss, worst, worst, worst, None, None]
    for oracle in (optuna("random"), optuna("random", replay=True)):
        with samplers.quiet():
            study = oracle._study(MIXED, {h.key: axis(h) for h in MIXED}, trials, 0)
        assert [t.value for t in study.trials] == expected
        unfinished = [t.state == theirs.trial.TrialState.RUNNING for t in study.trials]
        assert unfinished == [t.state in UNFINISHED for t in trials]


def test_where_everything_fails_it_goes_on() -> None:
    """Without a single loss, a sampler proposes one new configuration after the other."""
    for name in ("tpe", "nsgaii", "qmc"):
        trials = ran(optuna(name), MIXED, lambda _: None, 15)
        assert len({trial.key for trial in trials}) == 15


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        (domains.Float(1e-5, 1.0, log=True), "FloatDistribution"),
        (domains.Range(8, 33, 8), "IntDistribution"),
        (domains.Range(1, 100, log=True), "IntDistribution"),
        (domains.Range(1, 100, 3, log=True), "FloatDistribution"),
        (domains.Linear(-0.1, 0.5, 7), "IntDistribution"),
        (domains.Logarithmic(1e-4, 1e-2, 5), "IntDistribution"),
        (domains.Choice((0.1, 0.01, 0.001)), "IntDistribution"),
        (domains.Choice((3, 1, 2)), "CategoricalDistribution"),
        (domains.Choice((None, True, 1, 1.0, "1", 0, False)), "CategoricalDistribution"),
        (domains.Choice(("a", None, "b")), "CategoricalDistribution"),
        (domains.Boolean(), "CategoricalDistribution"),
    ],
)
def test_every_value_is_heard_as_it_was_told(domain: domains.Domain, kind: str) -> None:
    """Told to Optuna and suggested by it, every value is the domain's own: True is not 1."""
    where = axis(Hyperparameter("default", "x", domain, domain.first))
    assert type(where.distribution).__name__ == kind
    values = [domain.at(i) for i in range(domain.size or 0)] or [domain.decode(0.37)]
    for value in values:
        internal = where.distribution.to_internal_repr(where.told(value))
        again = domain.canonical(where.heard(where.distribution.to_external_repr(internal)))
        assert (type(again), again) == (type(value), value)
    oracle, space = optuna("random"), space_of(x=domain, y=domains.Float(0.0, 1.0))
    found = {repr(t.values["default"]["x"]) for t in ran(oracle, space, lambda _: 0.0, 60)}
    assert domain.size is None or domain.size > 20 or found == {repr(value) for value in values}


def test_in_a_space_that_grew_and_one_that_is_held_it_goes_on(tmp_path: Path) -> None:
    """Where some values are held, and where a hyperparameter is new, there are proposals."""
    run_search(tmp_path, oracle=optuna("tpe", n_startup_trials=2), max_trials=6)
    options: dict[str, Any] = {"groups": ["training"], "freeze": {"rate": 0.5}}
    run = run_search(tmp_path, oracle=optuna("tpe", n_startup_trials=2), max_trials=9, **options)
    units = run.state.best.values["default"]["units"]
    late = run.state.trials[6:]
    assert all(t.values["training"]["rate"] == 0.5 for t in late)
    assert len(late) == 3
    assert units in {t.values["default"]["units"] for t in late}
    grown = MIXED.extended([Hyperparameter("default", "depth", domains.Range(1, 9), 1)])
    old = ran(optuna("tpe"), MIXED, loss_of, 12)
    new = {optuna("tpe").next(grown, old, seed).values["default"]["depth"] for seed in range(9)}
    assert len(new) > 3


@pytest.mark.parametrize("replay", [False, True])
def test_what_had_another_value_of_what_is_held_is_not_told(replay: bool) -> None:
    """Its loss would seem to be one of the held value's, at a place that was never tried."""
    trials = ran(optuna("random"), MIXED, loss_of, 20)
    held = narrowing.pinned(MIXED, {("default", "kind"): None})
    axes = {h.key: axis(h) for h in held if h.domain.size != 1}
    with samplers.quiet():
        study = optuna("random", replay=replay)._study(held, axes, trials, 0)
    expected = [t.loss for t in trials if t.values["default"]["kind"] is None]
    assert 0 < len(expected) < 20
    assert [t.value for t in study.trials] == expected


def test_an_instance_is_as_good_as_what_makes_one() -> None:
    """The seed of an instance does not count, and neither does what it was used for."""
    kind = theirs.samplers.TPESampler
    with samplers.quiet():
        instance = kind(n_startup_trials=3, multivariate=True)
        theirs.create_study(sampler=instance).ask().suggest_float("x", 0, 1)
        seeded = kind(n_startup_trials=3, multivariate=True, seed=5)
    ours = [
        optuna(instance),
        optuna(seeded),
        optuna(kind, n_startup_trials=3, multivariate=True),
        optuna(partial(kind, n_startup_trials=3, multivariate=True)),
        optuna(lambda seed: kind(n_startup_trials=3, multivariate=True, seed=seed)),
    ]
    first, *others = [[t.values for t in ran(oracle, MIXED, loss_of, 12)] for oracle in ours]
    assert all(other == first for other in others)
    assert len({json.dumps(describe(oracle)) for oracle in ours}) == 1
    assert describe(ours[0])["settings"]["n_startup_trials"] == 3


def test_a_search_says_which_sampler_it_is_of() -> None:
    """Name and settings are JSON, as they were given; what is not JSON has its name."""
    described = describe(optuna("nsgaii", population_size=8, mutation_prob=0.1))
    settings = {"mutation_prob": 0.1, "population_size": 8}
    expected = {"name": "optuna", "sampler": "nsgaii", "settings": settings, "replay": True}
    assert described == expected
    assert describe(optuna("tpe"))["settings"] == {}

    def gamma(number: int) -> int:
        return min(number, 5)

    assert describe(optuna("tpe", gamma=gamma))["settings"]["gamma"].endswith("gamma")
    crossover = theirs.samplers.nsgaii.BLXAlphaCrossover
    with samplers.quiet():
        text = json.dumps(describe(optuna("nsgaii", crossover=crossover())))
    assert "BLXAlphaCrossover" in text
    assert " at 0x" not in text


@needs_cmaes
def test_the_page_about_them_is_right() -> None:
    """Every oracle in docs/samplers.md can be made, and every name is in its table."""
    page = (Path(tunedeco.__file__).parents[1] / "docs" / "samplers.md").read_text("utf-8")
    shown = re.findall(r"^Tuner\(.*oracle=(.*)\)$", page, re.MULTILINE)
    assert len(shown) >= 5
    names = {"optuna": optuna, "Hyperband": Hyperband, "MySampler": Own}
    for text in shown:
        describe(eval(text, {"TPESampler": theirs.samplers.TPESampler, **names}))
    assert all(f'`"{name}"`' in page for name in samplers._NAMED)


class Own(theirs.samplers.RandomSampler):
    """A sampler as a user may write one, with randomness that nobody sees."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed=seed)
        self.draw = random.Random(seed)

    def sample_independent(self, study: Any, trial: Any, name: str, over: Any) -> Any:
        return over.to_external_repr(self.draw.uniform(0, 1))


with samplers.quiet():
    SEQUENCE = theirs.samplers.QMCSampler()
    BRUTE = theirs.samplers.BruteForceSampler()
    WRAPPING = theirs.samplers.CmaEsSampler(independent_sampler=Own())


@pytest.mark.parametrize(
    ("sampler", "settings", "says"),
    [
        ("tpo", {}, "knows the samplers tpe, gp, cmaes"),
        ("tpe", {"startup": 3}, "startup"),
        ("tpe", {"multivariate": False}, "could not be made"),
        (3, {}, "or what makes one when called with seed=, not 3"),
        (Own(), {}, r"instance of Own cannot be given the seed.*optuna\(lambda seed: Own"),
        (WRAPPING, {}, "instance of Own cannot be given the seed"),
        (SEQUENCE, {}, r"instance of QMCSampler cannot be given the seed.*optuna\(\"qmc\"\)"),
        (theirs.samplers.RandomSampler(), {"seed": 3}, "has its settings"),
        (lambda seed: Own(), {}, "does not use seed="),
        (lambda *_: Own(), {}, "could not be made with seed="),
        (lambda seed: seed, {}, "makes no sampler of Optuna's when called with seed=, but 0"),
    ],
)
def test_what_would_not_resume_is_refused(sampler: Any, settings: Any, says: str) -> None:
    """What is no sampler, or would propose something else after a crash, is refused at once."""
    with pytest.raises(ConfigurationError, match=says):
        optuna(sampler, **settings)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra, or the package that one sampler needs beside Optuna."""
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r'pip install "tunedeco\[optuna\]"'):
        optuna("tpe")
    monkeypatch.setattr(samplers, "find_spec", lambda name: name if name == "optuna" else None)
    with pytest.raises(ConfigurationError, match=r"GPSampler needs scipy and torch"):
        optuna("gp")
    with pytest.raises(ConfigurationError, match=r"CmaEsSampler needs cmaes"):
        optuna("cmaes")


def test_it_is_quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Optuna logs and warns at each new study; nobody hears it, and its verbosity is as it was."""
    before = theirs.logging.get_verbosity()
    theirs.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
            warnings.simplefilter("error")
            for name in ("tpe", "qmc", "nsgaii"):
                ran(optuna(name), MIXED, loss_of, 12)
    finally:
        theirs.logging.disable_propagation()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert theirs.logging.get_verbosity() == before


def test_a_replay_is_of_what_happened() -> None:
    """Asked and told again, a sampler finds the notes that it wrote when it was asked first."""
    notes: list[list[Any]] = []

    class Noting(theirs.samplers.RandomSampler):
        def sample_relative(self, study: Any, trial: Any, over: Any) -> dict[str, Any]:
            drawn = int(self._rng.rng.randint(1000))
            before = study.get_trials(deepcopy=False)[:-1]
            notes.append([t.system_attrs.get("drawn") for t in before] + [drawn])
            study._storage.set_trial_system_attr(trial._trial_id, "drawn", drawn)
            return {}

    oracle = optuna(Noting)
    notes.clear()
    ran(oracle, MIXED, loss_of, 5)
    longest: Sequence[Any] = max(notes, key=len)
    assert None not in longest
    assert all(note == list(longest[: len(note)]) for note in notes)
    assert len(set(longest)) == 5


def trade(values: Values) -> Point:
    """Return two losses between which nothing is the best."""
    x = float(flat(values)["default", "x"])  # type: ignore[arg-type]  # a number
    return abs(x - 20), abs(x - 80)


@pytest.mark.parametrize("name", ["tpe", "nsgaii", "nsgaiii", "qmc", "random"])
def test_each_objective_is_told(name: str) -> None:
    """The study has a direction for each objective, and each trial the losses of all."""
    space, oracle = space_of(x=domains.Range(0, 999), y=domains.Boolean()), optuna(name)
    trials: list[Trial] = []
    for number in range(14):
        decision = oracle.next(space, trials, 0)
        assert isinstance(decision, Start)
        point = trade(decision.values)
        state = State.DIVERGED if number == 3 else State.COMPLETED
        trials.append(
            Trial(number, decision.values, 1, state, loss=point[0], points=(point,)),
        )
    with samplers.quiet():
        study = oracle._study(space, {h.key: axis(h) for h in space}, trials, 0)
    told = [trade(t.values) for t in trials]
    told[3] = tuple(max(losses) for losses in zip(*(told[:3] + told[4:]), strict=True))
    assert [tuple(t.values) for t in study.trials] == told


@needs_cmaes
@pytest.mark.parametrize("oracle", [optuna("cmaes"), Hyperband(optuna("cmaes"))])
def test_a_sampler_of_one_objective_is_refused(tmp_path: Path, oracle: Oracle) -> None:
    """The tuner refuses it before anything is trained, and names some that take several."""
    options: dict[str, Any] = {"oracle": oracle, "max_trials": 2, "directory": tmp_path}
    with pytest.raises(ConfigurationError, match=r"cmaes takes a single.*optuna\(\"nsgaii"):
        Tuner(model_fn, ["val_loss", "val_accuracy"], **options)
    Tuner(model_fn, "val_loss", **options)


def test_one_that_knows_no_other_space_is_not_refused_for_that() -> None:
    """What cannot be told of a sampler before the search is left to the search."""
    samplers.check_several(optuna(theirs.samplers.GridSampler({"default/y": [1]})), 2)


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        (BRUTE, "BruteForceSampler cannot.*\n.*in place of Float"),
        (theirs.samplers.GridSampler({"rate": [0.1]}), 'GridSampler cannot.*\n.*"group/name"'),
    ],
)
def test_a_sampler_that_cannot_search_the_space_says_what_to_do(sampler: Any, says: str) -> None:
    """What Optuna raises of it becomes an error of the oracle."""
    with pytest.raises(OracleError, match=says):
        optuna(sampler).next(MIXED, [], 0)


@pytest.mark.parametrize(
    ("oracle", "says"),
    [
        ("tpe", 'optuna("tpe")'),
        ("CMAES", 'optuna("cmaes")'),
        (optuna, 'optuna("tpe")'),
        (theirs.samplers.RandomSampler(), "optuna(sampler)"),
        (theirs.samplers.TPESampler, "optuna(sampler)"),
        (Own(), "optuna(sampler)"),
    ],
)
def test_a_sampler_that_is_no_oracle_yet_says_how_it_becomes_one(oracle: Any, says: str) -> None:
    """By name, as an instance or as a class, alone or wrapped, the error shows what to write."""
    for use in (lambda: resolve(oracle, 1, 9), lambda: Hyperband(oracle)):
        with pytest.raises(ConfigurationError) as raised:
            use()
        assert str(raised.value).endswith(f"from tunedeco.oracles import optuna, and {says}")
    with pytest.raises(ConfigurationError) as raised:
        resolve("tpo", 1, 9)
    assert "Optuna" not in str(raised.value)
