"""Translations: model functions that were written for other libraries, as they stand.

A function that takes ``hp`` (Keras Tuner) or ``trial`` (Optuna) is given an object that looks like
theirs and asks as ours do. None of these libraries needs to be installed, nor is it imported.
"""

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tunedeco.errors import ModelFunctionError
from tunedeco.signatures import parameters
from tunedeco.translations import keras_tuner, optuna

R_co = TypeVar("R_co", covariant=True)


class HyperModel(Protocol[R_co]):
    """What Keras Tuner calls a hypermodel."""

    def build(self, hp: Any, /) -> R_co:  # noqa: ANN401 (theirs, or ours that looks like it)
        """Build a model."""


def function_of(thing: object) -> Callable[..., Any]:
    """Return the function that builds a model: the thing itself, or what a ``HyperModel`` builds.

    Raises:
        ModelFunctionError: it is neither a function nor a ``HyperModel``, or a ``HyperModel`` that
            cannot be used as it is.
    """
    if _is_hypermodel(thing):
        return keras_tuner.build_function(thing)
    if not callable(thing):
        msg = f"@tunable and Tuner take a function that builds a model, not {thing!r}"
        raise ModelFunctionError(msg)
    return thing


def arguments(function: Callable[..., object]) -> dict[str, Callable[[], object]]:
    """Return what makes the arguments that other libraries pass to such a function, by parameter.

    A parameter without a default is theirs by its annotation, or by its name if it has none.
    """
    found: dict[str, Callable[[], object]] = {}
    for name, parameter in parameters(function).items():
        if parameter.default is parameter.empty:
            if _is_hp(parameter):
                found[name] = keras_tuner.HyperParameters
            elif _is_trial(parameter):
                found[name] = optuna.Trial
    return found


def _is_hypermodel(thing: object) -> bool:
    kind = thing if isinstance(thing, type) else type(thing)
    if any(base.__name__ == "HyperModel" for base in kind.__mro__):
        return True
    build = getattr(kind, "build", None)
    return inspect.isfunction(build) and any(map(_is_hp, parameters(build).values()))


def _is_hp(parameter: inspect.Parameter) -> bool:
    annotation = _annotated_as(parameter)
    if annotation is None:
        return parameter.name in ("hp", "hyperparameters")
    return annotation == "HyperParameters"


def _is_trial(parameter: inspect.Parameter) -> bool:
    annotation = _annotated_as(parameter)
    return parameter.name == "trial" if annotation is None else annotation.endswith("Trial")


def _annotated_as(parameter: inspect.Parameter) -> str | None:
    """Return the last part of an annotation's name; None where it says nothing."""
    annotation = parameter.annotation
    if annotation in (parameter.empty, Any, "Any", "typing.Any"):
        return None
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return str(text).strip("'\"").rpartition(".")[2]
