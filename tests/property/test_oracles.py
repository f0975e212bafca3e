"""What every oracle owes in any space, with any seed, after any trials."""

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from histories import assert_in, histories, outcomes, trial
from hypothesis import given
from hypothesis import strategies as st
from strategies import huge_spaces, seeds, small_domains, spaces, spaces_to_list

from tunedeco.domains import Choice, Float, Range, Value
from tunedeco.oracles import Aging, Done, Grid, Oracle, Random, Start
from tunedeco.randomness import permuted
from tunedeco.space import Hyperparameter, Space, Values, nested
from tunedeco.trial import State, Trial, configuration_key

EVOLUTIONS = [Aging(), Aging(1, 1), Aging(3, 2, crossover=1.0)]
ORACLES: list[Oracle] = [Random(), Grid(), *EVOLUTIONS]
any_oracle = st.sampled_from(ORACLES)


@given(st.data(), st.one_of(spaces(), spaces_to_list(), huge_spaces), any_oracle, seeds)
def test_every_proposal_lies_in_the_space(
    data: st.DataObject, space: Space, oracle: Oracle, seed: int
) -> None:
    """After any trials, an oracle answers with a configuration of the space, or `Done`."""
    if space.size is None and oracle == Grid():
        oracle = Random()
    decision = oracle.next(space, data.draw(histories(space)), seed)
    if isinstance(decision, Start):
        assert_in(space, decision.values)
    else:
        assert isinstance(decision, Done)


@given(st.data(), spaces_to_list(), st.sampled_from([*EVOLUTIONS, Random(), Grid()]), seeds)
def test_every_configuration_comes_once(
    data: st.DataObject, space: Space, oracle: Oracle, seed: int
) -> None:
    """Whatever was tried before, an oracle tries all the rest once, and then is done."""
    assert space.size is not None
    trials = data.draw(histories(space, most=12))
    tried = {t.key for t in trials}
    kinds = data.draw(st.lists(outcomes(), min_size=1, max_size=5))
    for outcome in itertools.cycle(kinds):
        decision = oracle.next(space, trials, seed)
        if isinstance(decision, Done):
            break
        key = configuration_key(decision.values)
        assert key not in tried
        tried.add(key)
        trials.append(trial(len(trials), decision.values, outcome))
    assert len(tried) == space.size


@given(spaces_to_list(), seeds)
def test_grid_walks_the_product_in_order(space: Space, seed: int) -> None:
    """Grid's trials are the Cartesian product; the hyperparameter asked for last turns fastest."""
    product = itertools.product(
        *([h.domain.at(i) for i in range(h.domain.size or 0)] for h in space)
    )
    expected = [nested(zip(space, values, strict=True)) for values in product]
    trials: list[Trial] = []
    while isinstance(decision := Grid().next(space, trials, seed), Start):
        trials.append(trial(len(trials), decision.values))
    assert json.dumps([t.values for t in trials]) == json.dumps(expected)


@pytest.mark.slow
@given(huge_spaces, st.sampled_from([Grid(), Random(), Aging(4, 2)]), seeds)
def test_a_space_too_large_to_list_is_walked_lazily(
    space: Space, oracle: Oracle, seed: int
) -> None:
    """In a space of more than 10^30 configurations the first fifty come at once, all different."""
    assert space.size is not None
    assert space.size >= 10**30
    trials: list[Trial] = []
    for number in range(50):
        decision = oracle.next(space, trials, seed)
        assert isinstance(decision, Start)
        trials.append(trial(number, decision.values, (State.COMPLETED, float(number % 7))))
    assert len({t.key for t in trials}) == 50
    if oracle == Grid():
        assert [t.values for t in trials] == [space.at(i) for i in range(50)]


@pytest.mark.slow
@given(spaces(), any_oracle, seeds, st.data())
def test_the_same_question_has_the_same_answer(
    space: Space, oracle: Oracle, seed: int, data: st.DataObject
) -> None:
    """Asked again, with equal records made anew, an oracle gives the same answer."""
    if space.size is None and oracle == Grid():
        oracle = Random()
    trials = data.draw(histories(space))
    again = [trial(t.number, json.loads(json.dumps(t.values)), (t.state, t.loss)) for t in trials]
    assert oracle.next(space, trials, seed) == oracle.next(
        Space.from_json(space.to_json()), tuple(again), seed
    )


@given(st.integers(1, 3000), st.integers(0, 2**64))
def test_permuted_is_a_bijection(size: int, seed: int) -> None:
    """The keyed permutation sends all indices to all indices."""
    assert sorted(permuted(i, size, seed) for i in range(size)) == list(range(size))


