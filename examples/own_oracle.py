"""An oracle of one's own: a hill climber that never looks further than the best trial so far.

An oracle is a pure function of the space, the trials and the seed. It keeps nothing between calls,
so there is nothing to save and nothing to lose: kill this program and run it again, and the climb
goes on with the step it would have taken.
"""

import argparse
from dataclasses import dataclass

import keras
import numpy as np

from tunedeco import Float, Range, Tuner, tunable
from tunedeco.oracles import Start
from tunedeco.randomness import stream


@dataclass(frozen=True)
class HillClimber:
    """Step from the best trial in a random direction; begin at the defaults."""

    step: float = 0.15
    """Standard deviation, where every hyperparameter reaches from 0 to 1."""

    def next(self, space, trials, seed):
        """Return the next trial to start."""
        scored = [trial for trial in trials if trial.loss is not None]
        if not scored:
            return Start(space.defaults)
        best = min(scored, key=lambda trial: trial.loss)
        draw = stream(seed, len(trials), "climb")
        moved = [position + draw.gauss(0, self.step) for position in space.encode(best.values)]
        return Start(space.decode(min(max(position, 0.0), 1.0) for position in moved))


@tunable
def model_fn():
    """Build a small regression."""
    units = Range("units", 4, 64, 4)
    learning_rate = Float("learning_rate", 1e-3, 1e-1, log=True, group="optimizer")

    model = keras.Sequential([keras.layers.Dense(units, activation="tanh"), keras.layers.Dense(1)])
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate))
    return model


def main():
    """Fit a wave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="runs/own_oracle", help="where the search lives")
    options = parser.parse_args()

    x = np.linspace(-3, 3, 400)[:, None]
    y = np.sin(2 * x)

    tuner = Tuner(
        model_fn,
        "loss",
        max_trials=10,
        max_epochs=5,
        oracle=HillClimber(step=0.2),
        directory=options.directory,
    )
    tuner.search(x, y)
    tuner.summary()


if __name__ == "__main__":
    main()
