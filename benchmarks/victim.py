"""The search that `kill.py` kills and `full_disk.py` starves of room.

``python benchmarks/victim.py DIR ORACLE TRIALS EPOCHS [--kill-at KIND N]`` searches in DIR, and
appends every epoch that was trained to DIR.trained as ``trial epoch``. With the option, the Nth
call of a kind (see ``tests/faults.py``) kills the process in its middle. Prints how many calls
there were of each kind, as JSON.
"""

import argparse
import json
import sys
from pathlib import Path

import keras
import numpy as np

from tunedeco import Choice, Linear, Range, Tuner

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from faults import Faults


def model_fn():
    learning_rate = Choice("learning_rate", [0.03, 0.01, 0.003], group="optimizer")
    rate = Linear("rate", 0.1, 0.5, 3, group="dense")
    units = Range("units", 8, 16, 8, group="dense")
    model = keras.Sequential(
        [
            keras.layers.Dense(units, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(rate),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model


class Trained(keras.callbacks.Callback):
    def __init__(self, file, trial):
        super().__init__()
        self.file, self.trial = file, trial

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        with self.file.open("a") as file:
            file.write(f"{self.trial} {epoch + 1}\n")


def search(directory, oracle, trials, epochs):
    """Search, or go on; return the tuner."""
    draw = np.random.RandomState(0)
    x = draw.normal(size=(600, 8))
    y = (x[:, :3] + draw.normal(size=(600, 3)) / 2).argmax(axis=1)
    tuner = Tuner(
        model_fn,
        "val_accuracy",
        max_trials=trials,
        max_epochs=epochs,
        oracle=oracle,
        directory=directory,
    )

    def callbacks(trial):
        return [
            keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
            Trained(directory.with_suffix(".trained"), trial.number),
        ]

    tuner.search(x, y, validation_split=0.25, batch_size=16, verbose=0, callbacks=callbacks)
    return tuner


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("oracle")
    parser.add_argument("trials", type=int)
    parser.add_argument("epochs", type=int)
    parser.add_argument("--kill-at", nargs=2)
    options = parser.parse_args()
    faults = Faults()
    if options.kill_at:
        faults.kind, faults.at = options.kill_at[0], int(options.kill_at[1])
    with faults.installed():
        search(options.directory, options.oracle, options.trials, options.epochs)
    print(json.dumps(faults.counts))


if __name__ == "__main__":
    main()
