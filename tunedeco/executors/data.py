"""What a search trains on: the arguments of `fit`, checked before the first trial.

Everything `keras.Model.fit` accepts is accepted, except what cannot be read twice.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from tunedeco.errors import ConfigurationError, ObjectiveError
from tunedeco.executors.feed import Augment, Feed
from tunedeco.executors.folds import cut
from tunedeco.executors.supplied import LATENCY, wanted
from tunedeco.objectives import Objectives
from tunedeco.trial import Trial

_BATCH_SIZE = 32  # what fit takes where nothing is said


@dataclass(frozen=True)
class FitData:
    """The data and the other arguments of `fit`."""

    x: Any
    """A tree of NumPy arrays; or any other data that `fit` takes, as it was given."""
    arrays: tuple[Any, ...] | None
    """``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``, if the data is arrays."""
    validation_data: Any
    options: Mapping[str, Any]
    """``batch_size``, ``class_weight`` and the rest."""
    folds: int | None = None
    """Into how many parts arrays are cut, of which each execution validates on another."""
    augment: Augment | None = None
    """What changes each batch of arrays."""

    def of(self, seed: int, execution: int) -> "FitData":
        """Return the data of one execution of a trial: all of it, or what its fold leaves.

        Raises:
            ConfigurationError: the arrays cannot be cut into folds.
        """
        if self.folds is None:
            return self
        assert self.arrays is not None
        arrays, validation_data = cut(self.arrays, self.folds, seed, execution)
        _check_steps(arrays, self.options)
        return replace(self, x=arrays[0], arrays=arrays, validation_data=validation_data)

    @property
    def batch_size(self) -> int:
        """Of how many samples a batch is."""
        return int(self.options.get("batch_size", _BATCH_SIZE))

    def inputs(self, samples: int) -> Any:  # noqa: ANN401 (a tree)
        """Return the model's inputs: the first samples of arrays, a batch of any other data."""
        if self.arrays is None:
            return first_batch(self.x)[0]
        return keras.tree.map_structure(lambda array: array[:samples], self.x)

    def feed(self, seed: int, run: Trial) -> Feed | None:
        """Return arrays in the order in which a training sees them; None where it is not ours."""
        if self.arrays is None:
            return None
        return Feed(
            self.arrays,
            self.batch_size,
            self.options.get("steps_per_epoch"),
            self.options.get("shuffle", True),
            seed,
            run.number,
            run.execution,
            self.augment,
        )

    makers: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    """Functions that make ``x`` and ``validation_data``, where they were given as such."""

    def arguments(self, seed: int, run: Trial) -> tuple[dict[str, Any], Feed | None]:
        """Return keyword arguments for the `fit` of a training, and the feed among them, if any."""
        if self.arrays is None:
            options = dict(self.options)
            if hasattr(self.x, "element_spec"):  # tf.data shuffles itself; Keras warns of the rest
                options.setdefault("shuffle", False)
            return {"x": self.x, "validation_data": self.validation_data, **options}, None
        feed = self.feed(seed, run)
        own = ("batch_size", "steps_per_epoch", "shuffle")  # the feed's
        options = {name: value for name, value in self.options.items() if name not in own}
        if isinstance(self.validation_data, tuple):
            options.setdefault("validation_batch_size", self.batch_size)
        return {
            "x": feed,
            "validation_data": self.validation_data,
            "shuffle": False,  # Keras would shuffle the batches once more
            **options,
        }, feed


