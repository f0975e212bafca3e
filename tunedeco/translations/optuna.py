"""Optuna's ``trial``, after its ``trial`` and ``distributions`` modules (version 5).

What ``trial`` suggests goes to the group "default" under its full name. One thing differs: a name
that is suggested again with other bounds is an error, and does not keep the first value.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from tunedeco import domains
from tunedeco.declarations import DEFAULT_GROUP, UNSET
from tunedeco.domains import Domain, Value, real
from tunedeco.errors import HyperparameterError, TranslationError
from tunedeco.tracing import ask, trial_number
from tunedeco.translations.numbers import stepped, whole

_INSTEAD = {
    "report": "every epoch is journalled as it ends; leave it out",
    "should_prune": "the tuner decides how long a trial trains; leave it out",
    "study": "what has been tried is in `tuner.trials`",
    "distributions": "`tunable(function).space` has the domains",
    "set_constraint": "limit what can be chosen, or give Tuner(max_parameters=...)",
    "datetime_start": "times stand under `runtime` in `tunedeco trials DIR --json`",
}


@final
class Trial:
    """What a model function takes as ``trial``: it asks for each hyperparameter by its name."""

    def __init__(self) -> None:
        self._params: dict[str, Value] = {}
        self._user_attrs: dict[str, Any] = {}

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return self._suggested(name, _int, low, high, step, log)  # type: ignore[return-value]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a float from ``low`` to ``high``."""
        return self._suggested(name, _float, low, high, step, log)  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Any:  # noqa: ANN401 (one of them)
        """Return one of the choices."""
        return self._suggested(name, domains.Choice, choices)

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return a float; an older name of `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return a float; an older name of `suggest_float` with ``log=True``."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return a float; an older name of `suggest_float` with ``step=q``."""
        return self.suggest_float(name, low, high, step=q)

    @property
    def params(self) -> dict[str, Value]:
        """What has been suggested so far."""
        return dict(self._params)

    @property
    def number(self) -> int:
        """The number of the trial; 0 outside of one."""
        return trial_number()

    def set_user_attr(self, key: str, value: Any) -> None:  # noqa: ANN401 (whatever the user likes)
        """Keep something for the rest of this call; it is not written anywhere."""
        self._user_attrs[key] = value

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """What `set_user_attr` has kept."""
        return dict(self._user_attrs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (it always raises)
        instead = _INSTEAD.get(
            name, "a model function has suggest_int, suggest_float, suggest_categorical and params"
        )
        msg = f"trial.{name} is not translated: {instead}"
        raise TranslationError(msg)

    def _suggested(self, name: str, kind: Any, *args: object) -> Value:  # noqa: ANN401 (makes a domain)
        self._params[name] = value = ask(name, DEFAULT_GROUP, UNSET, kind, *args)
        return value  # type: ignore[no-any-return]


def _int(low: object, high: object, step: object, log: object) -> Domain:
    first, last, by = (
        whole(value, name) for value, name in ((low, "low"), (high, "high"), (step, "step"))
    )
    if log and by != 1:
        msg = "on a log scale step must be 1"
        raise HyperparameterError(msg)
    if by < 1:
        msg = f"step {by} must be at least 1"
        raise HyperparameterError(msg)
    last -= max(last - first, 0) % by  # as they do: the last value that a step lands on
    return domains.Range(first, last, 1 if first == last else by, log)  # type: ignore[arg-type] # it checks


def _float(low: object, high: object, step: object, log: object) -> Domain:
    if step is not None:
        if log:
            msg = "on a log scale there is no step; leave one of them out"
            raise HyperparameterError(msg)
        return stepped(low, high, step)
    first, last = real(low, "low"), real(high, "high")
    return domains.Fixed(first) if first == last else domains.Float(first, last, log)  # type: ignore[arg-type]
