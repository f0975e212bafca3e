"""A training loop of the user's own, in place of `fit`: reported, checkpointed, continued."""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Boolean, Choice, Objective, Range, State, Tuner
from tunedeco.errors import ConfigurationError, ObjectiveError
from tunedeco.executors.own_state import packed, unpacked
from tunedeco.journal.journal import load
from tunedeco.oracles import Continue, Done, Start, Wait

pytestmark = pytest.mark.keras

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "own_loop.py")

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]
Numbers = Callable[[Tuner], list[Any]]


class Stop(BaseException):
    """What a test raises where a process would die."""


def logistic() -> Any:
    """Return no Keras model at all: parameters, and what the loop is to know."""
    rate, decay = Choice("rate", [0.5, 0.1]), Boolean("decay")
    return {"w": np.zeros((6, 3))}, {"batch_size": 16, "rate": rate, "decay": decay}


def descend(model: Any, context: Any, at: Callable[[int, int], None] = lambda epoch, batch: None):
    """Train a softmax regression with momentum, in NumPy, with noise from a global generator."""
    state = context.state or context.state.update(w=model["w"], velocity=0.0) or context.state
    for epoch in context.epochs():
        losses = []
        for batch, (x, y) in enumerate(context.batches()):
            at(epoch, batch)
            scores = np.exp(x @ state["w"] + 0.01 * np.random.normal(size=3))
            scores /= scores.sum(axis=1, keepdims=True)
            losses.append(-np.log(scores[np.arange(len(y)), y]).mean())
            slope = x.T @ (scores - np.eye(3)[y]) / len(y)
            state["velocity"] = 0.9 * state["velocity"] + slope
            rate = context.arguments["rate"] / (epoch if context.arguments["decay"] else 1)
            state["w"] = state["w"] - rate * state["velocity"]
        x, y = context.data.validation_data
        accuracy = np.mean((x @ state["w"]).argmax(axis=1) == y)
        context.report(loss=np.mean(losses), val_accuracy=accuracy)


def three_classes() -> Arrays:
    """Return what the fixture `arrays` does."""
    draw = np.random.RandomState(0)
    x = draw.normal(size=(96, 6)).astype("float32")
    return x, (x[:, :3] + draw.normal(size=(96, 3)) * 0.3).argmax(axis=1)


def search(tuner: Tuner, arrays: Arrays) -> Tuner:
    tuner.search(*arrays, validation_split=0.25, verbose=0)
    return tuner


