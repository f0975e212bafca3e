"""What is known is tried first: defaults, what was enqueued, and the best of other searches."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, Run, model_fn, plain_fn, records, run_search

from tunedeco import Choice, Float, Linear, Logarithmic, Range, Tuner, enqueued, exporting
from tunedeco.cli import main
from tunedeco.errors import ConfigurationError, ExportError, SearchNotFound
from tunedeco.events import Created, Enqueued, Proposed
from tunedeco.journal.compaction import compact
from tunedeco.journal.journal import FILE_NAME, Journal, load
from tunedeco.journal.repair import repair
from tunedeco.oracles import (
    ASHA,
    Continue,
    Done,
    Evolution,
    Given,
    Grid,
    Hyperband,
    MedianStopping,
    Oracle,
    Random,
    Start,
    SuccessiveHalving,
    Wait,
    begins_with_defaults,
)
from tunedeco.report import messages, tables
from tunedeco.space import Coverage
from tunedeco.tracing import explore
from tunedeco.trial import State, Trial

DEFAULTS = {"training": {"optimizer": "adam", "rate": 0.5}, "default": {"units": 8}}
SLOW = {"training": {"optimizer": "adam", "rate": 0.9}, "default": {"units": 8}}
WIDE = {"training": {"optimizer": "adam", "rate": 0.5}, "default": {"units": 32}}
SCHEDULERS = [ASHA(), Hyperband("random"), MedianStopping("random"), SuccessiveHalving("random")]


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is written to the page cache: hundreds of searches run here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def values(run: Run) -> list[Any]:
    return [trial.values for trial in run.state.trials]


@pytest.mark.parametrize("oracle", [Random(), Evolution(), *SCHEDULERS])
def test_the_defaults_are_the_first_trial(tmp_path: Path, oracle: Oracle) -> None:
    """A new search begins with the values of the code, and no trial repeats them."""
    assert begins_with_defaults(oracle)
    found = values(run_search(tmp_path, oracle=oracle, max_trials=6, max_epochs=9, defaults=True))
    assert found.index(DEFAULTS) == 0
    assert found.count(DEFAULTS) == 1
    assert len(found) == 6


def test_whose_order_is_its_own() -> None:
    """A grid begins where it begins, and a user's own oracle is asked first; wrapped or not."""

    class Own:
        def next(self, space: Any, trials: Any, seed: int) -> Start:
            return Start({})

    for oracle in (Grid(), Own(), ASHA("grid"), Hyperband(Own())):
        assert not begins_with_defaults(oracle)


def test_an_older_search_goes_on_without_them(tmp_path: Path) -> None:
    """A search that did not begin with the defaults does not get them when it is run again."""
    reference = run_search(tmp_path / "whole", max_trials=6)
    for trials in range(1, 6):
        run_search(tmp_path / str(trials), max_trials=trials)
        run = run_search(tmp_path / str(trials), max_trials=6, defaults=True)
        assert records(run.state)["trials"] == records(reference.state)["trials"]


def test_in_the_order_given_and_completed(tmp_path: Path) -> None:
    """What was enqueued comes after the defaults, in order; what it lacks has its default."""
    enqueue = [{"rate": 0.9}, {"default": {"units": 32}}, {"optimizer": "sgd", "units": 32}]
    run = run_search(tmp_path, max_trials=6, defaults=True, enqueue=enqueue)
    sgd = {"training": {"optimizer": "sgd", "rate": 0.5, "momentum": 0.0}, "default": {"units": 32}}
    assert values(run)[:4] == [DEFAULTS, SLOW, WIDE, sgd]
    assert run.state.queue == ()


def test_nothing_is_enqueued_twice(tmp_path: Path) -> None:
    """The same program run again enqueues nothing, with a larger budget too; others come first."""
    options: dict[str, Any] = {"defaults": True, "enqueue": [{"rate": 0.9}, {"rate": 0.9}]}
    assert values(run_search(tmp_path, max_trials=3, **options))[1] == SLOW
    before = (tmp_path / FILE_NAME).read_bytes()
    assert not run_search(tmp_path, max_trials=3, **options).worked
    assert (tmp_path / FILE_NAME).read_bytes() == before
    options["enqueue"] += [{"units": 32}]
    found = values(run_search(tmp_path, max_trials=5, **options))
    assert (found.index(SLOW), found.index(WIDE)) == (1, 3)
    assert found.count(SLOW) == found.count(WIDE) == 1


