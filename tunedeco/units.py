"""Amounts of memory and of time as people write them."""

import math
import re

from tunedeco.errors import ConfigurationError

_UNITS = {"B": 1} | {
    prefix + suffix: base**power
    for suffix, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}
_NAMES = {name.upper(): size for name, size in _UNITS.items()}
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")


def bytes_in(text: str) -> int:
    """Return how many bytes ``"500MB"``, ``"8 GB"``, ``"1.5GiB"`` or ``"4096"`` are.

    Raises:
        ValueError: it is none of these, or less than a byte.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = match and _NAMES.get(match[2].upper() or "B")
    amount = int(float(match[1]) * unit) if match and unit else 0
    if not amount:
        msg = f"{text!r} is no amount of memory; write it like '500MB', '8GB' or '8GiB'"
        raise ValueError(msg)
    return amount


def readable(amount: int) -> str:
    """Return a number of bytes in a unit that suits it: ``"2.84 GB"``."""
    for unit in ("TB", "GB", "MB", "KB"):
        if amount >= _UNITS[unit]:
            return f"{amount / _UNITS[unit]:.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{amount} B"


def duration(seconds: float) -> str:
    """Return an amount of time in the two largest units that it has: ``"1h 30m"``, ``"12s"``."""
    left, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"


def seconds_in(text: float | str, name: str = "time_budget") -> float:
    """Return how many seconds an amount of time is: a number of them, or ``"90m"``, ``"1h 30m"``.

    Args:
        text: the units are ``s``, ``m`` or ``min``, ``h`` and ``d``.
        name: of the argument.

    Raises:
        ConfigurationError: it is none, or not positive.
    """
    seconds = math.nan
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        seconds = float(text)
    elif isinstance(text, str):
        parts = _PART.findall(text.strip().lower())
        whole = re.fullmatch(f"(?:{_PART.pattern})+", text.strip().lower())
        if whole and all(unit in _SECONDS or not unit for _, unit in parts):
            seconds = sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)
    if not 0 < seconds < math.inf:
        msg = f"{name} must be seconds, or text such as '90m', '8h' or '1h 30m', not {text!r}"
        raise ConfigurationError(msg)
    return seconds
