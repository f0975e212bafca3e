"""What a search trains on: the arguments of `fit`, checked before the first trial.

Everything `keras.Model.fit` accepts is accepted, except what cannot be read twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

import keras

from tunedeco.errors import ConfigurationError, ObjectiveError
from tunedeco.objective import Objective


@dataclass(frozen=True)
class FitData:
    """The data and the other arguments of `fit`, in the form `fit` takes them."""

    x: Any
    y: Any = None
    validation_data: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """``batch_size``, ``validation_split``, ``class_weight`` and the rest."""

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments for `fit`."""
        return {
            "x": self.x,
            "y": self.y,
            "validation_data": self.validation_data,
            **self.options,
        }


def prepare(
    x: Any,  # noqa: ANN401 (whatever Keras takes)
    y: Any,  # noqa: ANN401
    validation_data: Any,  # noqa: ANN401
    options: Mapping[str, Any],
    objective: Objective,
) -> FitData:
    """Check the arguments of a search, and unpack ``(x, y)`` and ``(x, y, sample_weight)``.

    Raises:
        ConfigurationError: there is no data, its parts differ in length, or it can be read only
            once.
        ObjectiveError: the objective is of validation, and there is no validation data.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if x is None:
        msg = "search needs training data: search(x, y), search((x, y)) or search(dataset)"
        raise ConfigurationError(msg)
    if isinstance(x, tuple) and y is None and len(x) in (2, 3):
        if len(x) == 3 and "sample_weight" in options:
            msg = "sample_weight is given twice: in the (x, y, sample_weight) tuple and by name"
            raise ConfigurationError(msg)
        if len(x) == 3:
            options["sample_weight"] = x[2]
        x, y = x[0], x[1]
    _check_rereadable(x, "the training data")
    _check_lengths({"x": x, "y": y, "sample_weight": options.get("sample_weight")}, "training")
    split = options.get("validation_split", 0.0)
    if validation_data is not None:
        _check_rereadable(validation_data, "validation_data")
        if isinstance(validation_data, (tuple, list)):
            names = ("x", "y", "sample_weight")
            _check_lengths(dict(zip(names, validation_data, strict=False)), "validation")
    elif split and _length(x) is None:
        msg = "validation_split works on arrays; pass validation_data for any other data"
        raise ConfigurationError(msg)
    elif not split and objective.validation:
        msg = (
            f"the objective {objective.name!r} needs validation data: pass validation_data=, or "
            f"validation_split= with arrays, or use {objective.name.removeprefix('val_')!r}"
        )
        raise ObjectiveError(msg)
    return FitData(x, y, validation_data, options)


def input_spec(data: FitData) -> Any:  # noqa: ANN401 (a JSON tree)
    """Return shapes and dtypes of the model's inputs as JSON, or None where they cannot be told.

    A leaf is ``{"shape": [null, 28, 28, 1], "dtype": "float32"}``.
    """
    x = data.x
    if hasattr(x, "element_spec"):  # tf.data
        spec = x.element_spec
        return _spec(spec[0] if isinstance(spec, tuple) else spec)
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0]
        return _spec(batch[0] if isinstance(batch, tuple) else batch)
    if _length(x) is not None:
        return _spec(x)
    try:
        batch = next(iter(x))
    except TypeError:
        return None
    return _spec(batch[0] if isinstance(batch, (tuple, list)) else batch)


def symbolic(spec: Any) -> Any:  # noqa: ANN401 (a tree)
    """Return the Keras tensors that `input_spec` described."""
    if isinstance(spec, Mapping) and "shape" in spec and "dtype" in spec:
        return keras.KerasTensor(tuple(spec["shape"]), spec["dtype"])
    if isinstance(spec, Mapping):
        return {name: symbolic(inner) for name, inner in spec.items()}
    return [symbolic(inner) for inner in spec]


def _spec(tree: Any) -> Any:  # noqa: ANN401 (a tree)
    if isinstance(tree, Mapping):
        return {str(name): _spec(inner) for name, inner in tree.items()}
    if isinstance(tree, (tuple, list)):
        return [_spec(inner) for inner in tree]
    shape = [None if size is None else int(size) for size in tree.shape]
    try:
        dtype = keras.backend.standardize_dtype(tree.dtype)
    except (AttributeError, ValueError):  # a table whose columns have types of their own
        dtype = keras.config.floatx()
    if dtype.startswith("float"):
        dtype = keras.config.floatx()  # as fit itself converts
    return {"shape": [None, *shape[1:]], "dtype": dtype}


def _leaves(tree: object) -> Iterable[object]:
    if isinstance(tree, Mapping):
        for inner in tree.values():
            yield from _leaves(inner)
    elif isinstance(tree, (tuple, list)):
        for inner in tree:
            yield from _leaves(inner)
    elif tree is not None:
        yield tree


def _length(tree: object) -> int | None:
    """Return the number of samples in arrays; None for what is not made of arrays."""
    for leaf in _leaves(tree):
        shape = getattr(leaf, "shape", None)
        return int(shape[0]) if shape is not None and len(shape) > 0 else None
    return None


def _check_lengths(parts: Mapping[str, object], what: str) -> None:
    lengths = {
        f"{name}[{i}]" if i else name: length
        for name, part in parts.items()
        for i, leaf in enumerate(_leaves(part))
        if (length := _length(leaf)) is not None
    }
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        msg = f"the {what} arrays differ in length: {shown}"
        raise ConfigurationError(msg)
    if 0 in lengths.values():
        msg = f"the {what} data is empty"
        raise ConfigurationError(msg)


def _check_rereadable(data: object, what: str) -> None:
    if isinstance(data, GeneratorType):
        msg = (
            f"{what} is a generator, which can be read only once, and every trial reads it: "
            "pass arrays, a tf.data.Dataset or a keras.utils.PyDataset"
        )
        raise ConfigurationError(msg)


Callbacks = Sequence[keras.callbacks.Callback] | Callable[[Any], Sequence[keras.callbacks.Callback]]
"""Callbacks for every trial: a list, copied for each, or a function of the `Trial`."""
