"""A search that is interrupted ends with the numbers of one that never was, bit for bit."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from faults import Faults

from tunedeco import Choice, Tuner
from tunedeco.errors import CheckpointError, ConfigurationError, JournalError
from tunedeco.executors import checkpoints

pytestmark = pytest.mark.keras

Arrays = tuple[np.ndarray, np.ndarray]
MakeTuner = Callable[..., Tuner]
Numbers = Callable[[Tuner], list[Any]]


def callbacks() -> list[keras.callbacks.Callback]:
    """Return Keras's own callbacks that remember something."""
    return [
        keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
    ]


class Stop(BaseException):
    """What a test raises where a process would die."""


class Die(keras.callbacks.Callback):
    """Raises once, at some batch of some epoch; like a kill, nothing runs after it."""

    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.at = (epoch, batch)
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            raise Stop


def search(tuner: Tuner, arrays: Arrays, *more: keras.callbacks.Callback) -> Tuner:
    chosen = [*callbacks(), *more]
    tuner.search(
        *arrays, validation_split=0.25, batch_size=8, callbacks=lambda trial: chosen, verbose=0
    )
    return tuner


_known: list[Any] = []  # the numbers of `whole`, which are always the same


@pytest.fixture
def whole(arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers) -> list[Any]:
    """Return the numbers of a search that nothing interrupted."""
    if not _known:
        _known.extend(numbers(search(make_tuner(directory="whole", max_epochs=4), arrays)))
    return _known


@pytest.mark.parametrize(("epoch", "batch"), [(0, 3), (3, 8)])
def test_killed_within_a_trial(
    epoch: int,
    batch: int,
    whole: list[Any],
    arrays: Arrays,
    make_tuner: MakeTuner,
    numbers: Numbers,
) -> None:
    """Stopped dead twice in any epoch of a trial, a search ends with the same numbers."""
    for _ in range(2):
        with pytest.raises(Stop):
            search(make_tuner(max_epochs=4), arrays, Die(epoch, batch))
    assert numbers(search(make_tuner(max_epochs=4), arrays)) == whole


