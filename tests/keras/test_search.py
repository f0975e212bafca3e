"""What a search does with a model function: well-behaved, odd, broken, or too large."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco import Choice, Linear, Objective, Range, State, Tuner, tunable
from tunedeco.errors import (
    ConfigurationError,
    ExportError,
    JournalError,
    ModelFunctionError,
    NoTrialError,
    ObjectiveError,
    SearchMismatch,
    TooManyFailures,
)

pytestmark = pytest.mark.keras

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]


def dense(units: int = 4, **compiled: Any) -> keras.Model:
    """Return a compiled model with no input shape."""
    model = keras.Sequential(
        [keras.layers.Dense(units, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile(**{"loss": "sparse_categorical_crossentropy", "optimizer": "adam"} | compiled)
    return model


def dense_of(units: int) -> keras.Model:
    """Build a model, and need to be told something."""
    return dense(units)


def run(tuner: Tuner, arrays: Arrays, **options: Any) -> Tuner:
    tuner.search(*arrays, **{"validation_split": 0.25, "verbose": 0} | options)
    return tuner


@tunable
def design() -> keras.Model:
    """Build the model of the design's snippet, copied as it stands but for the import."""
    LR = Choice("learning_rate", [0.001, 0.0005, 0.0001], group="optimizer")
    DROPOUT_RATE = Linear("dropout_rate", 0.0, 0.5, 5, group="dense")
    NUM_DIMS = Range("num_dims", 8, 32, 8, group="dense")
    NUM_LAYERS = Range("num_layers", 1, 3, group="dense")
    L2_NUM_FILTERS = Range("l2_num_filters", 8, 64, 8, group="cnn")
    L1_NUM_FILTERS = Range("l1_num_filters", 8, 64, 8, group="cnn")

    model = keras.Sequential()
    model.add(keras.layers.Conv2D(L1_NUM_FILTERS, kernel_size=(3, 3), activation="relu"))
    model.add(keras.layers.Conv2D(L2_NUM_FILTERS, kernel_size=(3, 3), activation="relu"))
    model.add(keras.layers.Flatten())
    for _ in range(NUM_LAYERS):
        model.add(keras.layers.Dense(NUM_DIMS, activation="relu"))
        model.add(keras.layers.Dropout(DROPOUT_RATE))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(LR))
    return model


