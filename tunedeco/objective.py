"""What a search strives for: a number in Keras's logs, and whether less or more of it is better.

The direction of every metric and loss that Keras 3 ships is known here, by the name it has in the
logs (``mean_squared_error``), its class name (``MeanSquaredError``) and its short name (``mse``),
each with or without ``val_``. Everything else is asked for and never guessed: one output's metric
(``digit_accuracy``), a metric of the user's own, and `keras.metrics.Mean` and ``Sum``, which say
nothing about what they are the mean or the sum of.

The table is written by hand, since asking Keras would load it; a test walks the installed Keras
and fails on whatever is new there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, Self

from tunedeco.errors import ObjectiveError

Direction = Literal["min", "max"]

# Each name as Keras derives it from the class: all but "loss" and "crossentropy" are a text for
# `keras.metrics.get`, or else a function in `keras.losses`.
_MAXIMISED = (
    "accuracy",
    "auc",
    "binary_accuracy",
    "binary_io_u",
    "categorical_accuracy",
    "concordance_correlation",
    "cosine_similarity",  # the metric; the loss of that name is its negative
    "f1_score",
    "f_beta_score",
    "io_u",
    "mean_io_u",
    "one_hot_io_u",
    "one_hot_mean_io_u",
    "pearson_correlation",
    "precision",
    "precision_at_recall",
    "r2_score",
    "recall",
    "recall_at_precision",
    "sensitivity_at_specificity",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "specificity_at_sensitivity",
    "top_k_categorical_accuracy",
    "true_negatives",
    "true_positives",
)
_MINIMISED = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "crossentropy",
    "ctc",
    "dice",
    "false_negatives",
    "false_positives",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh_error",
    "loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "root_mean_squared_error",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
)
_DIRECTIONS: Mapping[str, Direction] = {
    **dict.fromkeys(_MAXIMISED, "max"),
    **dict.fromkeys(_MINIMISED, "min"),
}

SUPPLIED = ("parameters", "training_seconds", "inference_latency")
"""What no training logs, and the executor supplies: how many numbers the weights of a model are,
seconds of all its epochs, and seconds for one batch. Less of each is better."""

_ALIASES: Mapping[str, str] = {
    # Keras's short names
    "acc": "accuracy",
    "bce": "binary_crossentropy",
    "ce": "crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
    # Where what Keras logs, or a loss is called, is not what the metric's class is called
    "fbeta_score": "f_beta_score",
    "huber_loss": "huber",
    "log_cosh": "log_cosh_error",
    "logcosh": "log_cosh_error",
    # What everybody calls Keras's "io_u"
    "binary_iou": "binary_io_u",
    "iou": "io_u",
    "mean_iou": "mean_io_u",
    "one_hot_iou": "one_hot_io_u",
    "one_hot_mean_iou": "one_hot_mean_io_u",
}

# Keras numbers these from the second one in a process on (`auc`, `auc_1`, ...), so what the same
# model logs depends on what was built before it.
_NUMBERED = frozenset(
    {
        "auc",
        "binary_io_u",
        "false_negatives",
        "false_positives",
        "io_u",
        "mean_io_u",
        "one_hot_io_u",
        "one_hot_mean_io_u",
        "precision",
        "precision_at_recall",
        "recall",
        "recall_at_precision",
        "sensitivity_at_specificity",
        "specificity_at_sensitivity",
        "true_negatives",
        "true_positives",
    }
)

_VALIDATION = "val_"
_ALIKE = 0.8  # from what similarity on a name is suggested; below, one metric suggests another


@dataclass(frozen=True, init=False)
class Objective:
    """The number to minimise or maximise: ``Objective("val_f1", "max")``.

    Beside what is logged it may be one of ``parameters``, ``training_seconds`` and
    ``inference_latency``, which the executor supplies: see ``docs/objectives.md``.

    Two objectives are equal when they mean the same: ``val_acc`` and ``val_accuracy`` are one.

    Args:
        name: the metric as it stands in Keras's logs, or any of Keras's own names for it; with
            ``val_`` in front, its value on the validation data.
        direction: ``"min"`` or ``"max"``; not needed for what Keras ships or the executor supplies.
        measure: a function of the trained model that returns the number; called after each epoch,
            and logged under the name. Without it, the number is one that training logs.

    Raises:
        ObjectiveError: the name is empty, or its direction is wrong, or neither given nor known;
            or what is to measure it is no function.
    """

    name: str = field(compare=False)
    direction: Direction
    canonical: str = field(init=False, repr=False)
    """The name with aliases resolved."""
    measure: Callable[[Any], float] | None = field(compare=False, repr=False)

    def __init__(
        self,
        name: str,
        direction: Direction | None = None,
        measure: Callable[[Any], float] | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            msg = f"an objective is the name of a metric, such as 'val_accuracy', not {name!r}"
            raise ObjectiveError(msg)
        if direction not in ("min", "max", None):
            msg = f'the direction of the objective {name!r} is "min" or "max", not {direction!r}'
            raise ObjectiveError(msg)
        if measure is not None and not callable(measure):
            msg = f"measure= of the objective {name!r} is a function of the model, not {measure!r}"
            raise ObjectiveError(msg)
        canonical = _canonical(name)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "direction", direction or _direction(name, canonical))
        object.__setattr__(self, "canonical", canonical)
        object.__setattr__(self, "measure", measure)

    @classmethod
    def of(cls, what: object) -> "Objective":
        """Return the objective that a user means: one, a metric's name, or a function.

        Raises:
            ObjectiveError: it is none, or its direction is not known.
        """
        if isinstance(what, cls):
            return what
        if callable(what):
            name = getattr(what, "__name__", "")
            if not name.isidentifier():
                msg = (
                    f"the objective {what!r} has no name: give it one, as in "
                    'Objective("f1", "max", measure=...)'
                )
                raise ObjectiveError(msg)
            if _base(_canonical(name)) not in _DIRECTIONS:
                msg = (
                    f"say whether less or more of what {name} returns is better: "
                    f'Objective({name!r}, "min", measure={name}), or "max"'
                )
                raise ObjectiveError(msg)
            return cls(name, measure=what)
        return cls(what)  # type: ignore[arg-type]  # which checks it

    @property
    def supplied(self) -> bool:
        """Whether it is of the whole trial, and supplied by the executor where nobody logs it."""
        return self.canonical in SUPPLIED

    @property
    def validation(self) -> bool:
        """Whether `fit` must measure it on the validation data."""
        return self.measure is None and self.canonical.startswith(_VALIDATION)

    @property
    def metric(self) -> str:
        """What is measured, without ``val_`` and aliases: a name that Keras understands."""
        return self.canonical.removeprefix(_VALIDATION)

    def loss(self, score: float) -> float:
        """Return a score in the sense of less is better; of that, the score again."""
        return score if self.direction == "min" else -score

    def measured(self, model: object) -> float:
        """Return what the function says of a model.

        Raises:
            ObjectiveError: it says no number.
        """
        assert self.measure is not None
        value = self.measure(model)
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            msg = (
                f"the function that measures the objective {self.name!r} must return a number, "
                f"and returned {value!r:.100}"
            )
            raise ObjectiveError(msg) from error

    def find(self, logs: Mapping[str, float]) -> str | None:
        """Return the key of the logs that the objective means; None if no single one is."""
        keys = self._candidates(logs)
        return keys[0] if len(keys) == 1 else None

    def missing(self, logs: Mapping[str, float]) -> ObjectiveError:
        """Return the error to raise when `find` found nothing in these logs."""
        candidates = self._candidates(logs)
        names = ", ".join(map(repr, logs)) or "nothing at all"
        if candidates:
            several = " or ".join(map(repr, candidates))
            hint = f". It could be {several}: name the one you mean"
        elif self.validation and not any(key.startswith(_VALIDATION) for key in logs):
            hint = (
                ". There is no validation data: pass validation_data= or validation_split=, or "
                f"take {self.name.removeprefix(_VALIDATION)!r} as the objective"
            )
        else:
            close = get_close_matches(self.name, logs, n=1, cutoff=0)
            hint = f". Did you mean {close[0]!r}?" if close else ""
        return ObjectiveError(
            f"the logs do not contain the objective {self.name!r}: they contain {names}{hint}"
        )

    def to_json(self) -> dict[str, str]:
        """Return a JSON object that `from_json` turns back into an equal objective."""
        return {"name": self.name, "direction": self.direction}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the objective that `to_json` described."""
        return cls(data["name"], data["direction"])

    def _candidates(self, logs: Mapping[str, float]) -> list[str]:
        """Return the keys that the objective may mean: all of the first kind that has any."""
        if self.name in logs:
            return [self.name]
        if same := [key for key in logs if _canonical(key) == self.canonical]:
            return same
        family = _family(self.canonical)
        return [key for key in logs if _family(_canonical(key)) == family]


