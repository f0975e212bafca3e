"""Keras functions of many styles under `@tunable`: what `zoo.py` builds, with its space declared.

Some declare in the body, behind an `if` or in a loop, in a helper, a constructor or a list; some on
the signature; some are told from outside, and are not touched.
"""

from typing import Annotated

import keras
from keras import layers

from tunedeco import Boolean, Choice, Fixed, Float, Linear, Logarithmic, Range, space, tunable


@tunable
def sequential():
    """Grow a `Sequential` in a loop whose length is a hyperparameter."""
    model = keras.Sequential([keras.Input((12, 12, 1))])
    filters = Range("filters", 4, 16, 4, group="cnn", default=8)
    model.add(layers.Conv2D(filters, kernel_size=Range("kernel", 1, 5, 2, group="cnn", default=3)))
    if Boolean("pooling", group="cnn", default=True):
        model.add(layers.MaxPooling2D(Range("pool", 2, 3, group="cnn")))
    model.add(layers.Flatten())
    for i in range(Range("layers", 1, 3, group="dense", default=2)):
        model.add(layers.Dense(Range(f"units_{i}", 8, 16, 4, group="dense"), activation="relu"))
        model.add(layers.Dropout(Linear("rate", 0.0, 0.5, 5, group="dense")))
    model.add(layers.Dense(10, activation="softmax"))
    rate = Choice("learning_rate", [1e-3, 5e-4, 1e-4], group="optimizer")
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy")
    return model


def _normalized(x, kind):
    if kind == "batch":
        return layers.BatchNormalization(momentum=Choice("momentum", [0.9, 0.99], group="norm"))(x)
    if kind == "group":
        return layers.GroupNormalization(groups=Choice("groups", [2, 4], group="norm"))(x)
    return x


@tunable
def functional():
    """Normalize in a helper, which asks for what its branch needs; the optimizer is a choice."""
    x = inputs = keras.Input((16, 16, 3))
    kind = Choice("kind", ["batch", "group", None], group="norm")
    for i, filters in enumerate([8, 16]):
        x = layers.Conv2D(filters, Choice(f"kernel_{i}", [3, 5], group="cnn"), padding="same")(x)
        x = layers.ReLU()(_normalized(x, kind))
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    rate = Logarithmic("rate", 1e-4, 1e-1, 4, group="optimizer")
    if Choice("optimizer", ["sgd", "adam"], group="optimizer") == "sgd":
        momentum = Linear("momentum", 0.0, 0.9, 3, group="optimizer")
        nesterov = momentum > 0 and Boolean("nesterov", group="optimizer")
        optimizer = keras.optimizers.SGD(rate, momentum, nesterov)
    else:
        optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, "categorical_crossentropy")
    return model


class Classifier(keras.Model):
    """A model that asks in its constructor."""

    def __init__(self):
        super().__init__()
        units = [Range(f"units_{i}", 16, 64, 16) for i in range(Range("depth", 0, 2, default=1))]
        self.hidden = [layers.Dense(n, activation="relu") for n in units]
        self.dropout = layers.Dropout(Linear("rate", 0.1, 0.5, 5)) if units else None
        self.classes = layers.Dense(10, activation="softmax")

    def call(self, x, training=None):
        for layer in self.hidden:
            x = layer(x)
        if self.dropout is not None:
            x = self.dropout(x, training=training)
        return self.classes(x)


@tunable
def subclassed():
    """Compile a subclass of `Model`; it is first called where it is trained."""
    model = Classifier()
    rate = Float("learning_rate", 1e-4, 1e-2, log=True, default=1e-3, group="optimizer")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


@tunable
def multi_input(
    dims: Annotated[int, space.Choice([4, 8, 16], group="embedding")] = 8,
    units: Annotated[int, space.Range(8, 32, 8, group="dense")] = 16,
    noise: Annotated[float, space.Linear(0.0, 0.2, 3, group="noise")] = 0.1,
):
    """Join two inputs; all is on the signature."""
    category = keras.Input((1,), dtype="int32", name="category")
    numbers = keras.Input((4,), name="numbers")
    embedded = layers.Flatten()(layers.Embedding(100, dims)(category))
    noisy = layers.GaussianNoise(noise)(numbers)
    x = layers.Concatenate()([embedded, layers.Dense(units, activation="relu")(noisy)])
    model = keras.Model([category, numbers], layers.Dense(1)(x))
    model.compile("rmsprop", "mse")
    return model


