"""Watching Keras: which constructors the user's code calls while a function runs.

HEAVY: importing this module loads Keras.

While `watching` is entered, the constructors of Keras's layers, optimizers, losses and
regularizers, of the layers and models that users write, and four methods (`Sequential.add`,
`Layer.__call__`, `Layer.__new__` and `Model.compile`) pass through here. They act only in the
context that watches, and only when the caller is the user's own code: other threads, and what Keras
and installed packages construct for themselves, are served as ever. All is put back when the last
one leaves, whatever was raised.
"""

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol

import keras

from tunedeco.discovery import kinds
from tunedeco.discovery.plan import Call
from tunedeco.discovery.users import is_users, place_of


class Watcher(Protocol):
    """Who decides and remembers what happens while a function runs."""

    home: str
    """The file of the function: it is the user's, wherever it stands."""

    closed: int
    """Above 0 while nothing is looked at."""

    def constructs(self, call: Call) -> Mapping[str, object]:
        """Return the arguments that are to be other than the code gives."""

    def constructed(self, call: Call, thing: object) -> None:
        """Take note of what came out."""

    def standing_for(self, layer: keras.Layer) -> list[keras.Layer]:
        """Return the layers to add or apply where the code adds or applies one."""

    def added(self, model: keras.Sequential, layer: keras.Layer) -> None:
        """Take note of a layer that the code adds to a model."""

    def applied(self, layer: keras.Layer, given: object, result: object) -> None:
        """Take note of a layer that the code applies to a symbolic tensor."""


_watcher: ContextVar[Watcher | None] = ContextVar("tunedeco_discovery", default=None)
_lock = threading.RLock()
_inside = 0
_patches: list[tuple[type, str, object]] = []


@contextlib.contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Let a watcher see, and decide on, what the user's code constructs in this context."""
    global _inside  # noqa: PLW0603 (how many are inside, in all threads)
    with _lock:
        if _inside == 0:
            _patch_all()
        _inside += 1
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
        with _lock:
            _inside -= 1
            if _inside == 0:
                _unpatch_all()


def _patch_all() -> None:
    try:
        for cls, family in _families().items():
            _patch(cls, "__init__", functools.partial(_init, family=family))
        for cls in {cls for cls in vars(keras.layers).values() if inspect.isclass(cls)}:
            if "__call__" in vars(cls):
                _patch(cls, "__call__", _call)
        _patch(keras.Layer, "__new__", _new)
        _patch(keras.Sequential, "__init__", _sequential)
        _patch(keras.Sequential, "add", _add)
        trainer = next(cls for cls in keras.Model.__mro__ if "compile" in vars(cls))
        _patch(trainer, "compile", _compile)
    except BaseException:
        _unpatch_all()
        raise


def _unpatch_all() -> None:
    while _patches:
        owner, name, original = _patches.pop()
        setattr(owner, name, original)


def _patch(owner: type, name: str, wrapped: Callable[[Any], object]) -> None:
    original = vars(owner)[name]
    _patches.append((owner, name, original))
    setattr(owner, name, wrapped(original))


@functools.cache
def _families() -> dict[type, str]:
    """Return the classes of Keras that users construct, and which define a constructor."""
    schedules = keras.optimizers.schedules
    modules = {
        "layers": keras.layers,
        "optimizers": keras.optimizers,
        "losses": keras.losses,
        "regularizers": keras.regularizers,
    }
    found = {
        cls: family
        for family, module in [*modules.items(), ("optimizers", schedules)]
        for cls in vars(module).values()
        if inspect.isclass(cls) and "__init__" in vars(cls)
    }
    for base in (keras.Layer, keras.layers.Wrapper, keras.losses.Loss, keras.optimizers.Optimizer):
        found.pop(base, None)  # what only their subclasses call
    return found


def _users(depth: int = 2) -> tuple[Watcher, FrameType] | None:
    """Return who watches, and the frame that calls, if that is the user's code."""
    watcher = _watcher.get()
    if watcher is None or watcher.closed:
        return None
    frame = sys._getframe(depth)  # noqa: SLF001 (the caller's caller)
    return (watcher, frame) if is_users(frame.f_code.co_filename, watcher.home) else None


_signature = functools.lru_cache(maxsize=1024)(inspect.signature)


def _called(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, object], frozenset[str]] | None:
    """Return the arguments by name and which were given; None where they do not fit."""
    try:
        bound = _signature(function).bind(*args, **kwargs)
    except TypeError:
        return None  # the function itself will say so
    given = frozenset(bound.arguments)
    bound.apply_defaults()
    return dict(list(bound.arguments.items())[1:]), given


