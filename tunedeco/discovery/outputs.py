"""The outputs of a model: their shapes, and the layers that decide on them.

HEAVY: importing this module loads Keras.

What a model puts out is given by the data and the loss, so nothing that shapes it is tuned.
"""

from collections.abc import Iterator
from typing import Any

import keras

from tunedeco.discovery.kinds import HIDDEN_ACTIVATIONS

_SHAPELESS = (  # what may stand between the layer that decides and the output
    keras.layers.Activation,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Permute,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Reshape,
    keras.layers.Softmax,
    keras.layers.UpSampling2D,
)


def shapes(model: object) -> list[tuple[int | None, ...]]:
    """Return the shapes of what a model puts out; those of its parts where it does not say."""
    if not isinstance(model, keras.Model):
        return []
    outputs = _outputs(model)
    if outputs is not None:
        return [tuple(tensor.shape) for tensor in outputs]
    return [shape for part in model.layers for shape in shapes(part)]


def is_checked(model: object) -> bool:
    """Return whether a model knows its shapes, so that trying a value tells whether it builds."""
    return isinstance(model, keras.Model) and _outputs(model) is not None


def output_layers(model: object) -> Iterator[keras.Layer]:
    """Yield the layers that make what a model puts out, as far as can be told."""
    if not isinstance(model, keras.Model):
        return
    outputs = _outputs(model)
    if outputs is not None:
        for tensor in outputs:
            yield from _makers(tensor)
    elif isinstance(model, keras.Sequential):
        for layer in reversed(model.layers):
            yield from _parts(layer)
            if not isinstance(layer, _SHAPELESS):
                return
    else:  # a subclass: what it computes is known to it alone
        layers = [layer for layer in model.layers if not isinstance(layer, keras.Model)]
        dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
        yield from (layer for layer in dense if not _is_hidden(layer))
        yield from dense[-1:]
        for layer in model.layers:
            yield from output_layers(layer)


def _outputs(model: keras.Model) -> list[Any] | None:
    try:
        outputs = model.outputs
    except AttributeError:  # a Sequential that is not built
        return None
    return outputs or None


def _makers(tensor: Any) -> Iterator[keras.Layer]:  # noqa: ANN401 (a KerasTensor)
    operation, node, _ = tensor._keras_history  # noqa: SLF001 (where the graph is)
    yield from _parts(operation)
    inputs = operation._inbound_nodes[node].input_tensors  # noqa: SLF001 (see above)
    if isinstance(operation, _SHAPELESS) and len(inputs) == 1:
        yield from _makers(inputs[0])


def _parts(layer: Any) -> Iterator[keras.Layer]:  # noqa: ANN401 (a layer or another operation)
    """Yield a layer, and the one in it that decides: of a model the last, of a wrapper its own."""
    if isinstance(layer, keras.Model):
        yield from output_layers(layer)
    elif isinstance(layer, keras.Layer):
        yield layer
        if isinstance(layer, keras.layers.Wrapper):
            yield from _parts(layer.layer)


def _is_hidden(layer: keras.layers.Dense) -> bool:
    return getattr(layer.activation, "__name__", "") in {*HIDDEN_ACTIVATIONS, "leaky_relu", "selu"}
