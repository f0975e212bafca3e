"""A functional model with a condition: what a trial does not ask for is not part of it.

Two inputs, two kinds of head, and a momentum that only one of the optimizers has. Early stopping
ends hopeless trials; the epochs they did not use go to others. Nothing here depends on a backend:
try ``KERAS_BACKEND=jax``.
"""

import argparse

import keras
import numpy as np

from tunedeco import Choice, Float, Range, Tuner, tunable


def optimizer():
    """Return one of two optimizers; hyperparameters may stand in any function that is called."""
    rate = Float("learning_rate", 1e-3, 1e-1, log=True, default=1e-2, group="optimizer")
    if Choice("optimizer", ["adam", "sgd"], group="optimizer") == "sgd":
        momentum = Float("momentum", 0.0, 0.95, group="optimizer")
        return keras.optimizers.SGD(rate, momentum=momentum)
    return keras.optimizers.Adam(rate)


@tunable
def model_fn():
    """Build a regression from a series and a few numbers beside it."""
    series = keras.Input((24, 1), name="series")
    numbers = keras.Input((4,), name="numbers")

    if Choice("encoder", ["conv", "dense"], group="encoder") == "conv":
        kernel = Range("kernel_size", 3, 7, 2, group="encoder")
        encoded = keras.layers.Conv1D(8, kernel, activation="relu")(series)
        encoded = keras.layers.GlobalAveragePooling1D()(encoded)
    else:
        encoded = keras.layers.Flatten()(series)

    hidden = keras.layers.Concatenate()([encoded, numbers])
    for i in range(Range("layers", 1, 2, group="head")):
        units = Choice(f"units_{i}", [16, 32, 64], group="head")
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    model = keras.Model({"series": series, "numbers": numbers}, keras.layers.Dense(1)(hidden))
    model.compile(loss="mse", optimizer=optimizer())
    return model


def main():
    """Search on made data: a level hidden in noise, moved by the numbers beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="runs/functional_api", help="where the search lives")
    options = parser.parse_args()

    draw = np.random.default_rng(0)
    numbers = draw.normal(size=(600, 4))
    level = draw.normal(size=600)
    series = level[:, None] + draw.normal(size=(600, 24)) / 2
    data = {"series": series[..., None], "numbers": numbers}
    target = level * numbers[:, 0] + numbers[:, 1]

    tuner = Tuner(
        model_fn,
        "val_loss",
        max_trials=8,
        max_epochs=8,
        oracle="random",
        directory=options.directory,
    )
    tuner.search(
        data,
        target,
        validation_split=0.25,
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=2)],
    )
    tuner.summary()
    print("\nthe best values:", tuner.best_hyperparameters)


if __name__ == "__main__":
    main()
