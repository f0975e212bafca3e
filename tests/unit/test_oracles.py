"""How each oracle chooses, and what is refused before it is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import pytest

from tunedeco.domains import Choice, Domain, Fixed, Logarithmic, Range, Value
from tunedeco.errors import ConfigurationError
from tunedeco.oracles import Aging, Done, Grid, Oracle, Random, Start, describe, resolve
from tunedeco.space import Hyperparameter, Space, Values
from tunedeco.trial import State, Trial


def space(**named: Domain) -> Space:
    return Space(tuple(Hyperparameter("g", n, domain, domain.first) for n, domain in named.items()))


def trial(
    number: int, loss: float | None = None, state: State = State.COMPLETED, **values: Value
) -> Trial:
    return Trial(number, {"g": values}, 1, state=state, score=loss, loss=loss)


def proposed(oracle: Oracle, where: Space, trials: Sequence[Trial], seed: int) -> Values:
    decision = oracle.next(where, trials, seed)
    assert isinstance(decision, Start)
    return decision.values


def search(
    oracle: Oracle, where: Space, loss: Callable[[Values], float], count: int, seed: int
) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(count):
        values = proposed(oracle, where, trials, seed)
        trials.append(
            Trial(number, values, 1, state=State.COMPLETED, score=loss(values), loss=loss(values))
        )
    return trials


BOWL = space(x=Range(0, 99), y=Range(0, 99), rate=Logarithmic(1e-6, 1.0, 61))


def bowl(values: Values) -> float:
    names: Any = values["g"]
    return abs(names["x"] - 70) + abs(names["y"] - 20) + abs(BOWL.encode(values)[2] - 0.4) * 50


def test_evolution_finds_what_random_search_does_not() -> None:
    """On a smooth bowl of 610,000 configurations, evolution comes twice as near to the bottom."""
    medians = [
        median(min(t.loss or 0.0 for t in search(oracle, BOWL, bowl, 120, s)) for s in range(7))
        for oracle in (Random(), Aging())
    ]
    assert medians[1] < medians[0] / 2


def test_evolution_begins_as_random_search() -> None:
    """Until a population has ended, evolution proposes what random search proposes."""
    trials: list[Trial] = []
    for number in range(8):
        values = proposed(Aging(8, 3), BOWL, trials, 4)
        assert values == proposed(Random(), BOWL, trials, 4)
        trials.append(Trial(number, values, 1, state=State.COMPLETED, loss=float(number)))
    assert proposed(Aging(8, 3), BOWL, trials, 4) != proposed(Random(), BOWL, trials, 4)


LINE = space(x=Range(0, 1000), name=Choice(("a", "b", "c", "d")), fixed=Fixed(7))


def gap(values: Values, x: int) -> int:
    found = values["g"]["x"]
    assert isinstance(found, int)
    return abs(found - x)


def test_the_parent_is_the_best_of_its_tournament() -> None:
    """With a tournament of the whole population, children are near the one with the least loss."""
    trials = [trial(i, loss=float(i != 2), x=i * 250, name="a", fixed=7) for i in range(5)]
    children = [proposed(Aging(5, 5, 0.0), LINE, trials, seed) for seed in range(60)]
    assert sum(gap(child, 500) <= 250 for child in children) > 44


def test_the_old_leave_whatever_they_scored() -> None:
    """Only the latest trials, as many as the population, can be parents: age, and not the score."""
    old = [trial(i, loss=-9.0, x=i, name="a", fixed=7) for i in range(20)]
    young = [trial(20 + i, loss=9.0, x=1000 - i, name="a", fixed=7) for i in range(5)]
    children = [proposed(Aging(5, 5, 0.0), LINE, [*old, *young], seed) for seed in range(60)]
    assert sum(gap(child, 1000) < 500 for child in children) > 45


def test_what_is_running_is_no_parent() -> None:
    """Trials without an end neither fill the population nor compete in it."""
    running = [trial(i, loss=-9.0, state=State.RUNNING, x=i, name="a", fixed=7) for i in range(20)]
    assert proposed(Aging(3, 3), LINE, running, 0) == proposed(Random(), LINE, running, 0)
    ended = [trial(20 + i, loss=9.0, x=1000 - i, name="a", fixed=7) for i in range(3)]
    children = [proposed(Aging(3, 3, 0.0), LINE, [*ended, *running], s) for s in range(60)]
    assert sum(gap(child, 1000) < 500 for child in children) > 45


def test_what_went_wrong_competes_and_loses() -> None:
    """What failed, or diverged after a good start, is a parent only where nothing else is."""
    wrong = [(None, State.FAILED), (-9.0, State.DIVERGED)] * 2
    trials = [
        trial(i, loss=loss, state=state, x=i * 250, name="a", fixed=7)
        for i, (loss, state) in enumerate([(5.0, State.COMPLETED), *wrong])
    ]
    children = [proposed(Aging(5, 5, 0.0), LINE, trials, seed) for seed in range(60)]
    assert sum(gap(child, 0) < 500 for child in children) > 45


def test_of_several_objectives_the_front_is_ahead() -> None:
    """The least in the first objective is not the only parent: one front is as good as another."""
    places = {500: (0.0, 9.0), 0: (1.0, 9.5), 1000: (9.0, 0.0)}
    trials = [
        replace(trial(i, loss=p[0], x=x, name="a", fixed=7), points=(p,))
        for i, (x, p) in enumerate(places.items())
    ]
    children = [proposed(Aging(3, 2, 0.0), LINE, trials, seed) for seed in range(60)]
    assert sum(gap(c, 1000) < 200 for c in children) > 2 * sum(gap(c, 0) < 200 for c in children)


def test_what_had_another_value_of_what_is_held_is_no_parent() -> None:
    """Where a value is held, the better trials of another one are passed over, if any had it."""
    held = space(x=Range(0, 1000), name=Fixed("a"), fixed=Fixed(7))
    there = [trial(i, loss=-9.0, x=0, name="b", fixed=7) for i in range(5)]
    here = [trial(5 + i, loss=9.0, x=1000, name="a", fixed=7) for i in range(2)]

    def near(x: int, trials: list[Trial]) -> int:
        children = [proposed(Aging(5, 5, 0.0), held, trials, seed) for seed in range(60)]
        return sum(gap(child, x) < 500 for child in children)

    assert near(1000, [*here, *there]) > 45
    assert near(0, there) > 45


def test_a_child_has_the_values_of_its_parents_but_for_few() -> None:
    """Crossover takes each value from one of two parents; without it they are one parent's."""
    many = space(**{f"h{i}": Choice(tuple(range(9))) for i in range(12)})
    one, two = ({f"h{i}": value for i in range(12)} for value in (1, 7))
    trials = [trial(0, 1.0, **one), trial(1, 1.0, **two)]
    kept = {0.0: 0, 1.0: 0}
    for crossover in kept:
        for seed in range(40):
            values = proposed(Aging(2, 1, crossover), many, trials, seed)["g"].values()
            counts = [sum(value == v for value in values) for v in (1, 7)]
            assert sum(counts) >= 6  # a mutation or two, and rarely more
            kept[crossover] += min(counts) >= 2
    assert kept[1.0] > kept[0.0]


