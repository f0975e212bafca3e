"""What importances say of functions whose shape is known, and of searches that say too little."""

import functools
import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import Curve, run_search

from tunedeco import Choice, Range, Tuner
from tunedeco.cli import main
from tunedeco.conditions import Among
from tunedeco.domains import Boolean, Domain, Fixed, Float, Linear
from tunedeco.domains import Choice as ChoiceOf
from tunedeco.domains import Range as RangeOf
from tunedeco.errors import ConfigurationError, HyperparameterError
from tunedeco.importances import Importances, importances
from tunedeco.importances.standing import standings
from tunedeco.journal.journal import load
from tunedeco.oracles import ASHA, Random
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Epoch, State, Trial

Values = dict[str, dict[str, Any]]


def hyperparameter(label: str, domain: Domain, when: Any = ()) -> Hyperparameter:
    group, name = label.split("/")
    return Hyperparameter(group, name, domain, domain.first, when=when)


def space_of(**groups: dict[str, Domain]) -> Space:
    return Space(
        tuple(
            hyperparameter(f"{group}/{name}", domain)
            for group, domains in groups.items()
            for name, domain in domains.items()
        )
    )


def trained(number: int, values: Values, losses: Sequence[float], **changes: Any) -> Trial:
    seen = [loss for loss in losses if not math.isnan(loss)]
    best = min(seen, default=None)
    epochs = tuple(Epoch(e, {"val_loss": loss}) for e, loss in enumerate(losses, 1))
    trial = Trial(
        *(number, values, len(losses), State.COMPLETED),
        score=best,
        loss=best,
        losses=tuple(losses),
        epochs=epochs,
    )
    return replace(trial, **changes)


def tried(space: Space, loss: Callable[[Values], float], number: int, seed: int = 0) -> list[Trial]:
    """Return trials at random places, of one epoch each."""
    draw = random.Random(seed)
    trials = []
    for i in range(number):
        values = space.decode([draw.random() for _ in space])
        trials.append(trained(i, values, [loss(values)]))
    return trials


def ranked(found: Importances) -> list[str]:
    return list(found.hyperparameters)


MIXED = space_of(
    optimizer={"rate": Float(1e-5, 1e-1, log=True), "kind": ChoiceOf(("adam", "sgd", "lion"))},
    net={"units": RangeOf(8, 64, 8), "dropout": Linear(0, 0.5, 6), "norm": Boolean()},
)


def test_what_alone_decides_has_nearly_all() -> None:
    """Where the loss depends on a learning rate's logarithm alone, that has most of the shares."""
    for seed in range(5):
        trials = tried(MIXED, lambda v: abs(math.log10(v["optimizer"]["rate"]) + 3), 100, seed)
        found = importances(MIXED, trials)
        assert ranked(found)[0] == "optimizer/rate"
        assert found.hyperparameters["optimizer/rate"] > 0.75
        assert found.groups["optimizer"] > 0.75
        assert found.trials == 100


def test_a_category_is_not_its_place_in_the_list() -> None:
    """Where one category is best, and it stands in the middle, its hyperparameter has the most."""
    for seed in range(5):
        trials = tried(MIXED, lambda v: v["optimizer"]["kind"] != "sgd", 100, seed)
        found = importances(MIXED, trials)
        assert found.hyperparameters["optimizer/kind"] > 0.75


def test_they_come_in_the_order_of_their_weights() -> None:
    """Of three that add up with weights 4, 2 and 1 the order is theirs, and of their groups too."""
    space = space_of(
        low={"x": Float(0, 1), "w": Float(0, 1)}, mid={"y": Float(0, 1)}, high={"z": Float(0, 1)}
    )
    for seed in range(5):
        trials = tried(
            space, lambda v: v["low"]["x"] + 2 * v["mid"]["y"] + 4 * v["high"]["z"], 200, seed
        )
        found = importances(space, trials)
        assert ranked(found) == ["high/z", "mid/y", "low/x", "low/w"]
        assert list(found.groups) == ["high", "mid", "low"]


