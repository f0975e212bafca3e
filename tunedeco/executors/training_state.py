"""What training depends on beside the data: taken from a model and its callbacks, and put back.

Variables are kept in the order in which a model function makes them, which is the same each time.
Restoring all variables of model and optimizer continues training bit for bit; saving and loading a
``.keras`` file does not.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tunedeco.errors import CheckpointError, ConfigurationError

Arrays = dict[str, npt.NDArray[Any]]

# What Keras's own callbacks remember from epoch to epoch, and forget when training begins.
_REMEMBERED: Mapping[type[keras.callbacks.Callback], Sequence[str]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: (
        *("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    ),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
}


def take(prefix: str, variables: Sequence[keras.Variable]) -> Arrays:
    """Return the values of variables, named by a prefix and their place."""
    return {
        f"{prefix}/{i:05}": np.array(
            keras.ops.convert_to_numpy(variable)
        )  # torch shares its memory
        for i, variable in enumerate(variables)
    }


def model_state(model: keras.Model) -> Arrays:
    """Return the values of a model's variables, and of its optimizer's, if it has one."""
    optimizer = getattr(model, "optimizer", None)  # one that is not compiled has none
    return take("model", model.variables) | (
        {} if optimizer is None else take("optimizer", optimizer.variables)
    )


def best_weights(model: keras.Model) -> Arrays:
    """Return the weights of a model, under the names that `put("best", ...)` looks for."""
    # torch shares its memory
    return {f"best/{i:05}": np.array(w) for i, w in enumerate(model.get_weights())}


def put(prefix: str, variables: Sequence[keras.Variable], arrays: Arrays) -> None:
    """Give variables the values that `take` returned.

    Raises:
        CheckpointError: they are of another model.
    """
    stored = named(prefix, arrays)
    if [array.shape for array in stored] != [tuple(variable.shape) for variable in variables]:
        msg = (
            f"the checkpoint's {prefix} variables are of another model: what the model function "
            "builds of these values, or the shape of the data, has changed since"
        )
        raise CheckpointError(msg)
    for variable, array in zip(variables, stored, strict=True):
        own = keras.ops.convert_to_numpy(variable).dtype
        # NumPy stores the types it does not know, such as bfloat16, as raw bytes
        if array.dtype != own and (array.dtype.kind, array.itemsize) != ("V", own.itemsize):
            msg = f"the checkpoint's {prefix} variables are of type {array.dtype}, not {own}"
            raise CheckpointError(msg)
        variable.assign(array.view(own))


def named(prefix: str, arrays: Arrays) -> list[npt.NDArray[Any]]:
    """Return the arrays that `take` stored under a prefix, in order."""
    return [arrays[name] for name in sorted(arrays) if name.startswith(f"{prefix}/")]


def callbacks_state(
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[list[Any], Arrays]:
    """Return what callbacks remember, as JSON and arrays.

    Keras's own are known; any other may have ``get_state()``, which returns JSON, and
    ``set_state(state)``.

    Raises:
        ConfigurationError: one has only the first of these, or returns what JSON cannot hold.
    """
    states: list[Any] = []
    arrays: Arrays = {}
    for i, (kind, callback) in enumerate(_labelled(callbacks).items()):
        if hasattr(callback, "get_state"):
            if not hasattr(callback, "set_state"):
                name = kind.split(maxsplit=1)[0]
                msg = f"the callback {name} has get_state() and no set_state(state): give it both"
                raise ConfigurationError(msg)
            state = _json(callback.get_state(), kind)
        else:
            state = {n: _plain(getattr(callback, n, None)) for n in _remembered(callback)}
            for j, weights in enumerate(getattr(callback, "best_weights", None) or []):
                arrays[f"callback{i}/{j:05}"] = np.array(weights)
        states.append([kind, state])
    return states, arrays


def restore_callbacks(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Any], arrays: Arrays
) -> None:
    """Let callbacks remember what `callbacks_state` returned; call it after they began training.

    A callback that was not there before, or is no longer, changes nothing for the others.

    Raises:
        CheckpointError: the states are not what `callbacks_state` returns.
    """
    labelled = _labelled(callbacks)
    for i, (kind, state) in enumerate(states):
        callback = labelled.get(kind)
        if callback is None:
            continue
        if hasattr(callback, "set_state"):
            callback.set_state(state)
            continue
        remembered = _remembered(callback)  # and nothing else is set, whatever the file says
        try:
            for name in set(state).intersection(remembered):
                value = state[name]
                setattr(callback, name, float(value) if isinstance(value, str) else value)
        except (TypeError, ValueError, KeyError) as error:
            msg = f"the checkpoint's state of {kind} is not one ({error})"
            raise CheckpointError(msg) from error
        if remembered and (weights := named(f"callback{i}", arrays)):
            callback.best_weights = weights


def _labelled(
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, keras.callbacks.Callback]:
    """Return callbacks by their class and by which of that class they are."""
    counts: Counter[str] = Counter()
    labelled = {}
    for callback in callbacks:
        kind = type(callback).__name__
        labelled[f"{kind} {counts[kind]}"] = callback
        counts[kind] += 1
    return labelled


def _remembered(callback: keras.callbacks.Callback) -> Sequence[str]:
    for kind, names in _REMEMBERED.items():
        if isinstance(callback, kind):
            return names
    return ()


def _json(state: Any, kind: str) -> Any:  # noqa: ANN401 (whatever JSON can hold)
    """Return what a callback of the user's wants to be kept, if it can be.

    Raises:
        ConfigurationError: it is not JSON.
    """
    try:
        return json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        name = kind.split(maxsplit=1)[0]
        msg = f"the callback {name}: get_state() must return what JSON can hold: {error}"
        raise ConfigurationError(msg) from error


def _plain(value: Any) -> int | float | str | None:  # noqa: ANN401 (a number of any library)
    """Return a number as JSON can hold it; the infinities as text."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else repr(number)
