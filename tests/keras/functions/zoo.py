"""Keras functions of many styles, as users write them: nothing in them knows of tuning.

Each docstring says what the function builds, plainly enough to write the same function with
declared hyperparameters.
"""

import keras
from keras import layers


def sequential():
    """An image classifier as a `Sequential` that grows by `add`; its optimizer by name.

    A convolution of 16 filters, 3 times a dense layer of 64 units (relu) with dropout 0.2, and 10
    classes.
    """
    model = keras.Sequential()
    model.add(keras.Input((16, 16, 1)))
    model.add(layers.Conv2D(16, kernel_size=(3, 3), activation="relu"))
    model.add(layers.Flatten())
    for _ in range(3):
        model.add(layers.Dense(64, activation="relu"))
        model.add(layers.Dropout(0.2))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    return model


def without_shape():
    """A `Sequential` from a list, without an input shape, and with the default optimizer.

    A convolution of 8 filters, 2 dense layers of 32 units, and 10 classes.
    """
    model = keras.Sequential(
        [
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            *[layers.Dense(32, activation="relu") for _ in range(2)],
            layers.Dense(10),
            layers.Softmax(),
        ]
    )
    model.compile(loss="categorical_crossentropy")
    return model


def functional():
    """A functional image classifier, with loops.

    Convolutions of 16 and 32 filters, each with batch normalisation, relu and pooling; 2 times
    dense 32 (gelu, L2 of 0.0001) with dropout 0.1; SGD with momentum and weight decay; label
    smoothing 0.1.
    """
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for filters in [16, 32]:
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    for _ in range(2):
        x = layers.Dense(32, activation="gelu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
        x = layers.Dropout(0.1)(x)
    outputs = layers.Activation("softmax")(layers.Dense(10)(x))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=1e-4),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    )
    return model


