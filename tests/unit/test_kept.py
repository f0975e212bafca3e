"""Which checkpoints stay on disk: those that something may still need."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import plain_fn, run_search

from tunedeco import pareto
from tunedeco.events import Ended
from tunedeco.keeping import needed
from tunedeco.oracles import Random
from tunedeco.pareto import Point
from tunedeco.trial import Checkpoint, State


@pytest.mark.parametrize("keep", [1, 2])
def test_a_trial_that_runs_displaces_no_other(tmp_path: Path, keep: int) -> None:
    """However good a trial is that runs, the best that ended keep their weights: it may fail."""
    state = run_search(tmp_path, plain_fn, max_trials=4).state
    needs = (Random(), keep, tmp_path / "checkpoints")
    ended = needed(state, *needs)
    assert len(ended) == keep
    running = replace(
        state.trials[0],
        number=4,
        state=State.RUNNING,
        loss=0.0,
        checkpoints=(Checkpoint(1, 0, ""), Checkpoint(2, 0, "")),
    )
    state.take({"trial": running})
    both = {tmp_path / "checkpoints" / f"00004-0000{epoch}-0000000.npz" for epoch in (1, 2)}
    assert needed(state, *needs) == ended | both
    state.apply(Ended(4, State.FAILED, {"type": "", "message": "", "traceback": ""}))
    assert needed(state, *needs) == ended


def test_fronts_are_sought_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked after every event: the trials are ranked once, as far as weights are kept."""
    state = run_search(tmp_path, plain_fn, objective=["val_loss", "loss"], max_trials=6).state
    asked = []

    def fronts(points: Sequence[Point]) -> Iterator[list[int]]:
        asked.append(len(points))
        yield list(range(len(points)))
        pytest.fail("the first front is enough")

    monkeypatch.setattr(pareto, "fronts", fronts)
    assert len(needed(state, Random(), 3, tmp_path)) == 3
    assert asked == [6]