def test_what_a_trial_has_had_is_passed_over(tmp_path: Path) -> None:
    """What an oracle, or an equal configuration before it, has had, is said and not tried."""
    first = values(run_search(tmp_path, max_trials=2))
    enqueue = [first[1], {"units": 32}, {"units": 32, "rate": 0.5}]
    run = run_search(tmp_path, max_trials=4, enqueue=enqueue)
    assert values(run)[:2] == first
    assert values(run)[2] == WIDE
    assert len({trial.key for trial in run.state.trials}) == 4
    said = list(messages.enqueued([Enqueued((first[1], {"units": 32}))], [], run.state))
    assert [line.partition(":")[0] for line in said] == [
        "not tried again, since trial 1 had it",
        "not tried again, since trial 2 had it",
    ]


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ({"units": 9}, "enqueue: default/units: 9 is not in 8 to 32 step 8"),
        ({"training": {"optimizer": "lion"}}, "optimizer: 'lion' is not in 'adam', 'sgd'"),
        ({"width": 8}, "no hyperparameter 'width'; the space has: training/optimizer, training/"),
        ({"training": {"units": 8}}, "no hyperparameter 'training/units'"),
        ({"units": [8]}, "default/units: a value must be a str, int, float, bool or None"),
        ([("units", 8)], "enqueue takes {group: {name: value}}"),
    ],
)
def test_what_is_not_in_the_space_is_named(configuration: Any, says: str) -> None:
    """A wrong name or value is an error that names it, and what there is."""
    with pytest.raises(ConfigurationError) as raised:
        enqueued.new(explore(model_fn), [{"units": 8}, configuration], ())
    assert says in str(raised.value)


def test_the_tuner_tells_as_soon_as_it_can(tmp_path: Path) -> None:
    """`enqueue` raises at the call where the space is known, and notes what may be right else."""
    tuner = Tuner(model_fn, "val_loss", max_trials=1, directory=tmp_path)
    tuner.enqueue({"units": 9}, {"units": 16})
    with pytest.raises(ConfigurationError, match="not 3"):
        tuner.enqueue(3)  # type: ignore[arg-type]
    assert len(tuner.space) == 4
    with pytest.raises(ConfigurationError, match="default/units: 9 is not in 8 to 32 step 8"):
        tuner.enqueue({"units": 9})
    tuner.enqueue()
    assert list(tmp_path.iterdir()) == []


def test_it_stands_in_its_bracket_and_rung(tmp_path: Path) -> None:
    """Under every scheduler, a trial that was enqueued begins and goes on as any other would."""
    for oracle in SCHEDULERS:
        directory = tmp_path / type(oracle).__name__
        options: dict[str, Any] = {"oracle": oracle, "epoch_budget": 60, "max_epochs": 9}
        plain = run_search(directory / "plain", plain_fn, **options).state.trials
        units = [{"units": 7}, {"units": 8}, {"units": 9}]
        run = run_search(directory / "enqueued", plain_fn, defaults=True, enqueue=units, **options)
        trials = run.state.trials
        assert [t.values["default"]["units"] for t in trials[:4]] == [1, 7, 8, 9]
        begun = {}
        for t in (trials, plain):
            with Journal(directory / ("enqueued" if t is trials else "plain")) as journal:
                events = [e for e in journal.events() if isinstance(e, Proposed)]
            begun[t is trials] = [(e.until, e.bracket, e.rung) for e in events][:4]
        assert begun[True] == begun[False]
        assert max(t.until for t in trials) == 9


@dataclass(frozen=True)
class OwnScheduler:
    """Two epochs for each, then the rest, one after the other."""

    def next(self, space: Any, trials: Any, seed: int) -> Start | Continue | Done | Wait:
        decision = self.finish(trials)
        return Start({"units": 50 + len(trials)}, 2, 3, 4) if decision == Done() else decision

    def finish(self, trials: Any) -> Continue | Wait | Done:
        if any(t.state is State.RUNNING for t in trials):
            return Wait()
        short = [t for t in trials if t.until < 3]
        return Continue(short[0].number, 3) if short else Done()

    def within(self, min_epochs: int, max_epochs: int) -> "OwnScheduler":
        return self

    def open(self, trials: Any) -> list[int]:
        return [t.number for t in trials]


