"""Fronts and ranks of any points, and searches for two things at once."""

import math
import os
import sys
import tempfile
import tracemalloc
from itertools import pairwise
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from fakes import records, run_search, uneven_fn

from tunedeco.journal.journal import FILE_NAME
from tunedeco.oracles import ASHA, Random, SuccessiveHalving
from tunedeco.pareto import BEHIND, Point, beaten, crowding, fronts, ranks

losses = st.integers(-3, 3).map(float) | st.floats(allow_nan=False, allow_infinity=False)
clouds = st.integers(1, 4).flatmap(
    lambda number: st.lists(st.tuples(*[losses] * number) | st.just(()), max_size=25)
)


def dominated(point: Point, points: list[Point]) -> bool:
    """Return whether some other point is nowhere worse and somewhere better."""
    return any(
        all(a <= b for a, b in zip(p, point, strict=True))
        and any(a < b for a, b in zip(p, point, strict=True))
        for p in points
        if p
    )


@given(clouds)
def test_a_front_is_what_nothing_left_dominates(points: list[Point]) -> None:
    """Each front is, by brute force, exactly what is not dominated without those before it."""
    left = {i for i, point in enumerate(points) if point}
    for front in fronts(points):
        rest = [points[i] for i in left]
        assert set(front) == {i for i in left if not dominated(points[i], rest)}
        assert front == sorted(front, key=lambda i: (points[i], i))
        left -= set(front)
    assert not left


@given(clouds, st.integers(1, 5))
def test_who_is_beaten_has_so_many_better_ones_after_it(points: list[Point], enough: int) -> None:
    """Counted one by one; what has no losses is beaten by whatever has some."""
    for i, (point, lost) in enumerate(zip(points, beaten(points, enough), strict=True)):
        later = [p for p in points[i + 1 :] if p]
        assert lost == (sum(not point or dominated(point, [p]) for p in later) >= enough)


@given(clouds, st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_the_order(points: list[Point], random: st.DataObject) -> None:
    """Shuffled, the same points have the same ranks."""
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(ranks(points)) == sorted(ranks(shuffled))


@given(clouds.map(lambda cloud: [tuple(map(round, point)) for point in cloud]))
def test_fronts_are_the_same_on_any_scale(points: list[tuple[int, ...]]) -> None:
    """What changes each loss without changing which is less changes no front."""
    order = sorted({loss for point in points for loss in point})
    place = {loss: i for i, loss in enumerate(order)}
    scales = [lambda i: i, lambda i: 2**i, lambda i: i**3 - 7, math.atan]
    moved = [tuple(scales[n](place[loss]) for n, loss in enumerate(p)) for p in points]
    assert list(fronts(moved)) == list(fronts(points))


@given(clouds)
def test_the_best_of_each_loss_come_first_in_a_front(points: list[Point]) -> None:
    """The ends of each loss are infinitely far, nothing is NaN, and what has no losses is last."""
    found = ranks(points)
    for front in fronts(points):
        distances = crowding([points[i] for i in front])
        assert not any(map(math.isnan, distances))
        for place in range(len(points[front[0]])):
            values = [points[i][place] for i in front]
            ends = {d for v, d in zip(values, distances, strict=True) if v == min(values)}
            assert math.inf in ends or min(values) == max(values)
        assert [found[i][:2] for i in front] == [(found[front[0]][0], -d) for d in distances]
    assert all((rank == BEHIND) == (not point) for rank, point in zip(found, points, strict=True))


@given(clouds, st.integers(1, 30))
def test_the_best_are_the_same_however_many_are_asked_for(points: list[Point], enough: int) -> None:
    """Where only so many are needed, these are ranked as among all."""
    few, full = (
        sorted(range(len(points)), key=found.__getitem__)[:enough]
        for found in (ranks(points, enough), ranks(points))
    )
    assert few == full


def test_many_points_take_little_memory() -> None:
    """Points are not compared in a table of each with each: 3,000 would take 9 MB of it."""
    points = [((i * 617 % 3000) / 7, (i * 1999 % 3000) / 3) for i in range(3000)]
    ranks(points[:9])  # what it imports does not count
    tracemalloc.start()
    try:
        ranks(points, 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6


@given(st.lists(losses, max_size=25))
def test_one_loss_ranks_as_itself(values: list[float]) -> None:
    """With one objective the ranks are the order of the losses, the earlier first where equal."""
    found = ranks([(value,) for value in values])
    by_rank = sorted(range(len(values)), key=found.__getitem__)
    assert by_rank == sorted(range(len(values)), key=values.__getitem__)
    assert all(values[a] <= values[b] for a, b in pairwise(by_rank))


@settings(max_examples=12)
@given(
    st.sampled_from([Random(), SuccessiveHalving("random"), ASHA("random", min_epochs=1)]),
    st.permutations(["val_loss", "loss", "parameters"]).map(lambda names: names[:2]),
    st.integers(1, 2),
    st.integers(0, 99),
    st.floats(0, 1),
)
def test_killed_anywhere_a_search_for_two_ends_the_same(
    oracle: Random, objective: list[str], executions: int, seed: int, cut: float
) -> None:
    """Cut at any byte of its journal, a search with two objectives ends as it would have."""
    options = {"epoch_budget": 10, "max_epochs": 4, "executions": executions, "seed": seed}
    options |= {"objective": objective, "oracle": oracle, "max_consecutive_failures": 99}
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(os, "fsync"):
        whole, parted = Path(directory, "whole"), Path(directory, "parted")
        reference = run_search(whole, uneven_fn, **options)  # type: ignore[arg-type]
        journal = (whole / FILE_NAME).read_bytes()
        parted.mkdir()
        (parted / FILE_NAME).write_bytes(journal[: int(cut * len(journal))])
        again = run_search(parted, uneven_fn, **options)  # type: ignore[arg-type]
        assert records(again.state) == records(reference.state)
