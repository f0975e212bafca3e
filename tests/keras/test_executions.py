"""Trials that are trained several times, or on folds; and early stopping over several slices."""

import sys
from collections.abc import Callable
from statistics import fmean, stdev
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Objective, State, Tuner
from tunedeco.errors import ConfigurationError
from tunedeco.executors.data import prepare
from tunedeco.executors.folds import classes, cut
from tunedeco.oracles import Continue, Done, Start, Wait

pytestmark = pytest.mark.keras

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]
Numbers = Callable[[Tuner], list[Any]]


def model_fn() -> keras.Model:
    model = keras.Sequential([keras.layers.Dropout(0.2), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(Choice("rate", [0.1, 0.01])), loss)
    return model


class Stop(BaseException):
    """What a test raises where a process would die."""


class Die(keras.callbacks.Callback):
    """Raises in the second epoch of the nth training."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.left -= epoch == 1
        if not self.left:
            raise Stop


def runs(tuner: Tuner) -> list[Any]:
    return [
        (run.score, run.best_epoch, [(e.epoch, e.logs) for e in run.epochs])
        for trial in tuner.trials
        for run in trial.runs
    ]


@pytest.mark.parametrize(
    ("repeated", "data"),
    [({"executions_per_trial": 2}, {"validation_split": 0.25}), ({"folds": 2}, {})],
    ids=["executions", "folds"],
)
def test_trained_several_times(
    repeated: Any, data: Any, arrays: Arrays, make_tuner: MakeTuner
) -> None:
    """The score is the mean; stopped in an execution, it ends the same; the best is restored."""

    def search(directory: str, *callbacks: keras.callbacks.Callback) -> Tuner:
        settings = {"max_trials": 1, "max_epochs": 3, "objective": "val_accuracy"}
        tuner = make_tuner(model_fn, **settings, **repeated, directory=directory)
        tuner.search(*arrays, **data, batch_size=24, callbacks=lambda _: list(callbacks), verbose=0)
        return tuner

    whole = search("whole")
    (trial,) = whole.trials
    scores = [run.score for run in trial.executions]
    assert (trial.score, trial.spread) == (fmean(scores), stdev(scores))
    assert trial.executions[0].epochs != trial.executions[1].epochs
    with pytest.raises(Stop):
        search("parted", Die(2))
    assert runs(search("parted")) == runs(whole)
    model, (x, y) = whole.best_model(), arrays
    if "folds" in repeated:
        best = scores.index(max(scores))
        _, (x, y) = cut(arrays, 2, 0, best)
        accuracy = model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
        assert accuracy == pytest.approx(max(scores))


@pytest.mark.once
def test_folds_have_their_share_of_each_class(arrays: Arrays) -> None:
    """Every sample is validated on once, never beside training; classes are spread evenly."""
    x, y = np.arange(90), np.repeat([0, 1, 2], [60, 20, 10])
    weights = np.linspace(0, 1, 90)
    seen: list[int] = []
    for labels in (y, y[:, None], keras.utils.to_categorical(y), y == 0):
        for execution in range(5):
            train, validation = cut((x, labels, weights), 5, 7, execution)
            assert not set(train[0]) & set(validation[0])
            assert len(train[0]) + len(validation[0]) == 90
            assert np.array_equal(weights[validation[0]], validation[2])
            assert np.bincount(y[validation[0]]).tolist() == [12, 4, 2] or labels.dtype == bool
            seen += validation[0].tolist()
    assert sorted(seen) == sorted([*range(90)] * 4)
    # every five executions are cut anew, and in the same way for each trial
    first, again, other = (cut((x, y), 5, 7, i)[1][0].tolist() for i in (0, 0, 5))
    assert first == again != other


@pytest.mark.once
def test_what_is_no_class() -> None:
    """Quantities, several labels a sample, and trees of outputs are cut without regard to them."""
    for y in (np.linspace(0, 1, 6), np.ones((6, 2)), {"a": np.zeros(6, int)}):
        assert classes(y) is None
        assert len(cut((np.zeros((6, 2)), y), 3, 0, 0)[1][0]) == 2


@pytest.mark.once
@pytest.mark.parametrize(
    ("x", "y", "more", "says"),
    [
        (
            [0] * 9,
            [0] * 7 + [4] * 2,
            {},
            "folds=3 needs at least 3 samples of each class, and class 4",
        ),
        ([0] * 2, [0.5] * 2, {}, "folds=3 needs at least as many samples, and there are 2"),
        (
            [0] * 9,
            [0] * 9,
            {"validation_split": 0.5},
            "leave validation_data= and validation_split",
        ),
        (
            [0] * 9,
            [0] * 9,
            {"steps_per_epoch": 2, "batch_size": 6},
            "steps_per_epoch must be from 1",
        ),
    ],
)
def test_what_cannot_be_cut(x: Any, y: Any, more: Any, says: str) -> None:
    """Data that folds do not fit is refused, with the reason."""
    with pytest.raises(ConfigurationError, match=says):
        prepare(np.array(x), np.array(y), None, more, (Objective("val_loss"),), folds=3)


@pytest.mark.once
def test_folds_without_scikit_learn(
    arrays: Arrays, make_tuner: MakeTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where scikit-learn is missing, the error says what to install; other data has no folds."""
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(ConfigurationError, match=r'pip install "tunedeco\[folds\]"'):
        make_tuner(folds=3).search(*arrays, verbose=0)
    with pytest.raises(ConfigurationError, match="folds must be a whole number of at least 2"):
        make_tuner(folds=1)


class InTwo:
    """Sends each trial to its second epoch, and then to its last."""

    def next(self, space: Any, trials: Any, seed: int) -> Any:
        return self.finish(trials) if trials else Start(space.at(0), until=2)

    def within(self, min_epochs: int, max_epochs: int) -> "InTwo":
        return self

    def finish(self, trials: Any) -> Any:
        if any(trial.state is State.RUNNING for trial in trials):
            return Wait()
        going = (t for t in trials if t.until == 2 and not t.stopped_early)
        return next((Continue(t.number, 6) for t in going), Done())

    def open(self, trials: Any) -> Any:
        return [trial.number for trial in trials if trial.until == 2]


@pytest.mark.once
def test_early_stopping_over_slices(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """Paused by the budget, or sent on by an oracle, EarlyStopping and a schedule go on as at once.

    What it frees is trained in the next trial, and to the epoch.
    """

    def search(directory: str, **settings: Any) -> Tuner:
        stopping = keras.callbacks.EarlyStopping("loss", mode="max", patience=2)  # after epoch 3
        plateau = keras.callbacks.ReduceLROnPlateau("val_loss", mode="max", patience=1)
        tuner = make_tuner(model_fn, max_epochs=6, **settings, directory=directory)
        data = {"validation_split": 0.25, "batch_size": 24}
        tuner.search(*arrays, **data, callbacks=[stopping, plateau], verbose=0)
        return tuner

    one = search("one", oracle="grid", max_trials=1)
    assert [len(trial.epochs) for trial in one.trials] == [3]
    assert numbers(search("sent", oracle=InTwo(), max_trials=1)) == numbers(one)
    paused = search("paused", oracle="grid", max_trials=2, epoch_budget=2)
    assert [trial.state for trial in paused.trials] == [State.PAUSED]
    more = search("paused", oracle="grid", max_trials=2, epoch_budget=5)
    assert [len(trial.epochs) for trial in more.trials] == [3, 2]
    assert numbers(more)[:1] == numbers(one)
