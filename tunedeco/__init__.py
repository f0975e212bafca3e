"""tunedeco: tune Keras models; nothing is ever lost.

The map, in the order of a search:

- `tunable` and the hyperparameter functions (`Choice`, `Range`, `Linear`, `Logarithmic`, `Float`,
  `Boolean`, `Fixed`) turn a model function into a `Space`: ``decorator``, ``hyperparameters``,
  ``tracing``, ``domains``, ``space``;
- `suggest` proposes one for a function that declares none: ``discovery``;
- an oracle proposes: ``oracles``;
- the journal remembers: ``events``, ``journal``, ``trial``;
- an executor trains: ``executors``;
- `Tuner` puts them together: ``tuner``, ``search``;
- the best comes out: ``exporting``, ``report``, and ``cli`` for ``python -m tunedeco``.

Importing this package loads neither Keras nor a backend, and each name only when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunedeco.decorator import tunable
    from tunedeco.discovery import suggest
    from tunedeco.hyperparameters import (
        Boolean,
        Choice,
        Fixed,
        Float,
        Linear,
        Logarithmic,
        Range,
    )
    from tunedeco.objective import Objective
    from tunedeco.space import Hyperparameter, Space
    from tunedeco.trial import Epoch, State, Trial
    from tunedeco.tuner import Tuner

__all__ = [
    "Boolean",
    "Choice",
    "Epoch",
    "Fixed",
    "Float",
    "Hyperparameter",
    "Linear",
    "Logarithmic",
    "Objective",
    "Range",
    "Space",
    "State",
    "Trial",
    "Tuner",
    "suggest",
    "tunable",
]

_HOMES = {
    **dict.fromkeys(
        ("Boolean", "Choice", "Fixed", "Float", "Linear", "Logarithmic", "Range"),
        "hyperparameters",
    ),
    "Objective": "objective",
    **dict.fromkeys(("Hyperparameter", "Space"), "space"),
    **dict.fromkeys(("Epoch", "State", "Trial"), "trial"),
    "suggest": "discovery",
    "tunable": "decorator",
    "Tuner": "tuner",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used (PEP 562)."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public."""
    return sorted(__all__)