def test_a_mutation_of_what_is_ordered_is_a_step() -> None:
    """Where order has a meaning, near values are likelier than far ones, on the domain's scale."""
    scale = space(rate=Logarithmic(1e-8, 1.0, 81))
    middle = [trial(0, 1.0, rate=1e-4)]
    positions = [scale.encode(proposed(Aging(1, 1), scale, middle, seed))[0] for seed in range(200)]
    near = sum(abs(position - 0.5) < 0.2 for position in positions)
    below = sum(position < 0.5 for position in positions)
    assert 110 < near < 160  # one standard deviation
    assert 75 < below < 125  # as often down by a factor as up


@pytest.mark.parametrize(
    "arguments",
    [
        {"population": 0},
        {"population": 4},
        {"population": 4, "tournament": 0},
        {"crossover": -0.1},
        {"crossover": 1.1},
        {"crossover": float("nan")},
    ],
)
def test_evolution_checks_its_arguments(arguments: dict[str, Any]) -> None:
    """A tournament larger than the population, or a probability out of range, is refused."""
    with pytest.raises(ConfigurationError, match="evolution"):
        Aging(**arguments)


def test_oracles_have_names() -> None:
    """An oracle is chosen by name, or given as an instance, which is taken as it is."""
    assert resolve("grid", 1, 10) == Grid()
    assert resolve("random", 1, 10) == Random()
    assert resolve("aging", 1, 10) == Aging()
    own = Aging(4, 2)
    assert resolve(own, 1, 10) is own


@pytest.mark.parametrize(
    ("oracle", "says"),
    [
        (
            "bayes",
            "there is no oracle 'bayes'; choose from grid, random, aging, evolution, asha, ",
        ),
        (Aging, r"an object with a method next\(space, trials, seed\), not <class"),
        (None, r"next\(space, trials, seed\), not None"),
        (iter([]), r"next\(space, trials, seed\), not <list_iterator"),
    ],
)
def test_what_is_no_oracle_is_refused(oracle: Any, says: str) -> None:
    """An unknown name, a class instead of an instance, or anything without `next` is refused."""
    with pytest.raises(ConfigurationError, match=says):
        resolve(oracle, 1, 10)


@dataclass
class Settled:
    depth: int = 2
    names: tuple[str, ...] = ("a",)
    share: float = field(default=0.5)

    def next(self, space: Any, trials: Any, seed: int) -> Any: ...


class Plain:
    def __init__(self, depth: int) -> None:
        self.depth = depth

    def next(self, space: Any, trials: Any, seed: int) -> Any: ...


def test_an_oracle_is_described_by_its_settings() -> None:
    """What the journal compares is the class's name and its settings, whatever kind of class."""
    assert describe(Grid()) == {"name": "grid"}
    assert describe(Aging(4, 2)) == {
        "name": "aging",
        "population": 4,
        "tournament": 2,
        "crossover": 0.5,
    }
    assert describe(Settled()) == {"name": "settled", "depth": 2, "names": "('a',)", "share": 0.5}
    assert describe(Plain(3)) == {"name": "plain", "depth": 3}


@pytest.mark.parametrize("log", [False, True])
def test_random_search_draws_on_the_scale_of_the_domain(log: bool) -> None:
    """On a log scale half of the configurations lie below the root of the range's end."""
    where = space(units=Range(1, 1024, log=log))
    trials = search(Random(), where, lambda _: 0.0, 60, seed=0)
    values = [t.values["g"]["units"] for t in trials]
    assert len(set(values)) == 60
    below = sum(v < 32 for v in values)  # type: ignore[operator,misc]
    assert (15 <= below <= 31) if log else below <= 8


def test_random_search_on_a_log_scale_ends_when_all_is_tried() -> None:
    """Values with a small share are reached as well, and none comes twice."""
    where = space(units=Range(1, 200, log=True))
    trials = search(Random(), where, lambda _: 0.0, 200, seed=1)
    assert len({t.values["g"]["units"] for t in trials}) == 200
    assert Random().next(where, trials, 1) == Done()