def test_a_group_has_what_its_members_do_together() -> None:
    """Two that matter only in combination have no share by themselves, and their group has one."""
    space = space_of(
        pair={"a": Float(0, 1), "b": Float(0, 1)}, one={"c": Float(0, 1), "d": Float(0, 1)}
    )

    def loss(v: Values) -> float:
        return 5 * (v["pair"]["a"] - 0.5) * (v["pair"]["b"] - 0.5) + 0.8 * v["one"]["c"]

    for seed in range(5):
        found = importances(space, tried(space, loss, 150, seed))
        alone = found.hyperparameters
        assert alone["pair/a"] + alone["pair/b"] < 0.35
        assert found.groups["pair"] > 0.4
        assert found.groups["pair"] + found.groups["one"] == pytest.approx(1)


def test_many_values_are_no_importance() -> None:
    """Thirty categories that change nothing do not outweigh a switch that changes little."""
    space = space_of(g={"many": ChoiceOf(tuple("abcdefghijklmnopqrstuvwxyz0123")), "on": Boolean()})
    draw = random.Random(1)
    trials = tried(space, lambda v: v["g"]["on"] + 2 * draw.random(), 100)
    assert importances(space, trials).hyperparameters["g/on"] > 0.75


def test_more_values_than_cells() -> None:
    """A range of a million values, and one that is uneven on a log scale, are found out too."""
    space = space_of(
        g={"wide": RangeOf(1, 10**6), "uneven": RangeOf(1, 40, log=True), "other": Float(0, 1)}
    )
    for label, loss in (
        ("g/wide", lambda v: abs(v["g"]["wide"] - 300_000)),
        ("g/uneven", lambda v: abs(math.log(v["g"]["uneven"]) - 1)),
    ):
        assert importances(space, tried(space, loss, 100)).hyperparameters[label] > 0.75


def test_a_condition_counts_for_what_it_depends_on() -> None:
    """What is asked for in one branch has the share of its values there, not that of the branch."""
    conv = ((Among("g", "head", (("conv", "conv"),)),),)
    space = Space(
        (
            hyperparameter("g/head", ChoiceOf(("mlp", "conv"))),
            hyperparameter("h/kernel", RangeOf(1, 9), conv),
            hyperparameter("h/stride", Float(0, 1), conv),
        )
    )

    def loss(v: Values) -> float:
        return 10 + v["h"]["kernel"] if v["g"]["head"] == "conv" else 5.0

    found = importances(space, tried(space, loss, 200))
    assert ranked(found) == ["g/head", "h/kernel", "h/stride"]
    assert found.hyperparameters["h/kernel"] > 0.1
    assert found.hyperparameters["h/stride"] < 0.02
    indifferent = importances(space, tried(space, lambda v: v["g"]["head"] == "conv", 200))
    assert indifferent.hyperparameters["g/head"] == 1


def test_what_goes_wrong_is_the_worst_and_what_was_turned_away_is_nothing() -> None:
    """A rate that diverges, or a size that fails, has mattered; a rejected trial tells nothing."""
    space = space_of(g={"rate": Float(0, 1), "units": RangeOf(1, 8), "other": Float(0, 1)})
    trials = tried(space, lambda v: v["g"]["other"] / 100, 120)
    for state, label, wrong in (
        (State.DIVERGED, "g/rate", lambda v: v["g"]["rate"] > 0.6),
        (State.FAILED, "g/units", lambda v: v["g"]["units"] > 4),
    ):
        ended = [replace(t, state=state) if wrong(t.values) else t for t in trials]
        found = importances(space, ended)
        assert found.failed == sum(wrong(t.values) for t in trials)
        assert f"120 trials, {found.failed} of which failed or diverged" in str(found)
        assert found.hyperparameters[label] > 0.3
        assert importances(space, trials).hyperparameters[label] < 0.02
        gone = [
            replace(t, state=State.REJECTED, loss=None) if wrong(t.values) else t for t in trials
        ]
        left = importances(space, gone)
        assert (left.trials, left.failed) == (120 - found.failed, 0)
        assert ranked(left)[0] == "g/other"


