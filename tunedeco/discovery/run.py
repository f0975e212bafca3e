"""One run of a function under watch: what the plan says is put in, and what happens is noted.

HEAVY: importing this module loads Keras.
"""

import functools
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras

from tunedeco.discovery.plan import Call, Place, Plan, Repeat


class Applied(NamedTuple):
    """A layer that the code applied to one symbolic tensor."""

    layer: keras.Layer
    given: object
    result: object


class _Role(NamedTuple):
    """What a layer is in a repeated block: the n-th layer of the n-th repetition."""

    repeat: Repeat
    repetition: int
    last: bool


@dataclass
class Run:
    """A watcher that follows a plan.

    Args:
        plan: what to put in.
        home: the file of the function.
    """

    plan: Plan
    home: str
    closed: int = 0
    calls: list[Call] = field(default_factory=list)
    models: dict[int, tuple[keras.Sequential, list[keras.Layer]]] = field(default_factory=dict)
    flow: list[Applied] = field(default_factory=list)
    _executions: Counter[Place] = field(default_factory=Counter)
    _made: dict[tuple[str, str], list[keras.Layer]] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)
    _roles: dict[int, _Role] = field(default_factory=dict)

    def constructs(self, call: Call) -> dict[str, object]:
        """Return the arguments that are to be other than the code gives."""
        call.site = self.plan.site(call, self._executions[call.place])
        self._executions[call.place] += 1
        self.calls.append(call)
        return self.plan.replacements(call)

    def constructed(self, call: Call, thing: object) -> None:
        """Note a thing, and what it is in a repeated block."""
        call.thing = thing
        for repeat in self.plan.repeats:
            knob = self.plan.knobs.get(repeat.name)
            if knob is None or call.site is None or call.site.name not in repeat.sites:
                continue
            if repeat.name not in self._times:
                times = knob.ask()
                assert isinstance(times, int)
                self._times[repeat.name] = times
            made = self._made.setdefault((repeat.name, call.site.name), [])
            last = call.site.name == repeat.sites[-1]
            self._roles[id(thing)] = _Role(repeat, len(made), last)
            made.append(thing)

    def standing_for(self, layer: keras.Layer) -> list[keras.Layer]:
        """Return no layer for one too many, and clones of its block after the last one."""
        role = self._roles.get(id(layer))
        if role is None:
            return [layer]
        repeat = role.repeat
        times = self._times[repeat.name]
        if role.repetition >= times:
            return []
        if not role.last or role.repetition < repeat.count - 1:
            return [layer]
        block = [self._made[repeat.name, site][-1] for site in repeat.sites]
        return [layer, *(_clone(other) for _ in range(times - repeat.count) for other in block)]

    def added(self, model: keras.Sequential, layer: keras.Layer) -> None:
        """Note the order in which layers come to a model."""
        self.models.setdefault(id(model), (model, []))[1].append(layer)

    def applied(self, layer: keras.Layer, given: object, result: object) -> None:
        """Note what flows through a layer."""
        self.flow.append(Applied(layer, given, result))


def _clone(layer: keras.Layer) -> keras.Layer:
    """Return a layer like another, with weights and a name of its own."""
    config = layer.get_config()
    config.pop("name", None)
    return type(layer).from_config(config)


def home_of(function: Callable[..., Any]) -> str:
    """Return the file in which a function is written; an empty string if there is none."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is not None:
        return str(code.co_filename)
    module = sys.modules.get(type(function).__module__)  # of an object that can be called
    return getattr(module, "__file__", None) or ""
