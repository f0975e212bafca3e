"""Who goes on to which epoch: rungs, brackets, ASHA and the stopping rules, and what is refused."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, Run, plain_fn, records, run_search
from test_search import assert_resumes

from tunedeco import Range
from tunedeco.cli import main
from tunedeco.domains import Float
from tunedeco.errors import ConfigurationError
from tunedeco.events import Continued, Proposed
from tunedeco.journal.journal import Journal
from tunedeco.journal.search_state import SearchState
from tunedeco.oracles import (
    ASHA,
    Aging,
    Continue,
    Done,
    Grid,
    Hyperband,
    MedianStopping,
    PlateauStopping,
    Random,
    Scheduler,
    Start,
    SuccessiveHalving,
    Wait,
    describe,
    resolve,
)
from tunedeco.oracles.rungs import Rungs
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Epoch, State, Trial

SPACE = Space((Hyperparameter("g", "x", Float(0, 1), 0.0),))
SCHEDULERS: list[Scheduler] = [
    ASHA("random", min_epochs=1),
    SuccessiveHalving(Aging(3, 2), min_epochs=1),
    Hyperband("random", reduction=2, min_epochs=1),
    MedianStopping("random", min_trials=2),
    PlateauStopping("random", patience=1, min_delta=0.1),
]
Losses = Callable[[int, int], float]
"""The loss of a trial in an epoch."""


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def trained(trial: Trial, epochs: int, losses: Losses, **changes: Any) -> Trial:
    """Return a trial that has ended after so many epochs."""
    found = tuple(losses(trial.number, epoch) for epoch in range(1, epochs + 1))
    return replace(
        trial,
        **{"state": State.COMPLETED, **changes},
        losses=found,
        loss=min(found, default=None),
        epochs=tuple(Epoch(i + 1, {}) for i in range(epochs)),
    )


def ran(
    oracle: Scheduler,
    losses: Losses,
    count: int,
    ends: Callable[[Trial], Trial] | None = None,
    trials: Sequence[Trial] = (),
) -> tuple[list[Trial], list[Continue]]:
    """Run trials one by one until so many have begun; return them, and who was continued."""
    trials = list(trials)
    continued: list[Continue] = []
    while True:
        match oracle.next(SPACE, trials, 0):
            case Start() as start:
                if len(trials) == count:
                    return trials, continued
                assert start.until is not None
                new = Trial(len(trials), start.values, start.until)
                new = replace(new, bracket=start.bracket, rung=start.rung)
                trials.append(ends(new) if ends else trained(new, new.until, losses))
            case Continue() as more:
                continued.append(more)
                sent = replace(trials[more.trial], until=more.until, rung=more.rung)
                trials[more.trial] = ends(sent) if ends else trained(sent, sent.until, losses)
            case other:
                raise AssertionError(other)


@pytest.mark.parametrize(
    ("oracle", "epochs", "rungs"),
    [
        (Hyperband(), 1, (1,)), (Hyperband(), 3, (3,)), (Hyperband(), 5, (2, 5)),
        (Hyperband(), 10, (3, 10)), (Hyperband(), 27, (3, 9, 27)),
        (SuccessiveHalving(), 50, (2, 5, 16, 50)),
        (SuccessiveHalving(reduction=2), 10, (2, 5, 10)),
        (ASHA(), 1, (1,)), (ASHA(), 2, (2,)), (ASHA(), 3, (3,)), (ASHA(), 4, (2, 4)),
        (ASHA(), 5, (2, 5)), (ASHA(), 10, (2, 10)), (ASHA(), 50, (2, 8, 50)),
        (ASHA(reduction=3), 54, (2, 6, 18, 54)),
    ],
)  # fmt: skip
def test_rungs_are_spread_over_the_epochs(
    oracle: Rungs, epochs: int, rungs: tuple[int, ...]
) -> None:
    """A rung has `reduction` times fewer epochs than the next one, and the lowest at least two.

    They are counted from the last one down, or by ASHA from the lowest one up.
    """
    assert oracle.within(1, epochs).rungs == rungs


def test_epochs_are_the_tuners_where_an_oracle_says_nothing() -> None:
    """Its own bounds hold, but no trial is longer than the tuner allows."""
    assert Hyperband(min_epochs=1).within(2, 9).rungs == (1, 3, 9)
    assert Hyperband(max_epochs=9).within(1, 100).rungs == (3, 9)
    assert Hyperband(max_epochs=100).within(1, 9).rungs == (3, 9)
    assert Hyperband().within(5, 27).rungs == (9, 27)
    with pytest.raises(ConfigurationError, match=r"after min_epochs=7, .* only 5 epochs"):
        ASHA(min_epochs=7).within(1, 5)
    with pytest.raises(ConfigurationError, match=r"Hyperband\(...\).within\(min_epochs, max"):
        Hyperband().next(SPACE, [], 0)


def test_budgets_are_no_settings() -> None:
    """How long trials are is no part of what makes a search this one; the wrapped oracle is."""
    assert describe(ASHA("random").within(1, 5)) == {
        "name": "asha",
        "oracle": {"name": "random"},
        "min_epochs": None,
        "max_epochs": None,
        "reduction": 4,
    }
    assert json.dumps(describe(MedianStopping(Aging(4, 2))))


def test_schedulers_have_names() -> None:
    """A name is the oracle with its usual settings, for trials of so many epochs."""
    for name, oracle in {
        "asha": ASHA(),
        "halving": SuccessiveHalving(),
        "hyperband": Hyperband(),
        "median": MedianStopping(),
        "plateau": PlateauStopping(),
    }.items():
        assert resolve(name, 2, 9) == oracle.within(2, 9)
    assert ASHA("grid") == ASHA(Grid())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: ASHA("asha"),
            "wraps an oracle for values: grid, random, aging, evolution, or your own",
        ),
        (lambda: ASHA(ASHA()), "ASHA decides how far trials are trained, and so does ASHA"),
        (lambda: MedianStopping(Hyperband()), "MedianStopping decides how .* so does Hyperband"),
        (lambda: ASHA(Random), r"a method next\(space, trials, seed\), not <class"),
        (lambda: ASHA(reduction=1), "ASHA needs reduction to be a whole number of at least 2"),
        (lambda: ASHA(reduction=2.5), "reduction .* not 2.5"),
        (lambda: Hyperband(min_epochs=0), "Hyperband needs min_epochs to be .* or None, not 0"),
        (lambda: PlateauStopping(patience=0), "patience to be a whole number of at least 1"),
        (lambda: PlateauStopping(min_delta=-1), "min_delta to be at least 0, not -1"),
        (lambda: PlateauStopping(min_delta=float("nan")), "min_delta to be at least 0, not nan"),
        (lambda: MedianStopping(interval=0), "MedianStopping needs interval"),
        (lambda: MedianStopping(min_trials=0), "MedianStopping needs min_trials"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, says: str) -> None:
    """What cannot be wrapped, or is out of range, is an error that names it."""
    with pytest.raises(ConfigurationError, match=says):
        make()


def bad(number: int, epoch: int) -> float:
    """Return losses of which those of trials 0, 7, 14 and so on are the least."""
    return number % 7 + 1 / epoch


def test_halving_keeps_the_top_share_of_each_rung() -> None:
    """Of nine trials to epoch 2 the best three go on to 6, and the best of them to 18."""
    trials, continued = ran(SuccessiveHalving("random").within(1, 18), bad, 10)
    assert [(c.trial, c.until, c.rung) for c in continued] == [
        (0, 6, 1), (7, 6, 1), (1, 6, 1), (0, 18, 2),
    ]  # fmt: skip
    assert [t.bracket for t in trials] == [0] * 9 + [1]
    assert [len(t.epochs) for t in trials] == [18, 6, 2, 2, 2, 2, 2, 6, 2, 2]


def test_who_missed_a_rung_may_go_on_with_a_later_batch() -> None:
    """With each batch the best go on of all that wait there, whichever batch they came with."""
    first = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

    def losses(number: int, _: int) -> float:
        return first[number] if number < 9 else {12: 0.05, 14: 0.35}.get(number, 1.0)

    oracle = SuccessiveHalving("random").within(1, 18)
    _, continued = ran(oracle, losses, 28)
    went = [(c.trial, c.until) for c in continued]
    assert went[:4] == [(0, 6), (1, 6), (2, 6), (0, 18)]
    assert went[4:8] == [(12, 6), (14, 6), (3, 6), (12, 18)]
    assert went[8:] == [(4, 6), (5, 6), (6, 6), (1, 18)]  # the third batch is no better


def test_who_is_beaten_by_a_batch_of_later_ones_waits_no_longer() -> None:
    """Then it has no chance left, and its checkpoint is not kept."""
    oracle = SuccessiveHalving("random").within(1, 6)  # of three, one goes on
    trials, _ = ran(oracle, lambda number, _: -float(number), 27)
    assert oracle.open(trials) == {24, 25}
    trials, _ = ran(oracle, lambda number, _: float(number), 27)
    assert oracle.open(trials) == {t.number for t in trials if t.until == 2}


@pytest.mark.parametrize("several", [False, True])
def test_one_that_begins_again_is_no_obstacle(several: bool) -> None:
    """A trial that had gone on, and whose checkpoint was lost, has no losses: the others have."""
    oracle = SuccessiveHalving("random").within(1, 6)
    trials, _ = ran(oracle, lambda number, _: -float(number), 27)
    if several:
        trials = [replace(t, points=tuple((x, -x) for x in t.losses)) for t in trials]
    for lost in (t.number for t in trials if t.rung):
        blank = replace(running(trials, lost)[lost], points=())
        again = [*trials[:lost], blank, *trials[lost + 1 :]]
        assert lost not in oracle.open(again)
        assert isinstance(oracle.next(SPACE, again, 0), Start | Continue)
        assert isinstance(oracle.finish(again), Wait | Continue)


def test_hyperband_begins_at_each_rung_in_turn() -> None:
    """Its brackets have the sizes of the paper, and after the last one comes the first again."""
    oracle = Hyperband("random").within(1, 81)
    assert oracle.rungs == (3, 9, 27, 81)
    sizes = [(oracle.rungs[b.first], b.size) for b in map(oracle.bracket, range(5))]
    assert sizes == [(3, 27), (9, 12), (27, 6), (81, 4), (3, 27)]
    trials, _ = ran(Hyperband("random").within(1, 9), bad, 10)
    assert [t.bracket for t in trials] == [0] * 3 + [1] * 2 + [2] * 3 + [3] * 2
    assert [len(t.epochs) for t in trials] == [9, 3, 3, 9, 9, 3, 3, 9, 9, 9]  # 0 and 7 have least


def test_what_went_wrong_goes_no_further() -> None:
    """Failed and diverged trials lose, whatever their loss was; rejected ones are replaced.

    Halving waits for others in their place.
    """
    states = {0: State.DIVERGED, 1: State.FAILED, 2: State.REJECTED}

    def ends(trial: Trial) -> Trial:
        state = states.get(trial.number, State.COMPLETED)
        epochs = 0 if state is State.REJECTED else trial.until
        return trained(trial, epochs, lambda number, _: float(number), state=state)

    _, continued = ran(ASHA("random", reduction=3).within(1, 5), bad, 4, ends)
    assert [c.trial for c in continued] == [3]
    trials, continued = ran(SuccessiveHalving("random").within(1, 5), bad, 6, ends)
    assert [t.bracket for t in trials] == [0] * 4 + [1] * 2
    assert [(c.trial, c.until) for c in continued] == [(3, 5)]


def test_what_stopped_by_itself_counts_and_costs_nothing() -> None:
    """A trial that stopped early keeps its place on every higher rung, and is not continued."""

    def ends(trial: Trial) -> Trial:
        epochs = 1 if trial.number == 0 else trial.until
        return trained(trial, epochs, lambda number, _: float(number))

    trials, continued = ran(SuccessiveHalving("random").within(1, 18), bad, 9, ends)
    assert trials[0].stopped_early
    assert [(c.trial, c.until) for c in continued] == [(1, 6), (2, 6)]  # and 0 wins the last rung
    _, continued = ran(ASHA("random", reduction=3).within(1, 18), bad, 10, ends)
    assert [(c.trial, c.until) for c in continued] == [(1, 6), (2, 6)]


def test_asha_goes_on_with_the_best_so_far() -> None:
    """With every third trial of a rung one more goes on, the highest rung first."""
    oracle = ASHA("random", reduction=3).within(1, 18)
    trials, continued = ran(oracle, lambda number, _: float(number), 9)
    assert [(c.trial, c.until, c.rung) for c in continued] == [
        (0, 6, 1), (1, 6, 1), (2, 6, 1), (0, 18, 2),
    ]  # fmt: skip
    assert {t.bracket for t in trials} == {0}
    # who comes later and is better pushes the first ones out of the share
    _, continued = ran(oracle, lambda number, _: -float(number), 5)
    assert [(c.trial, c.until) for c in continued] == [(2, 6), (3, 6), (4, 6), (4, 18)]


def running(trials: Sequence[Trial], *numbers: int) -> list[Trial]:
    """Return the trials, of which some run."""
    blank = {"state": State.RUNNING, "epochs": (), "losses": (), "loss": None}
    return [replace(t, **blank) if t.number in numbers else t for t in trials]  # type: ignore[arg-type]


def test_while_a_bracket_waits_the_next_one_begins() -> None:
    """Where a rung is not decided, new trials begin; where none may, it waits for the others."""
    oracle = SuccessiveHalving("random").within(1, 5)
    trials, _ = ran(oracle, bad, 3)
    fresh = [replace(t, until=2, rung=0) for t in trials]
    fresh = [trained(t, 2, bad) for t in fresh]
    assert oracle.next(SPACE, fresh, 0) == Continue(0, 5, 1)
    waiting = running(fresh, 2)
    begun = oracle.next(SPACE, waiting, 0)
    assert isinstance(begun, Start)
    assert (begun.bracket, begun.rung, begun.until) == (1, 0, 2)
    assert oracle.finish(waiting) == Wait()
    assert oracle.finish(fresh) == Continue(0, 5, 1)


@pytest.mark.parametrize("oracle", [SuccessiveHalving("random"), ASHA("random", reduction=3)])
def test_at_the_end_the_rungs_are_completed(oracle: Scheduler) -> None:
    """Where no more trials begin, the best of those there still is trained to the last epoch."""
    oracle = oracle.within(1, 18)
    trials = [
        trained(Trial(n, {"g": {"x": n / 9}}, 2, bracket=0, rung=0), 2, bad) for n in range(1, 3)
    ]
    sent = []
    while isinstance(decision := oracle.finish(trials), Continue):
        sent.append((decision.trial, decision.until))
        trials = [
            trained(replace(t, until=decision.until, rung=decision.rung), decision.until, bad)
            if t.number == decision.trial
            else t
            for t in trials
        ]
    assert decision == Done()
    assert sent == [(1, 6), (1, 18)]


def test_a_used_up_space_ends_the_search_with_its_rungs(tmp_path: Path) -> None:
    """When the wrapped oracle has nothing left, the last bracket is decided among its trials."""

    def four_fn() -> Curve:
        return Curve(Range("units", 1, 4), 0.9)

    for oracle in (SuccessiveHalving("grid"), ASHA("grid"), Hyperband("grid")):
        directory = tmp_path / type(oracle).__name__
        run = run_search(directory, four_fn, oracle=oracle, max_epochs=5)
        assert run.state.stopped == "exhausted"
        assert len(run.state.trials) == 4
        assert len(run.state.trials[0].epochs) == 5  # the best one
        assert run.state.epochs < 20


@pytest.mark.parametrize("scale", [1, 2.0**1021])  # two of the latter are more than a float holds
def test_median_stopping_stops_what_is_below_the_median(scale: float) -> None:
    """A trial goes on while its best is at least the median of its predecessors' averages."""
    oracle = MedianStopping("random", interval=2, min_trials=3, min_epochs=2).within(1, 7)
    trials, _ = ran(oracle, lambda n, epoch: scale * ((n % 5) + 1 / epoch), 10)
    lengths = [len(t.epochs) for t in trials]
    assert lengths[:3] == [7, 7, 7]  # too few to compare with
    # the running averages of two epochs are 0.75 more than 0 to 4, of four epochs 0.52 more, and
    # the best ones 0.5 and 0.25
    assert lengths[3:] == [2, 2, 7, 4, 2, 2, 2]


