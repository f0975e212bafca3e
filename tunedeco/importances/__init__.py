"""How much each hyperparameter and each group mattered: a pure function of space and trials.

``standing`` says who did better, whatever epochs they have; ``ped_anova`` is the measure that is
built in, and ``optuna`` asks Optuna's. Only the journal is needed; neither Keras nor data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunedeco import text
from tunedeco.errors import ConfigurationError
from tunedeco.space import Space
from tunedeco.trial import Trial

EVALUATORS = ("ped-anova", "fanova", "mdi")
"""The built-in one, and those of Optuna."""

LEAST = 10
"""With fewer trials nothing is said: what they show is chance."""

_BAR = 24  # characters of a share of 1


@dataclass(frozen=True)
class Importances:
    """How much each hyperparameter and each group mattered, as shares; print it for a table.

    The shares of each mapping sum to 1, the largest first; where nothing can be said, both are
    empty and `reason` tells why.
    """

    evaluator: str
    trials: int
    """How many trials stand behind them."""
    failed: int
    """How many of those failed or diverged: they count as the worst."""
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    """The share of each, by ``group/name``."""
    groups: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    """Why there are none; None where there are some."""
    objective: str | None = None
    """For which of several objectives they mattered; None where there is one."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command line prints."""
        return {
            "evaluator": self.evaluator,
            **({} if self.objective is None else {"objective": self.objective}),
            "trials": self.trials,
            "failed": self.failed,
            "hyperparameters": dict(self.hyperparameters),
            "groups": dict(self.groups),
            "reason": self.reason,
        }

    def __str__(self) -> str:
        of = "" if self.objective is None else f" for {self.objective}"
        if self.reason is not None:
            return f"no importances{of}: {self.reason}"
        wrong = f", {self.failed} of which failed or diverged" if self.failed else ""
        lines = [f"importances ({self.evaluator}){of} from {self.trials} trials{wrong}"]
        for name, shares in (("hyperparameter", self.hyperparameters), ("group", self.groups)):
            rows = [(key, f"{s:6.1%}", "#" * round(_BAR * s)) for key, s in shares.items()]
            lines += ["", text.table((name, " share", ""), rows)]
        return "\n".join(lines)


def importances(
    space: Space,
    trials: Sequence[Trial],
    evaluator: str = "ped-anova",
    *,
    objectives: Sequence[str] = (),
    objective: str | None = None,
) -> Importances:
    """Return how much each hyperparameter and each group of a space mattered in its trials.

    Args:
        space: the hyperparameters.
        trials: all trials; those that were rejected, or have no score yet, are left out.
        evaluator: ``"ped-anova"``, the built-in one; or ``"fanova"`` or ``"mdi"``, Optuna's.
        objectives: the names of those that the trials have a score in, in their order.
        objective: for which of them; None is the first.

    Raises:
        ConfigurationError: there is no such evaluator or objective, or what the evaluator needs is
            not installed.
        HyperparameterError: a trial has a value that is not in the space.
    """
    if evaluator not in EVALUATORS:
        msg = f"evaluator must be one of {', '.join(map(repr, EVALUATORS))}, not {evaluator!r}"
        raise ConfigurationError(msg)
    if objective is not None and objective not in objectives:
        known_ones = ", ".join(map(repr, objectives)) or "none"
        msg = f"there is no objective {objective!r}; the search has {known_ones}"
        raise ConfigurationError(msg)
    place = 0 if objective is None else objectives.index(objective)
    name = objectives[place] if len(objectives) > 1 else None
    # they need NumPy, which whoever only reads a journal does not wait for
    from tunedeco.importances import optuna, ped_anova
    from tunedeco.importances.standing import compared, failed, standings

    known = compared(trials)
    wrong = sum(map(failed, known))
    if len(known) < LEAST:
        reason = f"{len(known)} trials can be compared, and it takes {LEAST}"
        return Importances(evaluator, len(known), wrong, reason=reason, objective=name)
    ranks = standings(known, place)
    if len(set(ranks.tolist())) == 1:
        reason = f"all {len(known)} trials did equally well"
        return Importances(evaluator, len(known), wrong, reason=reason, objective=name)
    if evaluator == "ped-anova":
        single, groups = ped_anova.variances(space, known, ranks)
    else:
        single, groups = optuna.variances(space, known, ranks, evaluator)
    if not any(single.values()):
        reason = f"in {len(known)} trials no hyperparameter stands out from chance"
        return Importances(evaluator, len(known), wrong, reason=reason, objective=name)
    return Importances(
        evaluator, len(known), wrong, _shares(single), _shares(groups), objective=name
    )


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Return parts as shares of their sum, the largest first."""
    whole = math.fsum(parts.values())  # exact, so that their order changes nothing
    return {name: part / whole for name, part in sorted(parts.items(), key=lambda p: (-p[1], p[0]))}
