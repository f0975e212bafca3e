"""Models without their weights: to know what a model is, without paying for it.

HEAVY: importing this package loads Keras. `building` runs a function so that its models are only
described; `sizes` says what they would weigh; `observing` is how both see what Keras makes.
"""

from tunedeco.abstract.building import (
    run_abstractly,
    try_abstractly,
    undisturbed,
    weightless,
)
from tunedeco.abstract.sizes import Size, size_of, unless_larger

__all__ = [
    "Size",
    "run_abstractly",
    "size_of",
    "try_abstractly",
    "undisturbed",
    "unless_larger",
    "weightless",
]
