"""What a search amounts to, event by event."""

import math

import pytest

from tunedeco.errors import JournalError, NoTrialError
from tunedeco.events import Created, Ended, Proposed, Resumed, Started, Stopped, Trained
from tunedeco.journal.search_state import SearchState
from tunedeco.objective import Objective
from tunedeco.space import Space
from tunedeco.trial import Checkpoint, Epoch, State


def state_of(*curves: list[float], objective: str = "val_loss", end: State | None = None):
    """Return the state after a trial for each of these curves."""
    state = SearchState()
    state.apply(Created("model_fn", Objective(objective), Space(), {}, 0))
    for number, curve in enumerate(curves):
        state.apply(Proposed(number, {}, 9))
        epochs = tuple(Epoch(i, {objective: value}) for i, value in enumerate(curve, 1))
        state.apply(Trained(number, epochs, Checkpoint(len(curve), 0, "")))
        if end is not None:
            state.apply(Ended(number, end))
    return state


@pytest.mark.parametrize(
    ("objective", "curve", "score", "best_epoch", "loss"),
    [
        ("val_loss", [3.0, 1.0, 2.0], 1.0, 2, 1.0),
        ("val_loss", [1.0, 1.0], 1.0, 1, 1.0),
        ("val_accuracy", [0.3, 0.9, 0.5], 0.9, 2, -0.9),
        ("val_accuracy", [0.9, 0.9], 0.9, 1, -0.9),
        ("val_loss", [2.0, math.nan], 2.0, 1, 2.0),
        ("val_accuracy", [math.inf, 0.5], 0.5, 2, -0.5),
        ("val_loss", [math.nan], None, None, None),
        ("val_loss", [], None, None, None),
    ],
)
def test_the_score_is_the_best_of_the_epochs(
    objective: str,
    curve: list[float],
    score: float | None,
    best_epoch: int | None,
    loss: float | None,
) -> None:
    """A trial's score is its best finite value, of the earlier epoch where two are equal."""
    (trial,) = state_of(curve, objective=objective).trials
    assert (trial.score, trial.best_epoch, trial.loss) == (score, best_epoch, loss)


def test_the_best_trial_is_the_earlier_of_equals() -> None:
    """Of two trials with the same score the earlier one is the best."""
    assert state_of([2.0], [1.0], [3.0, 1.0], end=State.COMPLETED).best.number == 1


@pytest.mark.parametrize("end", [State.COMPLETED, State.DIVERGED, None])
def test_what_did_not_break_keeps_its_score(end: State | None) -> None:
    """A trial that diverged, or is under way, can be the best with what it reached."""
    assert state_of([2.0, 1.0], end=end).best.score == 1.0


def test_what_broke_is_no_recommendation() -> None:
    """A failed trial has no score, however good its epochs were; they still count as trained."""
    state = state_of([2.0, 1.0], end=State.FAILED)
    with pytest.raises(NoTrialError):
        _ = state.best
    assert state.trials[0].score is None
    assert state.epochs == 2


def test_what_was_trained_beyond_a_checkpoint_is_void() -> None:
    """A trial that goes on from an earlier epoch has only what came before: epochs and score."""
    state = state_of([3.0, 2.0, 1.0])
    state.apply(Resumed(0, 2, 0))
    (trial,) = state.trials
    assert [epoch.epoch for epoch in trial.epochs] == [1, 2]
    assert (trial.score, trial.best_epoch, state.epochs) == (2.0, 2, 2)
    assert trial.checkpoints == ()
    assert trial.runtime == {"resumes": 1}
    state.apply(Trained(0, (Epoch(3, {"val_loss": 0.5}),), Checkpoint(3, 0, "")))
    assert (state.best.score, state.epochs) == (0.5, 3)


def test_a_failed_trial_that_goes_on_has_not_failed() -> None:
    """Another chance takes the failure back."""
    state = state_of([1.0], end=State.FAILED)
    state.apply(Resumed(0, 0, 0))
    assert state.trials[0].state is State.RUNNING
    assert state.trials[0].error is None
    assert state.epochs == 0


def test_only_the_latest_two_checkpoints_are_known() -> None:
    """The one before the latest is there for a latest that is damaged."""
    state = state_of([3.0])
    for epoch in (2, 3):
        state.apply(Trained(0, (Epoch(epoch, {}),), Checkpoint(epoch, 0, str(epoch))))
    assert [checkpoint.epoch for checkpoint in state.trials[0].checkpoints] == [2, 3]
    state.apply(Resumed(0, 2, 5))
    assert [checkpoint.epoch for checkpoint in state.trials[0].checkpoints] == [2]


def test_failures_in_a_row_are_counted_until_the_search_rests() -> None:
    """An end of another kind, or a rest, begins a new count; an interruption does not."""
    state = state_of([1.0], [1.0], end=State.FAILED)
    assert len(state.failures) == 2
    state.apply(Stopped("interrupted"))
    state.apply(Started({}))
    assert len(state.failures) == 2
    state.apply(Proposed(2, {}, 9))
    state.apply(Ended(2, State.REJECTED))
    assert [event.state for event in state.failures] == [State.REJECTED]
    state.apply(Stopped("max_trials"))
    assert state.failures == []
    for number, end in ((3, State.FAILED), (4, State.DIVERGED)):
        state.apply(Proposed(number, {}, 9))
        state.apply(Ended(number, end))
    assert state.failures == []


def test_a_search_begins_once() -> None:
    """A second beginning, or a trial before the first, contradicts the journal."""
    created = Created("model_fn", Objective("val_loss"), Space(), {}, 0)
    with pytest.raises(JournalError, match="the search exists already"):
        state_of().apply(created)
    with pytest.raises(JournalError, match="the search does not exist yet"):
        SearchState().apply(Proposed(0, {}, 1))


def test_a_checkpoint_is_of_the_epochs_trained() -> None:
    """A checkpoint of another epoch than the trial has reached is refused, and changes nothing."""
    state = state_of([1.0])
    before = repr(state)
    for epochs, epoch in (((), 0), ((), 2), ((Epoch(2, {"val_loss": 0.5}),), 1)):
        with pytest.raises(JournalError, match="its checkpoint is of another epoch"):
            state.apply(Trained(0, epochs, Checkpoint(epoch, 0, "")))
        assert repr(state) == before
    state.apply(Trained(0, (), Checkpoint(1, 3, "")))
    assert state.trials[0].checkpoints[-1].step == 3
