"""Means of numbers of any size, and what they are used for."""

import math
import sys
from pathlib import Path
from statistics import fmean

import pytest
from fakes import Curve, run_search

from tunedeco import Range
from tunedeco.means import mean, spread
from tunedeco.trial import State

MOST = sys.float_info.max


def huge_fn() -> Curve:
    """Ask for a size, and have losses that two of are too much to add."""
    return Curve(MOST, 1 - 1 / 1024, parameters=Range("units", 1, 100))


@pytest.mark.parametrize("number", [1, 2, 3, 7, 1000])
def test_a_mean_never_overflows(number: int) -> None:
    """It lies among the numbers however large they are, and is the usual one where they are not."""
    assert mean([MOST] * number) == MOST
    assert mean([-MOST] * number) == -MOST
    assert mean([MOST, MOST / 2] * number) == pytest.approx(MOST * 0.75)
    assert mean([MOST, MOST, -MOST] * number) == pytest.approx(MOST / 3)
    usual = [n / 7 for n in range(number)]
    assert mean(usual) == fmean(usual)


def test_what_is_not_finite_stays_so() -> None:
    """As sums of floats have it."""
    assert mean([math.inf, MOST, MOST]) == math.inf
    assert math.isnan(mean([math.inf, -math.inf]))
    assert math.isnan(mean([MOST, MOST, math.nan]))
    assert spread([MOST, -MOST]) is None
    assert spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("objective", ["val_loss", ["val_loss", "loss"]])
def test_executions_with_huge_losses_have_their_mean(
    tmp_path: Path, objective: str | list[str]
) -> None:
    """A search of them goes to its end, and its journal can be read."""
    state = run_search(tmp_path, huge_fn, objective=objective, executions=3, max_trials=4).state
    for trial in state.trials:
        assert trial.state is State.COMPLETED
        assert trial.score == trial.loss == trial.losses[-1] == trial.executions[0].score
        assert 0.9 * MOST < trial.epochs[0].logs["val_loss"] < MOST