@tunable
def multi_output(rate: Annotated[float, space.Choice([3e-4, 1e-3], group="optimizer")] = 3e-4):
    """Grow two heads; one of them may have a layer of its own. One may weigh more."""
    inputs = keras.Input((12,))
    trunk = layers.Dense(Range("trunk", 16, 64, 16, group="dense"), activation="relu")(inputs)
    label = layers.Dense(5, activation="softmax", name="label")(trunk)
    head = trunk
    if (units := Choice("head", [0, 8, 16], group="dense")) > 0:
        activation = Choice("head_activation", ["tanh", "relu"], group="dense")
        head = layers.Dense(units, activation=activation)(trunk)
    model = keras.Model(inputs, {"label": label, "number": layers.Dense(1, name="number")(head)})
    weights = {"label": 1.0, "number": Choice("number_weight", [0.5, 1.0, 2.0], group="loss")}
    losses = {"label": "sparse_categorical_crossentropy", "number": "mse"}
    model.compile(keras.optimizers.AdamW(rate), losses, loss_weights=weights)
    return model


class Noisy(keras.Model):
    """A functional model whose training step adds noise to its inputs."""

    noise = 0.0

    def train_step(self, data):
        x, y = data
        return super().train_step((x + keras.random.normal((8,)) * self.noise, y))


@tunable
def custom_step():
    """Give a training step of one's own its hyperparameter, and let the rate decay, or not."""
    inputs = keras.Input((8,))
    x = layers.Dense(Range("units", 16, 48, 16), activation="relu")(inputs)
    model = Noisy(inputs, layers.Dense(1)(x))
    model.noise = Linear("noise", 0.0, 0.2, 3, group="step")
    rate = Choice("rate", [0.01, 0.001], group="optimizer")
    if Boolean("decay", group="optimizer"):
        steps = Choice("decay_steps", [100, 1000], group="optimizer")
        rate = keras.optimizers.schedules.ExponentialDecay(rate, steps, 0.9)
    model.compile(keras.optimizers.Adam(rate), "mae")
    return model


@tunable
def preprocessing():
    """Augment, if at all, in one of several ways."""
    augmentation = {
        "none": list,
        "flip": lambda: [layers.RandomFlip(Choice("flip", ["horizontal", "vertical"], group=_A))],
        "rotate": lambda: [layers.RandomRotation(Linear("rotation", 0.05, 0.2, 4, group=_A))],
    }
    parts = augmentation[Choice("augmentation", list(augmentation), group=_A)]()
    filters = Choice("filters", [8, 16], group="cnn")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            *parts,
            layers.SeparableConv2D(filters, 3, activation="swish"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("nadam", "sparse_categorical_crossentropy")
    return model


_A = "augmentation"


@tunable
def recurrent():
    """Stack recurrent layers of a kind that is looked up; all but the last return sequences."""
    kind = {"lstm": layers.LSTM, "gru": layers.GRU}[Choice("kind", ["lstm", "gru"], group="rnn")]
    depth = Range("depth", 1, 2, group="rnn")
    units = [Choice(f"units_{i}", [8, 16], group="rnn") for i in range(depth)]
    model = keras.Sequential([keras.Input((10,), dtype="int32")])
    model.add(layers.Embedding(200, Range("dims", 8, 16, 8, group="embedding")))
    for n in units[:-1]:
        model.add(layers.Bidirectional(kind(n, return_sequences=True)))
    model.add(kind(units[-1], dropout=Linear("dropout", 0.0, 0.4, 3, group="rnn")))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    return model


@tunable
def attention():
    """Encode with attention; the width is a product of two hyperparameters."""
    heads = Choice("heads", [2, 4], group="attention")
    dims = Choice("key_dim", [4, 8], group="attention")
    inputs = keras.Input((10,), dtype="int32")
    x = layers.Embedding(50, heads * dims)(inputs)
    for _ in range(Range("blocks", 1, 2, group="attention")):
        attended = layers.MultiHeadAttention(heads, dims)(x, x)
        x = layers.LayerNormalization()(x + attended)
        if Boolean("feed_forward", group="dense"):
            units = Range("factor", 1, 4, group="dense") * heads * dims
            x = x + layers.Dense(heads * dims)(layers.Dense(units, activation="gelu")(x))
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(Fixed("classes", 4))(x))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _backbone(alpha=0.25, units=64, dropout=0.3, rate=1e-3):
    """Build on MobileNet; this must not change."""
    base = keras.applications.MobileNet((32, 32, 3), alpha, include_top=False, weights=None)
    base.trainable = False
    x = layers.GlobalMaxPooling2D()(base.output)
    if units:
        x = layers.Dropout(dropout)(layers.Dense(units, activation="relu")(x))
    model = keras.Model(base.input, layers.Dense(10, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


backbone = tunable(
    _backbone,
    units=space.Choice([0, 32, 64], group="head"),
    dropout=space.Linear(0.1, 0.5, 3, group="head"),
    rate=space.Choice([1e-3, 1e-4], group="optimizer"),
)

ZOO = {
    "sequential": sequential,
    "functional": functional,
    "subclassed": subclassed,
    "multi_input": multi_input,
    "multi_output": multi_output,
    "custom_step": custom_step,
    "preprocessing": preprocessing,
    "recurrent": recurrent,
    "attention": attention,
    "backbone": backbone,
}
