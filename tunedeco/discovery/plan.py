"""The plan: which arguments of which constructor calls are hyperparameters, and their names.

A `Call` is one execution of a constructor by the user's code; a `Site` is what a name stands
for: the executions of one call, in one place of the code, with the same arguments. So a loop that
adds ``Dense(64)`` three times has one ``dense_1``, and one that adds ``Conv2D(f, 3)`` for 32, 64
and 128 has ``conv_1``, ``conv_2`` and ``conv_3``. Sites are numbered by kind, in the order of their
first execution, whether anything of them is tuned or not.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tunedeco import tracing
from tunedeco.declarations import Unset
from tunedeco.discovery import kinds
from tunedeco.domains import Domain, Value

_DIMENSIONS = 8  # a longer tuple or list is data, such as a vocabulary


class Place(NamedTuple):
    """Where a call stands: two calls in one line are two places."""

    file: str
    function: str
    first_line: int
    instruction: int


@dataclass(frozen=True)
class Site:
    """What a name stands for: a call in one place with the same arguments."""

    name: str
    arguments: Mapping[str, object]


@dataclass
class Call:
    """One execution of a constructor by the user's code.

    Args:
        place: where.
        family: ``"layers"``, ``"optimizers"``, ``"losses"``, ``"regularizers"`` or ``"own"``.
        class_name: what is constructed.
        arguments: what the code gives, defaults included.
        given: the names of those that it gives itself.
    """

    place: Place
    family: str
    class_name: str
    arguments: Mapping[str, object]
    given: frozenset[str]
    thing: object = None
    site: Site | None = None


class Declared(Protocol):
    """A hyperparameter without a name, such as ``space.Choice([32, 64], group="dense")``."""

    @property
    def domain(self) -> Domain:
        """What it can be."""

    @property
    def group(self) -> str:
        """Under which it is searched, printed and exported."""

    @property
    def default(self) -> Value | Unset:
        """What it is without a search; `UNSET` for what the code gives."""


@dataclass(frozen=True)
class Knob:
    """A hyperparameter that the code does not declare."""

    name: str
    group: str
    domain: Domain
    default: Value

    def ask(self) -> Value:
        """Return what it is worth in this context; its place is the line that constructs."""
        made = vars(self.domain).values()
        value: Value = tracing.ask(self.name, self.group, self.default, type(self.domain), *made)
        return value


@dataclass(frozen=True)
class Repeat:
    """A block of layers that is executed several times in a row.

    Args:
        name: of the hyperparameter, in the plan's knobs if it is tuned.
        sites: the names of the sites of its layers, in order.
        count: how often the code repeats it.
    """

    name: str
    sites: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Plan:
    """What is put in where.

    Args:
        sites: those of each place, by execution.
        knobs: by ``site.parameter``, or by the name of a repeat; tied ones share a knob.
        repeats: the repeated blocks.
    """

    sites: Mapping[Place, tuple[Site, ...]] = field(default_factory=dict)
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    repeats: tuple[Repeat, ...] = ()

    def site(self, call: Call, execution: int) -> Site | None:
        """Return what a call is, given how often its place was executed before."""
        known = self.sites.get(call.place, ())
        if execution < len(known):
            return known[execution]
        arguments = comparable(call.arguments)
        return next((site for site in known if site.arguments == arguments), None)

    def replacements(self, call: Call) -> dict[str, object]:
        """Return the arguments that are to be other than the code gives.

        An argument that is not what it was when the plan was made follows from something else:
        it is left alone.
        """
        if call.site is None:
            return {}
        replaced: dict[str, object] = {}
        present = comparable(call.arguments)
        for parameter, planned in call.site.arguments.items():
            knob = self.knobs.get(f"{call.site.name}.{parameter}")
            if knob is None or not same(present.get(parameter), planned):
                continue
            value = knob.ask()
            if not same(value, scalar(planned)):
                shape = isinstance(planned, (tuple, list))
                replaced[parameter] = type(planned)([value] * len(planned)) if shape else value  # type: ignore[arg-type, call-arg]
        return replaced


def name_sites(calls: Iterable[Call]) -> None:
    """Name the sites of calls in the order of their execution, and note them in the calls."""
    numbers: Counter[str] = Counter()
    places: dict[Place, list[Site]] = {}
    for call in calls:
        known = places.setdefault(call.place, [])
        arguments = comparable(call.arguments)
        site = next((s for s in known if repr(s.arguments) == repr(arguments)), None)
        if site is None:
            stem = kinds.stem(call.class_name)
            numbers[stem] += 1
            site = Site(f"{stem}_{numbers[stem]}", arguments)
            known.append(site)
        call.site = site


def comparable(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments that are plain values, or tuples and lists of them."""
    return {name: value for name, value in arguments.items() if _plain(value)}


def _plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return len(value) <= _DIMENSIONS and all(_plain(item) for item in value)
    return value is None or type(value) in (str, int, float, bool)


def scalar(value: object) -> object:
    """Return the one number of a tuple such as (3, 3); any other value as it is."""
    if isinstance(value, (tuple, list)) and value and all(same(v, value[0]) for v in value):
        return value[0]
    return value


def same(one: object, other: object) -> bool:
    """Return whether values are equal and of one type: 1, 1.0 and True are three."""
    return type(one) is type(other) and one == other
