"""What a model function returns beside the model: what `fit` is given in this trial.

``return model, {"batch_size": 64}``: it goes before what the search was given.
"""

from collections.abc import Mapping
from typing import Any

import keras

from tunedeco.errors import ConfigurationError, ModelFunctionError
from tunedeco.executors.data import FitData, prepare, replaced
from tunedeco.objectives import Objectives
from tunedeco.returned import parts

_OPTIONS = (
    *("batch_size", "class_weight", "shuffle", "steps_per_epoch", "validation_batch_size"),
    *("validation_freq", "validation_steps"),
)
_DATA = ("x", "y", "sample_weight", "validation_data")
ALLOWED = (*_DATA, *_OPTIONS, "augment", "callbacks", "epochs")
"""What can be tuned of `fit`."""


def checked(result: object, name: str, *, own_loop: bool = False) -> tuple[Any, dict[str, Any]]:
    """Return what a model function returned, as a model and arguments.

    Args:
        result: what it returned.
        name: what to call the function.
        own_loop: whether the model is trained by a loop of the user's own: then it may be
            anything, and so may the arguments.

    Raises:
        ModelFunctionError: it is no compiled Keras model, or the arguments are not of `fit`.
    """
    model, given = parts(result)
    arguments = {key: value for key, value in given.items() if value is not None}
    if own_loop and model is not None:
        return model, {**given, **_epochs(arguments, name)}
    if not isinstance(model, keras.Model):
        hint = "; is there a `return model` at its end?" if result is None else ""
        if isinstance(result, tuple):
            hint = '; beside the model there may be one dict, as in `return model, {"epochs": 5}`'
        msg = f"{name} must return a Keras model, and returned {type(result).__name__}{hint}"
        raise ModelFunctionError(msg)
    if not model.compiled:
        msg = f"{name} returned a model that is not compiled; call model.compile(...) in it"
        raise ModelFunctionError(msg)
    if unknown := [key for key in given if key not in ALLOWED]:
        named, allowed = ", ".join(map(repr, unknown)), ", ".join(ALLOWED)
        msg = f"{name} returned {named} for fit; what it can return for it is: {allowed}"
        raise ModelFunctionError(msg)
    if "augment" in arguments and not callable(arguments["augment"]):
        msg = f"{name} returned augment={arguments['augment']!r}, which must be a function"
        raise ModelFunctionError(msg)
    return model, _epochs(arguments, name)


def _epochs(arguments: dict[str, Any], name: str) -> dict[str, Any]:
    epochs = arguments.get("epochs", 1)
    if type(epochs) is not int or epochs < 1:
        msg = f"{name} returned epochs={epochs!r}, which must be a whole number of at least 1"
        raise ModelFunctionError(msg)
    return arguments


def adapted(
    data: FitData,
    arguments: Mapping[str, Any],
    objectives: Objectives,
    name: str,
    *,
    own_loop: bool = False,
) -> FitData:
    """Return the data of a search with what its model function wants for this trial.

    Raises:
        ModelFunctionError: that cannot be trained on; says why.
    """
    if not arguments:
        return data
    try:
        given = {key: arguments[key] for key in _DATA if arguments.get(key) is not None}
        options = {key: arguments[key] for key in _OPTIONS if arguments.get(key) is not None}
        if given:
            data = _with_data(data, given, options, objectives, own_loop=own_loop)
        return replaced(data, options, arguments.get("augment"))
    except ConfigurationError as error:
        msg = f"{name} returned for fit what cannot be trained on: {error}"
        raise ModelFunctionError(msg) from error


def _with_data(
    data: FitData,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    objectives: Objectives,
    *,
    own_loop: bool,
) -> FitData:
    """Return data of which some is another."""
    before = dict(data.options)
    if "x" in given:
        for key in ("y", "sample_weight"):  # of other data
            before.pop(key, None)
        x, y, weights = given["x"], given.get("y"), given.get("sample_weight")
    elif data.arrays is None and not {"y", "sample_weight"}.isdisjoint(given):
        msg = "y and sample_weight need x beside them where the search was given no arrays"
        raise ConfigurationError(msg)
    elif data.arrays is None:
        x, y, weights = data.x, None, None
    else:
        x, y, weights = (*data.arrays, None, None)[:3]
        y, weights = given.get("y", y), given.get("sample_weight", weights)
    if weights is not None:
        before["sample_weight"] = weights
    validation = given.get("validation_data", data.validation_data)
    new = prepare(
        x, y, validation, before | dict(options), objectives, folds=data.folds, own_loop=own_loop
    )
    if new.arrays is None and "batch_size" not in options:  # that was for arrays
        new = replaced(new, {"batch_size": None}, None)
    return new