def prepare(
    x: Any,  # noqa: ANN401 (whatever Keras takes)
    y: Any,  # noqa: ANN401
    validation_data: Any,  # noqa: ANN401
    options: Mapping[str, Any],
    objectives: Objectives,
    *,
    folds: int | None = None,
    own_loop: bool = False,
) -> FitData:
    """Check the arguments of a search, and unpack ``(x, y)`` and ``(x, y, sample_weight)``.

    Data may be given as a function without arguments that returns it.

    Args:
        x: as in `Tuner.search`, as are the next two.
        y: see above.
        validation_data: see above.
        options: the other arguments of `fit`.
        objectives: whether one needs validation data.
        folds: into how many parts to cut arrays.
        own_loop: whether `fit` is not called: a user's own loop may have data of its own.

    Raises:
        ConfigurationError: there is no data, its parts differ in length, it can be read only
            once, or it cannot be cut into folds.
        ObjectiveError: an objective is of validation, and there is no validation data; or one is
            measured on data, and there is none.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if x is None and own_loop:
        _check_latency(objectives)
        return FitData(None, None, validation_data, options)
    if x is None:
        msg = "search needs training data: search(x, y), search((x, y)) or search(dataset)"
        raise ConfigurationError(msg)
    makers = {n: d for n, d in (("x", x), ("validation_data", validation_data)) if _is_function(d)}
    made = {name: make() for name, make in makers.items()}
    x, validation_data = made.get("x", x), made.get("validation_data", validation_data)
    x, y, sample_weight = _unpacked(x, y, options.pop("sample_weight", None))
    _check_rereadable(x, "the training data")
    _check_rereadable(validation_data, "validation_data")
    _check_lengths({"x": x, "y": y, "sample_weight": sample_weight}, "training")
    if isinstance(validation_data, (tuple, list)):
        validation_data = tuple(validation_data)
        makers.pop("validation_data", None)  # what it made is arrays: they are as good
        names = ("x", "y", "sample_weight")
        _check_lengths(dict(zip(names, validation_data, strict=False)), "validation")
    given = tuple(part for part in (x, y, sample_weight) if part is not None)
    arrays = numpy_tree(given)
    if arrays is None and len(given) > 1:
        options |= {"y": y, "sample_weight": sample_weight}
    split = options.pop("validation_split", 0.0)
    if folds is not None:
        return _folded(arrays, folds, options, given=bool(split) or validation_data is not None)
    if split and validation_data is None:
        if arrays is None:
            msg = "validation_split works on arrays; pass validation_data for any other data"
            raise ConfigurationError(msg)
        arrays, validation_data = _split(arrays, split)
    validated = next((objective for objective in objectives if objective.validation), None)
    if validation_data is None and validated is not None and not own_loop:
        msg = (
            f"the objective {validated.name!r} needs validation data: pass validation_data=, or "
            f"validation_split= with arrays, or use {validated.name.removeprefix('val_')!r}"
        )
        raise ObjectiveError(msg)
    if arrays is not None:
        x = arrays[0]
        _check_steps(x, options)
        makers.pop("x", None)
    return FitData(x, arrays, validation_data, options, makers=makers)


def _check_latency(objectives: Objectives) -> None:
    if LATENCY in wanted(objectives):
        msg = (
            "inference_latency is measured on a batch of the data that search is given, and there "
            'is none: search(x), or Objective("inference_latency", "min", measure=function)'
        )
        raise ObjectiveError(msg)


def _unpacked(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """Return the parts of ``(x, y)`` or ``(x, y, sample_weight)``, and other data as it is."""
    if isinstance(x, tuple) and y is None and len(x) in (2, 3):
        if len(x) == 3 and sample_weight is not None:  # noqa: PLR2004 (x, y and the weights)
            msg = "sample_weight is given twice: in the (x, y, sample_weight) tuple and by name"
            raise ConfigurationError(msg)
        x, y, sample_weight = (*x, sample_weight)[:3]
    return x, y, sample_weight


def _folded(
    arrays: tuple[Any, ...] | None, folds: int, options: Mapping[str, Any], *, given: bool
) -> FitData:
    """Return arrays to be cut into folds.

    Raises:
        ConfigurationError: they cannot be, or there is (given) validation data beside them.
    """
    if arrays is None:
        msg = "folds= works on arrays; leave it out for any other data"
        raise ConfigurationError(msg)
    if given:
        msg = (
            "with folds= each execution validates on its fold: leave validation_data= and "
            "validation_split= out"
        )
        raise ConfigurationError(msg)
    data = FitData(arrays[0], arrays, None, options, folds)
    data.of(0, 0)  # which says what is wrong
    return data


def replaced(data: FitData, options: Mapping[str, Any], augment: Augment | None) -> FitData:
    """Return data with other options; None takes one away.

    Raises:
        ConfigurationError: it is data that they do not fit.
    """
    if augment is not None and (data.arrays is None or len(data.arrays) < 2):  # noqa: PLR2004 (x, y)
        msg = "augment works on arrays x and y; let any other data change its batches itself"
        raise ConfigurationError(msg)
    merged = {n: v for n, v in {**data.options, **options}.items() if v is not None}
    if data.arrays is not None:
        _check_steps(data.arrays, merged)
    return replace(data, options=merged, augment=augment)


def first_batch(x: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 (whatever fit takes in batches)
    """Return ``x, y, sample_weight`` of a batch of data that is no arrays."""
    batch = x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x))
    unpacked: tuple[Any, Any, Any] = keras.utils.unpack_x_y_sample_weight(batch)
    return unpacked


def input_spec(data: FitData) -> Any:  # noqa: ANN401 (a JSON tree)
    """Return shapes and dtypes of the model's inputs as JSON, or None where they cannot be told.

    A leaf is ``{"shape": [null, 28, 28, 1], "dtype": "float32"}``.
    """
    x = data.x
    if x is None:  # a user's own loop has its own
        return None
    if hasattr(x, "element_spec"):  # tf.data
        element = x.element_spec
        return spec(element[0] if isinstance(element, tuple) else element)
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0]
        return spec(batch[0] if isinstance(batch, tuple) else batch)
    if _length(x) is not None:
        return spec(x)
    try:
        batch = next(iter(x))
    except TypeError:
        return None
    return spec(batch[0] if isinstance(batch, (tuple, list)) else batch)


def symbolic(spec: Any) -> Any:  # noqa: ANN401 (a tree)
    """Return the Keras tensors that `input_spec` described."""
    if isinstance(spec, Mapping) and "shape" in spec and "dtype" in spec:
        return keras.KerasTensor(tuple(spec["shape"]), spec["dtype"])
    if isinstance(spec, Mapping):
        return {name: symbolic(inner) for name, inner in spec.items()}
    return [symbolic(inner) for inner in spec]


def spec(tree: Any) -> Any:  # noqa: ANN401 (a tree)
    """Return shapes and dtypes of a tree of arrays as JSON, for batches of any size."""
    if isinstance(tree, Mapping):
        return {str(name): spec(inner) for name, inner in tree.items()}
    if isinstance(tree, (tuple, list)):
        return [spec(inner) for inner in tree]
    shape = [None if size is None else int(size) for size in tree.shape]
    try:
        dtype = keras.backend.standardize_dtype(tree.dtype)
    except (AttributeError, ValueError):  # a table whose columns have types of their own
        dtype = keras.config.floatx()
    if dtype.startswith("float"):
        dtype = keras.config.floatx()  # as fit itself converts
    return {"shape": [None, *shape[1:]], "dtype": dtype}


def numpy_tree(tree: Any) -> Any:  # noqa: ANN401 (a tree)
    """Return a tree of arrays as NumPy's, as `fit` converts them; None if one cannot be."""
    if isinstance(tree, Mapping):
        inner = {name: numpy_tree(branch) for name, branch in tree.items()}
        return None if any(branch is None for branch in inner.values()) else inner
    if isinstance(tree, (tuple, list)):
        branches = tuple(map(numpy_tree, tree))
        return None if any(branch is None for branch in branches) else branches
    if keras.ops.is_tensor(tree) or hasattr(tree, "to_numpy") or hasattr(tree, "__jax_array__"):
        tree = np.asarray(tree)
    if not isinstance(tree, np.ndarray) or tree.ndim == 0:
        return None
    is_float = np.issubdtype(tree.dtype, np.floating)
    return tree.astype(keras.config.floatx(), copy=False) if is_float else tree