@pytest.mark.once
def test_groups_and_frozen_values(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """With groups= and freeze=, trials differ in what is searched; the rest is built as held."""

    def grouped() -> keras.Model:
        optimizer = keras.optimizers.SGD(Choice("rate", [0.1, 0.01, 0.001], group="optimizer"))
        return dense(Range("units", 4, 8, group="dense"), optimizer=optimizer)

    tuner = run(make_tuner(grouped, max_epochs=1, oracle="random", max_trials=2), arrays)
    best = tuner.best_hyperparameters["dense"]["units"]
    tuner = make_tuner(grouped, max_epochs=1, oracle="random", max_trials=3)
    run(tuner, arrays, groups=["optimizer"])
    assert tuner.trials[2].values["dense"] == {"units": best}
    tuner = make_tuner(grouped, max_epochs=1, oracle="random", max_trials=4)
    run(tuner, arrays, freeze={"units": 7})
    assert tuner.trials[3].values["dense"] == {"units": 7}
    assert tuner.trials[3].parameters == 6 * 7 + 7 + 7 * 3 + 3
    with pytest.raises(ConfigurationError, match="there is no group 'dens'"):
        run(tuner, arrays, groups=["dens"])


@pytest.mark.once
def test_what_is_known_is_tried_first(
    arrays: Arrays, make_tuner: MakeTuner, capsys: pytest.CaptureFixture[str]
) -> None:
    """The defaults, then what was enqueued, then the best of another search; and it says so."""
    other = run(make_tuner(directory="other", max_epochs=1), arrays)
    assert other.trials[0].values == other.space.defaults
    known = {"max_epochs": 1, "warm_start": [Path("other")]}
    for trials in (2, 4):  # the same program, run again with more
        tuner = make_tuner(**known, max_trials=trials)
        tuner.enqueue({"rate": 0.5}, {"optimizer": {"learning_rate": 0.03}})
        run(tuner, arrays, verbose=1)
    found = [trial.values for trial in tuner.trials]
    assert found[0] == found[1] | {"dense": {"rate": 0.1, "units": 4}} == other.space.defaults
    assert found[1]["dense"] == {"rate": 0.5, "units": 4}
    assert found[2] == other.trials[1].values
    assert len({str(values) for values in found}) == 4
    said = capsys.readouterr().out
    assert said.count("warm start: 2 of the 2 configurations in other are tried first") == 1
    tuner.enqueue({"units": 5})
    with pytest.raises(ConfigurationError, match=r"enqueue: dense/units: 5 is not in 4 to 12"):
        run(tuner, arrays)


def test_the_designs_snippet(tmp_path: Path) -> None:
    """The design's snippet finds its space, searches, exports, and builds from the export."""
    draw = np.random.RandomState(0)
    data = draw.normal(size=(64, 8, 8, 1)), keras.utils.to_categorical(draw.randint(10, size=64))
    tuner = Tuner(design, "val_accuracy", epoch_budget=5, max_epochs=2)
    tuner.search(data, validation_data=data, verbose=0)
    assert design.space.size == 3 * 5 * 4 * 3 * 8 * 8
    assert [len(trial.epochs) for trial in tuner.trials] == [2, 2, 1]
    assert tuner.directory == Path("runs/design")
    tuner.export_best("best.json")
    exported = json.loads(Path("best.json").read_text())
    assert exported["hyperparameters"] == tuner.best_hyperparameters
    assert exported["score"] == tuner.best_trial.score
    built = design.build("best.json")
    rate = tuner.best_hyperparameters["optimizer"]["learning_rate"]
    assert float(built.optimizer.learning_rate) == pytest.approx(rate)
    other = tunable(lambda: dense(Range("width", 2, 4)))
    with pytest.raises(ExportError, match="default/width is asked for, and not in the file"):
        other.build("best.json")


@pytest.mark.once
@pytest.mark.parametrize(
    ("compiled", "objective"),
    [
        ({}, "val_accuracy"),
        ({"metrics": ["acc"]}, "val_accuracy"),
        ({"metrics": ["accuracy"]}, "val_acc"),
        ({"metrics": [keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")]}, "accuracy"),
        ({}, "val_sparse_categorical_crossentropy"),
        ({}, "val_loss"),
        ({}, Objective("loss", "min")),
    ],
)
def test_the_objective_is_logged(
    compiled: dict[str, Any], objective: Any, arrays: Arrays, make_tuner: MakeTuner
) -> None:
    """A metric of Keras is watched, whether compile named it, by another name, or not at all."""
    tuner = make_tuner(lambda: dense(**compiled), objective=objective, max_trials=1)
    run(tuner, arrays)
    (trial,) = tuner.trials
    assert trial.state is State.COMPLETED, trial.error
    values = [epoch.logs[tuner.objective.find(epoch.logs)] for epoch in trial.epochs]
    best = min(values) if tuner.objective.direction == "min" else max(values)
    assert trial.score == best
    assert trial.best_epoch == values.index(best) + 1
    # the metric is not there twice, under two names
    assert sum("acc" in name for name in trial.epochs[0].logs) in (0, 2)


@pytest.mark.once
def test_an_objective_that_nothing_logs(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """An objective the logs lack is an error that lists them, before a second epoch is trained."""
    tuner = make_tuner(dense, objective=Objective("val_profit", "max"))
    with pytest.raises(ObjectiveError, match=r"val_profit.*'loss'.*'val_loss'"):
        run(tuner, arrays)
    assert [len(trial.epochs) for trial in tuner.trials] == [0]
    # nothing was trained, so the mended search needs no other directory
    run(make_tuner(dense), arrays)


class Subclassed(keras.Model):
    """A model with a call of its own, and a training step that logs a metric of its own."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(units)
        self.out = keras.layers.Dense(3, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.out(self.hidden(x))


def test_odd_models(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Subclassed models and models with several outputs are searched, and restored."""
    x, y = arrays

    def subclassed() -> keras.Model:
        model = Subclassed(Range("units", 2, 6))
        model.compile(loss="sparse_categorical_crossentropy")
        return model

    tuner = run(make_tuner(subclassed, max_trials=1), arrays)
    assert tuner.trials[0].state is State.COMPLETED, tuner.trials[0].error
    assert tuner.best_model().predict(x, verbose=0).shape == (96, 3)

    def two_outputs() -> keras.Model:
        inputs = keras.Input((6,))
        left = keras.layers.Dense(3, activation="softmax", name="left")(inputs)
        right = keras.layers.Dense(1, name="right")(inputs)
        model = keras.Model(inputs, {"left": left, "right": right})
        losses = {"left": "sparse_categorical_crossentropy", "right": "mse"}
        model.compile(loss=losses, metrics={"left": "accuracy"})
        return model

    objective = Objective("val_left_accuracy", "max")
    tuner = make_tuner(two_outputs, max_trials=1, objective=objective, directory="two")
    targets = {"left": y, "right": x[:, 0]}
    tuner.search(x, targets, validation_data=(x, targets), verbose=0)
    assert tuner.trials[0].state is State.COMPLETED, tuner.trials[0].error


@pytest.mark.once
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, "returned NoneType; is there a `return model`"),
        (lambda: "model", "must return a Keras model, and returned str"),
        (lambda: keras.Sequential([keras.layers.Dense(1)]), "is not compiled"),
        (dense_of, "cannot be called without arguments"),
    ],
)
def test_what_is_no_model_function(
    function: Callable[..., Any], message: str, arrays: Arrays, make_tuner: MakeTuner
) -> None:
    """A function that cannot be searched is named, with what to do, before anything is written."""
    with pytest.raises(ModelFunctionError, match=message):
        run(make_tuner(function), arrays)
    assert not Path("run").exists()


@pytest.mark.once
def test_a_function_that_raises_with_its_defaults(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """What model_fn raises when it is traced reaches the user as it is."""

    def broken() -> keras.Model:
        msg = "the user's own"
        raise ZeroDivisionError(msg)

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        run(make_tuner(broken), arrays)


def fragile() -> keras.Model:
    """Build a model for some values, and raise for others."""
    units = Choice("units", [4, 0, 5, -1, 6], default=4)
    if units < 0:
        msg = f"no layer has {units} units"
        raise RuntimeError(msg)
    return dense(units)


@pytest.mark.once
def test_a_trial_that_fails(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A failing trial is journalled with the user's traceback; the search goes on."""
    tuner = run(make_tuner(fragile, oracle="grid", max_trials=None), arrays)
    states = [(t.values["default"]["units"], t.state, len(t.epochs)) for t in tuner.trials]
    done, failed = State.COMPLETED, State.FAILED
    assert states == [(4, done, 2), (0, failed, 0), (5, done, 2), (-1, failed, 0), (6, done, 2)]
    error = tuner.trials[3].error
    assert error["type"] == "RuntimeError"
    assert "in fragile" in error["traceback"]
    assert error["message"] == "no layer has -1 units"


@pytest.mark.once
def test_too_many_failures(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Failures in a row stop the search with the last traceback; mended, it begins with them."""
    mended: list[bool] = []

    def sometimes() -> keras.Model:
        units = Range("units", 2, 9)
        if (tuner.directory / "journal.jsonl").exists() and not mended:  # not when it is traced
            msg = "out of order"
            raise OSError(msg)
        return dense(units)

    tuner = make_tuner(sometimes, max_trials=4, max_consecutive_failures=3)
    with pytest.raises(TooManyFailures, match=r"(?s)3 trials in a row.*in sometimes.*out of order"):
        run(tuner, arrays)
    with pytest.raises(NoTrialError):
        _ = tuner.best_trial
    mended.append(True)
    tuner = make_tuner(sometimes, max_trials=4, max_consecutive_failures=3)
    run(tuner, arrays)
    assert [trial.state for trial in tuner.trials] == [State.COMPLETED] * 4


def test_a_trial_that_diverges(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A NaN objective ends the trial at that epoch; its score stays, and all JSON is strict."""

    class Poison(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                logs["val_accuracy"] = float("nan")

    tuner = run(make_tuner(dense, max_trials=1, max_epochs=5), arrays, callbacks=[Poison()])
    (trial,) = tuner.trials
    assert trial.state is State.DIVERGED
    assert (len(trial.epochs), trial.best_epoch) == (2, 1)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for line in (tuner.directory / "journal.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    json.loads(json.dumps(trial.to_json(), allow_nan=False))


def test_a_model_that_is_too_large(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A model above max_parameters is rejected before it trains, and is no failure."""

    def sized() -> keras.Model:
        return dense(Choice("units", [4, 400, 500, 600, 700, 800, 8]))

    tuner = run(make_tuner(sized, oracle="grid", max_trials=None, max_parameters=200), arrays)
    rejected, done = State.REJECTED, State.COMPLETED
    assert [trial.state for trial in tuner.trials] == [done, *[rejected] * 5, done]
    assert tuner.trials[1].parameters == 6 * 400 + 400 + 400 * 3 + 3
    assert "max_parameters is 200" in tuner.trials[1].error["message"]
    assert sum(len(trial.epochs) for trial in tuner.trials) == 4


@pytest.mark.once
def test_callbacks_are_each_trials_own(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A list of callbacks is copied for each trial; a function is given the trial."""

    class Counter(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.epochs = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1
            logs["count"] = float(self.epochs)

    mine = Counter()
    tuner = run(make_tuner(dense), arrays, callbacks=[mine])
    assert mine.epochs == 0
    tried = [[epoch.logs["count"] for epoch in trial.epochs] for trial in tuner.trials]
    assert tried == [[1.0, 2.0]] * len(tried)

    seen = []

    def for_trial(trial: Any) -> list[keras.callbacks.Callback]:
        seen.append((trial.number, trial.values))
        return []

    tuner = run(make_tuner(directory="other"), arrays, callbacks=for_trial)
    assert seen == [(trial.number, trial.values) for trial in tuner.trials]


@pytest.mark.once
def test_a_callback_that_cannot_be_copied(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A callback that cannot be copied is named, with the way out; no trial fails for it."""
    callback = keras.callbacks.LambdaCallback()
    callback.handle = sys.stdout
    callback.__deepcopy__ = None
    with pytest.raises(ConfigurationError, match="LambdaCallback cannot be copied"):
        run(make_tuner(dense), arrays, callbacks=[callback])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_precision(policy: str, arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A precision holds while a trial is built and trained, is journalled, and is restored."""
    seen = []

    def watching() -> keras.Model:
        seen.append(keras.config.dtype_policy().name)
        return dense()

    keras.config.set_dtype_policy("float64")
    try:
        tuner = run(make_tuner(watching, precision=policy, max_trials=1), arrays)
        assert keras.config.dtype_policy().name == "float64"
    finally:
        keras.config.set_dtype_policy("float32")
    assert set(seen) == {policy}
    assert tuner.trials[0].precision == policy
    assert tuner.trials[0].state is State.COMPLETED, tuner.trials[0].error
    assert tuner.best_model().layers[0].compute_dtype == policy.removeprefix("mixed_")


def test_a_trial_does_not_depend_on_those_before(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Callable[[Tuner], list[Any]]
) -> None:
    """A search in another process, after other work, has the same numbers."""
    here = numbers(run(make_tuner(max_trials=3), arrays))
    np.random.rand(7)
    keras.random.normal((3,))
    again = make_tuner(max_trials=1, directory="again")
    run(again, arrays)
    more = make_tuner(max_trials=3, directory="again")
    run(more, arrays)
    assert numbers(more) == here


@pytest.mark.once
def test_run_again(arrays: Arrays, make_tuner: MakeTuner, capsys: Any) -> None:
    """Run again with the same budget it writes nothing and says so; with more, it goes on."""
    tuner = run(make_tuner(), arrays)
    before = (tuner.directory / "journal.jsonl").read_bytes()
    run(make_tuner(), arrays, verbose=1)
    assert "nothing to do: max_trials=2 are done" in capsys.readouterr().out
    assert (tuner.directory / "journal.jsonl").read_bytes() == before
    more = run(make_tuner(max_trials=3), arrays)
    assert [t.number for t in more.trials] == [0, 1, 2]
    assert (tuner.directory / "journal.jsonl").read_bytes().startswith(before)


@pytest.mark.once
def test_another_search_in_the_directory(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Another objective, oracle, seed or space is refused line by line; overwrite moves aside."""
    run(make_tuner(), arrays)
    other = make_tuner(dense, objective="val_loss", oracle="grid", seed=1)
    with pytest.raises(SearchMismatch) as refused:
        run(other, arrays)
    lines = str(refused.value).splitlines()
    assert any(line.startswith("  objective: val_accuracy (max) there") for line in lines)
    assert any(line.startswith("  oracle name: 'random' there, 'grid' here") for line in lines)
    assert any(line.startswith("  seed: 0 there, 1 here") for line in lines)
    assert any(line.startswith("  dense/units: 4 to 12 step 4") for line in lines)
    run(make_tuner(dense, overwrite=True), arrays)
    assert len(Tuner(dense, "val_accuracy", max_trials=1, directory="run.1").trials) == 2


@pytest.mark.once
def test_a_directory_that_cannot_be_written(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A directory that cannot be made is named, with the way out."""
    Path("file").write_text("in the way")
    with pytest.raises(JournalError, match=r"file/run.*choose another directory"):
        run(make_tuner(directory="file/run"), arrays)


@pytest.mark.once
def test_silence(arrays: Arrays, make_tuner: MakeTuner, capfd: Any) -> None:
    """verbose=0 prints nothing; verbose=1 away from a terminal prints a line a trial."""
    run(make_tuner(), arrays)
    capfd.readouterr()
    run(make_tuner(directory="quiet"), arrays)
    assert capfd.readouterr() == ("", "")
    run(make_tuner(directory="loud"), arrays, verbose=1)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["trial 0 completed", "trial 1 completed"]


@pytest.mark.once
def test_results(arrays: Arrays, make_tuner: MakeTuner, monkeypatch: pytest.MonkeyPatch) -> None:
    """results() is a DataFrame with pandas and rows without, with the same in them."""
    tuner = run(make_tuner(), arrays)
    frame = tuner.results()
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = tuner.results()
    assert frame.to_dict("records") == rows
    assert rows[1]["dense/units"] == tuner.trials[1].values["dense"]["units"]


def test_memory_is_given_back() -> None:
    """Sixteen more programs leave behind less than half of what they do in a loop (4.5 MB each)."""
    program = """
import ctypes, gc, os, keras, numpy as np
from tunedeco import Range, Tuner
def model_fn():
    model = keras.Sequential([keras.layers.Dense(Range("units", 100, 400)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    return model
def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or what is free and was not given back is counted
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
x = np.zeros((64, 50), "float32")
sizes = []
for trials in (16, 32):  # as many programs as are kept at most, and as many again
    tuner = Tuner(model_fn, "loss", max_trials=trials, max_epochs=1, oracle="random")
    tuner.search(x, x[:, :1], verbose=0)
    sizes.append(resident())
print((sizes[1] - sizes[0]) / 2**20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert float(done.stdout.split()[-1]) < 36
