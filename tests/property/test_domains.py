"""Every domain, whatever it was declared with, keeps its values through index, unit and JSON."""

import json
import math

from hypothesis import example, given
from hypothesis import strategies as st
from strategies import any_domain, continuous_domains, finite_domains, rising_domains

from tunedeco.domains import Choice, Domain, Fixed, Float, Range, domain_from_json

numbers = st.floats(-1e9, 1e9) | st.integers() | st.sampled_from([10**400, -(10**400)])
indices = st.floats(0, 1, exclude_max=True)


def _at(domain: Domain, share: float) -> int:
    assert domain.size is not None
    return min(int(domain.size * share), domain.size - 1)


@given(finite_domains, indices)
def test_index_finds_what_at_gave(domain: Domain, share: float) -> None:
    """`index` is the inverse of `at`, at every index of every finite domain."""
    index = _at(domain, share)
    assert domain.index(domain.at(index)) == index


@given(finite_domains, indices)
def test_encode_and_decode_return_the_very_value(domain: Domain, share: float) -> None:
    """A discrete value comes back from the unit interval exactly, with its type."""
    value = domain.at(_at(domain, share))
    position = domain.encode(value)
    assert domain.size is not None
    if domain.even:
        assert math.isclose(position * domain.size % 1, 0.5, abs_tol=0.2)  # the middle of its share
    back = domain.decode(position)
    assert (type(back), back) == (type(value), value)


@given(continuous_domains, st.floats(0, 1))
def test_a_continuous_value_comes_back_almost(domain: Domain, position: float) -> None:
    """A float comes back from the unit interval to within 1e-9 of its width, or a few ulps."""
    assert isinstance(domain, Float)
    value = domain.decode(position)
    back = domain.decode(domain.encode(value))
    if domain.log:
        assert math.isclose(back, value, rel_tol=1e-9, abs_tol=5e-324)
    else:
        assert abs(back - value) <= 1e-9 * (domain.high - domain.low) + 4 * math.ulp(value)


@given(any_domain, st.floats(0, 1))
def test_the_nearest_to_a_value_of_the_domain_is_itself(domain: Domain, position: float) -> None:
    """What is allowed is not moved."""
    value = domain.decode(position)
    near = domain.nearest(value)
    assert (type(near), near) == (type(value), value)


@given(rising_domains | continuous_domains, numbers, st.floats(0, 1))
def test_no_value_is_nearer_than_the_nearest(
    domain: Domain, number: float, position: float
) -> None:
    """Any number has a nearest value in a domain of numbers, and none of them lies between."""
    near, other = domain.nearest(number), domain.decode(position)
    assert domain.contains(near)
    assert isinstance(near, (int, float))
    assert isinstance(other, (int, float))
    assert not near < other <= number
    assert not number <= other < near


@given(st.integers(1, 50), st.integers(1, 40), st.integers(1, 30), numbers)
@example(1, 100, 10, 30)
@example(1, 100, 10, 10)
@example(2, 6, 1, 4)
def test_on_a_log_scale_nearest_is_by_ratio(
    start: int, step: int, steps: int, number: float
) -> None:
    """Of 1 and 101 the latter is nearest to 30; of two as near, as 2 and 8 are to 4, the lesser."""
    domain = Range(start, start + step * steps, step, log=True)
    near = domain.nearest(number)
    assert isinstance(near, int)
    inside = min(max(number, start), start + step * steps)
    ratios = {own: max(own / inside, inside / own) for own in map(domain.at, range(steps + 1))}
    assert ratios[near] == min(ratios.values())
    assert near == min(own for own, ratio in ratios.items() if ratio == ratios[near])


@given(any_domain, st.floats(0, 1))
def test_every_position_decodes_to_a_value_of_the_domain(domain: Domain, position: float) -> None:
    """Whatever an oracle does in the unit interval, what comes out is in the domain."""
    value = domain.decode(position)
    assert domain.contains(value)
    own = domain.canonical(value)
    assert (type(own), own) == (type(value), value)


@given(any_domain, st.floats(0, 1))
@example(Choice((1, 1.0, True)), 0.5)
@example(Fixed(0.0), 0.0)
def test_a_value_survives_json(domain: Domain, position: float) -> None:
    """A value written as JSON and read again is the domain's own value, type included."""
    value = domain.decode(position)
    own = domain.canonical(json.loads(json.dumps(value)))
    assert (type(own), own) == (type(value), value)


@given(rising_domains, indices)
def test_neighbours_rise(domain: Domain, share: float) -> None:
    """The values of ranges and buckets rise strictly: no two of them are the same."""
    assert domain.size is not None
    index = min(_at(domain, share), domain.size - 2)
    assert domain.at(index) < domain.at(index + 1)  # type: ignore[operator]


@given(rising_domains)
def test_the_ends_are_what_was_declared(domain: Domain) -> None:
    """The first and the last value are the very ends, unless no step of a range lands on its."""
    assert domain.size is not None
    assert domain.at(0) == domain.start  # type: ignore[attr-defined]
    last = domain.at(domain.size - 1)
    if isinstance(domain, Range):
        assert 0 <= domain.stop - last < domain.step  # type: ignore[operator]
    else:
        assert last == domain.stop  # type: ignore[attr-defined]


@given(any_domain)
def test_a_domain_survives_json(domain: Domain) -> None:
    """A domain described as JSON comes back equal, and described the same."""
    text = json.dumps(domain.to_json())
    back = domain_from_json(json.loads(text))
    assert back == domain
    assert json.dumps(back.to_json()) == text


@given(any_domain, any_domain)
@example(Choice((1, 2)), Choice((1.0, 2.0)))
@example(Fixed(1), Fixed(True))
@example(Fixed(0), Fixed(False))
@example(Range(1, 5, 2), Range(1, 6, 2))
def test_domains_are_equal_only_when_their_descriptions_are(one: Domain, two: Domain) -> None:
    """Two domains are equal exactly when their JSON is: `1`, `1.0` and `True` are not the same."""
    assert (one == two) == (json.dumps(one.to_json()) == json.dumps(two.to_json()))


@given(any_domain)
def test_the_first_value_is_at_zero(domain: Domain) -> None:
    """The default where none is given lies at the beginning of the domain."""
    if domain.size is not None:
        assert domain.at(0) == domain.first
    assert domain.contains(domain.first)
    assert str(domain)
