"""Tune a function that knows nothing of it: no hyperparameter is declared, and no line is edited.

`tunedeco.suggest` shows what could be different in the layers and the optimizer that it constructs;
``discover=True`` searches that. First only the optimizer, then everything.

See also what the command line prints: ``tunedeco suggest examples/untouched.py:plain_fn --write``.
"""

import argparse

import keras
from sklearn.datasets import load_digits

import tunedeco


def plain_fn():
    """Build a model as anybody would."""
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(2):
        model.add(keras.layers.Dense(32, activation="relu"))
        model.add(keras.layers.Dropout(0.3))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def main():
    """Search on scikit-learn's digits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="runs/untouched", help="where the search lives")
    options = parser.parse_args()

    print(tunedeco.suggest(plain_fn))
    digits = load_digits()
    x, y = digits.data / 16, digits.target
    for trials, groups in ((3, ["optimizer"]), (7, None)):
        tuner = tunedeco.Tuner(
            tunedeco.tunable(discover=True)(plain_fn),
            "val_accuracy",
            max_trials=trials,
            max_epochs=4,
            directory=options.directory,
        )
        tuner.search(x, y, validation_split=0.2, batch_size=64, groups=groups)
    tuner.summary()


if __name__ == "__main__":
    main()
