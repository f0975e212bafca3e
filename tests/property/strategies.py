"""Anything that can be declared: values, domains, hyperparameters, spaces, for Hypothesis."""

import math
from collections.abc import Callable
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from tunedeco import domains
from tunedeco.domains import Domain, Value
from tunedeco.errors import HyperparameterError
from tunedeco.space import Hyperparameter, Space

reals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 10),
    st.integers(-100, 100).map(lambda n: n / 10),
)
values: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-3, 3), reals, st.text(max_size=8)
)
seeds = st.integers(-(2**70), 2**70)


def _same(value: Value) -> tuple[type, Value]:
    return type(value), value


@st.composite
def _between(
    draw: st.DrawFn,
    kind: Callable[..., Domain],
    ends: st.SearchStrategy[float],
    *rest: st.SearchStrategy[Any],
) -> Domain:
    low = draw(ends)
    near = st.integers(1, 2**20).map(lambda number: low + number * math.ulp(low))
    low, high = sorted((low, draw(ends | near)))
    try:
        return kind(low, high, *map(draw, rest))
    except HyperparameterError:  # which arguments are wrong is what the unit tests say
        reject()


@st.composite
def _ranges(draw: st.DrawFn) -> Domain:
    start = draw(st.integers(-100, 100) | st.integers())
    step = draw(st.integers(1, 10) | st.integers(1, 2**40))
    more = draw(st.integers(1, 20) | st.integers(1, 10**9))
    over = draw(st.integers(0, step - 1))
    return domains.Range(start, start + more * step + over, step)


@st.composite
def _log_ranges(draw: st.DrawFn) -> Domain:
    start = draw(st.integers(1, 100) | st.integers(1, 2**39))
    step = draw(st.integers(1, 10) | st.integers(1, 2**38))
    more = draw(st.integers(1, 20) | st.integers(1, 10**9))
    try:
        return domains.Range(start, min(start + more * step, 2**40), step, log=True)
    except HyperparameterError:  # the end is nearer than a step
        reject()


positive = st.one_of(
    st.floats(0, exclude_min=True, allow_infinity=False),
    st.integers(-12, 12).map(lambda n: 10.0**n),
)
buckets = st.integers(2, 12) | st.integers(2, 10**9)
rising_domains: st.SearchStrategy[Domain] = st.one_of(
    _ranges(),
    _log_ranges(),
    _between(domains.Linear, reals, buckets),
    _between(domains.Logarithmic, positive, buckets),
)
finite_domains: st.SearchStrategy[Domain] = st.one_of(
    st.lists(values, min_size=1, max_size=6, unique_by=_same).map(domains.Choice),
    st.lists(reals, min_size=1, max_size=6, unique_by=_same).map(sorted).map(domains.Choice),
    rising_domains,
    st.just(domains.Boolean()),
    values.map(domains.Fixed),
)
continuous_domains: st.SearchStrategy[Domain] = st.one_of(
    _between(domains.Float, reals), _between(domains.Float, positive, st.just(True))
)
any_domain = finite_domains | continuous_domains
small_domains: st.SearchStrategy[Domain] = st.one_of(
    st.lists(values, min_size=1, max_size=4, unique_by=_same).map(domains.Choice),
    st.integers(1, 4).map(lambda stop: domains.Range(1, stop)),
    st.integers(2, 4).map(lambda stop: domains.Range(1, stop, log=True)),
    st.integers(2, 4).map(lambda number: domains.Linear(0, 0.3, number)),
    st.integers(2, 4).map(lambda number: domains.Logarithmic(1e-4, 1e-1, number)),
    st.just(domains.Boolean()),
    values.map(domains.Fixed),
)
names = st.sampled_from(["a", "b", "units"]) | st.text(min_size=1, max_size=6).filter(str.strip)


@st.composite
def hyperparameters(draw: st.DrawFn, of: st.SearchStrategy[Domain] = any_domain) -> Hyperparameter:
    """Draw a hyperparameter; its default is any value of its domain."""
    domain = draw(of)
    default = domain.decode(draw(st.floats(0, 1)))
    return Hyperparameter(draw(names), draw(names), domain, default)


def spaces(
    of: st.SearchStrategy[Domain] = any_domain, *, largest: int = 8, least: int = 0
) -> st.SearchStrategy[Space]:
    """Draw spaces of so many hyperparameters over such domains."""
    members = st.lists(
        hyperparameters(of), min_size=least, max_size=largest, unique_by=lambda h: h.label
    )
    return members.map(tuple).map(Space)


@st.composite
def spaces_to_list(draw: st.DrawFn, most: int = 60) -> Space:
    """Draw finite spaces that are small enough to be walked whole."""
    kept: list[Hyperparameter] = []
    for hyperparameter in draw(spaces(small_domains, largest=5)):
        size = hyperparameter.domain.size or 1
        if math.prod(h.domain.size or 1 for h in kept) * size <= most:
            kept.append(hyperparameter)
    return Space(tuple(kept))


huge_spaces = st.integers(30, 60).map(
    lambda number: Space(
        tuple(
            Hyperparameter("huge", f"h{i}", domains.Linear(0, 1, 10 + i), 0.0)
            for i in range(number)
        )
    )
)
