"""What the compiled program of a model depends on, as something to compare.

Two models with one fingerprint are computed by the same program: everything that Python code could
read while the program is made is equal in both, but for the values of variables. All of it is
followed: layers and their attributes, losses, metrics, the optimizer, and the code of whatever the
user has written, with what it closes over and the globals that it names. What cannot be followed
for sure has no fingerprint.

HEAVY: importing this module loads Keras.
"""

import enum
import functools
import hashlib
import inspect
import random
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np

from tunedeco.executors.rates import CONFIG, Owners

_LIBRARIES = frozenset(
    {"builtins", "keras", "ml_dtypes", "numpy", "optree", "tunedeco"}
    | {"jax", "jaxlib", "tensorflow", "torch"}
    | sys.stdlib_module_names
)
"""Packages whose code does not change while a search runs, nor what it reads beside objects."""

_DRAWING = ("keras.src.random.random", "tensorflow.python.ops.random_ops")
"""Where functions are that draw from generators of the whole process."""

_MOST = 500_000  # objects; what has more of them is not worth the time

_LEFT_OUT: Mapping[type, frozenset[str]] = {
    # a second list of what the attributes hold
    keras.Layer: frozenset({"_tracker"}),
    keras.Model: frozenset({"_nodes"}),
    keras.optimizers.Optimizer: frozenset(
        {"_tracker", "_distribution_strategy", "_trainable_variables_indices"}
    ),
    keras.metrics.Metric: frozenset({"_tracker"}),
    # decides what variables begin with, and nothing after
    keras.initializers.Initializer: frozenset({"seed", "_init_seed"}),
    keras.random.SeedGenerator: frozenset({"_initial_seed"}),
    keras.Variable: frozenset({"_value", "_initializer"}),
}


class _Unknown(Exception):  # noqa: N818 (no error: it says that there is no fingerprint)
    """Something cannot be followed for sure."""


def fingerprint(model: keras.Model, rates: Owners) -> Hashable | None:
    """Return what the program of a model depends on; None where that cannot be told.

    Args:
        model: built and compiled, and not trained yet.
        rates: what `in_variables` returned of it.
    """
    try:
        return _Walk(rates).tokens((model, _surroundings()))
    except Exception:  # noqa: BLE001 (whatever a user's object raises when it is looked at)
        return None


def _surroundings() -> tuple[Any, ...]:
    """Return the settings of Keras that a program is made under."""
    config = keras.config
    return (config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy())


@final
class _Walk:
    """One walk over objects, without recursion: graphs of layers are deep."""

    def __init__(self, rates: Owners) -> None:
        self._rates = rates
        self._rates_met: list[Hashable] = []
        self._user_met = False
        self._tokens: list[Hashable] = []
        self._places: dict[int, int] = {}  # of what has been met, by id
        self._met: list[Any] = []  # kept alive, so that no id is used again

    def tokens(self, root: object) -> Hashable:
        todo: list[Any] = [root]
        while todo:
            todo.extend(reversed(self._visit(todo.pop())))
            if len(self._met) > _MOST:
                raise _Unknown
        # code of the user's could read a rate, and not its variable
        return (*self._tokens, *(self._rates_met if self._user_met else ()))

    def _visit(self, thing: Any) -> Sequence[Any]:  # noqa: ANN401 (anything)
        """Say what a thing is by itself, and return what it consists of."""
        kind = type(thing)
        if thing is None or thing is Ellipsis or kind in (bool, int, str, bytes):
            self._tokens.append((kind, thing))
            return ()
        if kind in (float, complex):
            self._tokens.append((kind, repr(thing)))  # which tells 0.0 from -0.0, and knows nan
            return ()
        if (place := self._places.get(id(thing))) is not None:
            self._tokens.append(("again", place))
            return ()
        self._places[id(thing)] = len(self._met)
        self._met.append(thing)
        self._user_met |= isinstance(thing, (type, types.FunctionType)) and not _of_a_library(thing)
        if id(thing) in self._rates:
            _, names = self._rates[id(thing)]
            token, parts = _object(thing, without=names)
            self._rates_met += [
                repr(float(getattr(thing, name))) for name in names if name != CONFIG
            ]
        else:
            token, parts = _taken_apart(thing)
        found = list(parts)
        self._tokens.append((token, len(found)))
        return found


def _taken_apart(thing: Any) -> tuple[Hashable, Iterable[Any]]:  # noqa: ANN401
    """Return what a thing is by itself, and what it consists of.

    Raises:
        _Unknown: there is no telling.
    """
    for kinds, apart in _KINDS:
        if isinstance(thing, kinds):
            return apart(thing)
    if keras.ops.is_tensor(thing):
        return _array(keras.ops.convert_to_numpy(thing))
    return _object(thing)


def _array(array: Any) -> tuple[Hashable, Iterable[Any]]:  # noqa: ANN401
    array = np.asarray(array)
    if array.dtype.hasobject:
        raise _Unknown
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return ("array", array.dtype.str, array.shape, digest), ()


def _symbol(tensor: keras.KerasTensor) -> tuple[Hashable, Iterable[Any]]:
    history = getattr(tensor, "_keras_history", ())
    return ("symbol", tuple(tensor.shape), tensor.dtype, tensor.sparse), tuple(history)


