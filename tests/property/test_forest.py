"""What trees believe of losses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedeco.oracles.forest import grown

sizes = st.tuples(
    st.integers(1, 40), st.one_of(st.integers(1, 6), st.integers(60, 99)), st.integers(0, 2**32 - 1)
)


@given(sizes)
@settings(max_examples=50)
def test_nothing_is_believed_that_is_beyond_what_was_seen(size: tuple[int, int, int]) -> None:
    """A belief lies between the least and the largest loss; a doubt is above zero, and no wider."""
    count, columns, seed = size
    draw = np.random.default_rng(seed)
    points, losses = draw.random((count, columns)).round(1), draw.normal(size=count)
    mean, doubt = grown(points, losses, draw).believed(draw.random((20, columns)) * 3 - 1)
    assert (losses.min() - 1e-9 <= mean).all()
    assert (mean <= losses.max() + 1e-9).all()
    assert (doubt > 0).all()
    assert (doubt <= max(float(np.ptp(losses)), 1e-9)).all()


@given(sizes, st.sampled_from([0.0, 1.0, -1e-300]))
@settings(max_examples=20)
def test_where_all_losses_are_alike_nothing_is_in_doubt(
    size: tuple[int, int, int], loss: float
) -> None:
    """Of losses that are all the same every place is believed to have that one."""
    count, columns, seed = size
    draw = np.random.default_rng(seed)
    forest = grown(draw.random((count, columns)), np.full(count, loss), draw)
    mean, doubt = forest.believed(draw.random((9, columns)))
    assert mean == pytest.approx(np.full(9, loss))
    assert doubt == pytest.approx(np.full(9, 1e-9))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_jump_is_found(seed: int) -> None:
    """Of three columns, one of which decides by a jump, both sides are believed to be far apart."""
    draw = np.random.default_rng(seed)
    points = draw.random((60, 3))
    forest = grown(points, np.where(points[:, 1] < 0.5, 0.0, 1.0), draw)
    places = draw.random((100, 3))
    places[:, 1] = np.where(places[:, 1] < 0.5, places[:, 1] * 0.7, 0.65 + places[:, 1] * 0.35)
    mean, _ = forest.believed(places)
    low = places[:, 1] < 0.5
    assert mean[low].max() < 0.5 < mean[~low].min()


def test_what_was_not_seen_is_in_more_doubt() -> None:
    """Between two losses that differ trees differ most."""
    draw = np.random.default_rng(0)
    points = np.concatenate([np.linspace(0, 0.4, 20), np.linspace(0.8, 1, 20)])[:, None]
    losses = np.repeat([0.0, 1.0], 20)
    _, doubt = grown(points, losses, draw).believed(np.array([[0.2], [0.6], [0.9]]))
    assert doubt[1] > 2 * max(doubt[0], doubt[2])
