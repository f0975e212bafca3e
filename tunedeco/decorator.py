"""`@tunable`: a model function that knows its space, and builds with any values of it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from tunedeco import exporting
from tunedeco.domains import Value
from tunedeco.errors import ExportError, HyperparameterError, ModelFunctionError
from tunedeco.space import Hyperparameter, Space
from tunedeco.tracing import defaults, from_values, name_of, run

P = ParamSpec("P")
R = TypeVar("R")


class Tunable(Generic[P, R]):
    """A function whose hyperparameters are known; call it like the function it wraps."""

    def __init__(self, function: Callable[P, R]) -> None:
        """Wrap a function; it is not run before its space is asked for."""
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: every hyperparameter is its default, or the running trial's value."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> "Tunable[..., R]":
        """Bind to an instance, as a method does."""
        if instance is None:
            return self
        return Tunable(cast("Callable[..., R]", self.function.__get__(instance, owner)))

    def __repr__(self) -> str:
        return f"<tunable {name_of(self.function)}>"

    @property
    def space(self) -> Space:
        """What tracing finds: the function is run once, with its defaults.

        Raises:
            ModelFunctionError: it has parameters without defaults.
            HyperparameterError: a declaration in it is wrong.
        """
        return run(callable_alone(self.function), defaults)[1].space

    def build(self, values: str | Path | Mapping[str, Any]) -> R:
        """Call the function with other values than its defaults.

        Args:
            values: the path of a JSON file that `Tuner.export_best` wrote, or the object in it;
                or ``{group: {name: value}}``, or ``{name: value}`` where the name is unique.
                What a plain mapping leaves out keeps its default; an exported file must fit the
                function exactly.

        Raises:
            ExportError: the file cannot be read, or does not fit; names what does not.
            HyperparameterError: a mapping names something that is not there, or a value outside
                its domain.
        """
        function = callable_alone(self.function)
        if isinstance(values, Mapping) and not exporting.is_export(values):
            return _build_from_mapping(function, values)
        return _build_from_export(function, exporting.read(values))


def _build_from_mapping(function: Callable[[], R], values: Mapping[str, Any]) -> R:
    # which names there are is known only after running: the answers note what they used
    unused = {
        (group, name): value
        for group, names in values.items()
        if isinstance(names, Mapping)
        for name, value in names.items()
    }
    flat = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    flat_groups: dict[str, str] = {}

    def answer(hyperparameter: Hyperparameter) -> Value:
        group, name = hyperparameter.key
        if (group, name) in unused:
            value = unused.pop((group, name))
        elif name in flat:
            if flat_groups.setdefault(name, group) != group:
                msg = (
                    f"{name!r} stands in several groups, {flat_groups[name]} and {group}; "
                    "write {group: {name: value}}"
                )
                raise HyperparameterError(msg)
            value = flat[name]
        else:
            return hyperparameter.default
        return from_values({group: {name: value}}, defaults)(hyperparameter)

    result, trace = run(function, answer)
    left = [f"{group}/{name}" for group, name in unused] + [
        name for name in flat if name not in flat_groups
    ]
    if left:
        known = ", ".join(h.label for h in trace.space) or "nothing"
        msg = (
            f"{', '.join(left)} was not asked for; with these values the function asks for: {known}"
        )
        raise HyperparameterError(msg)
    return result


def _build_from_export(function: Callable[[], R], exported: exporting.Export) -> R:
    missing: list[str] = []
    outside: list[str] = []

    def answer(hyperparameter: Hyperparameter) -> Value:
        try:
            return from_values(exported.values, absent)(hyperparameter)
        except HyperparameterError as error:
            outside.append(str(error))
            return hyperparameter.default

    def absent(hyperparameter: Hyperparameter) -> Value:
        missing.append(hyperparameter.label)
        return hyperparameter.default

    result, trace = run(function, answer)
    unknown = [
        f"{group}/{name}"
        for group, names in exported.values.items()
        for name in names
        if (group, name) not in trace.asked
    ]
    problems = [
        *(f"{label} is asked for, and not in the file" for label in missing),
        *(f"{label} is in the file, and not asked for" for label in unknown),
        *outside,
    ]
    if problems:
        msg = f"{exported.source} is of another space:\n  " + "\n  ".join(problems)
        raise ExportError(msg)
    return result


def callable_alone(function: Callable[..., R]) -> Callable[[], R]:
    """Return a function that can be called without arguments.

    Raises:
        ModelFunctionError: it is not callable, or has parameters without defaults.
    """
    if not callable(function):
        msg = f"model_fn must be a function that builds a model, not {function!r}"
        raise ModelFunctionError(msg)
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        msg = (
            f"{name_of(function)} cannot be called without arguments ({error}); "
            "give them defaults, or bind them with functools.partial"
        )
        raise ModelFunctionError(msg) from None
    except ValueError:
        pass  # a builtin without a signature: calling it will tell
    return function


@overload
def tunable(function: Callable[P, R], /) -> Tunable[P, R]: ...
@overload
def tunable() -> Callable[[Callable[P, R]], Tunable[P, R]]: ...
def tunable(
    function: Callable[P, R] | None = None, /
) -> Tunable[P, R] | Callable[[Callable[P, R]], Tunable[P, R]]:
    """Decorate a function that asks for hyperparameters; ``@tunable`` and ``@tunable()`` both do.

    The function stays what it is: its name, docstring and signature are kept, and a call runs it.
    It gains ``.space`` and ``.build``.

    Raises:
        ModelFunctionError: what is decorated is not a function.
    """
    if function is None:
        return tunable
    if isinstance(function, Tunable):
        return function
    if not callable(function):
        msg = f"@tunable decorates a function, not {function!r}"
        raise ModelFunctionError(msg)
    return Tunable(function)
