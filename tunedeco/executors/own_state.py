"""What a user's own loop keeps from epoch to epoch: nested dicts, lists, arrays and numbers.

Arrays go into the checkpoint as arrays, all else as JSON that says where they were. Nothing is
pickled.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tunedeco.errors import CheckpointError, ConfigurationError
from tunedeco.executors.training_state import Arrays


def packed(state: Any, prefix: str) -> tuple[Arrays, Any]:  # noqa: ANN401 (a tree)
    """Return a tree as arrays, under names of their own, and JSON for the rest.

    Raises:
        ConfigurationError: something in it cannot be kept; says what, and where.
    """
    arrays: Arrays = {}
    return arrays, _packed(state, prefix, "context.state", arrays)


def _packed(tree: Any, prefix: str, place: str, arrays: Arrays) -> Any:  # noqa: ANN401
    if isinstance(tree, Mapping) and all(isinstance(key, str) for key in tree):
        return {"dict": {k: _packed(v, prefix, f"{place}[{k!r}]", arrays) for k, v in tree.items()}}
    if type(tree) in (list, tuple):
        inner = [_packed(v, prefix, f"{place}[{i}]", arrays) for i, v in enumerate(tree)]
        return {type(tree).__name__: inner}
    if tree is None or type(tree) in (bool, int, str):
        return {"plain": tree}
    if type(tree) is float:
        return {"plain": tree} if math.isfinite(tree) else {"float": repr(tree)}
    try:
        array = np.array(keras.ops.convert_to_numpy(tree))  # torch shares its memory
        kept = not array.dtype.hasobject
    except Exception:  # noqa: BLE001 (whatever a library says of what is no array)
        kept = False
    if not kept:
        msg = (
            f"{place} is {type(tree).__name__}, which cannot be kept in a checkpoint: keep dicts "
            "with names for keys, lists, tuples, arrays, numbers, text, booleans and None"
        )
        raise ConfigurationError(msg)
    name = f"{prefix}/{len(arrays):05}"
    arrays[name] = array
    return {"array": name, "dtype": array.dtype.name}


def unpacked(rest: Any, arrays: Arrays) -> Any:  # noqa: ANN401
    """Return the tree that `packed` was given, with NumPy's arrays.

    Raises:
        CheckpointError: it is not what `packed` returned.
    """
    try:
        return _unpacked(rest, arrays)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        msg = f"the checkpoint's context.state is not one ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error


def _unpacked(rest: Any, arrays: Arrays) -> Any:  # noqa: ANN401
    match rest:
        case {"dict": inner}:
            return {key: _unpacked(value, arrays) for key, value in inner.items()}
        case {"list": inner}:
            return [_unpacked(value, arrays) for value in inner]
        case {"tuple": inner}:
            return tuple(_unpacked(value, arrays) for value in inner)
        case {"float": text}:
            return float(text)
        case {"array": name, "dtype": dtype}:
            array = arrays[name]
            # NumPy stores the types it does not know, such as bfloat16, as raw bytes
            return array.view(np.dtype(dtype)) if array.dtype.kind == "V" else array
        case {"plain": value}:
            return value
    msg = f"{rest!r:.100}"
    raise ValueError(msg)