def _function(function: types.FunctionType) -> tuple[Hashable, Iterable[Any]]:
    if _is_found(function):
        if function.__module__.startswith(_DRAWING):
            raise _Unknown
        return (function.__module__, function.__qualname__), ()
    cells = function.__closure__ or ()
    try:
        closed = [cell.cell_contents for cell in cells]
    except ValueError as error:  # it is not there yet
        raise _Unknown from error
    names = _names_in(function.__code__)
    named = [function.__globals__[name] for name in sorted(names & function.__globals__.keys())]
    _check_draws(names, [*closed, *named])
    return ("function", function.__code__), [
        *closed,
        *(function.__defaults__ or ()),
        function.__kwdefaults__,
        *named,
    ]


def _names_in(code: types.CodeType) -> set[str]:
    """Return the names of globals and attributes in the code of a function, and of those in it."""
    names: set[str] = set()
    todo = [code]
    while todo:
        code = todo.pop()
        names.update(code.co_names)
        todo += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
    return names


def _check_draws(names: set[str], values: Sequence[Any]) -> None:
    """Check that code draws no random numbers from a generator of the whole process.

    A program would keep those of NumPy, TensorFlow's seed of the trial in which it was made, and
    that trial's generator of Keras.

    Raises:
        _Unknown: it may.
    """
    draws = any(name == "random" or name.startswith("random_") for name in names)
    for package in ("numpy", "tensorflow", "keras"):
        module = sys.modules.get(package)
        # imported within, or before
        used = package in names or any(value is module for value in values)
        if used and (draws or (package == "tensorflow" and "dropout" in names)):
            raise _Unknown


def _is_found(thing: Any) -> bool:  # noqa: ANN401 (a function or class)
    """Return whether a thing is a library's, under its own name."""
    if not _of_a_library(thing):
        return False
    found: Any = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing


def _of_a_library(thing: Any) -> bool:  # noqa: ANN401
    module = getattr(thing, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] in _LIBRARIES


def _class(kind: type) -> tuple[Hashable, Iterable[Any]]:
    if _is_found(kind):
        return (kind.__module__, kind.__qualname__), ()
    own = [
        value
        for name, value in sorted(vars(kind).items())
        if not isinstance(value, (types.GetSetDescriptorType, types.MemberDescriptorType))
        and not name.startswith("_abc_")
        and name not in ("__annotations__", "__dict__", "__doc__", "__weakref__")
    ]
    return ("class", kind), [*kind.__bases__, *own]  # itself: another of the same name may differ


def _module(module: types.ModuleType) -> tuple[Hashable, Iterable[Any]]:
    package, *inner = module.__name__.split(".")
    draws = module in (random, np.random) or (
        package in ("tensorflow", "keras") and not {"random", "image"}.isdisjoint(inner)
    )
    if package not in _LIBRARIES or draws:  # what is drawn there, a program keeps
        raise _Unknown
    return ("module", module.__name__), ()


def _set(things: Iterable[Any]) -> tuple[Hashable, Iterable[Any]]:
    things = list(things)
    if not all(thing is None or type(thing) in (bool, int, float, str) for thing in things):
        raise _Unknown
    return ("set", *sorted(map(repr, things))), ()


def _object(thing: Any, without: Iterable[str] = ()) -> tuple[Hashable, Iterable[Any]]:  # noqa: ANN401
    """Take an object apart into its attributes."""
    kind = type(thing)
    left_out = {name for of, names in _LEFT_OUT.items() if isinstance(thing, of) for name in names}
    left_out.update(without)
    held = dict(_attributes(thing))
    hidden = not held and not hasattr(thing, "__dict__")  # its state, if any, is out of sight
    if hidden or isinstance(thing, random.Random):
        raise _Unknown
    kept = sorted(held.keys() - left_out)
    return ("object", *kept), [kind, *(held[name] for name in kept)]


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                yield name, getattr(thing, name)


_KINDS: tuple[tuple[Any, Callable[[Any], tuple[Hashable, Iterable[Any]]]], ...] = (
    (enum.Enum, lambda e: ((type(e), e.name), ())),
    (keras.Variable, _object),
    (np.dtype, lambda d: (("dtype", d.str), ())),
    ((np.ndarray, np.generic), _array),
    (keras.KerasTensor, _symbol),
    (
        (dict, types.MappingProxyType),
        lambda d: (("dict", type(d)), (part for item in d.items() for part in item)),
    ),
    ((list, tuple, deque), lambda many: ((type(many).__name__,), many)),
    ((set, frozenset), _set),
    (type, _class),
    (types.FunctionType, _function),
    (types.MethodType, lambda m: (("method",), (m.__self__, m.__func__))),
    (
        (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
        lambda f: (("built in", f.__qualname__), (getattr(f, "__self__", None),)),
    ),
    (functools.partial, lambda p: (("partial",), (p.func, p.args, p.keywords))),
    (property, lambda p: (("property",), (p.fget, p.fset))),
    ((staticmethod, classmethod), lambda m: ((type(m).__name__,), (m.__func__,))),
    (types.ModuleType, _module),
    (inspect.Signature, lambda s: (("signature", str(s)), ())),
    (weakref.ref, lambda ref: (("weakly",), (ref(),))),
)