class Signal(keras.callbacks.Callback):
    """Sends this process a signal at some batch of some epoch."""

    def __init__(self, number: int, epoch: int, batch: int) -> None:
        super().__init__()
        self.number, self.at, self.epoch = number, (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("number", "status", "epoch", "batch"),
    [(signal.SIGINT, 130, 1, 5), (signal.SIGTERM, 143, 2, 8)],
    ids=["SIGINT", "SIGTERM"],
)
def test_the_first_signal(
    number: int,
    status: int,
    epoch: int,
    batch: int,
    whole: list[Any],
    arrays: Arrays,
    make_tuner: MakeTuner,
    numbers: Numbers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first signal stops after the batch, with its own exit status; nothing of it is lost."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as left:
        search(make_tuner(max_epochs=4), arrays, Signal(number, epoch, batch))
    assert left.value.code == status
    assert signal.getsignal(number) is before
    tuner = make_tuner(max_epochs=4)
    (trial,) = tuner.trials
    (latest,) = trial.checkpoints[-1:]
    # after the last batch comes the epoch's end, which is the next safe point
    assert (latest.epoch, latest.step) == ((epoch, batch + 1) if batch < 8 else (epoch + 1, 0))
    assert numbers(search(tuner, arrays)) == whole


def test_a_signal_in_the_last_epoch(
    arrays: Arrays, make_tuner: MakeTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that comes too late to interrupt the search still ends the program, after it."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)
    tuner = make_tuner(max_trials=1, max_epochs=1)
    with pytest.raises(SystemExit) as left:
        search(tuner, arrays, Signal(signal.SIGTERM, 0, 8))
    assert left.value.code == 143
    assert [trial.state for trial in tuner.trials] == ["completed"]


def test_a_signal_where_nothing_trains(
    arrays: Arrays, make_tuner: MakeTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal stops a search whose trials fail before their first batch."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)

    def broken(trial: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError

    tuner = make_tuner(max_trials=4)
    with pytest.raises(SystemExit):
        tuner.search(*arrays, validation_split=0.25, callbacks=broken, verbose=0)
    assert [trial.state for trial in tuner.trials] == ["failed", "running"]


def test_other_batches_within_an_epoch(
    arrays: Arrays, make_tuner: MakeTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch a trial goes on with as many batches as it had, or not at all."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: False)
    tuner = make_tuner(max_trials=1)
    with pytest.raises(SystemExit):
        search(tuner, arrays, Signal(signal.SIGTERM, 0, 6))
    with pytest.raises(ConfigurationError, match="an epoch of 9 batches, and there are 3 now"):
        tuner.search(*arrays, validation_split=0.25, batch_size=32, verbose=0)
    assert [trial.state for trial in tuner.trials] == ["running"]


def test_interrupting_a_notebook(
    arrays: Arrays, make_tuner: MakeTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook the first interrupt ends the cell, and not the kernel."""
    monkeypatch.setattr("tunedeco.signals.interactive", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        search(make_tuner(), arrays, Signal(signal.SIGINT, 0, 1))


@pytest.mark.once
def test_a_damaged_checkpoint(
    whole: list[Any], arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """A checkpoint with a flipped bit is not used: training goes on from the one before it."""
    with pytest.raises(Stop):
        search(make_tuner(max_epochs=4), arrays, Die(2, 4))
    (*_, latest) = sorted(make_tuner().directory.glob("checkpoints/*.npz"))
    content = bytearray(latest.read_bytes())
    content[len(content) // 2] ^= 1
    latest.write_bytes(content)
    tuner = search(make_tuner(max_epochs=4), arrays)
    assert numbers(tuner) == whole


@pytest.mark.once
def test_no_checkpoint_left(
    whole: list[Any], arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """Without any of its checkpoints, a trial starts over, to the same numbers."""
    with pytest.raises(Stop):
        search(make_tuner(max_epochs=4), arrays, Die(2, 4))
    for path in make_tuner().directory.glob("checkpoints/*.npz"):
        path.unlink()
    assert numbers(search(make_tuner(max_epochs=4), arrays)) == whole


class Own(keras.Model):
    """Cannot be built from shapes with an open number of samples; on TensorFlow only by training.

    The other backends build a model from the shapes of a batch before they train it.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.drop = keras.layers.Dropout(0.3)
        self.last = keras.layers.Dense(3)

    def call(self, x: Any, training: bool = False) -> Any:
        refused = not training if keras.backend.backend() == "tensorflow" else x.shape[0] is None
        if refused:
            raise ValueError
        return self.last(self.drop(self.hidden(x), training=training))


def own_fn() -> keras.Model:
    model = Own(Choice("units", [4, 8]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss=loss)
    return model


def test_a_model_that_only_training_builds(
    arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that cannot be built before it trains goes on from its checkpoint all the same."""
    monkeypatch.setattr("tunedeco.executors.recorder._SHARE", 1e9)  # a checkpoint at each epoch
    begun: list[int] = []
    count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))

    def run(directory: str, *more: keras.callbacks.Callback) -> list[Any]:
        tuner = make_tuner(
            own_fn, objective="loss", max_trials=1, max_epochs=4, directory=directory
        )
        tuner.search(*arrays, batch_size=8, callbacks=lambda trial: [count, *more], verbose=0)
        assert tuner.trials[0].error is None
        return numbers(tuner)

    whole = run("whole")
    with pytest.raises(Stop):
        run("parted", Die(2, 3))
    begun.clear()
    assert run("parted") == whole
    assert begun == [2, 3]


class Counting(keras.callbacks.Callback):
    """A user's callback with a memory: stops after three epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.count += 1
        self.model.stop_training = self.count >= 3

    def get_state(self) -> dict[str, int]:
        return {"count": self.count}

    def set_state(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def test_a_callbacks_own_memory(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A user's callback with get_state and set_state remembers across an interruption."""
    settings = {"max_trials": 1, "max_epochs": 5}
    with pytest.raises(Stop):
        search(make_tuner(**settings), arrays, Counting(), Die(1, 2))
    tuner = search(make_tuner(**settings), arrays, Counting())
    assert [len(trial.epochs) for trial in tuner.trials] == [3]


def averaged_fn() -> keras.Model:
    """Build a model whose optimizer keeps averages of the weights."""
    model = keras.Sequential(
        [
            keras.layers.Dense(Choice("units", [4, 8]), activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("precision", "interruption"),
    [
        ("float32", Die(1, 4)),
        ("mixed_float16", Signal(signal.SIGTERM, 1, 4)),
    ],
)
def test_all_that_changes_while_training(
    arrays: Arrays,
    make_tuner: MakeTuner,
    numbers: Numbers,
    precision: str,
    interruption: keras.callbacks.Callback,
) -> None:
    """Schedules, averages, saved files, logs and a loss scale go on as if nothing had been."""

    def run(directory: str, *more: keras.callbacks.Callback) -> Any:
        def callbacks(trial: Any) -> list[keras.callbacks.Callback]:
            file = f"{directory}-{trial.number}"
            return [
                keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.7),
                keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
                keras.callbacks.ModelCheckpoint(f"{file}.keras", "val_loss", save_best_only=True),
                keras.callbacks.ModelCheckpoint(file + "-{epoch}.keras", save_freq=5),
                keras.callbacks.CSVLogger(f"{file}.csv"),
                *more,
            ]

        tuner = make_tuner(averaged_fn, max_epochs=3, precision=precision, directory=directory)
        tuner.search(*arrays, validation_split=0.25, batch_size=8, callbacks=callbacks, verbose=0)
        weights = tuner.best_model().get_weights()
        files = {path.name.removeprefix(directory) for path in Path().glob(f"{directory}-*")}
        lines = Path(f"{directory}-0.csv").read_text().splitlines()
        return numbers(tuner), [w.tolist() for w in weights], files, lines

    with pytest.raises((Stop, SystemExit)):
        run("parted", interruption)
    assert run("parted") == run("whole")


@pytest.mark.once
@pytest.mark.parametrize("kind", ["append", "rename"])
def test_a_full_disk(
    kind: str, whole: list[Any], arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """A disk that is full stops the search with an error that says so; with room, it goes on.

    ``benchmarks/full_disk.py`` does this at every write.
    """
    faults = Faults(9 if kind == "append" else 3, errno.ENOSPC, kind, for_good=True)
    with faults.installed(), pytest.raises((CheckpointError, JournalError), match="No space left"):
        search(make_tuner(max_epochs=4), arrays)
    assert numbers(search(make_tuner(max_epochs=4), arrays)) == whole


@pytest.mark.once
def test_a_disk_that_a_callback_finds_full(
    whole: list[Any], arrays: Arrays, make_tuner: MakeTuner, numbers: Numbers
) -> None:
    """Where a callback of the user's cannot write, the search stops too, and no trial fails."""

    class Full(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match=r"a callback cannot write .* make room"):
        search(make_tuner(max_epochs=4), arrays, Full())
    assert numbers(search(make_tuner(max_epochs=4), arrays)) == whole


@pytest.mark.once
def test_a_callback_that_could_not_be_reminded(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """A callback with `get_state` and no `set_state` is refused before anything relies on it."""

    class Half(keras.callbacks.Callback):
        def get_state(self) -> int:
            return 3

    with pytest.raises(ConfigurationError, match=r"Half has get_state\(\) and no set_state"):
        search(make_tuner(), arrays, Half())


@pytest.mark.once
def test_a_callback_that_would_resume_by_itself(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Keras's own BackupAndRestore, which would load another trial's weights, is refused."""
    with pytest.raises(ConfigurationError, match="leave BackupAndRestore out"):
        search(make_tuner(), arrays, keras.callbacks.BackupAndRestore("backup"))


@pytest.mark.once
def test_a_callback_whose_memory_is_not_json(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """What a callback wants to be kept and JSON cannot hold is refused, by its name."""
    forgetful = Counting()
    forgetful.get_state = lambda: {"best": np.float32(1)}
    with pytest.raises(ConfigurationError, match=r"Counting: get_state\(\) must return"):
        search(make_tuner(), arrays, forgetful)


@pytest.mark.once
def test_the_disk_is_bounded(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """After many trials the checkpoints of the best `keep` are left, and nothing else."""
    tuner = make_tuner(max_trials=8, max_epochs=1, keep=2)
    tuner.search(*arrays, validation_split=0.25, verbose=0)
    best = sorted(tuner.trials, key=lambda t: (t.loss, t.number))[:2]
    kept = {checkpoints.path(tuner.directory / "checkpoints", t, 1, 0) for t in best}
    assert set(tuner.directory.glob("checkpoints/*")) == kept


def test_the_best_model(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """best_model() evaluates to the reported score, in a fresh tuner too; training it is free."""
    x, y = arrays
    make_tuner(max_epochs=4).search(x, y, validation_split=0.25, verbose=0)
    tuner = make_tuner()
    model = tuner.best_model()
    result = model.evaluate(x[72:], y[72:], verbose=0, return_dict=True)
    assert result["accuracy"] == pytest.approx(tuner.best_trial.score, abs=1e-6)
    model.fit(x, y, verbose=0)


@pytest.mark.once
def test_a_best_model_without_weights(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """Where the best trial's checkpoint is gone, best_model() says which file it misses."""
    tuner = make_tuner(max_trials=1)
    tuner.search(*arrays, validation_split=0.25, verbose=0)
    (path,) = tuner.directory.glob("checkpoints/*")
    path.unlink()
    with pytest.raises(CheckpointError, match=f"{path.name} is missing.* There are weights of no"):
        tuner.best_model()


def wide_fn(largest: int = 12) -> keras.Model:
    """Build a model that is the better the wider it is."""
    units = Choice("units", [u for u in (4, 8, 12) if u <= largest])
    model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(3)])
    model.compile(loss=lambda y, p: keras.ops.mean(p * 0.0) + 1.0 / units)
    return model


def narrow_fn() -> keras.Model:
    return wide_fn(8)


@pytest.mark.once
def test_a_best_model_whose_weights_were_not_kept(arrays: Arrays, make_tuner: MakeTuner) -> None:
    """After the best trial was set aside, best_model() says why the next one has no weights."""
    settings = {"objective": "val_loss", "oracle": "grid", "max_trials": 3, "max_epochs": 1}
    make_tuner(wide_fn, **settings).search(*arrays, validation_split=0.25, verbose=0)
    tuner = make_tuner(narrow_fn, extend=True, **settings)
    tuner.search(*arrays, validation_split=0.25, verbose=0)
    assert [trial.state for trial in tuner.trials] == ["completed", "completed", "outside"]
    with pytest.raises(CheckpointError, match="the weights of trial 1 are") as error:
        tuner.best_model()
    assert "extend=True" in str(error.value)
    assert "There are weights of no other trial" in str(error.value)
