"""The oracles that answer with values alone, by name; every other one wraps one of these."""

from tunedeco.errors import ConfigurationError
from tunedeco.oracles.aging import Aging
from tunedeco.oracles.base import Oracle, Scheduler
from tunedeco.oracles.evolution import Evolution
from tunedeco.oracles.grid import Grid
from tunedeco.oracles.random import Random
from tunedeco.oracles.samplers import hint

PLAIN: dict[str, type[Oracle]] = {
    "grid": Grid,
    "random": Random,
    "aging": Aging,
    "evolution": Evolution,
}


def plain(oracle: str | Oracle, wrapper: str) -> Oracle:
    """Return an oracle for values by its name, or the instance that was given.

    Args:
        oracle: a name in `PLAIN`, or an object with the oracle's method.
        wrapper: who asks, for errors.

    Raises:
        ConfigurationError: there is none of that name, it is not an oracle, or it decides itself
            how far trials are trained.
    """
    if isinstance(oracle, str):
        if oracle not in PLAIN:
            msg = f"{wrapper} wraps an oracle for values: {', '.join(PLAIN)}, or your own, not "
            raise ConfigurationError(msg + repr(oracle) + hint(oracle))
        return PLAIN[oracle]()
    if isinstance(oracle, type) or not callable(getattr(oracle, "next", None)):
        msg = (
            f"{wrapper} wraps an oracle for values: a name ({', '.join(PLAIN)}) or an object with "
            f"a method next(space, trials, seed), not {oracle!r}"
        )
        raise ConfigurationError(msg + hint(oracle))
    if isinstance(oracle, Scheduler):
        msg = (
            f"{wrapper} decides how far trials are trained, and so does {type(oracle).__name__}: "
            f"give it an oracle for values, such as {', '.join(PLAIN)}"
        )
        raise ConfigurationError(msg)
    return oracle
