"""What evolution that learns owes in spaces and after histories that nobody chose."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from histories import assert_in, histories, trial, walked
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from programs import compiled, programs
from strategies import huge_spaces, seeds, spaces, spaces_to_list

from tunedeco.conditions import Among
from tunedeco.domains import Choice, Domain, Fixed, Float, Range
from tunedeco.oracles import Done, Evolution, Start, breeding, forest, surrogate
from tunedeco.oracles.breeding import ranked
from tunedeco.oracles.encoding import encoding
from tunedeco.oracles.levels import SCALE, levelled
from tunedeco.oracles.variation import anywhere, mutated, spread_out
from tunedeco.space import Hyperparameter, Space
from tunedeco.tracing.exploring import explore
from tunedeco.trial import State, Trial, configuration_key

LEARNS = Evolution(initial=2, population=3)
few = settings(max_examples=25)


def program_space(source: str) -> Space:
    return explore(compiled(source))


@given(st.data(), st.one_of(spaces(), spaces_to_list(), huge_spaces), seeds)
@few
def test_every_proposal_lies_in_the_space(data: st.DataObject, space: Space, seed: int) -> None:
    """After any trials, whatever became of them, it answers with a configuration, or `Done`."""
    decision = LEARNS.next(space, data.draw(histories(space)), seed)
    assert isinstance(decision, Start | Done)
    if isinstance(decision, Start):
        assert_in(space, decision.values)


@given(st.data(), spaces_to_list(), seeds)
@few
def test_every_configuration_comes_once(data: st.DataObject, space: Space, seed: int) -> None:
    """It tries all of a space once, then is done; so also where all fail, or all are alike."""
    assert space.size is not None
    outcome = data.draw(
        st.sampled_from([(State.COMPLETED, 1.0), (State.FAILED, None), (State.RUNNING, None)])
    )
    trials: list[Trial] = []
    while isinstance(decision := LEARNS.next(space, trials, seed), Start) and len(trials) < 40:
        trials.append(trial(len(trials), decision.values, outcome))
    assert len({t.key for t in trials}) == len(trials) == min(space.size, 40)


@pytest.mark.slow
@given(programs())
@settings(max_examples=10)
def test_no_trial_is_spent_on_a_branch_that_is_not_there(source: str) -> None:
    """Of a function with branches it visits distinct configurations alone."""
    space = program_space(source)
    keys = walked(LEARNS, compiled(source), space, 25)
    assert len(set(keys)) == len(keys) == min(space.size or 26, 26)


@given(programs(), seeds)
def test_a_row_is_a_configuration(source: str, seed: int) -> None:
    """A row goes to its values and back unchanged, and lacks what they do not ask for."""
    shape = encoding(program_space(source))
    draw = np.random.default_rng(abs(seed))
    rows = np.concatenate([anywhere(shape, 9, draw), spread_out(shape, 5, draw)])
    rows = np.concatenate([rows, mutated(shape, rows, draw, share=1.0, steps=np.full(14, 0.2))])
    np.testing.assert_allclose(shape.rows([shape.values(row) for row in rows]), rows, rtol=1e-12)


@given(spaces_to_list(), seeds)
def test_mutants_differ(space: Space, seed: int) -> None:
    """A mutant is never its parent, where there is anything else; on a log scale hardly ever."""
    assume(all(h.domain.even for h in space))
    shape = encoding(space)
    draw = np.random.default_rng(abs(seed))
    parents = anywhere(shape, 8, draw)
    children = mutated(shape, parents, draw, share=0.0, steps=np.full(8, 0.1))
    for parent, child in zip(parents, children, strict=True):
        keys = [configuration_key(shape.values(row)) for row in (parent, child)]
        assert (keys[0] != keys[1]) == any(h.domain.size != 1 for h in space)


@given(st.data(), spaces_to_list(), st.sampled_from([0.125, 4.0, 1024.0]), seeds)
@few
def test_the_scale_of_the_objective_does_not_matter(
    data: st.DataObject, space: Space, factor: float, seed: int
) -> None:
    """Losses in other units lead to the same proposals."""
    trials = data.draw(histories(space))
    scaled = [
        Trial(
            t.number, t.values, t.until, t.state, loss=None if t.loss is None else t.loss * factor
        )
        for t in trials
    ]
    assert LEARNS.next(space, trials, seed) == LEARNS.next(space, scaled, seed)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(-50, 50).map(lambda n: n / 10)),
        min_size=1,
        max_size=12,
    )
)
def test_levels_keep_the_order_of_those_that_went_equally_far(ends: list[Any]) -> None:
    """Trials of the same length are compared by their losses; the longest keep their numbers."""
    trials = [
        Trial(
            i,
            {},
            until,
            State.COMPLETED,
            loss=loss,
            losses=tuple(loss + 0.5 * e for e in reversed(range(until))),
        )
        for i, (until, loss) in enumerate(ends)
    ]
    found = levelled(trials)[:, 0] / SCALE
    longest = max(until for until, _ in ends)
    for i, (until, loss) in enumerate(ends):
        if until == longest:
            assert found[i] == loss
        for j, (other, rival) in enumerate(ends):
            if other == until and loss < rival:
                assert found[i] <= found[j]


WIDE = Space(tuple(Hyperparameter("g", f"h{i}", Float(0, 1), 0.5) for i in range(100)))
VAST = Space(tuple(Hyperparameter("g", f"h{i}", Range(0, 999), 0) for i in range(10)))
ONE = Space((Hyperparameter("g", "only", Choice(("a",)), "a"),))


@pytest.mark.parametrize(("space", "count"), [(WIDE, 12), (VAST, 20), (ONE, 1), (Space(), 1)])
def test_spaces_of_all_sizes(space: Space, count: int) -> None:
    """A hundred hyperparameters, 10^30 configurations, one, or no hyperparameter at all."""
    trials: list[Trial] = []
    while len(trials) < count:
        decision = Evolution(2).next(space, trials, 0)
        assert isinstance(decision, Start)
        trials.append(trial(len(trials), decision.values, (State.COMPLETED, len(trials) % 3.0)))
    assert len({t.key for t in trials}) == count
    if space.size == 1:
        assert isinstance(Evolution(2).next(space, trials, 0), Done)


@pytest.mark.parametrize("size", [1e308, 1e-308, 5e-324, 0.0])
def test_losses_of_any_size(size: float) -> None:
    """The largest and the smallest numbers there are make no trouble, and no warning."""
    trials: list[Trial] = []
    for number in range(12):
        decision = Evolution(2).next(VAST, trials, 0)
        assert isinstance(decision, Start)
        loss = size * (-1) ** number
        trials.append(trial(number, decision.values, (State.COMPLETED, loss)))
    assert len({t.key for t in trials}) == 12


PLANE = Space(tuple(Hyperparameter("g", name, Float(0, 1), 0.5) for name in "xy"))


def searched(space: Space, loss: Callable[[Any], float], trials: list[Trial], count: int) -> float:
    """Try some more configurations; return the least loss of these."""
    for _ in range(count):
        decision = Evolution().next(space, trials, 0)
        assert isinstance(decision, Start)
        outcome = (State.COMPLETED, loss(decision.values["g"]))
        trials.append(trial(len(trials), decision.values, outcome))
    return min(t.loss for t in trials[-count:] if t.loss is not None)


def test_where_trials_explode() -> None:
    """Losses beyond all measure do not hide which of the others are better."""

    def loss(v: Any) -> float:
        return (v["x"] - 0.2) ** 2 + (v["y"] - 0.5) ** 2 if v["x"] < 0.4 else 1e12 * v["x"]

    assert searched(PLANE, loss, [], 30) < 0.001


@pytest.mark.parametrize("domain", [Float(1e-4, 1e-1, log=True), Range(16, 512, log=True)])
def test_what_is_best_at_the_ends_is_found_there(domain: Domain) -> None:
    """A best configuration in a corner of a space is tried itself, not only ones beside it."""
    space = Space(tuple(Hyperparameter("g", name, domain, domain.first) for name in "abcdef"))
    corner = (0.0, 1.0, 1.0, 0.0, 1.0, 0.0)

    def loss(v: Any) -> float:
        return sum(abs(a - b) for a, b in zip(space.encode({"g": v}), corner, strict=True))

    trials: list[Trial] = []
    assert searched(space, loss, trials, 30) == loss(space.decode(corner)["g"])


OPTIONS = ("a", "b", "c")


def layers(names: Iterable[str]) -> Space:
    return Space(
        tuple(Hyperparameter(f"g{name}", f"op{name}", Choice(OPTIONS), "a") for name in names)
    )


@pytest.mark.parametrize(("names", "told"), [("123", True), ("xyz", False)])
def test_what_works_in_one_layer_is_expected_of_another(names: str, told: bool) -> None:
    """Of layers, not of what has other names: where no trial had other than "c" in the last."""
    shape = encoding(layers(names))
    rows = np.array([[i, j, 2] for i in range(3) for j in range(3)]) / 3 + 1 / 6
    losses = (rows > 1 / 3).sum(axis=1).astype(float)  # "a" is better than the others
    model = surrogate.fitted(shape.points(rows), losses, shape.dimensions)
    (a, b), _ = model.believed(shape.points(np.array([[0.5, 0.5, 1 / 6], [0.5, 0.5, 0.5]])))
    assert a < b - 0.3 if told else a == pytest.approx(b)


@pytest.mark.parametrize("same", [True, False])
def test_how_layers_that_are_alike_are_believed(same: bool) -> None:
    """Better than by each alone where they are the same, and not much worse where they differ."""

    def losses(rows: Any) -> Any:
        options = (rows * 3).astype(int)
        if not same:  # what is best in one layer is worst in the next
            options[:, ::2] = 2 - options[:, ::2]
        return options.sum(axis=1).astype(float)

    def error(names: str) -> float:
        shape = encoding(layers(names))
        rows, others = np.split(anywhere(shape, 300, np.random.default_rng(0)), [15])
        model = surrogate.fitted(shape.points(rows), losses(rows), shape.dimensions)
        believed, _ = model.believed(shape.points(others))
        return float(np.abs(believed - losses(others)).mean())

    ratio = error("123456") / error("uvwxyz")
    assert ratio < 0.5 if same else ratio < 1.5


def test_who_is_alike() -> None:
    """Choices without an order among the same, whose names and groups differ in numbers alone."""
    act, pool, units = Choice(("relu", "tanh")), Choice(("max", "mean")), Range(8, 64, 8)
    alike = [("layer", "act", act), ("layer_2", "act", act), ("layer_10", "act", act)]
    more = [("net", "pool1", pool), ("net", "pool_2", pool)]
    others = [
        *(("layer_3", "act", pool), ("head", "act", act), ("layer_1", "gate", act)),
        *(("layer_1", "units", units), ("layer_2", "units", units)),
        *(("one_1", "only", Choice(("a",))), ("one_2", "only", Choice(("a",)))),
    ]
    space = Space(
        tuple(Hyperparameter(*key, domain, domain.first) for *key, domain in alike + others + more)
    )
    keys = [h.key for h in space]
    found = [[keys[i] for i in alike] for alike in encoding(space).alike]
    assert found == [[(g, n) for g, n, _ in some] for some in (alike, more)]


def test_a_layer_that_is_not_there() -> None:
    """It has none of the options, and what is searched are the layers that there are."""
    deep = ((Among("g", "layers", ((2, 3),)),),)
    space = Space(
        (
            Hyperparameter("g", "layers", Range(1, 3), 1),
            Hyperparameter("l1", "op", Choice(OPTIONS), "a"),
            Hyperparameter("l2", "op", Choice(OPTIONS), "a", when=deep),
        )
    )
    shape = encoding(space)
    first: dict[str, Any] = {"l1": {"op": "b"}}
    rows = shape.rows(
        [{"g": {"layers": 1}} | first, {"g": {"layers": 2}, "l2": {"op": "b"}} | first]
    )
    together = shape.points(rows)[:, -3:]
    assert together == pytest.approx(np.array([[0, 0.5, 0], [0, 1, 0]]))  # of the root of two
    trials: list[Trial] = []
    while isinstance(decision := LEARNS.next(space, trials, 0), Start):
        values: Any = decision.values
        assert ("l2" in values) == (values["g"]["layers"] > 1)
        trials.append(trial(len(trials), values, (State.COMPLETED, len(trials) % 3.0)))
    assert len({t.key for t in trials}) == len(trials) == 3 + 2 * 9


def test_values_that_are_held() -> None:
    """Trials with another value than the one that is held say nothing of what is searched."""
    held = Hyperparameter("g", "y", Fixed(0.25), 0.25)
    others = [
        trial(i, {"g": {"x": i / 20, "y": 0.9}}, (State.COMPLETED, (i / 20 - 0.95) ** 2))
        for i in range(20)
    ]
    space = Space((PLANE.hyperparameters[0], held))
    assert searched(space, lambda v: (v["x"] - 0.3) ** 2, others, 8) < 0.001


def test_a_condition_on_a_log_range_that_is_too_long_to_list() -> None:
    """What is asked for beyond some value of a range of millions is tried there, and only there."""
    units = Hyperparameter("g", "units", Range(1, 10**7, log=True), 1)
    large = ((Among("g", "units", ((1000, 10**7),)),),)
    act = Hyperparameter("g", "act", Choice(("a", "b")), "a", when=large)
    space = Space((units, act))
    trials: list[Trial] = []
    for _ in range(12):
        decision = LEARNS.next(space, trials, 0)
        assert isinstance(decision, Start)
        values: Any = decision.values
        group = values["g"]
        assert ("act" in group) == (group["units"] >= 1000)
        trials.append(trial(len(trials), values, (State.COMPLETED, float(group["units"] % 7))))
    assert len({"act" in t.values["g"] for t in trials}) == 2


def test_nobody_is_sent_to_an_end_without_a_model() -> None:
    """Where nothing has ended yet, more workers than first trials go anywhere, not to edges."""
    trials: list[Trial] = []
    for number in range(12):
        decision = LEARNS.next(PLANE, trials, 0)
        assert isinstance(decision, Start)
        assert 0 < min(PLANE.encode(decision.values)) <= max(PLANE.encode(decision.values)) < 1
        trials.append(trial(number, decision.values, (State.RUNNING, None)))


@pytest.mark.parametrize("known", [4, 20, 60])
def test_nobody_is_sent_to_where_another_is(known: int) -> None:
    """Of eight that run at once no two are at one place, though all would be promising."""
    trials = [
        trial(i, PLANE.decode((u, v)), (State.COMPLETED, (u - 0.3) ** 2 + (v - 0.6) ** 2))
        for i, (u, v) in enumerate(np.random.default_rng(0).random((known, 2)).tolist())
    ]
    for _ in range(8):
        decision = Evolution().next(PLANE, trials, 0)
        assert isinstance(decision, Start)
        trials.append(trial(len(trials), decision.values, (State.RUNNING, None)))
    points = np.array([PLANE.encode(t.values) for t in trials[known:]])
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.eye(8)
    assert apart.min() > 0.005


def test_a_lucky_loss_does_not_hold_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three proposals in a row one is to improve on what is believed, the others on the luck."""
    space = Space((Hyperparameter("g", "x", Float(0.0, 1.0), 0.5),))
    draw = np.random.RandomState(0)
    aims: list[float] = []

    def noted(believed: Any, best: float) -> Any:
        aims.append(best)
        return improvement(believed, best)

    improvement = surrogate.improvement
    monkeypatch.setattr(surrogate, "improvement", noted)
    places = draw.uniform(size=33).tolist()
    losses = [(x - 0.3) ** 2 + 0.1 * abs(draw.normal()) + 1.0 for x in places]
    losses[4] = 0.8
    trials = [
        trial(i, {"g": {"x": x}}, (State.COMPLETED, loss))
        for i, (x, loss) in enumerate(zip(places, losses, strict=True))
    ]
    lowest = []
    for count in (31, 32, 33):
        aims.clear()
        LEARNS.next(space, trials[:count], 0)
        lowest.append(aims[0] * max(losses[:count]) == pytest.approx(0.8))  # the surrogate's
    assert lowest == [True, True, False]