@pytest.fixture(autouse=True)
def _checkpoints_at_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunedeco.executors.recorder._SHARE", 1e9)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tuner:
    """Return a search that nothing interrupted."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    limits = {"max_trials": 1, "max_epochs": 4, "oracle": "random", "directory": directory}
    return search(Tuner(logistic, "val_accuracy", train_fn=descend, **limits), three_classes())


def test_killed_within_a_loop(
    whole: Tuner, arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """Stopped dead in its epochs, a loop without Keras goes on from its state to equal numbers.

    What it keeps of its best epoch is the best trial's state, bit for bit.
    """
    begun: list[list[int]] = []
    settings = {"max_trials": 1, "max_epochs": 4}
    for at in [(1, 2), (4, 4), (4, 0)]:
        begun.append([])

        def dies(epoch: int, batch: int, at: tuple[int, int] = at) -> None:
            begun[-1].append(epoch)
            if (epoch, batch) == at:
                raise Stop

        def dying(model: Any, context: Any, dies: Any = dies) -> None:
            descend(model, context, dies)

        with pytest.raises(Stop):
            search(make_tuner(logistic, **settings, train_fn=dying), arrays)
    assert [sorted(set(epochs)) for epochs in begun] == [[1], [1, 2, 3, 4], [4]]
    tuner = search(make_tuner(logistic, **settings, train_fn=descend), arrays)
    assert numbers(tuner) == numbers(whole)
    assert np.array_equal(tuner.best_state()["w"], whole.best_state()["w"])
    assert tuner.trials[0].parameters == 18
    with pytest.raises(ConfigurationError, match=r"no Keras model: .* tuner.best_state\(\)"):
        tuner.best_model()


def test_a_signal(
    whole: Tuner,
    arrays: Arrays,
    make_tuner: MakeTuner,
    numbers: Numbers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal leaves a loop at the next batch; the epoch is trained again, to the same numbers."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)
    seen: list[tuple[int, int]] = []

    def terminated(epoch: int, batch: int) -> None:
        seen.append((epoch, batch))
        if seen[-1] == (2, 1):
            os.kill(os.getpid(), signal.SIGTERM)

    settings = {"max_trials": 1, "max_epochs": 4}
    tuner = make_tuner(
        logistic, **settings, train_fn=lambda model, c: descend(model, c, terminated)
    )
    with pytest.raises(SystemExit):
        search(tuner, arrays)
    assert seen[-1] == (2, 1)
    assert [len(trial.epochs) for trial in tuner.trials] == [1]
    tuner = search(make_tuner(logistic, **settings, train_fn=descend), arrays)
    assert numbers(tuner) == numbers(whole)


class InTwo:
    """Sends each trial to its second epoch, and then to its last."""

    def next(self, space: Any, trials: Any, seed: int) -> Any:
        return Start(space.at(len(trials)), until=2) if len(trials) < 2 else self.finish(trials)

    def within(self, min_epochs: int, max_epochs: int) -> "InTwo":
        return self

    def finish(self, trials: Any) -> Any:
        if any(trial.state is State.RUNNING for trial in trials):
            return Wait()
        return next((Continue(t.number, 4) for t in trials if t.until == 2), Done())

    def open(self, trials: Any) -> Any:
        return [trial.number for trial in trials if trial.until == 2]


def test_continued(arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers) -> None:
    """Sent to its last epoch in two steps, or paused by a budget, a loop logs the same."""
    settings = {"max_epochs": 4, "train_fn": descend, "max_trials": 2}
    made = search(make_tuner(logistic, **settings, oracle="grid", directory="one"), arrays)
    parted = search(make_tuner(logistic, **settings, oracle=InTwo(), directory="parted"), arrays)
    assert numbers(parted) == numbers(made)
    for budget in (3, 8):
        tuner = make_tuner(logistic, **settings, oracle="grid", epoch_budget=budget)
        search(tuner, arrays)
        assert sum(len(trial.epochs) for trial in tuner.trials) == budget
    assert numbers(tuner) == numbers(made)


def stops(model: Any, context: Any) -> None:
    for epoch in context.epochs():
        if epoch == 2:
            context.stop()
        context.report(loss=1 / epoch)


def leaves(model: Any, context: Any) -> None:
    for epoch in context.epochs():
        context.report(loss=1 / epoch)
        if epoch == 2:
            break


def diverges(model: Any, context: Any) -> None:
    for epoch in context.epochs():
        context.report(loss=float("nan") if epoch == 2 else 1.0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("loop", "state"), [(stops, "completed"), (leaves, "completed"), (diverges, "diverged")]
)
def test_a_loop_that_ends_early(loop: Any, state: str, make_tuner: MakeTuner) -> None:
    """A loop that stops, is left, or diverges, is the end of its trial; no data is needed."""
    tuner = make_tuner(lambda: Range("x", 1, 9), objective="loss", max_epochs=5, train_fn=loop)
    tuner.search(verbose=0)
    assert [len(trial.epochs) for trial in tuner.trials] == [2, 2]
    assert {trial.state for trial in tuner.trials} == {State(state)}


@pytest.mark.once
def test_what_a_loop_raises_fails_its_trial(make_tuner: MakeTuner) -> None:
    """An error in a loop is journalled with its traceback, and the search goes on."""

    def breaks(model: int, context: Any) -> None:
        for _ in context.epochs():
            context.report(loss=1 / (model - 1))

    tuner = make_tuner(lambda: Range("x", 1, 2), objective="loss", oracle="grid", train_fn=breaks)
    tuner.search(verbose=0)
    assert [trial.state for trial in tuner.trials] == [State.FAILED, State.COMPLETED]
    assert "in breaks" in tuner.trials[0].error["traceback"]


def _loop(*steps: Callable[[Any], object], rounds: bool = True) -> Any:
    def loop(model: Any, context: Any) -> None:
        for _ in context.epochs() if rounds else [1]:
            for step in steps:
                step(context)

    return loop


def _report(context: Any) -> None:
    context.report(loss=1.0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("loop", "says"),
    [
        (_loop(), r"must call context.report\(...\) once in each epoch"),
        (_loop(_report, _report), "once in each"),
        (_loop(_report, rounds=False), "belongs into `for epoch in context.epochs"),
        (lambda model, context: None, "train_fn must train"),
        (_loop(lambda c: c.report(loss="low")), r"report\(loss=...\) must be given a number"),
        (_loop(lambda c: list(c.batches())), r"needs data: search\(x, y\)"),
        (_loop(lambda c: c.track(3)), "takes what has Keras variables, not int"),
        (
            _loop(lambda c: c.state.update(f={"g": [len]}), _report),
            r"context.state\['f'\]\['g'\]\[0\] is",
        ),
        (_loop(lambda c: Range("y", 1, 2)), r"`return model, \{'y': value\}`"),
        (_loop(lambda c: c.report(cost=1.0)), "do not contain the objective 'loss'"),
        (3, "train_fn must be a function"),
    ],
)
def test_wrong_loops(loop: Any, says: str, make_tuner: MakeTuner) -> None:
    """A loop that does not do what it must stops the search, and is told what that is."""
    with pytest.raises((ConfigurationError, ObjectiveError), match=says):
        make_tuner(lambda: Range("x", 1, 9), objective="loss", train_fn=loop).search(verbose=0)


@pytest.mark.once
def test_arguments_of_fit_are_refused(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """What only `fit` would heed is no argument of a search that does not call it."""
    tuner = make_tuner(logistic, train_fn=descend)
    with pytest.raises(ConfigurationError, match="callbacks, validation_freq is for `fit`"):
        tuner.search(*arrays, callbacks=[], validation_freq=2, verbose=0)


def keras_fn() -> keras.Model:
    model = keras.Sequential([keras.layers.Dense(Range("units", 4, 8, 4), activation="tanh")])
    model.add(keras.layers.Dropout(0.3))
    model.add(keras.layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def by_batch(model: keras.Model, context: Any) -> None:
    """Train with Keras's own step, which is the same on all its backends."""
    average = context.track(keras.metrics.Mean())
    for epoch in context.epochs():
        average.reset_state()
        for x, y in context.batches():
            average.update_state(model.train_on_batch(x, y))
            if (epoch, context.trial.number) == context.state.get("die"):
                raise Stop
        context.report(loss=average.result())