def _canonical(name: str) -> str:
    """Return the one name for all that Keras calls the same thing; other names as they are."""
    metric = name.removeprefix(_VALIDATION)
    base, number = _split_number(metric)
    snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", base)  # as Keras turns a class into a name
    snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
    known = _ALIASES.get(snake, snake)
    if known not in _DIRECTIONS:
        return name
    return name[: len(name) - len(metric)] + known + number


def _family(canonical: str) -> str:
    """Return a canonical name without the number that Keras, and not the user, gave it."""
    base, _ = _split_number(canonical)
    return base if base.removeprefix(_VALIDATION) in _NUMBERED else canonical


def _split_number(name: str) -> tuple[str, str]:
    """Return ``auc_1`` as ``auc`` and ``_1``; any other name as itself and nothing."""
    base = re.sub(r"_[1-9][0-9]*\Z", "", name)
    return base, name[len(base) :]


def _base(canonical: str) -> str:
    """Return a canonical name without ``val_`` and number."""
    return _split_number(canonical.removeprefix(_VALIDATION))[0]


def _direction(name: str, canonical: str) -> Direction:
    """Return the direction of what Keras ships.

    Raises:
        ObjectiveError: Keras does not ship it; says what to write.
    """
    if canonical in SUPPLIED:
        return "min"
    if (base := _base(canonical)) in _DIRECTIONS:
        return _DIRECTIONS[base]
    # A shared prefix makes any two names look alike, so compare what stands behind it.
    prefix = _VALIDATION if name.startswith(_VALIDATION) else ""
    known = [*_DIRECTIONS, *_ALIASES]
    if not prefix:
        known += [*(_VALIDATION + metric for metric in known), *SUPPLIED]
    close = get_close_matches(name.removeprefix(prefix), known, n=1, cutoff=_ALIKE)
    hint = f"Did you mean {prefix + close[0]!r}? " if close else ""
    msg = (
        f"the direction of the objective {name!r} is not known. {hint}If it is a metric of your "
        "own, or of one of several outputs, say whether less or more is better: "
        f'Objective({name!r}, "min") or Objective({name!r}, "max")'
    )
    raise ObjectiveError(msg)