FIFTY = [
    trial(i, PLANE.decode((u, v)), (State.COMPLETED, (u - 0.3) ** 2 + (v - 0.6) ** 2))
    for i, (u, v) in enumerate(np.random.default_rng(0).random((50, 2)).tolist())
]


def test_after_many_trials_it_settles_where_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no improvement is expected any more, but the lowest is sought; not beside what runs."""
    monkeypatch.setattr(breeding, "JUMPS", 10**6)
    decision = Evolution().next(PLANE, FIFTY, 0)
    assert isinstance(decision, Start)
    assert PLANE.encode(decision.values) == pytest.approx((0.3, 0.6), abs=0.05)

    def refused(*_: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(surrogate, "improvement", refused)
    assert Evolution().next(PLANE, FIFTY, 0) == decision
    for others in (FIFTY[:49], [*FIFTY, trial(50, decision.values, (State.RUNNING, None))]):
        with pytest.raises(AssertionError):
            Evolution().next(PLANE, others, 0)
    held = Space((Hyperparameter("g", "x", Fixed(0.0), 0.0), tuple(PLANE)[1]))
    inside = trial(49, {"g": {"x": 0.0, "y": 0.5}}, (State.COMPLETED, 1.0))
    with pytest.raises(AssertionError):  # where few of the many tell of the space
        Evolution().next(held, [*FIFTY[:49], inside], 0)


def test_trees_have_a_say_when_it_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go on to expect improvements, once for each round of children, and it stays close."""
    calls: list[Any] = []
    improvement = surrogate.improvement
    monkeypatch.setattr(surrogate, "improvement", lambda *a: calls.append(a) or improvement(*a))
    decision = Evolution().next(PLANE, FIFTY, 0)
    assert isinstance(decision, Start)
    assert PLANE.encode(decision.values) == pytest.approx((0.3, 0.6), abs=0.1)
    assert len(calls) == breeding._ROUNDS + 1