def test_epochs_are_not_taken_for_value() -> None:
    """Trials that were sent further for no reason do not look better for it.

    With the loss as it stands, what decided the epochs would seem to matter most.
    """
    space = space_of(g={"far": Boolean(), "x": Float(0, 1)})
    draw = random.Random(0)
    trials = []
    for i in range(100):
        values = space.decode([draw.random() for _ in space])
        curve = [(1 + values["g"]["x"]) * 0.8**e for e in range(50 if values["g"]["far"] else 2)]
        trials.append(trained(i, values, curve))
    assert importances(space, trials).hyperparameters["g/x"] > 0.95
    cut = [trained(t.number, t.values, [t.loss or 0.0]) for t in trials]
    assert importances(space, cut).hyperparameters["g/far"] > 0.7


def test_standings_are_counts_of_better_ones() -> None:
    """Any two trials are compared by the least loss in as many epochs as both have."""
    curves = ([3.0, 1.0, 2.0], [2.0, 2.0], [2.5], [math.nan, 1.5, 0.5])
    trials = [trained(i, {}, curve) for i, curve in enumerate(curves)]
    # at 1: 3, 2, 2.5, none; at 2: 1, 2, -, 1.5; at 3: 1, -, -, 0.5
    better = [{2, 3}, {0, 3}, {1}, {2}]
    assert standings(trials).tolist() == [2 * len(of) for of in better]
    equal = [trained(i, {}, [loss]) for i, loss in enumerate([1.0, 0.0, 1.0, 2.0])]
    assert standings(equal).tolist() == [2 + 1, 0, 2 + 1, 6]


def test_one_that_stopped_by_itself_has_had_all_its_epochs() -> None:
    """What a callback ended is compared as it ended, what an oracle stopped only so far."""
    long = trained(0, {}, [5.0, 4.0, 1.0])
    short = trained(1, {}, [3.0])
    assert standings([long, short]).tolist() == [2, 0]
    assert standings([long, replace(short, until=3)]).tolist() == [0, 2]


def test_a_trial_of_several_executions_has_the_epochs_that_all_have() -> None:
    """A mean over some of the trainings is not compared with a mean over all."""
    runs = (trained(0, {}, [3.0, 1.0]), replace(trained(0, {}, [3.0]), until=2))
    under_way = (runs[0], replace(runs[1], state=State.PAUSED))
    several = trained(0, {}, [3.0, 2.0], executions=under_way)
    other = trained(1, {}, [2.0, 2.5])
    assert standings([several, other]).tolist() == [2, 0]
    assert standings([replace(several, executions=runs), other]).tolist() == [1, 1]


def test_of_several_objectives_one_is_compared_where_the_trial_was_best() -> None:
    """Not at its own least: as of the best epoch, or the latest, as the trial's point says."""
    points = [[(3.0, 1.0), (2.0, 9.0), (2.0, 9.0)], [(), (4.0, 2.0)], [(1.0, 5.0)]]
    trials = [
        trained(i, {}, [p[0] if p else math.nan for p in some], points=tuple(some))
        for i, some in enumerate(points)
    ]
    assert standings(trials).tolist() == [2, 4, 0]  # at 2: 2 and 4; at 1: 3, none and 1
    assert standings(trials, 1).tolist() == [2, 2, 2]  # at 2: 9 and 2; at 1: 1, none and 5
    longer = [trained(i, {}, [1.0 + i, 5.0 - i], points=((1.0 + i,), (5.0 - i,))) for i in range(2)]
    assert standings(longer).tolist() == [2, 0]
    assert standings([replace(longer[0], state=State.DIVERGED), longer[1]]).tolist() == [2, 0]
    stopped = replace(longer[0], until=9)  # by itself, and has had all its epochs
    third = trained(2, {}, [0.0, 0.0, 4.5], points=((0.0,), (0.0,), (4.5,)))
    assert standings([stopped, third]).tolist() == [2, 0]


