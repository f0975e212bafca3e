"""Putting values in: a function that declares nothing asks for the hyperparameters found in it.

Keras is loaded by the first call of such a function.
"""

import functools
import threading
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from tunedeco.discovery.plan import Declared, Plan

P = ParamSpec("P")
R = TypeVar("R")


def discovering(
    function: Callable[P, R], declared: Mapping[str, Declared | str] | None = None
) -> Callable[P, R]:
    """Return a function that asks for hyperparameters where the given one constructs.

    Outside a trial every answer is what the code gives, and so the model is the same. What the
    function constructs is found by running it once more, when it is first called, with the
    arguments of that call; nothing is left behind.

    Args:
        function: a model function; it may declare hyperparameters of its own as well.
        declared: by name, such as ``"dense_1.units"``: what it can be, or the name of another
            whose value it shares. None for what `suggest` proposes.

    Raises:
        HyperparameterError: when it is called: a name is not of anything the function constructs,
            or the default is not in the domain.
    """
    lock = threading.RLock()  # the function may call itself
    plans: list[Plan] = []

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from tunedeco.discovery.planning import planned
        from tunedeco.discovery.run import Run, home_of
        from tunedeco.discovery.watching import watching

        with lock:
            if not plans:
                plans.append(planned(functools.partial(function, *args, **kwargs), declared))
        with watching(Run(plans[0], home_of(function))):
            return function(*args, **kwargs)

    return call