def test_trees_have_a_say_once_there_are_trials_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """From sixteen that tell of the space, and of equal length, on, trees are asked as well."""
    trials = [
        trial(i, PLANE.decode((u, v)), (State.COMPLETED, (u - 0.3) ** 2 + (v - 0.6) ** 2))
        for i, (u, v) in enumerate(np.random.default_rng(0).random((16, 2)).tolist())
    ]
    running = trial(16, PLANE.decode((0.5, 0.5)), (State.RUNNING, None))
    seen: list[int] = []

    def noted(points: Any, losses: Any, draw: Any) -> Any:
        assert len(points) == len(losses)
        seen.append(len(points))
        return grown(points, losses, draw)

    grown = forest.grown
    monkeypatch.setattr(forest, "grown", noted)
    for history in (trials[:15], [*trials[:15], running], trials, [*trials, running]):
        Evolution().next(PLANE, history, 0)
    assert seen == [16, 17]  # what runs counts as it is believed to become
    Evolution().next(PLANE, [*trials, replace(running, state=State.FAILED)], 0)
    assert seen.pop() == 17
    inside = trial(16, {"g": {"x": 0.0, "y": 0.5}}, (State.COMPLETED, 1.0))
    further = replace(inside, values=running.values, until=5, losses=(1.0,) * 5)
    Evolution().next(PLANE, [*trials, further], 0)
    held = Space((Hyperparameter("g", "x", Fixed(0.0), 0.0), tuple(PLANE)[1]))
    Evolution().next(held, [*trials, inside], 0)
    assert seen == [16, 17]


