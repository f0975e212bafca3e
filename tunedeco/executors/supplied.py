"""Objectives that no training logs: what the executor measures of a model and its training.

- ``parameters``: how many numbers the model holds in its weights.
- ``training_seconds``: wall-clock time of all epochs so far, with their validation and callbacks;
  compiling, which the first batch waits for, is part of the first epoch.
- ``inference_latency``: wall-clock seconds that Keras's ``predict_on_batch`` takes for one batch in
  memory, its result back in memory included: the median of `_TIMES` calls, after `_WARM` that do
  not count. Measured once, after the first epoch.

They are logged after each epoch, so that the journal has them, and nothing is measured again.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, final

import keras

from tunedeco.errors import ObjectiveError
from tunedeco.objective import SUPPLIED
from tunedeco.objectives import Objectives

_WARM = 2  # the first one compiles
_TIMES = 9

PARAMETERS, SECONDS, LATENCY = SUPPLIED


@final
@dataclass(frozen=True)
class Supplier:
    """Measures of one training what its objectives need.

    Args:
        names: which of `SUPPLIED`.
        parameters: returns how many the model has.
        batch: returns the inputs of a batch.
    """

    names: Collection[str]
    parameters: Callable[[], int]
    batch: Callable[[], Any]

    def lacking(
        self,
        logs: Mapping[str, float],
        model: Any,  # noqa: ANN401 (of a user's own loop, anything)
        before: Mapping[str, float],
        seconds: float,
    ) -> dict[str, float]:
        """Return what to log after an epoch beside what has been logged.

        Args:
            logs: what has been; what is among them is not measured.
            model: as it is now.
            before: the logs of the epoch before; empty before the first.
            seconds: how long this one took.

        Raises:
            ObjectiveError: the latency of what is no Keras model is asked for.
        """
        names = {name for name in self.names if name not in logs}
        found: dict[str, float] = {}
        if PARAMETERS in names:
            found[PARAMETERS] = float(self.parameters())
        if SECONDS in names:
            found[SECONDS] = round(before.get(SECONDS, 0.0) + seconds, 6)
        if LATENCY in names:
            known = before.get(LATENCY)
            found[LATENCY] = latency(model, self.batch()) if known is None else known
        return found


def wanted(objectives: Objectives) -> frozenset[str]:
    """Return what of `SUPPLIED` the executor is to measure."""
    return frozenset(o.canonical for o in objectives if o.supplied and o.measure is None)


def latency(model: Any, batch: Any) -> float:  # noqa: ANN401 (a tree)
    """Return the median of the seconds that a model takes for a batch.

    Raises:
        ObjectiveError: it is no Keras model.
    """
    if not isinstance(model, keras.Model):
        msg = (
            f"inference_latency is that of a Keras model, and model_fn returns {type(model)!r}: "
            'measure it yourself, Objective("inference_latency", "min", measure=function)'
        )
        raise ObjectiveError(msg)
    seconds = []
    for _ in range(_WARM + _TIMES):
        began = time.perf_counter()
        model.predict_on_batch(batch)  # returns NumPy's arrays: it waits for the device
        seconds.append(time.perf_counter() - began)
    return round(median(seconds[_WARM:]), 9)