def test_under_a_scheduler_of_the_users_own(tmp_path: Path) -> None:
    """One that wraps nothing has its values replaced, and decides all else."""
    given = Given({"default": {"units": 9}}, OwnScheduler())
    space = explore(plain_fn)
    assert given.next(space, [], 0) == Start({"default": {"units": 9}}, 2, 3, 4)
    assert given.next(space, [Trial(0, {}, 2, State.COMPLETED)], 0) == Continue(0, 3)
    run = run_search(
        tmp_path, plain_fn, oracle=OwnScheduler(), max_trials=3, enqueue=[{"units": 9}]
    )
    assert [t.values["default"]["units"] for t in run.state.trials] == [9, 51, 52]
    assert [len(t.epochs) for t in run.state.trials] == [3, 3, 3]


def test_an_oracle_that_has_no_more_is_not_asked(tmp_path: Path) -> None:
    """What is enqueued after an oracle was done is still tried."""

    @dataclass(frozen=True)
    class Two:
        def next(self, space: Any, trials: Any, seed: int) -> Start | Done:
            return Done() if len(trials) >= 2 else Start({"units": 10 + len(trials)})

    for name, oracle in (("plain", Two()), ("wrapped", SuccessiveHalving(Two()))):
        run_search(tmp_path / name, plain_fn, oracle=oracle, max_epochs=4)
        run = run_search(tmp_path / name, plain_fn, oracle=oracle, enqueue=[{"units": 7}])
        assert [t.values["default"]["units"] for t in run.state.trials] == [10, 11, 7]
        assert run.state.stopped == "exhausted"


def test_what_is_held_goes_before(tmp_path: Path) -> None:
    """With groups= or freeze=, what is held is held; what then says nothing new goes on waiting."""
    options: dict[str, Any] = {"defaults": True, "enqueue": [{"rate": 0.9}, {"units": 32}]}
    run = run_search(tmp_path, max_trials=3, freeze={"units": 24}, **options)
    assert values(run)[:2] == [
        {"training": {"optimizer": "adam", "rate": rate}, "default": {"units": 24}}
        for rate in (0.5, 0.9)
    ]
    assert values(run)[2]["default"] == {"units": 24}
    assert run.state.queue == ({"default": {"units": 32}},)
    (said,) = messages.enqueued([Enqueued(run.state.queue)], [], run.state)
    assert "not tried yet, since groups= or freeze= hold other values" in said
    assert values(run_search(tmp_path, max_trials=4, **options))[3] == WIDE


def test_many_at_once(tmp_path: Path) -> None:
    """Several that train at once are given what was enqueued, each once."""
    units = [{"units": number} for number in (7, 8, 9)]
    run = run_search(
        tmp_path, plain_fn, capacity=3, max_trials=6, defaults=True, enqueue=units, executions=2
    )
    assert [t.values["default"]["units"] for t in run.state.trials[:4]] == [1, 7, 8, 9]
    assert len({t.key for t in run.state.trials}) == 6
    assert all(len(t.executions) == 2 for t in run.state.trials)


def narrow_fn() -> Curve:
    return Curve(1.0, 0.9, parameters=Range("units", 1, 20))


def test_in_a_space_that_changes(tmp_path: Path) -> None:
    """Extended, a search tries what lies in the new space; what does not goes on waiting."""
    units = [{"units": 7}, {"units": 99}, {"units": 20}]
    run_search(tmp_path, plain_fn, max_trials=1, defaults=True, enqueue=units)
    run = run_search(tmp_path, narrow_fn, max_trials=4, extend=True, defaults=True)
    found = [t.values["default"]["units"] for t in run.state.trials]
    assert found[:3] == [1, 7, 20]
    assert run.state.queue == ({}, {"default": {"units": 99}})  # the defaults' trial still counts
    again = run_search(tmp_path, plain_fn, max_trials=5, extend=True, defaults=True)
    assert again.state.trials[4].values == {"default": {"units": 99}}


def test_extended_with_what_was_enqueued(tmp_path: Path) -> None:
    """What set-aside trials were begun with comes again, the defaults first, by the same script.

    Here every trial is set aside, since the function asks for more.
    """

    def wider_fn() -> Curve:
        return Curve(Linear("start", 1.0, 2.0, 3), 0.9, parameters=Range("units", 1, 20))

    enqueue = [{"units": 7}, {"default": {"units": 99}}, {"units": 20}]
    options: dict[str, Any] = {"enqueue": enqueue, "defaults": True}
    run_search(tmp_path, plain_fn, max_trials=4, **options)
    run = run_search(tmp_path, wider_fn, max_trials=4, extend=True, **options)
    assert run.error is None
    assert [t.state for t in run.state.trials[:4]] == [State.OUTSIDE] * 4
    found = [t.values["default"] for t in run.state.trials[4:]]
    assert found[:3] == [{"start": 1.0, "units": units} for units in (1, 7, 20)]
    assert len(found) == 4
    assert run.state.queue == ({"default": {"units": 99}},)
    assert not run_search(tmp_path, wider_fn, max_trials=4, extend=True, **options).worked
    compact(tmp_path)
    assert load(tmp_path).queue == run.state.queue
    options["enqueue"] = [*enqueue, {"units": 98}]
    with pytest.raises(ConfigurationError, match="98 is not in"):
        run_search(tmp_path, wider_fn, max_trials=5, **options)
    tuner = Tuner(wider_fn, "val_loss", max_trials=1, directory=tmp_path, extend=True)
    tuner.enqueue(*enqueue)


