"""Oracles decide what to try next; each is a pure function of (space, trials, seed).

``base`` is the protocol. ``grid``, ``random``, ``aging`` and ``evolution`` say which values, and
``samplers`` makes an oracle of one of Optuna's; ``asha``, ``halving`` and ``stopping`` wrap one of
them and say how many epochs. ``given`` puts known values in the place of proposed ones. `resolve`
finds one by name.
"""

from tunedeco.errors import ConfigurationError
from tunedeco.oracles.aging import Aging
from tunedeco.oracles.asha import ASHA
from tunedeco.oracles.base import Continue, Decision, Done, Oracle, Scheduler, Start, Wait, describe
from tunedeco.oracles.evolution import Evolution
from tunedeco.oracles.given import Given, begins_with_defaults
from tunedeco.oracles.grid import Grid
from tunedeco.oracles.halving import Hyperband, SuccessiveHalving
from tunedeco.oracles.plain import PLAIN
from tunedeco.oracles.random import Random
from tunedeco.oracles.samplers import check_several, hint, optuna
from tunedeco.oracles.stopping import MedianStopping, PlateauStopping, check_curves

__all__ = [
    "ASHA",
    "Aging",
    "Continue",
    "Decision",
    "Done",
    "Evolution",
    "Given",
    "Grid",
    "Hyperband",
    "MedianStopping",
    "Oracle",
    "PlateauStopping",
    "Random",
    "Scheduler",
    "Start",
    "SuccessiveHalving",
    "Wait",
    "begins_with_defaults",
    "check_curves",
    "check_several",
    "describe",
    "optuna",
    "resolve",
]

_BY_NAME: dict[str, type[Oracle]] = PLAIN | {
    "asha": ASHA,
    "halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "median": MedianStopping,
    "plateau": PlateauStopping,
}


def resolve(oracle: str | Oracle, min_epochs: int, max_epochs: int) -> Oracle:
    """Return an oracle by its name, or the instance that was given, for trials of so many epochs.

    Raises:
        ConfigurationError: there is none of that name, or it is not an oracle.
    """
    if isinstance(oracle, str):
        if oracle in _BY_NAME:
            return resolve(_BY_NAME[oracle](), min_epochs, max_epochs)
        msg = f"there is no oracle {oracle!r}; choose from {', '.join(_BY_NAME)}, or give your own"
        raise ConfigurationError(msg + hint(oracle))
    if isinstance(oracle, type) or not callable(getattr(oracle, "next", None)):
        msg = (
            f"an oracle is a name ({', '.join(_BY_NAME)}) or an object with a method "
            f"next(space, trials, seed), not {oracle!r}"
        )
        raise ConfigurationError(msg + hint(oracle))
    return oracle.within(min_epochs, max_epochs) if isinstance(oracle, Scheduler) else oracle