def test_a_keras_model_in_a_loop(arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers) -> None:
    """A Keras model with its optimizer is kept, and restored: the weights of its best epoch."""

    def dying(model: keras.Model, context: Any) -> None:
        context.state["die"] = (2, 0)
        by_batch(model, context)

    def run(directory: str, loop: Any) -> Tuner:
        settings = {"objective": "loss", "max_trials": 1, "max_epochs": 3}
        tuner = make_tuner(keras_fn, **settings, directory=directory, train_fn=loop)
        tuner.search(*arrays, batch_size=24, verbose=0)
        return tuner

    whole = run("whole", by_batch)
    with pytest.raises(Stop):
        run("parted", dying)
    with pytest.raises(ConfigurationError, match="trial 0 was begun by train_fn, and cannot go on"):
        run("parted", None)
    parted = run("parted", lambda model, c: c.state.clear() or by_batch(model, c))
    assert numbers(parted) == numbers(whole)
    ours, theirs = parted.best_model().get_weights(), whole.best_model().get_weights()
    assert all(map(np.array_equal, ours, theirs))


@pytest.mark.once
def test_any_tree_survives() -> None:
    """What a loop may keep comes back as it was, arrays as NumPy's."""
    tensor = keras.ops.cast(keras.ops.arange(3), "bfloat16")
    tree = {
        "a": [1, 2.5, float("inf"), None, "x", True],
        "b": ({"c": np.arange(4)}, []),
        "t": tensor,
    }
    arrays, rest = packed(tree, "state")
    back = unpacked(rest, arrays)
    assert back["a"] == tree["a"]
    assert isinstance(back["b"], tuple)
    assert np.array_equal(back["b"][0]["c"], np.arange(4))
    assert [float(value) for value in back["t"]] == [0.0, 1.0, 2.0]


@pytest.mark.once
def test_an_objective_measured_in_a_loop(make_tuner: MakeTuner) -> None:
    """A function of the model is measured in a loop, too, and need not be reported."""
    objective = Objective("size", "max", measure=lambda model: model)
    tuner = make_tuner(
        lambda: Range("x", 1, 9), objective=objective, oracle="grid", train_fn=_loop(_only_loss)
    )
    tuner.search(verbose=0)
    assert [trial.score for trial in tuner.trials] == [1.0, 2.0]


def _only_loss(context: Any) -> None:
    context.report(loss=0.5)


def test_the_example_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GradientTape, or pure JAX, killed with SIGKILL within a trial ends with equal numbers."""
    command = [EXAMPLE, "--epochs", "9", "--directory", "killed"]
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    journal = Path("killed", "journal.jsonl")
    while process.poll() is None:
        if journal.exists() and b'"trained"' in journal.read_bytes():
            process.kill()
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL
    reached = load(Path("killed")).epochs
    assert 0 < reached < 9
    found = []
    for directory in ("killed", "whole"):
        monkeypatch.setattr(sys, "argv", [*command[:-1], directory])
        runpy.run_path(EXAMPLE, run_name="__main__")
        assert len(load(Path(directory)).sessions) == (2 if directory == "killed" else 1)
        trials = load(Path(directory)).trials
        found.append([(t.values, [(e.epoch, e.logs) for e in t.epochs]) for t in trials])
    assert found[0] == found[1]
    assert sum(len(epochs) for _, epochs in found[0]) == 9
