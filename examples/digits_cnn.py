"""The main job: search a small convolutional network on scikit-learn's handwritten digits.

Run it; it takes less than a minute. Interrupt it, and run it again: it goes on. Run it once more
when it is done: there is nothing left to do, and it shows what it found.
"""

import argparse

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tunedeco import Choice, Linear, Range, Tuner, tunable


@tunable
def model_fn():
    """Build a network of two convolutions and a few dense layers."""
    LR = Choice("learning_rate", [0.005, 0.002, 0.001, 0.0005], group="optimizer")
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


def main():
    """Search, show the best trials, export the best one, and train it anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="runs/digits", help="where the search lives")
    parser.add_argument("--epochs", type=int, default=40, help="the epoch budget")
    parser.add_argument("--output", default="best.json", help="where the best values go")
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8, 1) / 16
    y = keras.utils.to_categorical(labels, 10)
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.25, random_state=0)

    tuner = Tuner(
        model_fn,
        "val_accuracy",
        epoch_budget=options.epochs,
        max_epochs=5,
        directory=options.directory,
    )
    print(tuner.space)
    tuner.search(x, y, validation_data=(x_val, y_val))
    tuner.summary()
    tuner.export_best(options.output)

    # Any other program needs the function and the file, and nothing else.
    model = model_fn.build(options.output)
    model.compile(loss=model.loss, optimizer=model.optimizer, metrics=["accuracy"])
    history = model.fit(x, y, validation_data=(x_val, y_val), epochs=15, verbose=0)
    print(
        f"\nreported val_accuracy {tuner.best_trial.score:.4f}; "
        f"trained anew from {options.output}: {max(history.history['val_accuracy']):.4f}"
    )


if __name__ == "__main__":
    main()
