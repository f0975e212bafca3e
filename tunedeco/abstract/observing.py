"""Seeing what Keras makes: variables before they hold anything, layers, and their connections.

HEAVY: importing this module loads Keras. Three of its constructors are replaced while somebody
observes, and tell the observer of the thread they run in.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import keras
from keras.src.ops.node import Node


class Observer(Protocol):
    """What is told of what is made."""

    def variable(self, init: Callable[..., None], variable: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """See to it that a variable is initialized."""
        ...

    def made(self, thing: keras.Operation | Node) -> None:
        """Take note of an operation, such as a layer, or of a node, which is a call of one."""
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
            _replace(keras.Operation, _thing)
            _replace(Node, _thing)
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
    replacement = functools.wraps(original)(wrap(original))
    replacement.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]  # Keras looks
    kind.__init__ = replacement  # type: ignore[misc]


def _variable(init: Callable[..., None]) -> Callable[..., None]:
    def observed(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        observer = _observer.get()
        if observer is None:
            init(self, *args, **kwargs)
        else:
            observer.variable(init, self, *args, **kwargs)

    return observed


def _thing(init: Callable[..., None]) -> Callable[..., None]:
    def observed(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        init(self, *args, **kwargs)
        if (observer := _observer.get()) is not None:
            observer.made(self)

    return observed
