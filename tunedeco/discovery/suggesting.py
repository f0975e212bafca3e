"""`suggest`: a space for a function that declares none."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunedeco import tracing
from tunedeco.discovery import code
from tunedeco.discovery.applying import discovering
from tunedeco.errors import ModelFunctionError
from tunedeco.space import Hyperparameter, Space
from tunedeco.tracing import name_of


@dataclass(frozen=True)
class Suggestion:
    """A proposed space; printing it shows the table.

    Args:
        space: all that would be searched, with what the function declares itself.
        declarations: what `discovering` and ``@tunable(discover=...)`` take to search the same:
            by name, a hyperparameter, or the name of the one whose value it shares.
        checked: whether the values could be tried; not where the model has no input shape yet.
    """

    space: Space
    declarations: Mapping[str, Hyperparameter | str] = field(repr=False)
    checked: bool

    @property
    def code(self) -> str:
        """The imports and the decorator that declare the space, to paste above the function."""
        return code.decorator(self.declarations)

    def to_json(self) -> dict[str, Any]:
        """Return what is proposed as JSON: the space, what shares a value, and `checked`."""
        return {
            "space": self.space.to_json(),
            "shared": {n: item for n, item in self.declarations.items() if isinstance(item, str)},
            "checked": self.checked,
        }

    def __str__(self) -> str:
        shared = [
            f"{name} is always {item}"
            for name, item in self.declarations.items()
            if isinstance(item, str)
        ]
        unchecked = "shapes were not checked: the model has no input shape; give it a keras.Input"
        return "\n".join([str(self.space), *shared, *([] if self.checked else [unchecked])])


def suggest(model_fn: Callable[[], object]) -> Suggestion:
    """Propose a space for a function that builds a Keras model, untouched.

    The function is run once as it is, and then with other values, to find which of them build.
    Nothing is left behind.

    Args:
        model_fn: a function that can be called without arguments.

    Raises:
        ModelFunctionError: it cannot.
        Exception: whatever the function raises as it is.
    """
    from tunedeco.abstract import run_abstractly
    from tunedeco.discovery.observing import observe
    from tunedeco.discovery.proposing import Proposal

    try:
        inspect.signature(model_fn).bind()
    except TypeError as error:
        msg = (
            f"{name_of(model_fn)} cannot be called without arguments ({error}); "
            "give them defaults, or bind them with functools.partial"
        )
        raise ModelFunctionError(msg) from None
    seen = observe(model_fn)
    knobs = Proposal(model_fn, seen).found()
    first = {knob.name: name for name, knob in reversed(knobs.items())}
    declarations: dict[str, Hyperparameter | str] = {
        name: Hyperparameter(knob.group, knob.name, knob.domain, knob.default)
        if name == first[knob.name]
        else knob.name
        for name, knob in knobs.items()
    }
    searched = discovering(model_fn, declarations)
    space = run_abstractly(lambda: tracing.run(searched, tracing.defaults)[1].space)[0]
    met = [hyperparameter.name for hyperparameter in space]
    in_order = sorted(declarations, key=lambda name: met.index(knobs[name].name))
    return Suggestion(space, {name: declarations[name] for name in in_order}, seen.checked)