def _with(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    replaced: Mapping[str, object],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with others in their place: by position where they were, else by name."""
    positions = {name: i for i, name in enumerate(_signature(function).parameters)}
    changed, named = list(args), dict(kwargs)
    for name, value in replaced.items():
        if positions[name] < len(changed):
            changed[positions[name]] = value
        else:
            named[name] = value
    return tuple(changed), named


@contextlib.contextmanager
def _closed(watcher: Watcher | None, *, close: bool) -> Iterator[None]:
    """Let a watcher look away from what is constructed within."""
    if watcher is None or not close:
        yield
        return
    watcher.closed += 1
    try:
        yield
    finally:
        watcher.closed -= 1


def _init(original: Callable[..., None], family: str) -> Callable[..., None]:
    """Wrap a constructor."""

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, N807 (as theirs)
        seen = _users()
        called = _called(original, (self, *args), kwargs) if seen else None
        if seen is None or called is None:
            with _closed(_watcher.get(), close=family == "own"):  # a clone that Keras makes
                original(self, *args, **kwargs)
            return
        watcher, frame = seen
        name = type(self).__name__ if family == "own" else original.__qualname__.split(".")[0]
        call = Call(place_of(frame), family, name, *called)
        replaced = watcher.constructs(call)
        (_, *values), named = _with(original, (self, *args), kwargs, replaced)
        # what a class of the user's own is given decides on all that it constructs
        with _closed(watcher, close=family == "own" and kinds.decides(call.arguments)):
            original(self, *values, **named)
        config = getattr(self, "_auto_config", None)  # Keras noted there what the code gave
        if replaced and config is not None:
            config.config.update(replaced)
        watcher.constructed(call, self)

    # Keras binds arguments with getfullargspec, which looks no further than here
    __init__.__signature__ = _signature(original)  # type: ignore[attr-defined]
    return __init__


def _new(original: Any) -> object:  # noqa: ANN401 (a staticmethod)
    """Wrap `Layer.__new__`, which comes before the constructor of every layer and model."""

    @functools.wraps(original.__func__)
    def __new__(cls: type, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401, N807 (as theirs)
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if _watcher.get() is not None and owner.__module__.partition(".")[0] != "keras":
            with _lock:
                if (owner, "__init__") not in {patch[:2] for patch in _patches}:
                    _patch(owner, "__init__", functools.partial(_init, family="own"))
        return original.__func__(cls, *args, **kwargs)

    return staticmethod(__new__)


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `Layer.__call__`: of interest is a layer that is applied to one symbolic tensor."""

    @functools.wraps(original)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, N807 (as theirs)
        seen = _users()
        if seen is None or kwargs or len(args) != 1 or not isinstance(args[0], keras.KerasTensor):
            return original(self, *args, **kwargs)
        result = args[0]
        for layer in seen[0].standing_for(self):
            result = original(self, result) if layer is self else layer(result)
        seen[0].applied(self, args[0], result)
        return result

    return __call__


def _sequential(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of `Sequential`, which may be given a list of layers."""

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, N807 (as theirs)
        seen = _users()
        called = _called(original, (self, *args), kwargs) if seen else None
        layers = called[0]["layers"] if called else None
        if seen is None or not isinstance(layers, (list, tuple)):
            original(self, *args, **kwargs)
            return
        standing = [other for layer in layers for other in seen[0].standing_for(layer)]
        (_, *values), named = _with(original, (self, *args), kwargs, {"layers": standing})
        original(self, *values, **named)
        for layer in layers:
            seen[0].added(self, layer)

    __init__.__signature__ = _signature(original)  # type: ignore[attr-defined]
    return __init__


def _add(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap `Sequential.add`."""

    @functools.wraps(original)
    def add(self: Any, layer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (as theirs)
        seen = _users()
        if seen is None:
            original(self, layer, *args, **kwargs)
            return
        for other in seen[0].standing_for(layer):
            original(self, other, *args, **kwargs)
        seen[0].added(self, layer)

    return add


def _compile(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap `compile`: a name of an optimizer stands for its constructor without arguments."""
    classes = {cls.__name__.lower(): cls for cls in _families() if _families()[cls] == "optimizers"}

    @functools.wraps(original)
    def compile(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: A001, ANN401 (as theirs)
        seen = _users()
        called = _called(original, (self, *args), kwargs) if seen else None
        optimizer = called[0]["optimizer"] if called else None
        cls = classes.get(optimizer.lower()) if isinstance(optimizer, str) else None
        if seen is not None and cls is not None:
            arguments = _called(vars(cls)["__init__"], (None,), {})
            assert arguments is not None  # an optimizer that has a name has defaults
            call = Call(place_of(seen[1]), "optimizers", cls.__name__, *arguments)
            if replaced := seen[0].constructs(call):
                replaced = {"optimizer": cls(**replaced)}
                (_, *values), named = _with(original, (self, *args), kwargs, replaced)
                original(self, *values, **named)
                return
        original(self, *args, **kwargs)

    return compile
