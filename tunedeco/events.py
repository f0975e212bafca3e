"""What can happen in a search: one frozen record for each kind, and its JSON.

These are the journal's sentences and the executors' reports, the same words for both. The state of
a search is a fold over them, so an event says what happened and nothing that can be derived.
Circumstances (times, hosts, process ids) stand under ``runtime``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, final

from tunedeco import typed
from tunedeco.errors import JournalError
from tunedeco.objective import Objective
from tunedeco.objectives import Objectives
from tunedeco.space import Hyperparameter, Space, Values
from tunedeco.trial import Checkpoint, Epoch, State


class Event:
    """The base of all events; ``kind`` is the name of one in JSON."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `event_from_json` turns back into an equal event."""
        # the class knows its fields: dataclasses.asdict would copy every value, deeply
        return {"event": self.kind} | {name: getattr(self, name) for name in _FIELDS[type(self)]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Event":
        """Return the event whose fields these are."""
        return typed.made(cls, data)


@final
@dataclass(frozen=True)
class Created(Event):
    """The search began to exist: everything that makes it this search and no other."""

    kind: ClassVar[str] = "created"
    name: str
    objective: Objective
    space: Space
    oracle: Mapping[str, Any]
    seed: int
    runtime: Mapping[str, Any] = field(default_factory=dict)
    executions: int = 1
    """How often each trial is trained, from a seed of its own each time."""
    folds: int | None = None
    """Into how many parts the data is cut, each execution being judged on another one."""
    defaults: bool = False
    """Whether the first trial has the default values of the code."""
    others: Objectives = ()
    """The objectives after the first one, where there are several."""

    @property
    def objectives(self) -> Objectives:
        """All of them, the first one first."""
        return self.objective, *self.others

    def to_json(self) -> dict[str, Any]:
        data = super().to_json() | {
            "objective": self.objective.to_json(),
            "space": self.space.to_json(),
            "others": [objective.to_json() for objective in self.others],
        }
        if not self.others:  # earlier versions can read it
            del data["others"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Created":
        return typed.made(
            cls,
            {
                **data,
                "objective": Objective.from_json(data["objective"]),
                "space": Space.from_json(data["space"]),
                "others": tuple(map(Objective.from_json, data.get("others", ()))),
            },
        )


@final
@dataclass(frozen=True)
class Started(Event):
    """A process began to work on the search, with these budgets."""

    kind: ClassVar[str] = "started"
    budgets: Mapping[str, Any]
    runtime: Mapping[str, Any] = field(default_factory=dict)
    pinned: Values = field(default_factory=dict)
    """What is not searched from here on, and the values it is held at."""


@final
@dataclass(frozen=True)
class Extended(Event):
    """The search became another one, and took over those of its trials that lie in it."""

    kind: ClassVar[str] = "extended"
    space: Space
    met: tuple[Hyperparameter, ...]
    """What trials that are carried over ask for beside what the space has."""
    oracle: Mapping[str, Any]
    seed: int
    carried: tuple[int, ...]
    """The numbers of the trials that lie in the space; all others are set aside."""
    runtime: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {
            "space": self.space.to_json(),
            "met": [h.to_json() for h in self.met],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Extended":
        return typed.made(
            cls,
            {
                **data,
                "space": Space.from_json(data["space"]),
                "met": tuple(map(Hyperparameter.from_json, data["met"])),
                "carried": tuple(data["carried"]),
            },
        )


@final
@dataclass(frozen=True)
class Enqueued(Event):
    """Configurations were known beforehand, and are to be tried before an oracle is asked."""

    kind: ClassVar[str] = "enqueued"
    configurations: tuple[Values, ...]
    """In this order; what one lacks is completed when it is its turn."""
    source: str | None = None
    """The other search that they were taken from; None where they were given."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Enqueued":
        return typed.made(cls, {**data, "configurations": tuple(data["configurations"])})


@final
@dataclass(frozen=True)
class Proposed(Event):
    """The oracle asked for a trial of these values, up to this epoch."""

    kind: ClassVar[str] = "proposed"
    trial: int
    values: Values
    until: int
    bracket: int | None = None
    rung: int | None = None
    enqueued: Values | None = None
    """The configuration that had been enqueued, if its turn it was; ``{}`` for all defaults."""


@final
@dataclass(frozen=True)
class Continued(Event):
    """The oracle asked for more epochs of a trial that was completed."""

    kind: ClassVar[str] = "continued"
    trial: int
    until: int
    rung: int | None = None


@final
@dataclass(frozen=True)
class Resumed(Event):
    """A trial goes on from its checkpoint after this epoch; what came beyond is void."""

    kind: ClassVar[str] = "resumed"
    trial: int
    epoch: int
    step: int
    """Batches of the next epoch that are trained already."""
    execution: int = 0


@final
@dataclass(frozen=True)
class Built(Event):
    """The model of a trial was built: the values it asked for, and what it weighs."""

    kind: ClassVar[str] = "built"
    trial: int
    values: Values
    met: tuple[Hyperparameter, ...]
    """Hyperparameters asked for the first time; they join the space."""
    parameters: int
    precision: str
    inputs: Any
    execution: int = 0
    runtime: Mapping[str, Any] = field(default_factory=dict)
    """How it is trained, where that changes nothing but the time it takes."""

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"met": [h.to_json() for h in self.met]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Built":
        return typed.made(cls, {**data, "met": tuple(map(Hyperparameter.from_json, data["met"]))})


@final
@dataclass(frozen=True)
class Trained(Event):
    """A trial was trained for some epochs, and its state is on disk: one slice.

    The epochs and the checkpoint that holds what they led to are one event, so that no epoch is
    ever known of which the training could not go on.
    """

    kind: ClassVar[str] = "trained"
    trial: int
    epochs: tuple[Epoch, ...]
    """None, where training was interrupted within an epoch."""
    checkpoint: Checkpoint
    execution: int = 0
    runtime: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {
            "epochs": [epoch.to_json() for epoch in self.epochs],
            "checkpoint": self.checkpoint.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Trained":
        return typed.made(
            cls,
            {
                **data,
                "epochs": tuple(map(Epoch.from_json, data["epochs"])),
                "checkpoint": Checkpoint.from_json(data["checkpoint"]),
            },
        )


@final
@dataclass(frozen=True)
class Lost(Event):
    """The process that trained a trial died; the trial goes on in another one."""

    kind: ClassVar[str] = "lost"
    trial: int
    execution: int
    reason: str


@final
@dataclass(frozen=True)
class Ended(Event):
    """A trial came to its end, well or not, or to rest."""

    kind: ClassVar[str] = "ended"
    trial: int
    state: State
    error: Mapping[str, str] | None = None
    execution: int = 0
    runtime: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Ended":
        return typed.made(cls, {**data, "state": State(data["state"])})


@final
@dataclass(frozen=True)
class Stopped(Event):
    """The search came to rest; a later run with more budget wakes it."""

    kind: ClassVar[str] = "stopped"
    reason: str
    """``epoch_budget``, ``time_budget``, ``max_trials``, ``target``, ``exhausted`` (the oracle has
    no more), ``failures``, ``rejections``, or ``interrupted``."""
    runtime: Mapping[str, Any] = field(default_factory=dict)


_KINDS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        *(Created, Started, Extended, Enqueued, Proposed, Continued, Resumed, Built, Trained),
        *(Lost, Ended, Stopped),
    )
}
_FIELDS = {event: tuple(f.name for f in fields(event)) for event in _KINDS.values()}  # type: ignore[arg-type]


def event_from_json(data: Mapping[str, Any]) -> Event:
    """Return the event that `Event.to_json` described.

    Raises:
        JournalError: it is not such a description.
    """
    try:
        rest = dict(data)
        return _KINDS[rest.pop("event")].from_json(rest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        msg = (
            f"it is not one this version understands ({type(error).__name__}: {error}); use the "
            "version of tunedeco that wrote it"
        )
        raise JournalError(msg) from error
