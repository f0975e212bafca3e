"""Which checkpoints stay on disk: those that something may still need."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import plain_fn, run_search

from tunedeco.events import Ended
from tunedeco.keeping import needed
from tunedeco.oracles import Random
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
    state.trials.append(running)
    both = {tmp_path / "checkpoints" / f"00004-0000{epoch}-0000000.npz" for epoch in (1, 2)}
    assert needed(state, *needs) == ended | both
    state.apply(Ended(4, State.FAILED, {"type": "", "message": "", "traceback": ""}))
    assert needed(state, *needs) == ended
