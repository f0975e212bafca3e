"""Running a model function without the weights: its layers know their shapes, and nothing else.

HEAVY: importing this module loads Keras. `weightless` is built on `keras.StatelessScope`, in which
a variable keeps its initializer and makes no value. Keras refuses variables made from values in
it, such as an optimizer's learning rate; here they become variables whose initializer returns that
value.
"""

import copy
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast, final

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.ops.node import Node

from tunedeco.abstract.observing import observed_by
from tunedeco.errors import NoWeights, TunedecoError

R = TypeVar("R")


def run_abstractly(function: Callable[[], R]) -> tuple[R, str | None]:
    """Run a function without allocating weights; where that cannot be done, with them.

    Both ways nothing is left behind. The result must not be a model to be used: let the function
    return what is to be known of it.

    Args:
        function: builds models and looks at them; run a second time if it fails without weights.

    Returns:
        What the function returned, and why it could not do so without weights, in one line; None
        where it could.

    Raises:
        Exception: whatever the function raises when it is run with weights.
    """
    result, reason = try_abstractly(function)
    if reason is None:
        return cast("R", result), None
    with undisturbed():
        return function(), reason


def try_abstractly(function: Callable[[], R]) -> tuple[R | None, str | None]:
    """Run a function without allocating weights; return its result, or None and why it failed.

    Raises:
        TunedecoError: a declaration in it is wrong, as it would be in any circumstances.
    """
    try:
        with weightless():
            return function(), None
    except TunedecoError:
        raise
    except Exception as error:  # noqa: BLE001 (the user's function, in circumstances of ours)
        lines = str(error).splitlines() or [""]
        return None, f"{type(error).__name__}: {lines[0]}"


@contextmanager
def weightless() -> Iterator[None]:
    """Let models be built and compiled without allocating their weights.

    Nothing is left behind: no name is counted, no random state moved. A layer that existed before
    and is built inside gets its weights at the end. What was made inside has none, and says so
    when it is used after.
    """
    scope = _Weightless()
    with undisturbed():
        try:
            with observed_by(scope), scope:
                yield
        finally:
            scope.seal()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put back Keras's global state, and the random states of Python, NumPy and the backends."""
    trackers = {
        name: (tracker, dict(vars(tracker)))
        for name, tracker in vars(global_state).items()
        if isinstance(tracker, threading.local)
    }
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (others use it)
    torch = sys.modules.get("torch")
    with ExitStack() as stack:
        if torch is not None:
            started = torch.cuda.is_available() and torch.cuda.is_initialized()
            devices = range(torch.cuda.device_count()) if started else ()
            stack.enter_context(torch.random.fork_rng(devices))
        if "tensorflow" in sys.modules:
            stack.enter_context(_tensorflow_seeded_as_before())
        for tracker, before in trackers.values():
            vars(tracker).update({n: copy.copy(v) for n, v in before.items() if _mutable(v)})
        # What these hold is initialized, or moved, in place
        global_state.set_global_attribute("uninitialized_variables", [])
        global_state.set_global_attribute("global_seed_generator", None)
        try:
            yield
        finally:
            for name, (tracker, before) in trackers.items():
                setattr(global_state, name, tracker)  # clear_session makes new ones
                vars(tracker).clear()
                vars(tracker).update(before)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _tensorflow_seeded_as_before() -> Iterator[None]:
    """Put back TensorFlow's global seed, which it also shuffles by, and what it has drawn."""
    from tensorflow.python.eager.context import context

    held = vars(context())
    before = {name: copy.copy(held[name]) for name in ("_seed", "_rng") if name in held}
    try:
        yield
    finally:
        vars(context()).update(before)


def _mutable(value: object) -> bool:
    return isinstance(value, (dict, list))


@contextmanager
def standing_in() -> Iterator[None]:
    """Within `weightless`, let a single number stand in for every value that a variable lacks.

    For TensorFlow's optimizers, which read values only to learn on which device they are: the
    initializers would allocate them.
    """
    scope = global_state.get_global_attribute("stateless_scope")
    if not isinstance(scope, _Weightless):
        yield
        return
    with observed_by(None):
        global_state.set_global_attribute("stateless_scope", None)
        try:
            scope.stand_in = keras.Variable(0.0).value
        finally:
            global_state.set_global_attribute("stateless_scope", scope)
    try:
        yield
    finally:
        scope.stand_in = None