def growing_fn() -> Curve:
    """Ask for more, where tracing with one run has not been."""
    units = Range("units", 1, 9)
    return Curve(1.0, 0.9 if units < 5 else Linear("rate", 0.1, 0.9, 9))


def test_in_a_space_that_grows(tmp_path: Path) -> None:
    """What a trial asks for beyond what it was enqueued with does not make it another one."""
    options: dict[str, Any] = {"traces": 1, "defaults": True}
    run = run_search(tmp_path, growing_fn, max_trials=3, enqueue=[{"units": 5}], **options)
    assert [t.values["default"]["units"] for t in run.state.trials[:2]] == [1, 5]
    assert "rate" in run.state.trials[1].values["default"]
    more = [{"units": 5}, {"units": 6, "rate": 0.4}]
    again = run_search(tmp_path, growing_fn, max_trials=4, enqueue=more, **options)
    assert again.state.trials[3].values == {"default": {"units": 6, "rate": 0.4}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("oracle", "executions"), [(Random(), 2), (SuccessiveHalving(Evolution(3, 2)), 1)]
)
def test_cut_after_any_event_the_same_is_tried(
    tmp_path: Path, oracle: Oracle, executions: int
) -> None:
    """Killed at any instant and run again, a search tries the same, each once, and no more."""
    other = run_search(tmp_path / "other", seed=5, max_trials=6)
    assert other.state.best.score is not None

    def search(directory: Path) -> Run:
        return run_search(
            directory,
            oracle=oracle,
            epoch_budget=14,
            max_epochs=4,
            defaults=True,
            executions=executions,
            enqueue=[{"rate": 0.9}, {"units": 32}],
            warm_start=[str(tmp_path / "other")],
        )

    reference = search(tmp_path / "whole")
    journal = (tmp_path / "whole" / FILE_NAME).read_bytes()
    ends = [i + 1 for i, byte in enumerate(journal) if byte == ord("\n")]
    assert reference.state.sources
    for cut in ends:
        copy = tmp_path / f"{cut}"
        copy.mkdir()
        (copy / FILE_NAME).write_bytes(journal[:cut])
        assert records(search(copy).state) == records(reference.state)


def test_the_other_search_may_be_gone(tmp_path: Path) -> None:
    """What was taken over is in the journal: the other search is not needed to go on."""
    run_search(tmp_path / "other", plain_fn, max_trials=9)
    options: dict[str, Any] = {"warm_start": [str(tmp_path / "other")], "defaults": True}
    reference = run_search(tmp_path / "whole", plain_fn, max_trials=8, **options)
    run_search(tmp_path / "cut", plain_fn, max_trials=2, **options)
    shutil.rmtree(tmp_path / "other")
    run = run_search(tmp_path / "cut", plain_fn, max_trials=8, **options)
    assert records(run.state)["trials"] == records(reference.state)["trials"]
    with pytest.raises(SearchNotFound, match="other"):
        run_search(tmp_path / "new", plain_fn, max_trials=8, **options)


def test_compacted_and_repaired(tmp_path: Path) -> None:
    """Compaction keeps what was enqueued; where the event is lost, what was tried is not again."""
    options: dict[str, Any] = {"defaults": True, "enqueue": [{"rate": 0.9}, {"units": 32}]}
    run = run_search(tmp_path, max_trials=2, **options)
    before = load(tmp_path)
    compact(tmp_path)
    after = load(tmp_path)
    assert (after.queue, after.enqueued) == (before.queue, before.enqueued)
    assert after.queue == ({"default": {"units": 32}},)
    rows = (tmp_path / FILE_NAME).read_bytes().splitlines(keepends=True)
    place = next(i for i, row in enumerate(rows) if b'"enqueued","configurations"' in row)
    rows[place] = rows[place].replace(b"configurations", b"CONFIGURATIONS")
    (tmp_path / FILE_NAME).write_bytes(b"".join(rows))
    assert len(repair(tmp_path).damages) == 1
    assert load(tmp_path).queue == ()
    assert load(tmp_path).enqueued == ("{}", '{"training":{"rate":0.9}}')
    again = run_search(tmp_path, max_trials=4, **options)
    assert values(again)[:2] == values(run)
    assert values(again)[2] == WIDE
    assert values(again).count(SLOW) == 1


