"""What was enqueued: configurations that are known, to be tried before an oracle is asked.

They wait in the state of the search, as they were given; `waiting` says what each of them comes to
when it is its turn. So what is lacking has the value that is held, or its default, and what a trial
has had by then is passed over.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tunedeco import conditions, narrowing
from tunedeco.conditions import Key
from tunedeco.domains import Value
from tunedeco.errors import ConfigurationError, HyperparameterError
from tunedeco.events import Enqueued
from tunedeco.space import Space, Values, flat
from tunedeco.trial import Trial, configuration_key
from tunedeco.trials import tried


@dataclass(frozen=True)
class Waiting:
    """One configuration that waits, and what it comes to."""

    values: Values
    """As it was enqueued."""
    whole: Values | None
    """The configuration of its trial; None if it goes on waiting: it does not lie in the space any
    more, or all that it says is held at other values."""
    trial: int | None = None
    """The number of a trial that has had it."""


def checked(
    space: Space | None, configurations: Iterable[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    """Return configurations, which may lack some values, with each value as its domain's own.

    Args:
        space: what can be chosen; None while that is not known.
        configurations: each ``{group: {name: value}}`` or ``{name: value}``, or both mixed.

    Raises:
        ConfigurationError: one is no mapping, or a name or a value is not in the space, or is not
            asked for with the other values; says what is.
    """
    for values in configurations:
        if not isinstance(values, Mapping):
            msg = (
                "enqueue takes {group: {name: value}}, or {name: value} where the name is unique, "
                f"not {values!r:.200}"
            )
            raise ConfigurationError(msg)
    try:
        return tuple(deepcopy(c) if space is None else _asked(space, c) for c in configurations)
    except HyperparameterError as error:
        msg = f"enqueue: {error}"
        raise ConfigurationError(msg) from None


def _asked(space: Space, configuration: Mapping[str, Any]) -> Values:
    """Return a configuration all of which is asked for, or a trial would be without some of it.

    Raises:
        HyperparameterError: as `Space.checked`, or some is not asked for.
    """
    given = space.checked(configuration)
    whole = flat(space.complete(given))
    idle = [key for key in flat(given) if key not in whole]
    # where tracing has not been everywhere, it may be asked for elsewhere, too
    if idle and (space.coverage is None or space.coverage.complete):
        h = space.by_key[idle[0]]
        msg = (
            f"{h.label} is asked for when {conditions.describe(h.when, space.domains)}, and not "
            "with these values, where all that is not given has its default; give that, too"
        )
        raise HyperparameterError(msg)
    return given


def new(
    space: Space, configurations: Iterable[Mapping[str, Any]], already: Collection[str]
) -> list[Enqueued]:
    """Return what is to be enqueued; nothing is twice, so a program can be run again.

    What has been enqueued in another space, from which the search was extended, is no error here.

    Args:
        space: what can be chosen.
        configurations: what was given, in order.
        already: the keys of what has been enqueued before.

    Raises:
        ConfigurationError: as `checked`.
    """
    known = [flat(json.loads(key)) for key in already]
    new = [given for given in configurations if not any(_says(given, values) for values in known)]
    found = {configuration_key(values): values for values in checked(space, new)}
    fresh = tuple(values for key, values in found.items() if key not in already)
    return [Enqueued(fresh)] if fresh else []


def _says(given: object, values: Mapping[Key, Value]) -> bool:
    """Return whether what a user gave is a configuration that was enqueued, whatever the space."""
    if not isinstance(given, Mapping):
        return False
    said = {
        (group, name): value
        for key, inner in given.items()
        for group, name, value in (
            [(key, *item) for item in inner.items()]
            if isinstance(inner, Mapping)
            else [(None, key, inner)]
        )
    }
    return len(said) == len(values) and all(
        any(n == name and g in (None, group) and v == value for (g, n), v in said.items())
        for (group, name), value in values.items()
    )


def waiting(
    queue: Sequence[Values], space: Space, held: Mapping[Key, Value], trials: Iterable[Trial]
) -> Iterator[Waiting]:
    """Yield what each configuration comes to, in order.

    Args:
        queue: what waits.
        space: all hyperparameters.
        held: the values of those that are not searched; they go before those that were enqueued.
        trials: those that count.
    """
    if not queue:
        return
    narrowed = narrowing.pinned(space, held) if held else space
    known = tried(trials)
    for values in queue:
        try:
            given = flat(space.checked(values))
        except HyperparameterError:
            yield Waiting(values, None)
            continue
        free = {key: value for key, value in given.items() if key not in held}
        if not free and any(held[key] != value for key, value in given.items()):
            yield Waiting(values, None)
            continue
        whole = narrowed.asked(narrowed.assigned(free))
        yield Waiting(values, whole, known.had(whole))