@pytest.mark.parametrize("ordered", [0, 1, 2])
def test_trees_have_a_say_where_values_have_an_order(
    monkeypatch: pytest.MonkeyPatch, ordered: int
) -> None:
    """As much as there are hyperparameters with an order, beside the surrogate; without, none."""
    domains = [Choice(("a", "b", "c"))] * (3 - ordered) + [Choice((1, 2, 3))] * ordered
    space = Space(tuple(Hyperparameter("g", f"h{i}", d, d.first) for i, d in enumerate(domains)))
    draw = np.random.default_rng(0)
    trials = [
        trial(i, values, (State.COMPLETED, i % 5.0))
        for i, values in enumerate(map(encoding(space).values, anywhere(encoding(space), 20, draw)))
    ]
    heard: list[float] = []

    def noted(*args: Any) -> Any:
        heard.extend(say for say, _ in args[3])
        return children(*args)

    children = breeding._ordered
    monkeypatch.setattr(breeding, "_ordered", noted)
    Evolution().next(space, trials, 0)
    assert heard == ([1.0, ordered / 3] if ordered else [1.0])


@pytest.mark.parametrize(("say", "first"), [(0.4, 0), (0.6, 2)])
def test_who_has_less_of_a_say_can_be_outvoted(
    monkeypatch: pytest.MonkeyPatch, say: float, first: int
) -> None:
    """The one with the best places in all orders together is first, each as much as it counts."""
    monkeypatch.setattr(breeding, "_ROUNDS", 0)
    rows = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    promises = [
        (1.0, lambda _: np.array([3.0, 1.0, 2.0])),
        (say, lambda _: np.array([1.0, 2.0, 3.0])),
    ]
    found = breeding._ordered(
        *(encoding(PLANE), rows, rows[:0]), promises, np.random.default_rng(0)
    )
    assert found[0].tolist() == rows[first].tolist()


