"""Search a convolutional network on MNIST, from a file or from `keras.datasets`.

The file is the ``mnist.npz`` that Keras downloads: ``x_train``, ``y_train``, ``x_test`` and
``y_test``. With ``--images 60000 --epochs 500`` this is a real search of some hours; as it stands
it takes less than a minute.
"""

import argparse

import keras
import numpy as np

from tunedeco import Boolean, Choice, Float, Range, Tuner, tunable


@tunable
def model_fn():
    """Build a network of some convolutions, each followed by pooling."""
    filters = Range("filters", 8, 32, 8, group="cnn")
    depth = Range("depth", 1, 3, group="cnn", default=2)
    normalise = Boolean("batch_norm", group="cnn")
    units = Choice("units", [32, 64, 128], group="dense")
    rate = Float("dropout_rate", 0.0, 0.5, group="dense")
    learning_rate = Float("learning_rate", 1e-4, 1e-2, log=True, default=1e-3, group="optimizer")

    model = keras.Sequential()
    for i in range(depth):
        model.add(keras.layers.Conv2D(filters * 2**i, 3, padding="same", activation="relu"))
        if normalise:
            model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dropout(rate))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(
        loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(learning_rate)
    )
    return model


def load(path):
    """Return the arrays of MNIST: images and labels to train on, and to test with."""
    if path is None:
        return keras.datasets.mnist.load_data()
    with np.load(path) as data:
        return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])


def main():
    """Search with validation on held-out images; test the best model on others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", metavar="FILE.npz", help="MNIST as a file; downloaded if not given"
    )
    parser.add_argument("--images", type=int, default=3000, help="how many images to train on")
    parser.add_argument("--epochs", type=int, default=16, help="the epoch budget")
    parser.add_argument("--directory", default="runs/mnist", help="where the search lives")
    options = parser.parse_args()

    (x, y), (x_test, y_test) = load(options.data)
    x = x[: options.images, ..., None] / 255
    y = y[: options.images]

    tuner = Tuner(
        model_fn,
        "val_accuracy",
        epoch_budget=options.epochs,
        max_epochs=4,
        max_parameters=500_000,
        directory=options.directory,
    )
    tuner.search(x, y, validation_split=0.2, batch_size=64)
    tuner.summary()

    x_test, y_test = x_test[: options.images, ..., None] / 255, y_test[: options.images]
    result = tuner.best_model().evaluate(x_test, y_test, verbose=0, return_dict=True)
    print(f"\naccuracy on {len(x_test)} test images: {result['accuracy']:.4f}")


if __name__ == "__main__":
    main()
