"""Importances of any trials in any space: shares, or a reason; and what changes nothing."""

import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from strategies import any_domain, small_domains, spaces

from tunedeco.importances import importances
from tunedeco.space import Space
from tunedeco.trial import Epoch, State, Trial


def trials_in(space: Space, curves: Sequence[Sequence[float]], seed: int) -> list[Trial]:
    draw = random.Random(seed)
    trials = []
    for number, losses in enumerate(curves):
        least = min((loss for loss in losses if not math.isnan(loss)), default=None)
        state = draw.choice(
            [State.COMPLETED] * 4 + [State.DIVERGED, State.RUNNING] if least is not None
            else [State.FAILED, State.REJECTED]
        )  # fmt: skip
        trials.append(
            Trial(
                *(number, space.decode([draw.random() for _ in space])),
                *(max(len(losses) + draw.randrange(2), 1), state),
                score=least,
                loss=least,
                losses=tuple(losses),
                epochs=tuple(Epoch(e, {"loss": loss}) for e, loss in enumerate(losses, 1)),
            )
        )
    return trials


losses = st.integers(0, 20).map(float) | st.floats(-1e6, 1e6)
curves = st.lists(st.lists(losses | st.just(math.nan), max_size=3), min_size=10, max_size=25)
seeds = st.integers(0, 2**30)


@given(spaces(any_domain, largest=6), curves, seeds)
def test_shares_or_a_reason(space: Space, curves: list[list[float]], seed: int) -> None:
    """Whatever is searched, and comes of it: shares that sum to 1, or why there are none."""
    found = importances(space, trials_in(space, curves, seed))
    assert str(found)
    if found.reason is not None:
        assert not found.hyperparameters
        assert not found.groups
        return
    assert set(found.hyperparameters) == {h.label for h in space}
    assert set(found.groups) == set(space.groups)
    for shares in (found.hyperparameters, found.groups):
        assert min(shares.values()) >= 0
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    for h in space:
        assert h.domain.size != 1 or found.hyperparameters[h.label] == 0


@given(spaces(small_domains, largest=6, least=1), curves, seeds, st.randoms(use_true_random=False))
def test_order_changes_nothing(
    space: Space, curves: list[list[float]], seed: int, draw: random.Random
) -> None:
    """In whatever order hyperparameters are declared and trials run, the shares are the same."""
    trials = trials_in(space, curves, seed)
    found = importances(space, trials)
    order = list(space)
    draw.shuffle(order)
    draw.shuffle(trials)
    assert importances(Space(tuple(order)), trials) == found


@given(
    spaces(small_domains, largest=4, least=1),
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=10, max_size=25),
    seeds,
    st.sampled_from([math.exp, lambda x: x**3 - 7, lambda x: -1 / (x + 1), lambda x: 5 * x]),
)
def test_only_the_order_of_losses_counts(
    space: Space, curves: list[list[int]], seed: int, rising: Callable[[float], float]
) -> None:
    """Any strictly rising function of the objective leaves the importances as they are."""
    one = trials_in(space, curves, seed)
    other = trials_in(space, [[rising(loss) for loss in curve] for curve in curves], seed)
    assert importances(space, one) == importances(space, other)
    assert [replace(t, losses=(), loss=None, score=None, epochs=()) for t in one] == [
        replace(t, losses=(), loss=None, score=None, epochs=()) for t in other
    ]