@pytest.mark.parametrize("evaluator", ["ped-anova", "fanova"])
def test_each_objective_has_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], evaluator: str
) -> None:
    """By name, in Python and on the command line; the first where none is named."""
    if evaluator != "ped-anova":
        pytest.importorskip("optuna")
    names = ["val_loss", "parameters"]
    run_search(tmp_path, sized_fn, objective=names, max_trials=40, max_epochs=2)
    tuner = Tuner(sized_fn, names, max_trials=1, directory=tmp_path)
    for name, decides in (("val_loss", "default/rate"), ("parameters", "default/units")):
        found = tuner.importances(evaluator, objective=name)
        assert found.hyperparameters[decides] > 0.8
        assert found.objective == name
        assert f"importances ({evaluator}) for {name} from 40 trials" in str(found)
        assert found == tuner.importances(evaluator, objective=name)
        command = ["importances", str(tmp_path), "--evaluator", evaluator, "--objective", name]
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == found.to_json()
        assert found.to_json()["objective"] == name
    assert tuner.importances(evaluator) == tuner.importances(evaluator, objective="val_loss")


def test_an_objective_that_the_search_has_not_is_named(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those it has, also before it has begun; of a single one nothing is said."""
    assert main(["importances", str(searched), "--objective", "parameters"]) == 1
    says = "there is no objective 'parameters'; the search has 'val_loss'"
    assert says in capsys.readouterr().err
    tuner = Tuner(rated_fn, ["loss", "accuracy"], max_trials=1, directory=searched / "none")
    with pytest.raises(ConfigurationError, match="'val_loss'; the search has 'loss', 'accuracy'"):
        tuner.importances(objective="val_loss")
    assert str(tuner.importances(objective="accuracy")).startswith("no importances for accuracy: 0")
    single = Tuner(rated_fn, "val_loss", max_trials=1, directory=searched)
    assert single.importances(objective="val_loss") == single.importances()
    assert single.importances().objective is None


@pytest.mark.parametrize(
    ("loss", "number", "domain", "reason"),
    [
        (lambda v: v["g"]["x"], 9, Float(0, 1), "9 trials can be compared, and it takes 10"),
        (lambda v: 1.0, 40, Float(0, 1), "all 40 trials did equally well"),
        (
            *(lambda v: random.random(), 40, Fixed(3)),
            "in 40 trials no hyperparameter stands out from chance",
        ),
    ],
)
@pytest.mark.parametrize("evaluator", ["ped-anova", "fanova", "mdi"])
def test_where_nothing_can_be_said_it_says_why(
    loss: Callable[[Values], float], number: int, domain: Domain, reason: str, evaluator: str
) -> None:
    """Too few trials, equal scores or nothing searched give no shares, and a reason."""
    space = space_of(g={"x": domain})
    found = importances(space, tried(space, loss, number), evaluator)
    assert found == Importances(evaluator, number, 0, reason=reason)
    assert str(found) == f"no importances: {reason}"


@pytest.mark.parametrize("evaluator", ["ped-anova", "fanova", "mdi"])
def test_one_value_says_nothing(evaluator: str) -> None:
    """What had the same value in all trials has no share, not even one of rounding."""
    space = space_of(g={"x": Float(0, 1), "kind": ChoiceOf(("a", "b"))}, h={"y": Float(0, 1)})
    draw = random.Random(0)
    same = {"g": {"x": 0.3, "kind": "b"}, "h": {"y": 0.5}}
    trials = [trained(i, same, [draw.random()]) for i in range(30)]
    reason = "in 30 trials no hyperparameter stands out from chance"
    assert importances(space, trials, evaluator).reason == reason
    varied = [replace(t, values={**same, "h": {"y": t.loss}}) for t in trials]
    assert importances(space, varied, evaluator).hyperparameters == {
        "h/y": 1.0,
        "g/kind": 0.0,
        "g/x": 0.0,
    }


def test_all_failures_say_nothing() -> None:
    """Where every trial failed, none was better than another."""
    space = space_of(g={"x": Float(0, 1)})
    trials = [replace(t, state=State.FAILED, loss=None) for t in tried(space, lambda v: 1.0, 20)]
    found = importances(space, trials)
    assert (found.reason, found.failed) == ("all 20 trials did equally well", 20)


def test_a_table_shows_them() -> None:
    """As text, the shares stand in two tables with bars, the largest first."""
    shares = {"net/units": 0.75, "net/norm": 0.25, "fit/batch": 0.0}
    found = Importances("ped-anova", 54, 0, shares, {"net": 1.0, "fit": 0.0})
    assert str(found).splitlines() == [
        "importances (ped-anova) from 54 trials",
        "",
        "hyperparameter   share",
        "--------------  ------  ------------------",
        "net/units        75.0%  ##################",
        "net/norm         25.0%  ######",
        "fit/batch         0.0%",
        "",
        "group   share",
        "-----  ------  ------------------------",
        "net    100.0%  ########################",
        "fit      0.0%",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("evaluator", ["fanova", "mdi"])
def test_optunas_evaluators_agree_in_rank(
    evaluator: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a table of sums, Optuna's evaluators rank as ours does, and say nothing of a study."""
    optuna = pytest.importorskip("optuna")
    table = {"x": range(10), "y": (9, 2, 0, 2, 9), "kind": (0, 9, 0), "w": (0, 0)}
    domains: dict[str, Domain] = {
        "x": RangeOf(0, 9),
        "y": Linear(0, 1, 5),
        "kind": ChoiceOf(("a", "b", "c")),
        "w": Boolean(),
    }
    effects = {"x": 4, "y": 2, "kind": 0.7, "w": 0}
    space = space_of(g=domains, h={"fixed": Fixed(1)})

    def loss(v: Values) -> float:
        return sum(effects[n] * table[n][domains[n].index(v["g"][n])] for n in domains)

    trials = tried(space, loss, 120)
    before = optuna.logging.get_verbosity()
    theirs, ours = importances(space, trials, evaluator), importances(space, trials)
    assert ranked(theirs)[:4] == ranked(ours)[:4] == ["g/x", "g/y", "g/kind", "g/w"]
    assert theirs.hyperparameters["h/fixed"] == 0
    assert theirs.groups == {"g": pytest.approx(1), "h": 0}
    assert theirs == importances(space, trials, evaluator)
    assert optuna.logging.get_verbosity() == before
    assert "".join(capfd.readouterr()) == ""


def test_optunas_evaluators_see_conditional_hyperparameters() -> None:
    """What some trials are not asked for has a share with Optuna's evaluators, too."""
    pytest.importorskip("optuna")
    conv = ((Among("g", "head", (("conv", "conv"),)),),)
    space = Space(
        (
            hyperparameter("g/head", ChoiceOf(("mlp", "conv"))),
            hyperparameter("g/kernel", RangeOf(1, 9), conv),
        )
    )
    trials = tried(space, lambda v: v["g"].get("kernel", 0), 60)
    assert importances(space, trials, "fanova").hyperparameters["g/kernel"] > 0.1


def test_an_evaluator_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name lists the known ones; a missing package says how to install it."""
    space = space_of(g={"x": Float(0, 1)})
    trials = tried(space, lambda v: v["g"]["x"], 20)
    with pytest.raises(ConfigurationError, match=r"must be one of 'ped-anova', 'fanova', 'mdi'"):
        importances(space, trials, "shap")
    for package in ("sklearn", "optuna"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ConfigurationError, match=rf"needs {package}: pip .*tunedeco\[optuna\]"):
            importances(space, trials, "fanova")
    assert importances(space, trials).reason is None


RATES = [0.9, 0.5, 0.6, 0.7, 0.8]


def test_a_value_that_is_not_in_the_space_is_named() -> None:
    """A journal in which a trial has an impossible value is refused, and says whose."""
    space = space_of(g={"x": RangeOf(1, 3)})
    trials = tried(space, lambda v: v["g"]["x"], 20)
    trials[7] = replace(trials[7], values={"g": {"x": 4}})
    with pytest.raises(HyperparameterError, match=r"g/x of trial 7: 4 is not in 1 to 3"):
        importances(space, trials)


def rated_fn(rates: Sequence[float] = RATES) -> Curve:
    """Ask for a rate that decides, a start that hardly does, and more in one branch."""
    rate = Choice("rate", rates, group="optimizer")
    units = Range("units", 1, 40, group="net")
    if Choice("norm", [False, True], group="net"):
        Range("window", 1, 9, group="net")
    return Curve(1 + units / 100, rate, parameters=1)


def sized_fn() -> Curve:
    """Ask for a rate that decides the loss, and a size that decides nothing but the size."""
    return Curve(
        1.0, Choice("rate", [n / 20 for n in range(4, 19)]), parameters=Range("units", 1, 40)
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a search of 40 trials, the better ones of which were sent further."""
    directory = tmp_path_factory.mktemp("runs") / "rated_fn"
    oracle = ASHA("random", reduction=2)
    run_search(directory, rated_fn, oracle=oracle, max_epochs=6, max_trials=40)
    return directory


def test_the_journal_is_enough(searched: Path) -> None:
    """`Tuner.importances` answers from the journal alone, the same each time."""
    state = load(searched)
    assert len({len(trial.epochs) for trial in state.trials}) > 1
    tuner = Tuner(rated_fn, "val_loss", max_trials=40, directory=searched)
    found = tuner.importances()
    assert found == importances(state.space, state.trials)
    assert list(found.groups) == ["optimizer", "net"]
    assert found.groups["optimizer"] > 0.8
    assert ranked(found)[0] == "optimizer/rate"


def test_the_command_prints_them(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tunedeco importances DIR` prints the table, with --json the same as an object."""
    state = load(searched)
    assert main(["importances", str(searched)]) == 0
    found = importances(state.space, state.trials)
    assert capsys.readouterr().out == f"{found}\n"
    pytest.importorskip("optuna")
    assert main(["importances", str(searched), "--json", "--evaluator", "mdi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == importances(state.space, state.trials, "mdi").to_json()
    assert set(printed) == {"evaluator", "trials", "failed", "hyperparameters", "groups", "reason"}


def test_before_a_search_there_are_none(tmp_path: Path) -> None:
    """A tuner that has not searched says that there are no trials."""
    tuner = Tuner(rated_fn, "val_loss", max_trials=40, directory=tmp_path)
    assert str(tuner.importances()) == ("no importances: 0 trials can be compared, and it takes 10")


def test_trials_that_were_set_aside_are_left_out(tmp_path: Path) -> None:
    """After a search was extended, those trials count that lie in the new space."""
    run_search(tmp_path, rated_fn, oracle=Random(), max_trials=30)
    narrower = functools.partial(rated_fn, RATES[:3])
    state = run_search(tmp_path, narrower, oracle=Random(), max_trials=50, extend=True).state
    outside = sum(trial.state is State.OUTSIDE for trial in state.trials)
    assert 0 < outside < 30
    assert importances(state.space, state.trials).trials == len(state.trials) - outside


def test_chance_is_taken_off_exactly() -> None:
    """What is taken off is the mean of what all permutations of the scores show."""
    from tunedeco.importances.ped_anova import _axis, _counted, _explained  # its heart

    axis = _axis(Float(0, 1), np.array([0.05, 0.1, 0.4, 0.45, 0.7, 0.95]))
    kernel = axis.kernel(6, 1)
    tenths = np.array([0, 1, 3, 5, 7, 9])
    shown = []
    draw = random.Random(0)
    for _ in range(4000):
        draw.shuffle(tenths)
        counts = _counted(axis.cells, axis.number, tenths)[:, None]
        shown.append(_explained(counts, kernel, np.ones((1, 1))))
    assert abs(np.mean(shown)) < 4 * np.std(shown) / math.sqrt(len(shown))
    assert np.std(shown) > 0.01


def test_a_search_that_fails_in_part(tmp_path: Path) -> None:
    """Real failures, divergence, rejection, early stops and conditions are all taken in."""
    state = run_search(
        tmp_path, oracle=Random(), max_trials=40, max_parameters=24, max_consecutive_failures=40
    ).state
    states = {trial.state for trial in state.trials}
    assert {State.FAILED, State.DIVERGED, State.REJECTED, State.COMPLETED} <= states
    found = importances(state.space, state.trials)
    assert found.trials == sum(t.state is not State.REJECTED for t in state.trials)
    assert found.failed == sum(t.state in (State.FAILED, State.DIVERGED) for t in state.trials)
    assert set(found.hyperparameters) == {h.label for h in state.space}
    assert ranked(found)[0] == "default/units"  # it decides the loss, and what fails
