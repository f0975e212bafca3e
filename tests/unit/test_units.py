"""Amounts of memory, read and written."""

import pytest

from tunedeco import Tuner
from tunedeco.errors import ConfigurationError
from tunedeco.units import bytes_in, duration, readable


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("8GB", 8 * 10**9),
        ("500MB", 500 * 10**6),
        ("8GiB", 8 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        (" 2 tb ", 2 * 10**12),
        ("64kb", 64_000),
        ("64KiB", 65_536),
        ("4096", 4096),
        ("12B", 12),
    ],
)
def test_what_people_write(text: str, amount: int) -> None:
    """Decimal and binary units are told apart; case and spaces do not matter."""
    assert bytes_in(text) == amount


@pytest.mark.parametrize("text", ["", "GB", "8 G", "8GBs", "-1GB", "0MB", "0.2B", "auto", "1e9"])
def test_what_is_no_amount(text: str) -> None:
    """Anything else is refused, and shown beside what could be meant."""
    with pytest.raises(ValueError, match="like '500MB', '8GB'") as caught:
        bytes_in(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (1, "1 B"),
        (999, "999 B"),
        (64_064, "64.06 KB"),
        (999_990, "999.99 KB"),
        (8 * 10**9, "8 GB"),
        (11_346_084_020, "11.35 GB"),
        (2 * 10**12, "2 TB"),
    ],
)
def test_what_people_read(amount: int, text: str) -> None:
    """An amount is shown in a unit that suits it, without zeros that say nothing."""
    assert readable(amount) == text


@pytest.mark.parametrize("wrong", ["8 apples", "", 0, -1, 2.5, True, b"8GB"])
def test_a_wrong_max_memory(wrong: object) -> None:
    """The tuner refuses it when it is made, naming the argument and what it could be."""
    with pytest.raises(ConfigurationError, match="max_memory must be a number of bytes, text"):
        Tuner(lambda: None, "loss", max_trials=1, max_memory=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("right", ["8GB", "auto", 2**30, None])
def test_a_max_memory(right: object) -> None:
    """Bytes, text for them, the device's, or none."""
    assert Tuner(lambda: None, "loss", max_trials=1, max_memory=right).max_memory == right  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.4, "0s"), (59.6, "1m"), (61, "1m 1s"), (5400, "1h 30m"), (90061, "1d 1h")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    """A duration shows its two largest units."""
    assert duration(seconds) == text