def other_fn() -> Curve:
    """A space like the one below, and yet another."""
    Logarithmic("rate", 1e-4, 1e-1, 4, group="optimizer")
    Range("units", 1, 99)
    Choice("activation", ["relu", "tanh"])
    Choice("depth", [1, 2, 3], group="old")
    Float("gone", 0, 1)
    return Curve(1.0, 0.9)


def here_fn() -> Curve:
    Float("rate", 1e-3, 1e-2, log=True, group="optimizer")
    Range("units", 8, 32, 8)
    Choice("activation", ["gelu", "relu"])
    Choice("depth", [2, 4], group="new")
    Choice("fresh", ["a", "b"])
    return Curve(1.0, 0.9)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            {"optimizer": {"rate": 0.1}, "default": {"units": 99, "activation": "relu"}},
            {"optimizer": {"rate": 0.01}, "default": {"units": 32, "activation": "relu"}},
        ),
        (
            {"optimizer": {"rate": 1e-4}, "default": {"units": 13, "activation": "tanh"}},
            {"optimizer": {"rate": 1e-3}, "default": {"units": 16}},
        ),
        ({"old": {"depth": 1}, "default": {"gone": 0.3}}, {"new": {"depth": 2}}),
        ({"old": {"depth": 9}, "optimizer": {"rate": "high"}}, {"new": {"depth": 4}}),
        ({"old": {"depth": 1}, "older": {"depth": 3}}, None),
        ({"default": {"units": True, "activation": None}}, None),
    ],
)
def test_what_differs_is_fitted(tmp_path: Path, theirs: Any, ours: Any) -> None:
    """By group and name, or name alone; numbers move to the nearest, all else has its default."""
    exported = tmp_path / "best.json"
    exporting.write(exported, {"schema": exporting.SCHEMA, "hyperparameters": theirs})
    run = run_search(tmp_path / "run", here_fn, max_trials=2, warm_start=[str(exported)])
    queue = _taken(tmp_path / "run")
    assert queue == ([ours] if ours else [])
    assert run.state.sources == (str(exported),)
    if ours:
        assert run.state.trials[0].values == run.state.space.complete(ours)


def _taken(directory: Path) -> list[Mapping[str, Any]]:
    with Journal(directory) as journal:
        (event,) = [e for e in journal.events() if isinstance(e, Enqueued)]
    return list(event.configurations)


