"""Every space answers by index and by name, and is told apart from every other."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import any_domain, finite_domains, huge_spaces, hyperparameters, names, spaces

from tunedeco.conditions import Among
from tunedeco.domains import Boolean, Choice, Range
from tunedeco.errors import HyperparameterError
from tunedeco.oracles.encoding import encoding
from tunedeco.space import Hyperparameter, Space, Values
from tunedeco.trial import configuration_key

finite_spaces = spaces(finite_domains) | huge_spaces


def one(group: str, name: str, *values: object) -> Space:
    """Return a space of one choice."""
    domain = Choice(values)  # type: ignore[arg-type]
    return Space((Hyperparameter(group, name, domain, domain.first),))


@given(finite_spaces, st.lists(st.integers(0), min_size=2, max_size=5))
def test_different_indices_are_different_configurations(space: Space, indices: list[int]) -> None:
    """`at` gives each index from 0 to size - 1 a configuration of its own."""
    assert space.size is not None
    distinct = {index % space.size for index in indices}
    keys = {configuration_key(space.at(index)) for index in distinct}
    assert len(keys) == len(distinct)


@given(spaces(), st.data())
def test_a_configuration_survives_json(space: Space, data: st.DataObject) -> None:
    """A configuration read back from JSON completes to the very same one, types included."""
    values = space.decode(data.draw(st.tuples(*[st.floats(0, 1)] * len(space))))
    text = json.dumps(values)
    assert json.dumps(space.complete(json.loads(text))) == text
    assert json.dumps(space.checked(json.loads(text))) == text


@given(spaces(finite_domains), st.data())
def test_the_unit_cube_gives_configurations_back(space: Space, data: st.DataObject) -> None:
    """A configuration of a finite space comes back from the unit cube exactly."""
    values = space.decode(data.draw(st.tuples(*[st.floats(0, 1)] * len(space))))
    assert json.dumps(space.decode(space.encode(values))) == json.dumps(values)


def test_an_equal_value_lies_where_the_domains_own_does() -> None:
    """8.0 lies where 8 does; what equals no value of the domain is an error that says so."""
    space = Space((Hyperparameter("g", "units", Range(1, 16), 1),))
    assert space.encode({"g": {"units": 8.0}}) == space.encode({"g": {"units": 8}})
    with pytest.raises(HyperparameterError, match=r"17 is not in 1 to 16"):
        space.encode({"g": {"units": 17}})


def test_conditions_on_1_and_on_true_are_different() -> None:
    """Python calls these values equal; spaces that differ in them are told apart."""
    choice = Hyperparameter("g", "a", Choice((1, True, 1.0, False)), 1)
    spaces = [
        Space((choice, Hyperparameter("g", "b", Range(1, 4), 1, when=((among,),))))
        for among in (Among("g", "a", ((value, value),)) for value in (1, True, 1.0))
    ]
    assert len(set(spaces)) == 3
    assert len({encoding(space).conditions for space in spaces}) == 3  # it remembers spaces
    for space in spaces:
        again = Space.from_json(json.loads(json.dumps(space.to_json())))
        assert again == space
        assert hash(again) == hash(space)


@given(spaces(), st.data())
def test_what_is_not_given_is_the_default(space: Space, data: st.DataObject) -> None:
    """`complete` fills in defaults, and `checked` does not, whichever part is given."""
    values = space.decode(data.draw(st.tuples(*[st.floats(0, 1)] * len(space))))
    given_ = set(data.draw(st.lists(st.sampled_from(list(space.by_key) or [("", "")]))))
    part = {
        group: {name: value for name, value in members.items() if (group, name) in given_}
        for group, members in values.items()
    }
    completed, checked = space.complete(part), space.checked(part)
    for group, name in space.by_key:
        if (group, name) in given_:
            assert completed[group][name] == checked[group][name] == values[group][name]
        else:
            assert completed[group][name] == space.defaults[group][name]
            assert name not in checked.get(group, {})


@given(spaces(), names, names)
def test_what_is_not_there_is_refused(space: Space, group: str, name: str) -> None:
    """A name that the space does not have is an error, with its group or without."""
    if (group, name) not in space.by_key:
        with pytest.raises(HyperparameterError):
            space.complete({group: {name: 1}})
    known = [h for h in space if h.name == name]
    if len(known) != 1:
        with pytest.raises(HyperparameterError):
            space.complete({name: 1})


@given(spaces())
def test_a_space_survives_json(space: Space) -> None:
    """A space described as JSON comes back equal, with the same fingerprint, and prints."""
    back = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert back == space
    assert back.fingerprint == space.fingerprint
    for hyperparameter in space:
        assert hyperparameter.name in str(space)


@given(spaces(largest=2), spaces(largest=2))
@example(one("a", "b", 1), one("a", "b", 1.0))
@example(one("a", "b", 0, 1), one("a", "b", False, True))
@example(one("a", "b", "1"), one("a", "b", 1))
@example(one("a", "bc", 1), one("ab", "c", 1))
@example(one("a", "b", 1, 2), one("a", "b", 2, 1))
def test_different_spaces_have_different_fingerprints(space: Space, other: Space) -> None:
    """Two spaces share a fingerprint, and are equal, only when every part of them is the same."""
    same = json.dumps(space.to_json()) == json.dumps(other.to_json())
    assert (space.fingerprint == other.fingerprint) == same
    assert (space == other) == same


@given(spaces(any_domain, least=2))
def test_order_is_part_of_a_space(space: Space) -> None:
    """The same hyperparameters in another order are another space: a grid walks it differently."""
    turned = Space(tuple(reversed(space.hyperparameters)))
    assert turned != space
    assert turned.fingerprint != space.fingerprint


@given(hyperparameters(), hyperparameters())
def test_each_part_of_a_hyperparameter_makes_it_another(
    one: Hyperparameter, two: Hyperparameter
) -> None:
    """With the group, the name or the domain of another one, a hyperparameter is not the same."""
    domain, default = one.domain, one.default
    assert (Hyperparameter(two.group, one.name, domain, default) == one) == (two.group == one.group)
    assert (Hyperparameter(one.group, two.name, domain, default) == one) == (two.name == one.name)
    if two.domain != domain:
        assert Hyperparameter(*one.key, two.domain, two.default) != one


def _walk(values: Values) -> list[tuple[str, str]]:
    return [(group, name) for group, members in values.items() for name in members]


@given(spaces())
def test_configurations_follow_the_order_of_the_space(space: Space) -> None:
    """Groups stand in the order first met, names in the order met within their group."""
    assert list(space.defaults) == list(space.groups)
    assert _walk(space.defaults) == [h.key for members in space.groups.values() for h in members]


def test_flat_names_are_enough_where_they_are_unique() -> None:
    """`complete` takes flat names, nested ones and both; an ambiguous one shows its groups."""
    space = Space(
        (
            Hyperparameter("a", "x", Boolean(), False),
            Hyperparameter("b", "x", Boolean(), False),
            Hyperparameter("b", "y", Boolean(), False),
        )
    )
    assert space.complete({"y": True, "a": {"x": True}}) == {
        "a": {"x": True},
        "b": {"x": False, "y": True},
    }
    with pytest.raises(HyperparameterError, match="'x' stands in several groups: a/x, b/x; write"):
        space.complete({"x": True})
    with pytest.raises(HyperparameterError, match="no hyperparameter 'z'; the space has: a/x, b/x"):
        space.complete({"z": True})
    with pytest.raises(HyperparameterError, match="no hyperparameter 'a/y'"):
        space.complete({"a": {"y": True}})
    with pytest.raises(HyperparameterError, match="b/y: 1 is not in False, True"):
        space.complete({"y": 1})
