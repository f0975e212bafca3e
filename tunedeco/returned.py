"""What a model function may return: a model, or a model and what `fit` is to be given with it."""

from collections.abc import Mapping
from typing import Any


def parts(result: object) -> tuple[Any, Mapping[str, Any]]:
    """Return the model in what a model function returned, and the arguments beside it, if any."""
    match result:
        case (model, Mapping() as arguments) if isinstance(result, tuple):
            return model, arguments
    return result, {}
