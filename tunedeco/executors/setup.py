"""The Keras executor of a worker: what it needs of the search's process, and how it is made there.

HEAVY: importing this module loads Keras and its backend.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import keras

from tunedeco.executors.data import FitData
from tunedeco.executors.keras import KerasExecutor


def parts(data: FitData, **arguments: object) -> dict[str, object]:
    """Return what `ProcessExecutor.furnish` takes for workers with Keras.

    Args:
        data: what they train on; where functions made it, these are sent, and make it anew.
        arguments: the others of `KerasExecutor`.
    """
    told = {field.name: getattr(data, field.name) for field in fields(data)}
    return {"make": _made, **arguments, **told, **data.makers, "keras_settings": _settings()}


def _made(keras_settings: Mapping[str, Any], **parts: Any) -> KerasExecutor:  # noqa: ANN401 (what was sent)
    keras.config.set_floatx(keras_settings["floatx"])
    keras.config.set_epsilon(keras_settings["epsilon"])
    keras.config.set_image_data_format(keras_settings["image_data_format"])
    keras.config.set_dtype_policy(keras.dtype_policies.deserialize(keras_settings["policy"]))
    told = {field.name: parts.pop(field.name) for field in fields(FitData)}
    for name, make in told["makers"].items():
        made = make()
        # of a dataset and more, the more was sent as it is
        told[name] = made[0] if name == "x" and isinstance(made, tuple) else made
    return KerasExecutor(data=FitData(**told), **parts)


def _settings() -> dict[str, Any]:
    """Return what the user has told Keras for all models."""
    return {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "policy": keras.dtype_policies.serialize(keras.config.dtype_policy()),
    }
