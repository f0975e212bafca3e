"""A training loop of one's own, in place of `fit`: a `GradientTape`, or pure JAX.

The loop asks its context for the epochs and the batches, and reports each epoch. So it can be
killed at any instant, like any search: run again, it goes on after the last epoch on disk, and ends
with the same numbers. On TensorFlow the model and its optimizer are kept for it; on JAX there is no
Keras model at all, and the loop keeps its parameters in `context.state`.
"""

import argparse

import keras
import numpy as np

from tunedeco import Float, Range, Tuner, tunable


@tunable
def network():
    """Build a Keras model; the loop has an optimizer of its own, so it is not compiled."""
    units = Range("units", 8, 32, 8)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(units, activation="tanh")])
    model.add(keras.layers.Dropout(0.02))
    model.add(keras.layers.Dense(1))
    return model, {"rate": Float("rate", 1e-3, 1e-1, log=True), "batch_size": 40}


def with_tape(model, context):
    """Train a Keras model with TensorFlow's tape."""
    import tensorflow as tf

    optimizer = context.track(keras.optimizers.Adam(context.arguments["rate"]))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        slopes = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
        return loss

    for _ in context.epochs():
        losses = [float(step(x, y)) for x, y in context.batches()]
        x, y = context.data.validation_data
        context.report(loss=np.mean(losses), val_loss=np.mean((model(x) - y) ** 2))


@tunable
def sizes():
    """Say how large the parameters are that the loop makes."""
    return Range("units", 8, 32, 8), {
        "rate": Float("rate", 1e-2, 2e-1, log=True),
        "batch_size": 40,
    }


def with_jax(units, context):
    """Train parameters that nobody but this loop knows, with momentum."""
    import jax
    import jax.numpy as jnp

    def predicted(p, x):
        return jnp.tanh(x @ p["w"] + p["b"]) @ p["v"]

    def error(p, x, y):
        return jnp.mean((predicted(p, x) - y) ** 2)

    @jax.jit
    def step(p, velocity, x, y):
        loss, slope = jax.value_and_grad(error)(p, x, y)
        velocity = jax.tree.map(lambda v, s: 0.9 * v + s, velocity, slope)
        p = jax.tree.map(lambda w, v: w - context.arguments["rate"] * v, p, velocity)
        return p, velocity, loss

    state = context.state  # empty at first; what it held, when training goes on
    if not state:
        keys = jax.random.split(jax.random.key(context.seed), 3)
        shapes = {"w": (1, units), "b": (units,), "v": (units, 1)}
        state["parameters"] = {
            name: jax.random.normal(key, shape) / 2
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        state["velocity"] = jax.tree.map(jnp.zeros_like, state["parameters"])

    for _ in context.epochs():
        losses = []
        for x, y in context.batches():
            state["parameters"], state["velocity"], loss = step(
                state["parameters"], state["velocity"], x, y
            )
            losses.append(float(loss))
        val_loss = error(state["parameters"], *context.data.validation_data)
        context.report(loss=np.mean(losses), val_loss=val_loss)


def main():
    """Fit a wave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30, help="epochs in all trials together")
    parser.add_argument("--directory", default="runs/own_loop", help="where the search lives")
    options = parser.parse_args()

    draw = np.random.RandomState(0)
    x = draw.uniform(-3, 3, size=(500, 1)).astype("float32")
    y = np.sin(2 * x)

    on_jax = keras.backend.backend() == "jax"
    tuner = Tuner(
        sizes if on_jax else network,
        "val_loss",
        train_fn=with_jax if on_jax else with_tape,
        epoch_budget=options.epochs,
        max_epochs=6,
        directory=options.directory,
    )
    tuner.search(x, y, validation_split=0.2)
    tuner.summary()
    best = tuner.best_state()["parameters"] if on_jax else tuner.best_model()
    print(f"best: {best if not on_jax else {name: w.shape for name, w in best.items()}}")


if __name__ == "__main__":
    main()
