"""Seeing what Keras makes: its variables before they hold anything, its layers and operations.

HEAVY: importing this module loads Keras. Two of its constructors are replaced while somebody
observes, and tell the observer of the thread they run in.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import keras


class Observer(Protocol):
    """What is told of each variable and operation that is made."""

    def variable(self, init: Callable[..., None], variable: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """See to it that a variable is initialized."""
        ...

    def operation(self, operation: Any) -> None:  # noqa: ANN401
        """Take note of an operation, such as a layer."""
        ...


_observer: ContextVar[Observer | None] = ContextVar("tunedeco_observer", default=None)
_lock = threading.Lock()
_originals: dict[type, Callable[..., None]] = {}
_observers = 0


@contextmanager
def observed_by(observer: Observer | None) -> Iterator[None]:
    """Tell an observer of what this thread makes; the constructors are Keras's own again after."""
    global _observers  # noqa: PLW0603 (the constructors are global too)
    with _lock:
        if not _observers:
            _replace(keras.Variable, _variable)
            _replace(keras.Operation, _operation)
        _observers += 1
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
        with _lock:
            _observers -= 1
            if not _observers:
                for kind, original in _originals.items():
                    kind.__init__ = original  # type: ignore[misc]
                _originals.clear()


def _replace(kind: type, wrap: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """Replace the constructor of a class where it is defined."""
    kind = next(base for base in kind.__mro__ if "__init__" in vars(base))
    original = _originals[kind] = vars(kind)["__init__"]
    kind.__init__ = functools.wraps(original)(wrap(original))  # type: ignore[misc]


def _variable(init: Callable[..., None]) -> Callable[..., None]:
    def observed(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        observer = _observer.get()
        if observer is None:
            init(self, *args, **kwargs)
        else:
            observer.variable(init, self, *args, **kwargs)

    return observed


def _operation(init: Callable[..., None]) -> Callable[..., None]:
    def observed(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if (observer := _observer.get()) is not None:
            observer.operation(self)
        init(self, *args, **kwargs)

    return observed
