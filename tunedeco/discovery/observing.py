"""What one run of a function shows: what it constructs, and what it builds with given values.

HEAVY: importing this module loads Keras.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tunedeco import tracing
from tunedeco.abstract import run_abstractly, undisturbed, weightless
from tunedeco.discovery import outputs
from tunedeco.discovery.blocks import repeats_in
from tunedeco.discovery.plan import (
    Call,
    Knob,
    Place,
    Plan,
    Repeat,
    Site,
    comparable,
    name_sites,
    same,
)
from tunedeco.discovery.run import Run, home_of
from tunedeco.discovery.watching import watching
from tunedeco.returned import parts
from tunedeco.space import Space, Values


@dataclass(frozen=True)
class Observation:
    """What the untouched function constructs.

    Args:
        calls: the constructor calls of the user's code, in order, each with its site.
        repeats: the repeated blocks.
        output_sites: the sites of layers that make the outputs.
        shapes: those of the outputs.
        checked: whether the model knows its shapes.
        asked: what the function declares itself.
        reason: why it cannot be run without allocating weights; None where it can.
    """

    calls: tuple[Call, ...]
    repeats: tuple[Repeat, ...]
    output_sites: frozenset[str]
    shapes: tuple[tuple[int | None, ...], ...]
    checked: bool
    asked: Space
    reason: str | None = None

    def plan(self, knobs: Mapping[str, Knob]) -> Plan:
        """Return the plan that puts these knobs in."""
        places: dict[Place, tuple[Site, ...]] = {}
        for call in self.calls:
            assert call.site is not None
            places[call.place] = (*places.get(call.place, ()), call.site)
        return Plan(places, knobs, self.repeats)


def observe(function: Callable[[], object]) -> Observation:
    """Run a function with the defaults of all that it declares, and note what it constructs.

    Nothing is left behind. What the function raises passes through.
    """

    def look() -> Observation:
        run = Run(Plan(), home_of(function))
        with watching(run):
            result, trace = tracing.run(function, tracing.defaults)
        model, _ = parts(result)
        name_sites(run.calls)
        deciding = {id(layer) for layer in outputs.output_layers(model)}
        return Observation(
            calls=tuple(run.calls),
            repeats=repeats_in(run),
            output_sites=frozenset(
                call.site.name for call in run.calls if call.site and id(call.thing) in deciding
            ),
            shapes=tuple(outputs.shapes(model)),
            checked=outputs.is_checked(model),
            asked=trace.space,
        )

    observation, reason = run_abstractly(look)
    for call in observation.calls:  # the models need not live on
        assert call.site is not None
        call.thing, call.arguments = None, call.site.arguments
    return replace(observation, reason=reason)


def attempt(
    function: Callable[[], object], plan: Plan, values: Values, seen: Observation
) -> tuple[bool, set[str]]:
    """Build with values; return whether that gives the same outputs, and which arguments follow.

    Args:
        function: the function.
        plan: what is put in.
        values: the values of some of its knobs; the others keep their defaults.
        seen: what the untouched function does.

    Returns:
        Whether it builds, and the ``site.parameter`` of arguments that the code gives otherwise
        now: they follow from what was changed.
    """
    run = Run(plan, home_of(function))
    follow: set[str] = set()
    try:
        with (
            (weightless if seen.reason is None else undisturbed)(),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            watching(run),
        ):
            warnings.simplefilter("ignore")  # the run with the defaults has warned
            answer = tracing.from_values(values, tracing.defaults)
            model, _ = parts(tracing.run(function, answer)[0])
            builds = tuple(outputs.shapes(model)) == seen.shapes
    except Exception:  # noqa: BLE001 (whatever Keras says of a value that does not fit)
        builds = False
    for call in run.calls:
        follow.update(_changed(call))
    return builds, follow


def _changed(call: Call) -> Iterable[str]:
    if call.site is not None:
        present = comparable(call.arguments)
        for parameter, planned in call.site.arguments.items():
            if not same(present.get(parameter), planned):
                yield f"{call.site.name}.{parameter}"