def _split(arrays: tuple[Any, ...], split: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the first and the last part of arrays, before any shuffling, as `fit` splits."""
    samples = _length(arrays) or 0
    at = math.floor(samples * (1.0 - split)) if 0 < split < 1 else 0
    if not 0 < at < samples:
        msg = (
            f"validation_split={split} leaves nothing on one side of {samples} samples; it is the "
            "share of them to validate on, between 0 and 1"
        )
        raise ConfigurationError(msg)
    return (
        keras.tree.map_structure(lambda array: array[:at], arrays),
        keras.tree.map_structure(lambda array: array[at:], arrays),
    )


def _check_steps(x: object, options: Mapping[str, Any]) -> None:
    batch_size = options.get("batch_size", _BATCH_SIZE)
    if type(batch_size) is not int or batch_size < 1:
        msg = f"batch_size must be a whole number of at least 1, not {batch_size!r}"
        raise ConfigurationError(msg)
    batches = -(-(_length(x) or 0) // batch_size)
    steps = options.get("steps_per_epoch", batches)
    if type(steps) is not int or not 1 <= steps <= batches:
        msg = f"steps_per_epoch must be from 1 to {batches}, the batches there are, not {steps!r}"
        raise ConfigurationError(msg)


def _is_function(data: object) -> bool:
    """Return whether data was given as a function that returns it."""
    return inspect.isroutine(data) or isinstance(data, functools.partial)


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
    if isinstance(data, Iterator):
        msg = (
            f"{what} is a generator or iterator, which can be read only once, and every trial "
            "reads it: pass arrays, a tf.data.Dataset or a keras.utils.PyDataset"
        )
        raise ConfigurationError(msg)


Callbacks = Sequence[keras.callbacks.Callback] | Callable[[Any], Sequence[keras.callbacks.Callback]]
"""Callbacks for every trial: a list, copied for each, or a function of the `Trial`."""