@given(st.integers(1, 2**1500), st.lists(st.integers(0, 2**1500), min_size=2), seeds)
def test_permuted_keeps_any_indices_apart(size: int, indices: Sequence[int], seed: int) -> None:
    """In a range of any size, different indices have different images within the range."""
    distinct = {index % size for index in indices}
    images = {permuted(index, size, seed) for index in distinct}
    assert len(images) == len(distinct)
    assert all(0 <= image < size for image in images)


def test_permuted_reaches_the_far_end_of_a_huge_range() -> None:
    """The first images in a range of 2^1500 lie all over it, not in its lower part."""
    size = 2**1500
    shares = sorted(permuted(i, size, 0) * 100 // size for i in range(400))
    assert shares[0] <= 5
    assert shares[-1] >= 95
    assert 35 < shares[200] < 65


Branches = list[tuple[Hyperparameter, int, Value]]
"""A hyperparameter, and the place and the value of the earlier one under which it is asked for."""


@st.composite
def programs(draw: st.DrawFn, most: int = 60) -> Branches:
    """Draw functions in which a hyperparameter may stand behind an ``if`` on an earlier one."""
    program: Branches = []
    for hyperparameter in draw(spaces(small_domains, largest=5, least=1)):
        # at place -1 there is nothing: asked for always
        place = draw(st.integers(-1, len(program) - 1))
        earlier = program[place][0].domain if place >= 0 else None
        value = earlier.decode(draw(st.floats(0, 1))) if earlier else None
        program.append((hyperparameter, place, value))
    while math.prod(h.domain.size or 1 for h, _, _ in program) > most:
        program.pop()
    return program


def asked(program: Branches, values: Values, new: Any = None) -> dict[Hyperparameter, Value]:
    """Run a program: return what it asks for, with the values given, or else a new one."""
    met: dict[Hyperparameter, Value] = {}
    for hyperparameter, place, value in program:
        other = program[place][0]
        if place >= 0 and (type(met.get(other, met)), met.get(other)) != (type(value), value):
            continue
        known = values.get(hyperparameter.group, {})
        met[hyperparameter] = (
            known[hyperparameter.name] if hyperparameter.name in known else new(hyperparameter)
        )
    return met


@given(programs(), st.sampled_from([Grid(), Random(), Aging(4, 2)]), seeds)
def test_behind_an_if_every_distinct_configuration_comes_once(
    program: Branches, oracle: Oracle, seed: int
) -> None:
    """Of a function with branches, what differs only where it does not look is tried once."""
    whole = Space(tuple(h for h, _, _ in program))
    assert whole.size is not None
    distinct = {
        configuration_key(nested(asked(program, whole.at(i)).items())) for i in range(whole.size)
    }
    space = Space(tuple(asked(program, {}, lambda h: h.default)))
    trials: list[Trial] = []
    while isinstance(decision := oracle.next(space, trials, seed), Start):
        met = asked(program, decision.values, lambda h: h.domain.decode(0.7))
        values = nested(met.items())
        assert configuration_key(values) not in {t.key for t in trials}
        trials.append(trial(len(trials), values, (State.COMPLETED, float(len(trials) % 5))))
        space = space.extended(h for h in met if h.key not in space.by_key)
    assert {t.key for t in trials} == distinct


@pytest.mark.slow
def test_a_space_that_is_huge_only_on_paper_is_exhausted_at_once() -> None:
    """Ten branches of their own hyperparameters are a hundred trials, and not 10^11."""
    which = Hyperparameter("net", "kind", Choice(tuple("abcdefghij")), "a")
    program: Branches = [(which, -1, None)]
    program += [(Hyperparameter(kind, "size", Range(1, 10), 1), 0, kind) for kind in "abcdefghij"]
    space = Space(tuple(h for h, _, _ in program))
    for oracle in (Grid(), Random(), Aging(10, 3)):
        trials: list[Trial] = []
        while isinstance(decision := oracle.next(space, trials, 0), Start):
            values = nested(asked(program, decision.values).items())
            trials.append(trial(len(trials), values))
            assert len(trials) <= 100
        assert len(trials) == len({t.key for t in trials}) == 100


@pytest.mark.parametrize("oracle", [Random(), Aging(4, 2)])
def test_a_float_behind_an_if_is_no_excuse_to_repeat(oracle: Oracle) -> None:
    """Where only one branch is continuous, the others are tried once, and that one for ever."""
    which = Hyperparameter("a", "optimizer", Choice(("adam", "lion", "sgd")), "adam")
    momentum = Hyperparameter("a", "momentum", Float(0, 1), 0.0)
    program: Branches = [(which, -1, None), (momentum, 0, "sgd")]
    space = Space((which, momentum))
    trials: list[Trial] = []
    for number in range(30):
        decision = oracle.next(space, trials, 1)
        assert isinstance(decision, Start)
        trials.append(trial(number, nested(asked(program, decision.values).items())))
    assert len({t.key for t in trials}) == 30
