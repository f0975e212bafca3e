"""Several objectives: points, the front, who goes on, whose weights are kept, and what is shown."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, Run, model_fn, records, run_search, uneven_fn
from test_search import assert_resumes

from tunedeco import Choice, Objective, Range, Tuner, exporting, warm_starts
from tunedeco.cli import main
from tunedeco.domains import Range as RangeOf
from tunedeco.errors import ConfigurationError, ObjectiveError, SearchMismatch
from tunedeco.events import Created
from tunedeco.journal.compaction import compact
from tunedeco.journal.journal import FILE_NAME, load
from tunedeco.journal.search_state import SearchState
from tunedeco.keeping import needed
from tunedeco.objectives import gone_on, losses, several
from tunedeco.oracles import ASHA, Hyperband, Oracle, Random, SuccessiveHalving
from tunedeco.pareto import Point, ranks
from tunedeco.report import tables
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import State, Trial

BOTH = ["val_loss", "parameters"]


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def trade_fn() -> Curve:
    """Ask for a size, of which more is better, and for what only makes things worse."""
    units = Range("units", 1, 6)
    return Curve(8.0 - units + Choice("worse", [0, 1]), 0.9, parameters=units)


def folded(names: list[str], *logs: dict[str, float]) -> tuple[Point, int | None]:
    """Return the point after these epochs, and which of them is the best."""
    objectives = several(names)
    point: Point = ()
    best = None
    for epoch, logged in enumerate(logs, 1):
        point, is_best = gone_on(objectives, point, losses(objectives, logged))
        best = epoch if is_best else best
    return point, best


def test_the_first_that_is_logged_says_which_epoch_is_the_best() -> None:
    """A point is what was logged in one epoch, and the latest of what is of the whole trial."""
    logs = [
        {"accuracy": 0.5, "loss": 0.9, "training_seconds": 1.0, "parameters": 7.0},
        {"accuracy": 0.7, "loss": 0.6, "training_seconds": 2.0, "parameters": 7.0},
        {"accuracy": 0.6, "loss": 0.4, "training_seconds": 3.0, "parameters": 7.0},
    ]
    assert folded(["accuracy", "loss"], *logs) == ((-0.7, 0.6), 2)
    assert folded(["loss", "accuracy"], *logs) == ((0.4, -0.6), 3)
    assert folded(["training_seconds", "accuracy"], *logs) == ((3.0, -0.7), 2)
    assert folded(["training_seconds", "parameters"], *logs) == ((3.0, 7.0), 3)
    assert folded(["parameters"], *logs) == ((7.0,), 3)


def test_an_epoch_counts_when_it_has_all_objectives() -> None:
    """What lacks one of them, or has no finite number, is no best epoch."""
    whole = {"accuracy": 0.5, "loss": 0.9}
    assert folded(["accuracy", "loss"], {"accuracy": 0.9}, whole) == ((-0.5, 0.9), 2)
    nan = {"accuracy": 0.9, "loss": float("nan")}
    assert folded(["accuracy", "loss"], nan) == ((), None)
    assert folded(["accuracy", "loss"], whole, nan) == ((-0.5, 0.9), 1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "not an empty one"),
        (["val_acc", "loss", "val_accuracy"], "'val_accuracy' is given twice"),
        (["val_accuracy", "mine"], "direction of the objective 'mine' is not known"),
        (["val_accuracy", 3], "name of a metric, .* not 3"),
        (["val_accuracy", "paramters"], "Did you mean 'parameters'"),
    ],
)
def test_wrong_objectives_are_refused(given: Any, says: str) -> None:
    """None, one twice, and each that would be refused alone."""
    with pytest.raises(ObjectiveError, match=says):
        Tuner(model_fn, given, max_trials=1)


def test_what_the_executor_supplies_has_a_direction() -> None:
    """A plain name will do for it, also alone; another direction may be given."""
    for name in ("parameters", "training_seconds", "inference_latency"):
        assert Tuner(model_fn, name, max_trials=1).objective == Objective(name, "min")
    assert Objective("parameters", "max").supplied
    with pytest.raises(ObjectiveError, match="direction"):
        Objective("val_parameters")


@pytest.mark.parametrize("oracle", ["median", "plateau"])
def test_stopping_rules_need_a_curve(oracle: str) -> None:
    """Where the first objective is of the whole trial they are refused; where another is, not."""
    with pytest.raises(ConfigurationError, match="put one that training logs first"):
        Tuner(model_fn, ["parameters", "val_loss"], oracle=oracle, max_trials=1)
    Tuner(model_fn, BOTH, oracle=oracle, max_trials=1)


def test_one_objective_in_a_list_is_that_objective(tmp_path: Path) -> None:
    """The journal says nothing of others, and its first event is what it is without a list."""
    for name, objective in (("plain", "val_loss"), ("list", ["val_loss"])):
        run_search(tmp_path / name, objective=objective, max_trials=2)
    assert "others" not in (tmp_path / "list" / FILE_NAME).read_text()
    assert "scores" not in json.dumps(records(load(tmp_path / "plain")))
    assert records(load(tmp_path / "plain")) == records(load(tmp_path / "list"))


def test_the_front_is_what_none_is_better_than(tmp_path: Path) -> None:
    """Of all configurations the front has one of each size, the least loss first."""
    state = run_search(tmp_path, trade_fn, objective=BOTH, max_trials=12).state
    front = tables.front(state)
    assert [trial.parameters for trial in front] == [6, 5, 4, 3, 2, 1]
    assert {trial.values["default"]["worse"] for trial in front} == {0}
    assert state.best is front[0]
    assert front[0].scores == {"val_loss": front[0].score, "parameters": 6.0}
    assert tables.ranked(state.trials)[:6] == front
    assert [t.values["default"]["worse"] for t in tables.ranked(state.trials)[6:]] == [1] * 6


def test_executions_have_the_mean_of_each_objective(tmp_path: Path) -> None:
    """A trial trained several times has the mean of each score, and of each loss on its way."""
    run = run_search(tmp_path, trade_fn, objective=BOTH, max_trials=2, executions=3)
    for trial in run.state.trials:
        for name in BOTH:
            mean = sum(one.scores[name] for one in trial.executions) / 3
            assert trial.scores[name] == pytest.approx(mean)
        assert trial.point == tuple(trial.scores.values())
        assert [len(point) for point in trial.points] == [2, 2, 2]


@pytest.mark.parametrize("oracle", [Random(), SuccessiveHalving("random", min_epochs=1)])
def test_cut_after_any_event_the_front_is_the_same(tmp_path: Path, oracle: Oracle) -> None:
    """Run again from any prefix of the journal, torn or not, trials and scores are equal."""

    def search(directory: Path) -> Run:
        options = {"epoch_budget": 9, "max_epochs": 3, "seed": 18}
        return run_search(directory, uneven_fn, oracle=oracle, objective=BOTH, **options)

    reference = search(tmp_path / "whole")
    assert len(tables.front(reference.state)) > 1
    continues = isinstance(oracle, SuccessiveHalving)
    assert_resumes(tmp_path / "whole", search, reference, continues=continues)


def test_compacted_the_front_is_the_same(tmp_path: Path) -> None:
    """A shorter journal has the same scores, points and front; what was measured is in it."""
    oracle = SuccessiveHalving("random", min_epochs=1)
    run_search(tmp_path, uneven_fn, oracle=oracle, objective=BOTH, max_trials=9)
    before = load(tmp_path)
    assert compact(tmp_path).dropped
    assert records(load(tmp_path)) == records(before)
    after = load(tmp_path)
    assert [t.points for t in after.trials] == [t.points for t in before.trials]
    fronts = [[t.number for t in tables.front(state)] for state in (before, after)]
    assert fronts[0] == fronts[1]


def point_trial(number: int, *points: Point, **changes: Any) -> Trial:
    """Return a trial that ended after an epoch, or several, with these points."""
    trial = Trial(number, {"g": {"x": number / 9}}, len(points), bracket=0, rung=0)
    ended = {"state": State.COMPLETED, "loss": points[-1][0], "points": points}
    return replace(trial, losses=tuple(p[0] for p in points), **{**ended, **changes})  # type: ignore[arg-type]


def test_the_front_goes_on() -> None:
    """Of a rung go on those that none is better than, the least crowded first."""
    points = [(5.0, 5.0), (1.0, 4.0), (4.0, 1.0), (4.5, 4.5), (2.0, 3.9), (2.5, 2.5)]
    points += [(9.0, 9.0)] * 3
    trials = [point_trial(n, (9.0, 9.0), point) for n, point in enumerate(points)]
    trials = [replace(t, epochs=(None, None)) for t in trials]  # type: ignore[arg-type]
    oracle = SuccessiveHalving("random").within(1, 18)
    going = []
    for _ in range(3):
        decision = oracle.finish(trials)
        going.append(decision.trial)  # type: ignore[union-attr]
        trials[going[-1]] = replace(trials[going[-1]], until=6, rung=1, state=State.RUNNING)
    assert sorted(going) == [1, 2, 5]
    asha = ASHA("random", reduction=3).within(1, 18)
    trials = [replace(t, until=2, rung=0, state=State.COMPLETED) for t in trials]
    assert asha.finish(trials).trial == 1  # type: ignore[union-attr]


def test_what_went_wrong_does_not_go_on() -> None:
    """However good it was before it diverged."""
    trials = [point_trial(n, (9.0, 9.0), (float(n), float(-n))) for n in range(3)]
    trials = [replace(t, epochs=(None, None)) for t in trials]  # type: ignore[arg-type]
    trials[0] = replace(trials[0], state=State.DIVERGED)
    decision = Hyperband("random", reduction=3).within(1, 6).finish(trials)
    assert decision.trial == 1  # type: ignore[union-attr]


def test_the_weights_of_a_front_are_kept(tmp_path: Path) -> None:
    """The best in each objective first, then those between them, and never more than so many."""
    state = run_search(tmp_path, trade_fn, objective=BOTH, max_trials=12).state
    front = tables.front(state)
    assert Tuner(model_fn, BOTH, max_trials=1).keep == 10
    assert Tuner(model_fn, "val_loss", max_trials=1).keep == 1
    for keep in (1, 2, 4, 6, 8):
        kept = {int(path.name[:5]) for path in needed(state, Random(), keep, tmp_path)}
        assert len(kept) == keep
        assert kept >= {trial.number for trial in (front[:1] + front[-1:])[:keep]}
        assert keep > len(front) or kept <= {trial.number for trial in front}
        assert keep < len(front) or kept >= {trial.number for trial in front}


def test_another_objective_is_another_search(tmp_path: Path) -> None:
    """One more, one less, another order: each place that differs is a line."""
    run_search(tmp_path, objective=BOTH, max_trials=2)
    with pytest.raises(SearchMismatch) as error:
        run_search(tmp_path, objective="val_loss", max_trials=2)
    assert "\n  objective: parameters (min) there, nothing here\n" in str(error.value)
    with pytest.raises(SearchMismatch) as error:
        run_search(tmp_path, objective=BOTH[::-1], max_trials=2)
    assert "\n  objective: val_loss (min) there, parameters (min) here\n" in str(error.value)
    assert "\n  objective: parameters (min) there, val_loss (min) here\n" in str(error.value)


def test_all_objectives_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, JSON and the export have each of them; the front has a command."""
    state = run_search(tmp_path, trade_fn, objective=["val_loss", "loss"], max_trials=3).state
    numbers = [trial.number for trial in tables.front(state)]
    assert main(["pareto", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert f"{len(numbers)} on the Pareto front" in shown
    assert shown.splitlines()[2].split()[:4] == ["trial", "state", "val_loss", "loss"]
    assert main(["pareto", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [trial["number"] for trial in printed] == numbers
    assert printed[0]["scores"].keys() == {"val_loss", "loss"}
    assert main(["status", str(tmp_path), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["pareto"] == numbers
    assert [o["name"] for o in status["objectives"]] == ["val_loss", "loss"]
    assert status["best"]["scores"] == printed[0]["scores"]


COLUMNS = ["number", "state", "best_epoch", "epochs", "bracket", "rung", "trial", "epoch"]


@pytest.mark.parametrize("name", ["score", "default/units", "objective/score", "units", *COLUMNS])
@pytest.mark.parametrize("first", ["val_loss", "parameters", None])
def test_an_objective_may_have_the_name_of_a_column(name: str, first: str | None) -> None:
    """It has a column of its own, ``objective/<name>``, and no other one is lost."""
    others = [Objective(name, "min"), Objective("loss", "min")]
    objectives = several(others if first is None else [first, *others])
    names = [o.name for o in objectives]
    domain = RangeOf(1, 9)
    space = Space(tuple(Hyperparameter("default", h, domain, 1) for h in ("units", "epochs")))
    state = SearchState()
    state.apply(Created("run", objectives[0], space, {}, 0, others=objectives[1:]))
    for number in range(3):
        point = [number + place / 8 for place in range(len(objectives))]
        told = {"score": point[0], "scores": dict(zip(names, point, strict=True))}
        values = {"default": {"units": number + 1, "epochs": number + 4}}
        trial = point_trial(number, tuple(point), values=values, best_epoch=1, rung=number)
        state.take({"trial": replace(trial, parameters=70 + number, **told)})  # type: ignore[arg-type]
    for number, row in enumerate(tables.rows(state)):
        place = names.index(name)
        clashing = {*COLUMNS[:6], "score", "default/units"}
        column = f"objective/{name}" if name in clashing else name
        assert row["score" if place == 0 else column] == number + place / 8
        assert row["number"] == number
        assert row["default/units"] == number + 1
        assert row["parameters"] == 70 + number
        assert row["rung"] == number
    header, line, *found = tables.trials_table(state, state.trials).splitlines()
    columns = header.split()
    assert len(set(columns)) == len(columns) == len(line.split())
    shown = [dict(zip(columns, cells.split(), strict=True)) for cells in found]
    assert [cells["trial"] for cells in shown] == ["0", "1", "2"]
    assert [cells["default/epochs"] for cells in shown] == ["4", "5", "6"]
    assert first != "parameters" or [cells["parameters"] for cells in shown] == ["0", "1", "2"]
    assert header in tables.summary(state)


def test_each_point_can_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the number of its trial; one without a score, or that is not there, is an error."""
    state = run_search(tmp_path / "run", trade_fn, objective=BOTH, max_trials=12).state
    tuner = Tuner(trade_fn, BOTH, max_trials=1, directory=tmp_path / "run")
    assert tuner.pareto == tables.front(state)
    assert tuner.best_trial == tuner.pareto[0]
    last = tuner.pareto[-1]
    ours = tuner.export_best(tmp_path / "ours.json", trial=last.number)
    theirs = tmp_path / "theirs.json"
    arguments = ["export", str(tmp_path / "run"), "--trial", str(last.number), "-o", str(theirs)]
    assert main(arguments) == 0
    assert json.loads(ours.read_text()) == json.loads(theirs.read_text())
    assert json.loads(ours.read_text())["scores"] == dict(last.scores)
    assert exporting.read(ours).values == last.values
    for number in ("12", "-1"):
        assert main(["export", str(tmp_path / "run"), "--trial", number]) == 1
        assert f"there is no trial {number}: there are 12" in capsys.readouterr().err


def test_a_target_is_the_first_objectives(tmp_path: Path) -> None:
    """The search stops when one trial has reached it, be it of the whole trial."""
    run = run_search(tmp_path / "a", trade_fn, objective=BOTH, max_trials=12, target=4.0)
    assert run.state.stopped == "target"
    assert run.state.best.score <= 4.0  # type: ignore[operator]
    run = run_search(tmp_path / "b", trade_fn, objective=BOTH[::-1], max_trials=12, target=2)
    assert run.state.stopped == "target"
    assert run.state.best.parameters <= 2  # type: ignore[operator]
    assert run.state.best.state is State.COMPLETED


def test_a_warm_start_takes_the_best_of_a_front(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a search of several objectives come the ends of its front first, and not the best in one.

    From the directory and from its list of trials alike; and where the list has one of them only,
    the best in that.
    """
    run = run_search(tmp_path / "other", trade_fn, objective=BOTH, max_trials=12)
    assert main(["trials", str(tmp_path / "other"), "--json"]) == 0
    listed = tmp_path / "trials.json"
    listed.write_text(capsys.readouterr().out, "utf-8")
    trials = run.state.trials
    rank = ranks([t.point for t in trials])
    best = [t.values for t in sorted(trials, key=lambda t: rank[t.number])[:5]]
    first = [t.values for t in sorted(trials, key=lambda t: t.point)[:5]]
    assert [v["default"]["units"] for v in best[:2]] == [6, 1]
    assert first[1] != best[1]
    for source in (tmp_path / "other", listed):
        (read,) = warm_starts.read([str(source)], several(BOTH))
        assert list(read.configurations[:5]) == best
    (read,) = warm_starts.read([str(listed)], several(["val_loss", "training_seconds"]))
    assert list(read.configurations[:5]) == first
