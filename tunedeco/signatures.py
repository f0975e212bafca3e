"""Signatures: hyperparameters declared on them, and calls that fill in what a caller leaves out.

A parameter is a hyperparameter if its annotation is ``Annotated`` with a `Declaration`, or if the
decorator declares it, which goes first. The parameter's default is the hyperparameter's, and an
argument that a caller gives is not asked for.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_origin

from tunedeco.declarations import Declaration, Unset
from tunedeco.errors import HyperparameterError
from tunedeco.space import Hyperparameter
from tunedeco.tracing import name_of

R = TypeVar("R")

_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """Return a function's parameters by name, without ``*args`` and ``**kwargs``."""
    found = _signature(function).parameters
    return {name: p for name, p in found.items() if p.kind not in _ANY_NUMBER}


def _signature(function: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # some builtins have none
        return inspect.Signature()


def declared(
    function: Callable[..., object], declarations: Mapping[str, Declaration]
) -> dict[str, Hyperparameter]:
    """Return the hyperparameters on a function's signature, by parameter.

    Args:
        function: any function; what a ``functools.partial`` has bound is not annotated any more.
        declarations: more of them, which go before the annotations.

    Raises:
        HyperparameterError: a declaration is wrong, a default lies outside its domain, or the
            function has no such parameter; names the function and the parameter.
    """
    known = parameters(function)
    for name, declaration in declarations.items():
        if not isinstance(declaration, Declaration):
            msg = (
                f"{name}={declaration!r} declares nothing; use what tunedeco.space has, as in "
                f"@tunable({name}=space.Choice([...]))"
            )
            raise HyperparameterError(msg)
        if name not in known and not _takes_any(function):
            has = f"it has {', '.join(known)}" if known else "it has none"
            msg = f"{name_of(function)} has no parameter {name!r}: {has}"
            raise HyperparameterError(msg)
    bound = function.keywords if isinstance(function, functools.partial) else {}
    annotated = {n: _annotation(function, p) for n, p in known.items() if n not in bound}
    every = {n: d for n, d in {**annotated, **declarations}.items() if d is not None}
    return {n: _named(function, n, declaration, known.get(n)) for n, declaration in every.items()}


def filled(
    function: Callable[..., R], supplies: Mapping[str, Callable[[], object]]
) -> Callable[..., R]:
    """Return a function that supplies the arguments its caller leaves out.

    Args:
        function: any function; returned as it is where there is nothing to supply.
        supplies: for each parameter, what returns its argument; called in this order.
    """
    if not supplies:
        return function
    signature = inspect.signature(function)
    known = parameters(function)

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> R:  # noqa: ANN401 (the function's own)
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError:  # the call is wrong: the function says so itself
            return function(*args, **kwargs)
        for name, supply in supplies.items():
            if name in known:
                if name not in bound.arguments:
                    bound.arguments[name] = supply()
            elif name not in kwargs:
                bound.arguments.setdefault(_rest(signature), {})[name] = supply()
        bound.apply_defaults()  # so that what is positional only has no gaps before it
        return function(*bound.args, **bound.kwargs)

    call.__name__ = name_of(function)
    # what a caller still has to give
    left = [p for name, p in signature.parameters.items() if name not in supplies]
    call.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    return call


def _takes_any(function: Callable[..., object]) -> bool:
    found = _signature(function).parameters.values()
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found)


def _rest(signature: inspect.Signature) -> str:
    """Return what ``**kwargs`` is called."""
    return next(n for n, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD)


def _annotation(
    function: Callable[..., object], parameter: inspect.Parameter
) -> Declaration | None:
    annotation = parameter.annotation
    if isinstance(annotation, str):  # `from __future__ import annotations`
        try:
            annotation = eval(annotation, getattr(_defined(function), "__globals__", {}))  # noqa: S307 (its own text, as typing.get_type_hints does)
        except Exception as error:
            if "Annotated" not in parameter.annotation:
                return None  # a name that only type checkers know
            msg = (
                f"{_where(function, parameter.name)}: the annotation {parameter.annotation!r} "
                f"raises {type(error).__name__}: {error}"
            )
            raise HyperparameterError(msg) from error
    annotation = getattr(annotation, "__value__", annotation)  # `type Units = Annotated[...]`
    if get_origin(annotation) is not Annotated:
        return None
    found = [part for part in annotation.__metadata__ if isinstance(part, Declaration)]
    if len(found) > 1:
        msg = f"{_where(function, parameter.name)}: it is declared twice in one annotation"
        raise HyperparameterError(msg)
    return found[0] if found else None


def _named(
    function: Callable[..., object],
    name: str,
    declaration: Declaration,
    parameter: inspect.Parameter | None,
) -> Hyperparameter:
    domain, default = declaration.domain, declaration.default
    if parameter is not None and parameter.default is not parameter.empty:
        default = parameter.default
    value = domain.first if isinstance(default, Unset) else default
    try:
        return Hyperparameter(declaration.group, name, domain, value, _place(function))
    except HyperparameterError as error:
        msg = f"{_where(function, name)}: {error}"
        raise HyperparameterError(msg) from None


def _where(function: Callable[..., object], name: str) -> str:
    return f"parameter {name!r} of {name_of(function)} ({_place(function)})"


def _place(function: Callable[..., object]) -> str:
    code = getattr(_defined(function), "__code__", None)
    return "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _defined(function: Any) -> Any:  # noqa: ANN401 (whatever can be called)
    """Return the ``def`` behind what can be called."""
    if isinstance(function, functools.partial):
        return _defined(function.func)
    if hasattr(function, "__wrapped__"):
        return _defined(function.__wrapped__)
    if isinstance(function, type):
        return function.__init__  # type: ignore[misc] # only its code is looked at
    return function if inspect.isroutine(function) else type(function).__call__