def test_where_the_best_has_been_surrounded_there_are_children_yet() -> None:
    """However much has been tried around the best, some child is new: none is taken at random."""
    square = Space(tuple(Hyperparameter("g", name, Range(0, 999), 0) for name in "xy"))
    around = [(x, y) for x in range(-12, 13) for y in range(-12, 13)]
    trials = [
        trial(i, {"g": {"x": 500 + x, "y": 500 + y}}, (State.COMPLETED, float(x * x + y * y)))
        for i, (x, y) in enumerate(around)
    ]
    known = {t.key for t in trials}
    for seed in range(5):
        keys = [configuration_key(values) for values in ranked(square, trials, 8, seed)]
        assert not known.issuperset(keys)
        assert len(set(keys)) == len(keys)


def test_with_two_objectives_it_fills_the_front() -> None:
    """Where the front is a line, most of its trials come to lie near it, and all along it."""
    trials: list[Trial] = []
    for number in range(40):
        decision = Evolution().next(PLANE, trials, 0)
        assert isinstance(decision, Start)
        x, y = PLANE.encode(decision.values)
        point = ((x - 0.2) ** 2 + (y - 0.5) ** 2, (x - 0.8) ** 2 + (y - 0.5) ** 2)
        trials.append(
            Trial(
                *(number, decision.values, 1, State.COMPLETED),
                loss=point[0],
                losses=(point[0],),
                points=(point,),
            )
        )
    late = np.array([PLANE.encode(t.values) for t in trials[20:]])
    assert np.median(np.abs(late[:, 1] - 0.5)) < 0.1  # at random it would be 0.25
    assert late[:, 0].min() < 0.35
    assert late[:, 0].max() > 0.65