def test_the_best_of_a_search_or_its_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best five different ones, the best first: of a directory, a journal or a list alike."""
    run = run_search(tmp_path / "other", max_trials=20)
    scored = tables.ranked([t for t in run.state.trials if t.score is not None])
    assert main(["trials", str(tmp_path / "other"), "--json"]) == 0
    listed = tmp_path / "trials.json"
    listed.write_text(capsys.readouterr().out, "utf-8")
    sources = [tmp_path / "other", tmp_path / "other" / FILE_NAME, listed]
    for number, source in enumerate(map(str, sources)):
        directory = tmp_path / str(number)
        found = values(run_search(directory, max_trials=6, warm_start=[source]))
        assert found[:5] == [trial.values for trial in scored[:5]]
    two = run_search(tmp_path / "two", max_trials=12, warm_start=[*map(str, sources)])
    assert two.state.sources == tuple(map(str, sources))
    assert len(two.state.enqueued) == 5


def test_a_list_is_ordered_by_our_objective(tmp_path: Path) -> None:
    """A list does not say which scores are better; this search does. Without one, none counts."""
    trials = [
        {"score": score, "values": {"default": {"units": units}}}
        for units, score in enumerate([0.3, 0.9, None, 0.1, float("nan")], 1)
    ]
    listed = tmp_path / "trials.json"
    listed.write_text(json.dumps(trials), "utf-8")
    run_search(tmp_path / "least", plain_fn, max_trials=1, warm_start=[str(listed)])
    assert [v["default"]["units"] for v in _taken(tmp_path / "least")] == [4, 1, 2]
    run_search(
        *(tmp_path / "most", plain_fn),
        objective="val_accuracy",
        max_trials=1,
        warm_start=[str(listed)],
    )
    assert [v["default"]["units"] for v in _taken(tmp_path / "most")] == [2, 1, 4]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1, 2]", "is neither an exported search nor what `tunedeco trials --json` prints"),
        ('[{"score": 1, "values": 3}]', "is neither"),
        ('[{"score": "high", "values": {}}]', "is neither"),
        ("3", "is neither"),
        ('{"a": 1}', "is not a search that tunedeco exported"),
        ("[", "is not JSON"),
        (None, "cannot read"),
    ],
)
def test_what_is_no_search_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    """A file that holds something else is named, before anything is trained."""
    path = tmp_path / "trials.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ExportError) as raised:
        run_search(tmp_path / "run", plain_fn, max_trials=1, warm_start=[str(path)])
    assert f"{path} {says}" in str(raised.value) or f"{says} {path}" in str(raised.value)
    assert (tmp_path / "run" / FILE_NAME).read_bytes() == b""


def test_the_tuner_says_what_a_warm_start_is() -> None:
    """An argument that is no path is refused by the tuner itself."""
    for wrong in (3, [3], b"runs", [["runs"]]):
        with pytest.raises(ConfigurationError, match="warm_start is the directory of another"):
            Tuner(model_fn, "val_loss", max_trials=1, warm_start=wrong)  # type: ignore[arg-type]


def test_begun_anew_from_itself(tmp_path: Path) -> None:
    """With overwrite=True, a search can begin with the best of the one that it moves aside."""
    first = run_search(tmp_path / "run", max_trials=12)
    run = run_search(
        *(tmp_path / "run",),
        max_trials=2,
        seed=1,
        overwrite=True,
        warm_start=[str(tmp_path / "run")],
    )
    assert run.state.trials[0].values == first.state.best.values
    assert run.state.trials[0].number == 0
    assert load(tmp_path / "run.1").epochs == first.state.epochs


def test_a_journal_says_what_was_enqueued(tmp_path: Path) -> None:
    """Each trial that was enqueued is told apart from those that the oracle proposed."""
    run_search(tmp_path, max_trials=3, defaults=True, enqueue=[{"rate": 0.9}])
    with Journal(tmp_path) as journal:
        events = list(journal.events())
    assert [e.defaults for e in events if isinstance(e, Created)] == [True]
    proposed = [e.enqueued for e in events if isinstance(e, Proposed)]
    assert proposed == [{}, {"training": {"rate": 0.9}}, None]


def test_what_would_not_be_asked_for_is_refused(tmp_path: Path) -> None:
    """A value that its trial would be without is named, with what it needs; it was dropped once."""
    needs = r"training/momentum is asked for when optimizer is 'sgd', and not with these"
    with pytest.raises(ConfigurationError, match=needs):
        run_search(tmp_path, max_trials=1, enqueue=[{"momentum": 0.9}])
    tuner = Tuner(model_fn, "val_loss", max_trials=1, directory=tmp_path)
    assert len(tuner.space) == 4
    with pytest.raises(ConfigurationError, match=needs):
        tuner.enqueue({"momentum": 0.9, "optimizer": "adam"})
    both = {"momentum": 0.9, "optimizer": "sgd"}
    run = run_search(tmp_path, max_trials=1, enqueue=[both])
    assert run.state.trials[0].values["training"]["momentum"] == 0.9
    seen = replace(tuner.space, coverage=Coverage(1, complete=False, limit=1))
    assert enqueued.checked(seen, [{"momentum": 0.9}]) == ({"training": {"momentum": 0.9}},)


def test_a_path_written_otherwise_is_the_same_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slash at its end, relative or absolute, a search is taken over once, and never itself.

    That it has come to better ones since changes nothing.
    """
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"function": plain_fn, "max_trials": 4}
    run_search(Path("other"), **options)
    run_search(Path("run"), warm_start=["other"], **options)
    run_search(Path("other"), **{**options, "max_trials": 20})
    before = (tmp_path / "run" / FILE_NAME).read_bytes()
    for again in ("other/", "./other", str(tmp_path / "other")):
        run_search(Path("run"), warm_start=[again], **options)
    run_search(Path("run"), warm_start=["run/", str(tmp_path / "run" / FILE_NAME)], **options)
    assert (tmp_path / "run" / FILE_NAME).read_bytes() == before
    given = ["other", "other/", Path("other")]
    assert Tuner(plain_fn, "val_loss", max_trials=1, warm_start=given).warm_start == ("other",)
