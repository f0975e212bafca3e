"""`@tunable`: a model function that knows its space, and builds with any values of it.

What it calls is the function itself, unless something must be filled in: hyperparameters declared
on the signature (`tunedeco.signatures`), or what code written for other libraries takes
(`tunedeco.translations`).
"""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import NoneType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from tunedeco import exporting, translations
from tunedeco.declarations import Declaration
from tunedeco.discovery import Declared, discovering
from tunedeco.domains import Value
from tunedeco.errors import (
    ConfigurationError,
    ExportError,
    HyperparameterError,
    ModelFunctionError,
    NeedsWeights,
)
from tunedeco.returned import parts
from tunedeco.signatures import declared, filled
from tunedeco.space import Hyperparameter, Space
from tunedeco.tracing import MAX_TRACES, defaults, explore, from_values, name_of, run, value_of
from tunedeco.translations import HyperModel

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M")
A = TypeVar("A")


class Tunable(Generic[P, R]):
    """A function whose hyperparameters are known; call it like the function it wraps.

    Args:
        function: what builds a model.
        declarations: hyperparameters among its parameters.
        discover: as in `tunable`.
        max_traces: how often it is run at most to find its space.
    """

    def __init__(
        self,
        function: Callable[P, R],
        declarations: Mapping[str, Declaration] | None = None,
        discover: bool | Mapping[str, Declared | str] = False,  # noqa: FBT001, FBT002 (as in `tunable`)
        max_traces: int = MAX_TRACES,
    ) -> None:
        """Wrap a function; it is not run before its space is asked for."""
        # a class or an object has attributes of its own, which are not those of a function
        updated = functools.WRAPPER_UPDATES if inspect.isroutine(function) else ()
        functools.update_wrapper(self, function, updated=updated)
        self.function = function
        self.declarations = dict(declarations or {})
        self.discover = discover
        self.max_traces = max_traces
        self._call = prepared(function, self.declarations)
        if discover is not False:
            named = discover if isinstance(discover, Mapping) else None
            self._call = discovering(self._call, named)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: every hyperparameter is its default, or the running trial's value."""
        return self._call(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> "Tunable[..., R]":
        """Bind to an instance, as a method does."""
        if instance is None:
            return self
        bound = cast("Callable[..., R]", self.function.__get__(instance, owner))
        return Tunable(bound, self.declarations, self.discover, self.max_traces)

    def __repr__(self) -> str:
        return f"<tunable {name_of(self.function)}>"

    @property
    def alone(self) -> Callable[[], R]:
        """What builds the model without arguments: the very function where that can be.

        Raises:
            ModelFunctionError: it has parameters that nothing gives a value.
        """
        return callable_alone(self._call)

    @functools.cached_property
    def space(self) -> Space:
        """What tracing finds, on every branch; looked for once, see `explored`."""
        return self.explored()

    def explored(self, check: Callable[[R], object] | None = None) -> Space:
        """Return what the function can ask for, and under which values of what.

        The function is run again and again, at most ``max_traces`` times, and its models get no
        weights. One that cannot be built without them is built with them, and less often.

        Args:
            check: told of what each run returns; what it raises counts as the function's own.

        Raises:
            ModelFunctionError: it has parameters that nothing gives a value.
            HyperparameterError: a declaration in it is wrong.
        """
        function = self.alone
        space = explore(
            function if check is None else lambda: check(function()),
            limit=self.max_traces,
            within=(_weightless, _undisturbed),
        )
        assert space.coverage is not None
        if space.coverage.problem is not None:
            msg = (
                f"{name_of(function)} cannot be built without its weights, so tracing builds it "
                f"with them, and {space.coverage.runs} times at most ({space.coverage.problem})"
            )
            warnings.warn(msg, NeedsWeights, stacklevel=2)
        return space

    @overload
    def build(
        self: "Tunable[P, tuple[M, dict[str, A]]]", values: str | Path | Mapping[str, Any]
    ) -> M: ...
    @overload
    def build(self, values: str | Path | Mapping[str, Any]) -> R: ...
    def build(self, values: str | Path | Mapping[str, Any]) -> object:
        """Return the model that the function builds with other values than its defaults.

        Where it returns ``(model, fit_arguments)``, that is the model alone; see `apply`.

        Args:
            values: as `apply` takes them.

        Raises:
            ExportError: as in `apply`.
            HyperparameterError: as in `apply`.
        """
        return parts(self.apply(values))[0]

    def apply(self, values: str | Path | Mapping[str, Any]) -> R:
        """Call the function with other values than its defaults; return what it returns.

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
        function = self.alone
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


def _weightless() -> AbstractContextManager[object]:
    """Return a context in which models get no weights; any other function needs none."""
    if "keras" not in sys.modules:
        return nullcontext()
    from tunedeco.abstract import weightless

    return weightless()


def _undisturbed() -> AbstractContextManager[object]:
    """Return a context that leaves nothing of what models do to Keras."""
    if "keras" not in sys.modules:
        return nullcontext()
    from tunedeco.abstract import undisturbed

    return undisturbed()


def prepared(
    function: Callable[..., R], declarations: Mapping[str, Declaration]
) -> Callable[..., R]:
    """Return a function that asks for what is declared on its signature, and makes ``hp``."""
    asked = declared(function, declarations)
    asks = {name: functools.partial(value_of, h) for name, h in asked.items()}
    return filled(function, {**translations.arguments(function), **asks})


def callable_alone(function: Callable[..., R]) -> Callable[[], R]:
    """Return a function that can be called without arguments.

    Raises:
        ModelFunctionError: it has parameters without defaults.
    """
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        msg = (
            f"{name_of(function)} cannot be called without arguments ({error}); give them "
            "defaults, declare them with @tunable(...), or bind them with functools.partial"
        )
        raise ModelFunctionError(msg) from None
    except ValueError:
        pass  # a builtin without a signature: calling it will tell
    return function


@overload
def tunable(function: HyperModel[R] | type[HyperModel[R]], /) -> Tunable[..., R]: ...
@overload
def tunable(function: Callable[P, R], /) -> Tunable[P, R]: ...
@overload
def tunable(
    function: Callable[..., R],
    /,
    *,
    discover: bool | Mapping[str, Declared | str] | None = ...,
    max_traces: int | None = ...,
    **declarations: Declaration,
) -> Tunable[..., R]: ...
@overload
def tunable(
    *,
    discover: bool | Mapping[str, Declared | str] | None = ...,
    max_traces: int | None = ...,
) -> Callable[[Callable[P, R]], Tunable[P, R]]: ...
@overload
def tunable(
    *,
    discover: bool | Mapping[str, Declared | str] | None = ...,
    max_traces: int | None = ...,
    **declarations: Declaration,
) -> Callable[[Callable[..., R]], Tunable[..., R]]: ...
def tunable(
    function: object = None,
    /,
    *,
    discover: bool | Mapping[str, Declared | str] | None = None,
    max_traces: int | None = None,
    **declarations: Declaration,
) -> object:
    """Decorate a function that asks for hyperparameters; ``@tunable`` and ``@tunable()`` both do.

    The function stays what it is: its name, docstring and signature are kept, and a call runs it.
    It gains ``.space``, ``.build`` and ``.apply``.

    Args:
        function: builds a model; it may take Keras Tuner's ``hp`` or Optuna's ``trial``, or be a
            ``HyperModel``.
        discover: True to search what `suggest` proposes for the layers and optimizers that the
            function constructs; or a mapping such as ``{"dense_1.units": space.Range(8, 64, 8)}``
            of what to search in them, where a value may also be the name of another whose value it
            shares.
        max_traces: how often it is run at most to find its space; 256 if None.
        declarations: parameters that are hyperparameters, for code that must not change:
            ``@tunable(units=space.Range(8, 64, 8))``.

    Raises:
        ModelFunctionError: what is decorated is neither a function nor a ``HyperModel``.
        ConfigurationError: ``discover`` or ``max_traces`` is not what it may be.
        HyperparameterError: the function has no such parameter, or its default is not in the
            domain that is declared for it.
    """
    if max_traces is not None and (type(max_traces) is not int or max_traces < 1):
        msg = f"max_traces must be a whole number of at least 1, not {max_traces!r}"
        raise ConfigurationError(msg)
    if not isinstance(discover, (bool, Mapping, NoneType)):
        msg = f"discover must be True, or a mapping of what to search, not {discover!r}"
        raise ConfigurationError(msg)
    if function is None:
        options = {"discover": discover, "max_traces": max_traces}
        return functools.partial(tunable, **options, **declarations)
    if isinstance(function, Tunable):
        if discover is None and max_traces is None and not declarations:
            return function
        return Tunable(
            function.function,
            {**function.declarations, **declarations},
            function.discover if discover is None else discover,
            max_traces or function.max_traces,
        )
    plain = translations.function_of(function)
    return Tunable(plain, declarations, discover or False, max_traces or MAX_TRACES)