class Classifier(keras.Model):
    """A model whose layers are written down in its constructor."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(64, activation="relu")
        self.dropout = layers.Dropout(0.3)
        self.classes = layers.Dense(10, activation="softmax")

    def call(self, x, training=None):
        return self.classes(self.dropout(self.hidden(x), training=training))


def subclassed():
    """A subclass of `Model` that takes no arguments: dense 64 (relu), dropout 0.3, 10 classes."""
    model = Classifier()
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    return model


def multi_input():
    """A regression on two inputs.

    A category embedded in 8 dimensions, and 4 numbers with noise of 0.1 through dense 16; both
    joined, through dense 32.
    """
    category = keras.Input((1,), dtype="int32", name="category")
    numbers = keras.Input((4,), name="numbers")
    embedded = layers.Flatten()(layers.Embedding(100, 8)(category))
    noisy = layers.GaussianNoise(0.1)(numbers)
    x = layers.Concatenate()([embedded, layers.Dense(16, activation="relu")(noisy)])
    x = layers.Dense(32, activation="relu")(x)
    model = keras.Model([category, numbers], layers.Dense(1)(x))
    model.compile(optimizer="rmsprop", loss="mse")
    return model


def multi_output():
    """One trunk and two heads.

    The trunk is dense 64 with dropout 0.25; the heads are 5 classes, and a number behind dense 16.
    """
    inputs = keras.Input((12,))
    trunk = layers.Dropout(0.25)(layers.Dense(64, activation="relu")(inputs))
    label = layers.Dense(5, activation="softmax", name="label")(trunk)
    number = layers.Dense(1, name="number")(layers.Dense(16, activation="tanh")(trunk))
    model = keras.Model(inputs, {"label": label, "number": number})
    model.compile(
        optimizer=keras.optimizers.AdamW(3e-4),
        loss={"label": "sparse_categorical_crossentropy", "number": "mse"},
    )
    return model


class Noisy(keras.Model):
    """A functional model with a training step of its own."""

    def train_step(self, data):
        return super().train_step(data)


def custom_step():
    """A functional model with a training step of its own; the learning rate decays.

    Dense 32 (relu), dropout 0.5, and one number.
    """
    inputs = keras.Input((8,))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.Dropout(0.5)(x)
    model = Noisy(inputs, layers.Dense(1)(x))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 1000, 0.9)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss="mae")
    return model


def preprocessing():
    """A model that rescales and augments its images itself.

    Rotation by 0.1, two separable convolutions of 16 filters, spatial dropout 0.1, and 3 classes.
    """
    model = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            layers.Rescaling(1 / 255),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.SeparableConv2D(16, 5, activation="swish"),
            layers.SpatialDropout2D(0.1),
            layers.SeparableConv2D(16, 3, activation="swish"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Nadam(), "sparse_categorical_crossentropy")
    return model


def recurrent():
    """Text in, one probability out.

    1000 words embedded in 16 dimensions, a bidirectional LSTM of 32 units with dropout 0.2, and a
    GRU of 16 units.
    """
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(1000, 16),
            layers.Bidirectional(layers.LSTM(32, return_sequences=True, dropout=0.2)),
            layers.GRU(16),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    return model


def attention():
    """A transformer encoder for 4 classes.

    200 tokens embedded in 32 dimensions, 2 times self-attention of 4 heads of 8 and a feed-forward
    part of 64 units, each with a residual connection.
    """
    inputs = keras.Input((10,), dtype="int32")
    x = layers.Embedding(200, 32)(inputs)
    for _ in range(2):
        attended = layers.MultiHeadAttention(num_heads=4, key_dim=8, dropout=0.1)(x, x)
        x = layers.LayerNormalization()(x + attended)
        y = layers.Dense(64, activation="gelu")(x)
        y = layers.Dense(32)(y)
        x = layers.LayerNormalization()(x + y)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(5e-4), "sparse_categorical_crossentropy")
    return model


def backbone():
    """MobileNet without its top, and on it dense 64 (relu), dropout 0.3 and 10 classes."""
    base = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None, pooling="avg"
    )
    base.trainable = False
    x = layers.Dense(64, activation="relu")(base.output)
    x = layers.Dropout(0.3)(x)
    model = keras.Model(base.input, layers.Dense(10, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    return model


def _residual(x, filters):
    y = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(filters, 3, padding="same")(y)
    return layers.ReLU()(layers.Add()([x, y]))


def residual():
    """Residual blocks from a helper.

    A convolution of 16 filters, two blocks of two convolutions of 16, and 10 classes.
    """
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same")(inputs)
    x = _residual(x, 16)
    x = _residual(x, 16)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile(keras.optimizers.Lion(1e-4), "sparse_categorical_crossentropy")
    return model


def autoencoder():
    """Images to codes and back.

    Images of 16 by 16 through dense 32 to a code of 8, back to 64 numbers as 8 by 8 by 1, and
    through a transposed convolution of 4 filters to one channel.
    """
    inputs = keras.Input((16, 16, 1))
    x = layers.Dense(32, activation="relu")(layers.Flatten()(inputs))
    code = layers.Dense(8)(x)
    x = layers.Reshape((8, 8, 1))(layers.Dense(64, activation="relu")(code))
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x)
    outputs = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model


@keras.saving.register_keras_serializable("zoo")
class Gate(layers.Layer):
    """A dense layer, gated."""

    def __init__(self, units, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.values = layers.Dense(units, activation="relu")
        self.gates = layers.Dense(units, activation="sigmoid")
        self.dropout = layers.Dropout(dropout)

    def build(self, shape):
        self.values.build(shape)
        self.gates.build(shape)

    def call(self, x):
        return self.dropout(self.values(x) * self.gates(x))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)


@keras.saving.register_keras_serializable("zoo")
class Wide(layers.Dense):
    """A dense layer by another name."""


def own_layers():
    """Layers that the user wrote.

    A gated one of 32 units with dropout 0.1, a subclass of `Dense` with 16, and one number.
    """
    inputs = keras.Input((6,))
    x = Gate(32, dropout=0.1)(inputs)
    x = Wide(16, activation="elu")(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(keras.optimizers.Adagrad(0.05), keras.losses.Huber())
    return model


ZOO = {
    function.__name__: function
    for function in (
        sequential,
        without_shape,
        functional,
        subclassed,
        multi_input,
        multi_output,
        custom_step,
        preprocessing,
        recurrent,
        attention,
        backbone,
        residual,
        autoencoder,
        own_layers,
    )
}
