"""Tracing: run a model function, collect the hyperparameters it asks for, give it values.

``Choice("units", [8, 16])`` in a function is a question. Who answers depends on the context, not
on the function, which is never rewritten: outside of everything, the default; inside `run`, the
values of a trial. The context is a context variable, so threads and nested calls do not meet.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tunedeco.declarations import Unset
from tunedeco.domains import Domain, Value
from tunedeco.errors import HyperparameterClash, HyperparameterError
from tunedeco.space import Hyperparameter, Space, Values, nested

R = TypeVar("R")

Answer = Callable[[Hyperparameter], Value]
"""What a hyperparameter is worth here."""


@dataclass
class Trace:
    """What one run of a function asked for, and what it was told."""

    answer: Answer
    number: int = 0
    """The number of the trial it is run for."""
    asked: dict[tuple[str, str], Hyperparameter] = field(default_factory=dict)
    given: dict[tuple[str, str], Value] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        """The hyperparameters asked for, in the order met."""
        return Space(tuple(self.asked.values()))

    @property
    def values(self) -> dict[str, dict[str, Value]]:
        """What they were told, as ``{group: {name: value}}``."""
        return nested((h, self.given[key]) for key, h in self.asked.items())

    def ask(self, hyperparameter: Hyperparameter) -> Value:
        """Return the value of a hyperparameter: the same however often it is asked for."""
        key = hyperparameter.key
        known = self.asked.get(key)
        if known is None:
            self.asked[key] = hyperparameter
            self.given[key] = self.answer(hyperparameter)
        elif known != hyperparameter:
            raise clash(known, hyperparameter)
        return self.given[key]


_trace: ContextVar[Trace | None] = ContextVar("tunedeco_trace", default=None)


def run(function: Callable[[], R], answer: Answer, number: int = 0) -> tuple[R, Trace]:
    """Run a function with an answer to each of its questions; return its result and the trace.

    Args:
        function: what asks.
        answer: what each hyperparameter is worth.
        number: the number of the trial it is run for, which code of Optuna's may want to know.

    Whatever the function raises passes through as it is.
    """
    trace = Trace(answer, number)
    return run_in(trace, function), trace


def run_in(trace: Trace, function: Callable[[], R]) -> R:
    """Run a function whose questions a trace answers and notes, also where the function raises."""
    token = _trace.set(trace)
    try:
        return function()
    finally:
        _trace.reset(token)


def defaults(hyperparameter: Hyperparameter) -> Value:
    """Answer with the default."""
    return hyperparameter.default


def from_values(values: Values, otherwise: Answer) -> Answer:
    """Return an answer that takes what is in a configuration, and asks another for the rest.

    A value outside the domain that is asked for raises `HyperparameterError`.
    """

    def answer(hyperparameter: Hyperparameter) -> Value:
        names = values.get(hyperparameter.group, {})
        if hyperparameter.name not in names:
            return otherwise(hyperparameter)
        try:
            return hyperparameter.domain.canonical(names[hyperparameter.name])
        except HyperparameterError as error:
            msg = f"{hyperparameter.label}: {error}"
            raise HyperparameterError(msg) from None

    return answer


def asks_only_for(function: Callable[[], object], values: Values) -> Space | None:
    """Return what a function asks for with these values; None if it is not exactly these.

    Whatever the function raises counts as asking for something else.
    """
    try:
        trace = run(function, from_values(values, defaults))[1]
    except Exception:  # noqa: BLE001 (the user's function, with values it may not be made for)
        return None
    return trace.space if trace.values == values else None


def clash(one: Hyperparameter, other: Hyperparameter) -> HyperparameterClash:
    """Return the error to raise when one (group, name) was declared in two ways."""
    return HyperparameterClash(
        f"{one.label} means two things: {_describe(one)}, and {_describe(other)}; use another "
        "name or group for one of them, such as a name that holds what the values depend on"
    )


def _describe(hyperparameter: Hyperparameter) -> str:
    return (
        f"{hyperparameter.domain.kind} {hyperparameter.domain} with default "
        f"{hyperparameter.default!r} at {hyperparameter.place}"
    )


def name_of(function: Callable[..., object]) -> str:
    """Return what to call a function in messages."""
    return getattr(function, "__name__", None) or type(function).__name__


def ask(name: str, group: str, default: object, kind: Callable[..., Domain], *args: object) -> Any:  # noqa: ANN401 (the callers know the type)
    """Return what a hyperparameter is worth in this context; see `declare` for the arguments.

    Raises:
        HyperparameterError: the declaration is wrong; names the hyperparameter and the place.
        HyperparameterClash: this run has declared it before, otherwise.
    """
    return value_of(declare(name, group, default, kind, *args))


def declare(
    name: str, group: str, default: object, kind: Callable[..., Domain], *args: object
) -> Hyperparameter:
    """Return a hyperparameter that is declared in the line that called this package.

    Args:
        name: its name, unique within the group.
        group: its group.
        default: a value of the domain, or `UNSET` for the first one.
        kind: the domain's class, or another function that returns a domain.
        args: what that is called with.

    Raises:
        HyperparameterError: the declaration is wrong; names the hyperparameter and the place.
    """
    place = _caller()
    try:
        domain = kind(*args)
        value = domain.first if isinstance(default, Unset) else default
        return Hyperparameter(group, name, domain, value, place)  # type: ignore[arg-type]
    except HyperparameterError as error:
        msg = f"{group}/{name} ({place}): {error}"
        raise HyperparameterError(msg) from None


def value_of(hyperparameter: Hyperparameter) -> Value:
    """Return what a hyperparameter is worth in this context.

    Raises:
        HyperparameterClash: this run has declared it before, otherwise.
    """
    trace = _trace.get()
    return hyperparameter.default if trace is None else trace.ask(hyperparameter)


def trial_number() -> int:
    """Return the number of the trial that is being built; 0 outside of one."""
    trace = _trace.get()
    return 0 if trace is None else trace.number


_PACKAGE = str(Path(__file__).parents[1] / "_")[:-1]  # with the separator: tunedeco_too is not us


def _caller() -> str:
    """Return ``file:line`` of the nearest frame outside this package."""
    frame = sys._getframe(1)  # noqa: SLF001 (inspect.stack() reads source files: 1000 times slower)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
