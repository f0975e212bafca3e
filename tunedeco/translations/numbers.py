"""Numbers as Keras Tuner and Optuna declare them: whole ones, and floats in steps."""

from decimal import Decimal

from tunedeco.domains import Domain, Fixed, Linear, plain, real
from tunedeco.errors import HyperparameterError


def whole(value: object, name: str) -> int:
    """Return a number without a fraction as an int: 1e3 is one.

    Raises:
        HyperparameterError: it is none.
    """
    value = plain(value, name)
    if type(value) not in (int, float) or int(value) != value:  # type: ignore[arg-type]
        msg = f"{name} must be an integer, not {value!r}"
        raise HyperparameterError(msg)
    return int(value)


def stepped(low: object, high: object, step: object) -> Domain:
    """Return the floats from ``low`` to ``high`` in steps; ``high`` only if a step lands on it.

    Counted in decimals, as they were written: from 0 to 1 in steps of 0.1 there are eleven.

    Raises:
        HyperparameterError: something is not a finite number, the step is not above 0, or ``high``
            lies below ``low``.
    """
    first, last, by = real(low, "the lowest"), real(high, "the highest"), real(step, "step")
    if by <= 0:
        msg = f"step {by:g} must be above 0"
        raise HyperparameterError(msg)
    if last < first:
        msg = f"the highest {last:g} lies below the lowest {first:g}; swap them"
        raise HyperparameterError(msg)
    begin, end, width = (Decimal(str(number)) for number in (first, last, by))
    steps = int((end - begin) // width)
    return Linear(first, float(begin + steps * width), steps + 1) if steps else Fixed(first)
