"""Compiled programs that trials share: a model that was trained before, in the state of a new one.

To make and compile the program of a training step takes longer than many a short trial trains.
Where the fingerprints of two models are equal, so are their programs, and the second is trained in
the first one's place: all its variables take the new values, those of the optimizer included, and
what comes out is the same to the bit. Whatever has no fingerprint is trained as it is.

HEAVY: importing this module loads Keras.
"""

import contextlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final

import keras

from tunedeco.abstract import size_of
from tunedeco.executors import devices
from tunedeco.executors.data import spec, symbolic
from tunedeco.executors.fingerprint import fingerprint
from tunedeco.executors.models import Made
from tunedeco.executors.training_state import Arrays, put, take

_MOST = 16
"""Programs until all are forgotten: JAX can forget nothing less."""

_HARMLESS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.EarlyStopping,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.SwapEMAWeights,
    keras.callbacks.TerminateOnNaN,
)
"""Callbacks that change nothing of a model but its variables."""


@final
@dataclass(frozen=True)
class Program:
    """A compiled model, and what another must be to be trained in its place."""

    fingerprint: Hashable
    made: Made
    start: Arrays
    """What the optimizer's variables begin with."""


@final
class Programs:
    """The programs that are kept.

    Args:
        most_bytes: that all models which are kept may take, as `size_of` says.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[Hashable, Program] = {}
        self._compiled = 0  # since all were forgotten

    def of(self, made: Made) -> Program | None:
        """Return the program that a model can be trained by, in its state; None if it has none.

        It is taken out until it is given back, so that one whose training failed is gone.
        """
        key = fingerprint(made.model, made.rates) if _sharable(made) else None
        kept = self._kept.pop(key, None)
        if kept is not None:
            _put_on(kept, made)
            return kept
        if self._compiled == _MOST:
            self.forget()
        self._compiled += 1
        if key is None:
            return None
        _build(made)
        return Program(key, made, take("optimizer", made.model.optimizer.variables))

    def give_back(self, program: Program, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Keep a program after a training, unless a callback may have changed it."""
        size = size_of(program.made.model).training_bytes
        if size > self._most_bytes or not all(type(c) in _HARMLESS for c in callbacks):
            return
        kept = sum(size_of(other.made.model).training_bytes for other in self._kept.values())
        if size + kept > self._most_bytes:
            self.forget()
        self._kept[program.fingerprint] = program

    def forget(self) -> None:
        """Give back the memory of all programs that were made."""
        self._kept.clear()
        self._compiled = 0
        devices.forget_programs()


def _sharable(made: Made) -> bool:
    return (
        devices.compiles()
        and made.built
        and keras.distribution.distribution() is None
        # what the function gave `fit` beside numbers may hold the model itself
        and all(isinstance(value, (bool, int, float, str)) for value in made.arguments.values())
        and made.model.compiled
        and made.model.optimizer is not None
        and not made.model.run_eagerly
        # of which less is known before they are built, and with no certainty what they begin with
        and type(made.model.optimizer).__module__.startswith("keras.src.optimizers.")
        and not hasattr(made.model.optimizer, "inner_optimizer")
    )


def _build(made: Made) -> None:
    """Make the variables of optimizer and metrics, which TensorFlow would make in the first step.

    Then it makes the program of that step once, and not a second time without them.
    """
    model = made.model
    if made.data.arrays is not None and type(model).__module__.startswith("keras."):
        with contextlib.suppress(Exception):  # fit says what is wrong
            batch = tuple(symbolic(spec(made.data.arrays)))
            model._symbolic_build(data_batch=batch)  # noqa: SLF001 (as fit does on JAX)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _put_on(program: Program, made: Made) -> None:
    """Put a model that was trained before into the state of a new one."""
    old, new = program.made.model, made.model
    for variable, value in zip(old.variables, new.variables, strict=True):
        variable.assign(value)
    put("optimizer", old.optimizer.variables, program.start)
    # what there is of it before it is built: steps, learning rate and the like
    for variable, value in zip(old.optimizer.variables, new.optimizer.variables, strict=False):
        variable.assign(value)
    pairs = zip(program.made.rates.values(), made.rates.values(), strict=True)
    for (there, names), (here, _) in pairs:
        for name in names:  # for whoever reads them; the program has them in variables
            setattr(there, name, getattr(here, name))