def test_plateau_stopping_stops_what_does_not_improve() -> None:
    """A trial goes on while the latest epochs are better than those before, by more than a bit."""

    def losses(number: int, epoch: int) -> float:
        return max(10 - epoch, 10 - number) + (0 if number else 0.01 / epoch)

    oracle = PlateauStopping("random", patience=2, min_delta=0.5, interval=1).within(1, 9)
    trials, _ = ran(oracle, losses, 10)
    assert [len(t.epochs) for t in trials] == [3, 3, 4, 5, 6, 7, 8, 9, 9, 9]


def ups_fn() -> Curve:
    """Ask as a real function does, with all kinds of ends."""
    units = Range("units", 1, 60)
    return Curve(
        units % 13,
        0.9 - units % 3 / 10,
        breaks=2 if units % 11 == 0 else None,
        diverges=3 if units % 7 == 0 else None,
        stops=2 if units % 5 == 0 else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("oracle", SCHEDULERS)
def test_cut_after_any_event_a_search_ends_the_same(tmp_path: Path, oracle: Scheduler) -> None:
    """Killed between rungs, or anywhere, a search goes on to the same end, no epoch twice."""

    def search(directory: Path) -> Run:
        options: dict[str, Any] = {"epoch_budget": 12, "max_epochs": 4, "seed": 5, "traces": 1}
        return run_search(directory, ups_fn, oracle=oracle, **options)

    reference = search(tmp_path / "whole")
    assert any(isinstance(e, Continued) for e in events(tmp_path / "whole"))
    assert_resumes(tmp_path / "whole", search, reference, continues=True)


def events(directory: Path) -> list[Any]:
    with Journal(directory) as journal:
        return list(journal.events())


@pytest.mark.parametrize("oracle", SCHEDULERS)
def test_a_larger_budget_continues_to_the_same_search(tmp_path: Path, oracle: Scheduler) -> None:
    """Epochs asked for in several runs train what one run would have, and no epoch twice."""
    budgets = (5, 11, 12, 40, 41, 60)
    for budget in budgets:
        options: dict[str, Any] = {"epoch_budget": budget, "max_epochs": 9, "traces": 1}
        parts = run_search(tmp_path / "parts", ups_fn, oracle=oracle, **options)
        assert parts.state.epochs == budget
    whole = run_search(tmp_path / "whole", ups_fn, oracle=oracle, **options)
    assert [t | {"state": "any"} for t in records(parts.state)["trials"]] == [
        t | {"state": "any"} for t in records(whole.state)["trials"]
    ]


@pytest.mark.parametrize(
    "oracle", [ASHA("random"), SuccessiveHalving("random"), Hyperband("random")]
)
def test_longer_trials_later_go_on_from_where_they_were(tmp_path: Path, oracle: Scheduler) -> None:
    """With more `max_epochs` the best trials go on, on other rungs; it is still the same search."""
    short = run_search(tmp_path, plain_fn, oracle=oracle, max_trials=9, max_epochs=5)
    before = {t.number: len(t.epochs) for t in short.state.trials}
    run = run_search(tmp_path, plain_fn, oracle=oracle, max_trials=9, max_epochs=20)
    after = {t.number: len(t.epochs) for t in run.state.trials}
    assert max(before.values()) == 5
    assert max(after.values()) == 20
    assert len(run.executor.trained) == sum(after.values()) - sum(before.values())


def test_several_executions_are_judged_by_their_mean(tmp_path: Path) -> None:
    """Every execution of a trial goes on with it, and the mean of their losses decides."""
    oracle = SuccessiveHalving("random")
    run = run_search(
        tmp_path, plain_fn, oracle=oracle, executions=2, max_trials=6, max_epochs=5, capacity=2
    )
    lengths = [[len(r.epochs) for r in t.runs] for t in run.state.trials]
    assert sorted(lengths) == [[2, 2]] * 4 + [[5, 5]] * 2
    for bracket in (0, 1):
        members = [t for t in run.state.trials if t.bracket == bracket]
        best = min(members, key=lambda t: (t.loss_at(2) or 0, t.number))
        assert len(best.epochs) == 5


@pytest.mark.parametrize("capacity", [1, 3])
@pytest.mark.parametrize("oracle", SCHEDULERS)
def test_the_journal_replays_to_the_same_proposals(
    tmp_path: Path, oracle: Scheduler, capacity: int
) -> None:
    """Whatever runs at once, each decision follows from the events before it, and from no more."""
    options: dict[str, Any] = {"epoch_budget": 60, "max_epochs": 9, "capacity": capacity}
    run_search(tmp_path, ups_fn, oracle=oracle, seed=3, traces=1, **options)
    oracle, state, decisions = oracle.within(1, 9), SearchState(), 0
    for event in events(tmp_path):
        if isinstance(event, (Proposed, Continued)):
            decision = oracle.next(state.space, tuple(state.trials), 3)
            match event:
                case Proposed():
                    assert isinstance(decision, Start)
                    assert decision.values == event.values
                    found = (decision.bracket, decision.rung)
                    assert found == (event.bracket, event.rung)
                case Continued():
                    assert decision == Continue(event.trial, event.until, event.rung)
            decisions += 1
        state.apply(event)
    assert decisions > 10


def test_rungs_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`trials` has columns for bracket and rung, `status` counts who stands where; JSON too."""
    run_search(tmp_path / "asha", plain_fn, oracle=ASHA("random"), max_trials=9, max_epochs=5)
    assert main(["trials", str(tmp_path / "asha")]) == 0
    header, _, first, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[:7] == ["trial", "state", "score", "epoch", "epochs", "bracket", "rung"]
    assert first.split()[5] == "0"
    assert main(["status", str(tmp_path / "asha")]) == 0
    assert "bracket 0: 7 at rung 0 (2 epochs), 2 at rung 1 (5 epochs)" in (capsys.readouterr().out)
    assert main(["status", str(tmp_path / "asha"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["brackets"] == [
        {"bracket": 0, "rungs": [
            {"rung": 0, "epochs": 2, "trials": 7, "reached": 9},
            {"rung": 1, "epochs": 5, "trials": 2, "reached": 2},
        ]}
    ]  # fmt: skip
    run_search(tmp_path / "random", plain_fn, oracle=Random(), max_trials=2)
    assert main(["trials", str(tmp_path / "random")]) == 0
    assert "rung" not in capsys.readouterr().out
    assert main(["status", str(tmp_path / "random"), "--json"]) == 0
    assert "brackets" not in json.loads(capsys.readouterr().out)


@dataclass(frozen=True)
class Seeing:
    """Remembers what it was asked with; no oracle for a search."""

    seen: list[Trial] = field(default_factory=list)

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start:
        self.seen[:] = trials
        return Start(space.defaults)


def test_one_that_goes_on_is_seen_with_what_it_has_reached() -> None:
    """The wrapped oracle compares a trial that was sent on by the epochs it has had so far."""
    seeing = Seeing()
    oracle = SuccessiveHalving(seeing, min_epochs=1).within(1, 9)
    one = trained(Trial(0, {"g": {"x": 0.5}}, 1, bracket=0, rung=0), 1, lambda *_: 0.5)
    going = replace(one, until=3, rung=1, state=State.RUNNING)
    oracle.next(SPACE, [going], 0)
    assert [(t.state, t.until) for t in seeing.seen] == [(State.COMPLETED, 1)]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [(SuccessiveHalving, 5, 20), (SuccessiveHalving, 10, 30), (Hyperband, 6, 18)],
)
def test_with_more_epochs_the_best_go_on_and_rungs_still_choose(
    kind: type[SuccessiveHalving | Hyperband], before: int, after: int
) -> None:
    """The best three of many trials are trained to the new end, and no flood of new ones.

    Nobody had gone on from what was the last rung, so it has seats for all who come next.
    """

    def losses(number: int, epoch: int) -> float:
        return number * 37 % 101 + 1 / epoch + number / 1e5

    trials: list[Trial] = []
    for most, count in ((before, 300), (after, 400)):
        oracle = kind("random").within(1, most)
        trials, _ = ran(oracle, losses, count, trials=trials)
    best = sorted(trials[:300], key=lambda t: t.losses[0])[:3]
    assert [t.until for t in best] == [after] * 3
    for rung, epoch in enumerate(oracle.rungs[:-1]):
        came = [t for t in trials[300:] if oracle.rungs.index(t.until) - (t.rung or 0) <= rung]
        came = [t for t in came if t.until >= epoch]
        assert 0.3 < sum(t.until > epoch for t in came) / len(came) < 0.55
