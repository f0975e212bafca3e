"""Keras functions of many styles as users of Keras Tuner write them: nothing in them knows of ours.

Conditions stand in a plain `if`, in a `conditional_scope`, or as `parent_name`.
"""

import keras
from keras import layers


def sequential(hp):
    """Grow a `Sequential` in a loop, as Keras Tuner's guide does."""
    model = keras.Sequential([keras.Input((12, 12, 1)), layers.Flatten()])
    for i in range(hp.Int("num_layers", 1, 3)):
        units = hp.Int(f"units_{i}", min_value=8, max_value=32, step=8)
        model.add(layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy")
    return model


def functional(hp):
    """Nest scopes; what is inactive is None, and not used."""
    x = inputs = keras.Input((16, 16, 3))
    pooling = hp.Choice("pooling", ["max", "avg"])
    for i in range(2):
        x = layers.Conv2D(hp.Int(f"filters_{i}", 4, 12, step=4), 3, padding="same")(x)
        x = layers.MaxPooling2D(2)(x) if pooling == "max" else layers.AveragePooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    head = hp.Choice("head", ["linear", "mlp"])
    with hp.conditional_scope("head", ["mlp"]):
        units = hp.Int("units", 16, 48, 16)
        regularized = hp.Boolean("regularized", default=True)
        with hp.conditional_scope("regularized", [True]):
            l2 = hp.Float("l2", 1e-5, 1e-3, step=10, sampling="log")
        if head == "mlp":
            regularizer = keras.regularizers.L2(l2) if regularized else None
            x = layers.Dense(units, activation="relu", kernel_regularizer=regularizer)(x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    optimizer = hp.Choice("optimizer", ["adam", "sgd"])
    rate = hp.Choice("rate", [1e-2, 1e-3])
    momentum = hp.Float(
        "momentum", 0.0, 0.9, step=0.3, parent_name="optimizer", parent_values=["sgd"]
    )
    if optimizer == "sgd":
        model.compile(keras.optimizers.SGD(rate, momentum), "categorical_crossentropy")
    else:
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy")
    return model


class Classifier(keras.Model):
    """A model that is given `hp`, and keeps nothing of it."""

    def __init__(self, hp):
        super().__init__()
        self.hidden = [
            layers.Dense(hp.Choice(f"units_{i}", [16, 32]), activation="relu")
            for i in range(hp.Int("depth", 1, 2))
        ]
        self.classes = layers.Dense(10, activation="softmax")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.classes(x)


def subclassed(hp):
    """Compile a subclass of `Model`."""
    model = Classifier(hp)
    rate = hp.Float("rate", 0.001, 0.003, step=0.001)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


def multi_input(hp):
    """Join two inputs; their hyperparameters stand in name scopes."""
    category = keras.Input((1,), dtype="int32", name="category")
    numbers = keras.Input((4,), name="numbers")
    with hp.name_scope("category"):
        embedded = layers.Flatten()(layers.Embedding(100, hp.Int("dims", 4, 8, 4))(category))
    with hp.name_scope("numbers"):
        dense = layers.Dense(hp.Int("dims", 8, 16, 8), activation="relu")(numbers)
    model = keras.Model([category, numbers], layers.Dense(1)(keras.ops.hstack([embedded, dense])))
    model.compile("rmsprop", hp.Choice("loss", ["mse", "mae"]))
    return model


def multi_output(hp):
    """Grow two heads of one trunk, with a `Fixed` number of classes."""
    inputs = keras.Input((12,))
    trunk = layers.Dense(hp.Int("trunk", 16, 64, sampling="log", step=2), "relu")(inputs)
    label = layers.Dense(hp.Fixed("classes", 5), activation="softmax", name="label")(trunk)
    if hp.Boolean("deep"):
        trunk = layers.Dense(hp.Int("head", 4, 8, step=4), activation="relu")(trunk)
    model = keras.Model(inputs, {"label": label, "number": layers.Dense(1, name="number")(trunk)})
    weight = hp.Float("weight", 0.0, 1.0, step=0.1, default=0.5)
    model.compile(
        "adamw",
        {"label": "sparse_categorical_crossentropy", "number": "mse"},
        loss_weights={"label": 1 - weight, "number": weight},
    )
    return model


class Weighted(keras.Model):
    """A functional model with a training step of its own."""

    weight = 1.0

    def train_step(self, data):
        x, y = data
        return super().train_step((x, y, keras.ops.ones_like(y) * self.weight))


class CustomStep:
    """What `HyperModel` asks for: a method `build`. It is tuned as an instance."""

    def __init__(self, units):
        self.units = units

    def build(self, hp):
        """Build a model with a training step of its own."""
        inputs = keras.Input((8,))
        x = layers.Dense(hp.Choice("units", self.units), activation="relu")(inputs)
        model = Weighted(inputs, layers.Dense(1)(x))
        model.weight = hp.Choice("weight", [1.0, 2.0])
        if hp.Choice("schedule", ["constant", "cosine"]) == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(0.01, hp.Int("steps", 100, 300, 100))
        else:
            rate = 0.01
        model.compile(keras.optimizers.Adam(rate), "mae")
        return model


def preprocessing(hp):
    """Augment in a scope for each kind."""
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 255)])
    kind = hp.Choice("kind", ["none", "flip", "zoom"])
    with hp.conditional_scope("kind", ["flip"]):
        mode = hp.Choice("mode", ["horizontal", "vertical"])
        if kind == "flip":
            model.add(layers.RandomFlip(mode))
    with hp.conditional_scope("kind", ["zoom"]):
        factor = hp.Float("factor", 0.1, 0.3, step=0.1)
        if kind == "zoom":
            model.add(layers.RandomZoom(factor))
    model.add(layers.SeparableConv2D(hp.Int("filters", 4, 8, 4), 3, activation="swish"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("nadam", "sparse_categorical_crossentropy")
    return model


def recurrent(hp):
    """Choose a recurrent layer; only one of them can drop out."""
    model = keras.Sequential([keras.Input((10,), dtype="int32")])
    model.add(layers.Embedding(200, hp.Int("dims", 8, 16, 8)))
    if hp.Choice("kind", ["lstm", "gru"]) == "lstm":
        model.add(layers.LSTM(hp.Int("units", 4, 8, 4), dropout=hp.Float("drop", 0.0, 0.4, 0.2)))
    else:
        model.add(layers.Bidirectional(layers.GRU(hp.Int("units", 4, 8, 4))))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    return model


def attention(hp):
    """Encode with attention; what a block has is asked for again in each, by one name."""
    width = hp.Choice("width", [8, 16])
    inputs = keras.Input((10,), dtype="int32")
    x = layers.Embedding(50, width)(inputs)
    for i in range(hp.Int("blocks", 0, 2, default=1)):
        heads = hp.Choice("heads", [1, 2, 4])
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(heads, width // heads)(x, x))
        if hp.Boolean(f"feed_forward_{i}"):
            x = x + layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(x))
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def backbone(hp):
    """Build on MobileNet, frozen or not; only what is trained needs a small rate."""
    base = keras.applications.MobileNet((32, 32, 3), 0.25, include_top=False, weights=None)
    base.trainable = hp.Boolean("fine_tune")
    rate = hp.Choice("small_rate", [1e-5, 1e-4]) if base.trainable else hp.Fixed("rate", 1e-3)
    x = layers.GlobalMaxPooling2D()(base.output)
    x = layers.Dense(hp.Int("units", 16, 64, 16), activation="relu")(x)
    model = keras.Model(base.input, layers.Dense(10, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


ZOO = {
    "sequential": sequential,
    "functional": functional,
    "subclassed": subclassed,
    "multi_input": multi_input,
    "multi_output": multi_output,
    "custom_step": CustomStep([16, 32]),
    "preprocessing": preprocessing,
    "recurrent": recurrent,
    "attention": attention,
    "backbone": backbone,
}
