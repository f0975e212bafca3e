"""The mean of any floats, where sums overflow and infinities cancel."""

import math
from collections.abc import Iterable
from statistics import fmean, stdev


def mean(values: Iterable[float]) -> float:
    """Return the mean of some numbers, at least one; NaN where NaN or both infinities are there.

    However large they are: it lies between the least and the greatest.
    """
    known = list(values)
    try:
        return fmean(known)
    except ValueError:  # both infinities
        return math.nan
    except OverflowError:
        scale = 2.0 ** len(known).bit_length()  # a power of two: nothing is rounded
        found = math.fsum(value / scale for value in known) / len(known) * scale
        return min(max(found, min(known)), max(known))


def spread(values: Iterable[float]) -> float | None:
    """Return the sample standard deviation of two finite numbers or more; None past all floats."""
    try:
        return stdev(values)
    except OverflowError:
        return None