@final
class _Weightless(keras.StatelessScope):  # type: ignore[misc]  # Keras has no types
    """A scope in which no variable has a value, and all are known that are made."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self.stand_in: Any = None
        self._made: dict[int, Any] = {}
        self._variables: list[tuple[Any, Any, Any]] = []
        self._assigned: list[Any] = []

    def variable(
        self,
        init: Callable[..., None],
        variable: Any,  # noqa: ANN401
        initializer: Any,  # noqa: ANN401 (a value, a function or a name)
        shape: Any = None,  # noqa: ANN401
        dtype: Any = None,  # noqa: ANN401
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Defer a variable, whatever it is made from."""
        self._stay()
        if isinstance(initializer, str):
            initializer = keras.initializers.get(initializer)
        if callable(initializer):
            placeholder = self._placeholder(initializer)
        else:
            placeholder, shape, dtype = _constant(initializer, dtype)
            initializer = placeholder
        init(variable, placeholder, shape, dtype, **options)
        scopes = global_state.get_global_attribute("name_scope_stack")
        owner = scopes[-1].caller if scopes else None
        self._variables.append((variable, initializer, owner))

    def made(self, thing: keras.Operation | Node) -> None:
        """Note that an operation or a call of one is not from outside."""
        self._stay()
        self._made[id(thing)] = thing

    def get_current_value(self, variable: Any) -> Any:  # noqa: ANN401
        """Return what a variable was assigned; None makes Keras ask its initializer."""
        if self.stand_in is not None and variable._value is None:  # noqa: SLF001
            return self.stand_in
        return super().get_current_value(variable)

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Assign to a variable, and keep it: Keras knows it by its address."""
        self._assigned.append(update[0])
        super().add_update(update)

    def seal(self) -> None:
        """Let nothing of this be mistaken for more, and nothing outside refer to it."""
        self._disconnect()
        built = {}
        around = global_state.get_global_attribute("stateless_scope")
        for variable, initializer, owner in self._variables:
            if variable._value is not None:  # noqa: SLF001
                continue
            if not isinstance(owner, keras.Operation) or id(owner) in self._made:
                variable._initializer = variable.assign = _refuse  # noqa: SLF001
            elif isinstance(around, _Weightless):  # which knows where the layer comes from
                around._variables.append((variable, initializer, owner))  # noqa: SLF001
            else:
                variable._initializer = initializer  # noqa: SLF001
                variable._deferred_initialize()  # noqa: SLF001
                built[id(owner)] = owner
        for layer in built.values():
            layer._post_build()  # noqa: SLF001 (what Keras leaves out in such a scope)

    def _disconnect(self) -> None:
        """Take the calls made in here out of the graphs of operations from outside."""
        for node in self._made.values():
            if not isinstance(node, Node):
                continue
            sources = [t._keras_history.operation for t in node.arguments.keras_tensors]  # noqa: SLF001
            for operation in (node.operation, *sources):
                if operation is not None and id(operation) not in self._made:
                    for nodes in (operation._inbound_nodes, operation._outbound_nodes):  # noqa: SLF001
                        nodes[:] = [other for other in nodes if other is not node]

    def _placeholder(self, initializer: Callable[..., Any]) -> Callable[..., Any]:
        """Return an initializer that is free where Keras asks for no more than a shape."""

        def placeholder(shape: Any, dtype: Any = None, **options: Any) -> Any:  # noqa: ANN401
            if global_state.get_global_attribute("stateless_scope") is self:
                return initializer(shape, dtype=dtype, **options)
            return keras.ops.zeros(shape, dtype)  # in a scope of Keras's own, which is symbolic

        return placeholder

    def _stay(self) -> None:
        """Remain in force: `clear_session` ends every scope."""
        if global_state.get_global_attribute("stateless_scope") is None:
            global_state.set_global_attribute("stateless_scope", self)


def _constant(value: Any, dtype: Any) -> tuple[Callable[..., Any], tuple[int, ...], str]:  # noqa: ANN401
    """Return an initializer that makes a value, its shape and its dtype."""
    if dtype is None:
        dtype = keras.ops.convert_to_tensor(value).dtype
    shape = tuple(getattr(value, "shape", None) or np.shape(value))

    def initializer(shape: object, dtype: Any) -> Any:  # noqa: ANN401, ARG001
        return keras.ops.convert_to_tensor(value, dtype)

    return initializer, shape, keras.backend.standardize_dtype(dtype)


def _refuse(*_: object, **__: object) -> None:
    msg = (
        "this model was built only to be looked at, and has no weights; "
        "call the function that builds it again"
    )
    raise NoWeights(msg)
