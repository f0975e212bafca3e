"""From declarations to a plan: what is named must be something that the function constructs.

HEAVY: importing this module loads Keras.
"""

from collections.abc import Callable, Mapping

from tunedeco.declarations import Unset
from tunedeco.discovery.observing import Observation, observe
from tunedeco.discovery.plan import Declared, Knob, Plan, scalar
from tunedeco.discovery.proposing import Proposal
from tunedeco.domains import Value, plain
from tunedeco.errors import HyperparameterError


def planned(function: Callable[[], object], declared: Mapping[str, Declared | str] | None) -> Plan:
    """Return the plan that puts in what is declared, or what is proposed where it is None.

    Raises:
        HyperparameterError: see `discovering`.
    """
    seen = observe(function)
    knobs = Proposal(function, seen).found() if declared is None else _knobs(declared, seen)
    return seen.plan(knobs)


def _knobs(declared: Mapping[str, Declared | str], seen: Observation) -> dict[str, Knob]:
    """Return what is declared as knobs."""
    present = _present(seen)
    if unknown := [name for name in declared if name not in present]:
        known = ", ".join(present) or "nothing that could be tuned"
        msg = f"there is no {', '.join(unknown)} in what the function constructs; there is: {known}"
        raise HyperparameterError(msg)
    knobs = {
        name: Knob(name, item.group, item.domain, _default(item, present[name]))
        for name, item in declared.items()
        if not isinstance(item, str)
    }
    for name, item in declared.items():
        if isinstance(item, str):
            if item not in knobs:
                msg = f"{name} is to share the value of {item!r}, which is not declared"
                raise HyperparameterError(msg)
            knobs[name] = knobs[item]
    return knobs


def _present(seen: Observation) -> dict[str, Value]:
    """Return every argument that a hyperparameter could stand for, and what the code gives."""
    present: dict[str, Value] = {}
    for call in seen.calls:
        assert call.site is not None
        for parameter, value in call.site.arguments.items():
            if not isinstance(scalar(value), (tuple, list)):
                present[f"{call.site.name}.{parameter}"] = plain(scalar(value), "an argument")
    return {**present, **{repeat.name: repeat.count for repeat in seen.repeats}}


def _default(item: Declared, present: Value) -> Value:
    """Return the declared default; else what the code gives, if it can be that; else the first."""
    if not isinstance(item.default, Unset):
        return item.default
    return present if item.domain.contains(present) else item.domain.first
