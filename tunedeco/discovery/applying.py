"""Putting values in: a function that declares nothing asks for the hyperparameters found in it."""

import functools
import threading
from collections.abc import Callable, Mapping
from typing import ParamSpec, Protocol, TypeVar

from tunedeco.discovery.observing import Observation, observe
from tunedeco.discovery.plan import Knob, Plan, scalar
from tunedeco.discovery.proposing import Proposal
from tunedeco.discovery.run import Run, home_of
from tunedeco.discovery.watching import watching
from tunedeco.domains import Domain, Value, plain
from tunedeco.errors import HyperparameterError
from tunedeco.tracing import Unset

P = ParamSpec("P")
R = TypeVar("R")


class Declared(Protocol):
    """A hyperparameter without a name, such as ``space.Choice([32, 64], group="dense")``."""

    @property
    def domain(self) -> Domain:
        """What it can be."""

    @property
    def group(self) -> str:
        """Under which it is searched, printed and exported."""

    @property
    def default(self) -> Value | Unset:
        """What it is without a search; `UNSET` for what the code gives."""


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
        with lock:
            if not plans:
                plans.append(_plan(functools.partial(function, *args, **kwargs), declared))
        with watching(Run(plans[0], home_of(function))):
            return function(*args, **kwargs)

    return call


def _plan(function: Callable[[], object], declared: Mapping[str, Declared | str] | None) -> Plan:
    seen = observe(function)
    knobs = Proposal(function, seen).found() if declared is None else knobs_of(declared, seen)
    return seen.plan(knobs)


def knobs_of(declared: Mapping[str, Declared | str], seen: Observation) -> dict[str, Knob]:
    """Return what is declared as knobs.

    Raises:
        HyperparameterError: see `discovering`.
    """
    present = present_values(seen)
    if unknown := [name for name in declared if name not in present]:
        known = ", ".join(present) or "nothing that could be tuned"
        msg = f"there is no {', '.join(unknown)} in what the function constructs; there is: {known}"
        raise HyperparameterError(msg)
    knobs = {
        name: Knob(name, item.group, item.domain, _default(item, present[name]))
        for name, item in declared.items()
        if not isinstance(item, str)
    }
    for name, item in declared.items():
        if isinstance(item, str):
            if item not in knobs:
                msg = f"{name} is to share the value of {item!r}, which is not declared"
                raise HyperparameterError(msg)
            knobs[name] = knobs[item]
    return knobs


def present_values(seen: Observation) -> dict[str, Value]:
    """Return every argument that a hyperparameter could stand for, and what the code gives."""
    present: dict[str, Value] = {}
    for call in seen.calls:
        assert call.site is not None
        for parameter, value in call.site.arguments.items():
            if not isinstance(scalar(value), (tuple, list)):
                present[f"{call.site.name}.{parameter}"] = plain(scalar(value), "an argument")
    return {**present, **{repeat.name: repeat.count for repeat in seen.repeats}}


def _default(item: Declared, present: Value) -> Value:
    """Return the declared default; else what the code gives, if it can be that; else the first."""
    if not isinstance(item.default, Unset):
        return item.default
    return present if item.domain.contains(present) else item.domain.first
