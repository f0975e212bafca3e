"""Claims about exploring, on programs of nested ifs and loops that nobody wrote."""

from histories import walked
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from programs import compiled, every_configuration, programs

from tunedeco.narrowing import pinned
from tunedeco.oracles import Aging, Grid, Oracle, Random
from tunedeco.space import Space
from tunedeco.tracing import defaults, from_values, run
from tunedeco.tracing.exploring import explore
from tunedeco.trial import configuration_key

_MOST = 150  # configurations of a program that an oracle is walked through


@given(programs())
@settings(max_examples=50)
def test_the_grid_visits_every_distinct_configuration_once(source: str) -> None:
    """Of a program known by brute force, the grid visits exactly the configurations there are."""
    function = compiled(source)
    true = sorted(map(configuration_key, every_configuration(function)))
    assume(len(true) <= _MOST)
    assert len(set(true)) == len(true)
    assert sorted(walked(Grid(), function, explore(function), len(true))) == true


@given(programs())
@settings(max_examples=50)
def test_the_space_lists_what_there_is(source: str) -> None:
    """The size of the space is the number of distinct configurations, and each index is one."""
    function = compiled(source)
    true = {configuration_key(values) for values in every_configuration(function)}
    assume(len(true) <= 2000)
    space = explore(function)
    assert space.size == len(true)
    assert {configuration_key(space.at(index)) for index in range(space.size)} == true


@given(programs(), st.sampled_from([Random(), Aging(4, 2)]))
@settings(max_examples=20)
def test_no_trial_is_spent_on_a_difference_that_is_not_there(source: str, oracle: Oracle) -> None:
    """Random search and evolution visit every configuration too, and none twice."""
    function = compiled(source)
    true = sorted(map(configuration_key, every_configuration(function)))
    assume(len(true) <= _MOST)
    assert sorted(walked(oracle, function, explore(function), len(true))) == true


@given(programs())
@settings(max_examples=20)
def test_what_a_space_foretells_is_asked(source: str) -> None:
    """With any configuration of the space, the program asks for exactly what is in it."""
    function = compiled(source)
    space = explore(function)
    assert space.size is not None
    for index in range(0, space.size, max(1, space.size // 20)):
        values = space.at(index)
        assert run(function, from_values(values, defaults))[1].values == values
        assert space.asked(space.assigned({})) == space.defaults


@given(programs(), st.integers(1, 12))
@settings(max_examples=30)
def test_a_bound_costs_foresight_and_nothing_else(source: str, limit: int) -> None:
    """Ended at the bound, exploring says so, and what it knows of is a part of the space."""
    function = compiled(source)
    calls = []

    def counted() -> None:
        calls.append(1)
        function()

    space = explore(counted, limit=limit)
    assert space.coverage is not None
    assert len(calls) == space.coverage.runs <= limit
    whole = explore(function)
    assert set(space.by_key) <= set(whole.by_key)
    if len(space) < len(whole):
        assert not space.coverage.complete


@given(programs())
@settings(max_examples=20)
def test_exploring_is_the_same_each_time(source: str) -> None:
    """Explored again, a program has the same space, with the same conditions."""
    assert explore(compiled(source)) == explore(compiled(source))


@given(programs())
@settings(max_examples=20)
def test_a_space_survives_json(source: str) -> None:
    """Conditions are the same after they have been to the journal and back."""
    space = explore(compiled(source))
    again = Space.from_json(space.to_json())
    assert again == space
    assert again.fingerprint == space.fingerprint


@given(programs(), st.data())
@settings(max_examples=30)
def test_pinned_is_what_agrees(source: str, data: st.DataObject) -> None:
    """A space with some values pinned lists exactly the configurations that have them, if asked."""
    space = explore(compiled(source))
    assert space.size is not None
    assume(space.size <= 500)
    chosen = data.draw(st.lists(st.sampled_from(list(space)), unique=True, max_size=3))
    values = {h.key: h.domain.at(data.draw(st.integers(0, h.domain.size - 1))) for h in chosen}
    narrowed = pinned(space, values)
    assert narrowed.size is not None
    agreeing = [
        configuration_key(configuration)
        for configuration in map(space.at, range(space.size))
        if all(
            configuration.get(group, {}).get(name, value) == value
            for (group, name), value in values.items()
        )
    ]
    assert [configuration_key(narrowed.at(i)) for i in range(narrowed.size)] == agreeing
