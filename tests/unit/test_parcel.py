"""What is sent to workers: functions as they are, arrays once, and errors that name the culprit."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pytest

from tunedeco.errors import ConfigurationError
from tunedeco.executors import parcel


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


def sent(file: BinaryIO, **parts: Any) -> dict[str, Any]:
    return parcel.unpack(file.fileno(), parcel.pack(file, parts))


def test_arrays_arrive(file: BinaryIO) -> None:
    """Arrays of every kind arrive equal, in the order of their memory, wherever they stood."""
    draw = np.random.RandomState(0)
    big = draw.normal(size=(100, 50, 3))
    arrays = [
        big,
        np.asfortranarray(draw.normal(size=(300, 40))),
        big[::2, 1:],
        big.astype(">f4"),
        np.zeros(5000, [("a", "i4"), ("b", "S3")]),
        np.array(["x" * i for i in range(200)]),
        np.array([1, 2, 3]),
        np.zeros((0, 4)),
        np.array([None, {}] * 10_000),
    ]
    found = sent(file, arrays=arrays, function=lambda: big)
    for ours, theirs in zip(arrays, found["arrays"], strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert (ours == theirs).all()
    assert found["arrays"][1].flags.f_contiguous
    assert (found["function"]() == big).all()


def test_an_array_is_sent_once(file: BinaryIO) -> None:
    """One array in several places takes its room once, and no more than it has."""
    array = np.zeros(100_000)
    sent(file, x=array, arrays=(array, array), function=lambda: array)
    assert array.nbytes <= file.seek(0, 2) < array.nbytes + 4096


def test_a_process_keeps_what_it_writes_to_itself(file: BinaryIO) -> None:
    """Arrays can be written to, and nobody else sees it."""
    place = parcel.pack(file, {"x": np.zeros(100_000)})
    one, other = (parcel.unpack(file.fileno(), place)["x"] for _ in range(2))
    one[:] = 1
    assert other.sum() == 0


def closure() -> Callable[[], object]:
    lock = threading.Lock()
    return lambda: lock


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"model_fn": closure()}, "model_fn cannot be sent to worker processes .*inside it"),
        ({"callbacks": [threading.Lock()]}, "callbacks cannot be sent .*callbacks=lambda trial"),
        ({"x": (i for i in ())}, "x cannot be sent .*a function that returns the dataset"),
        ({"options": {"a": threading.Lock()}}, "options cannot be sent .*leave out"),
    ],
)
def test_what_cannot_be_sent_is_named(parts: Any, message: str, file: BinaryIO) -> None:
    """The error says which part cannot be pickled, why, and what to do."""
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        sent(file, fine=1, **parts)


def test_no_room() -> None:
    """Where the arrays find no room, the error says what to do."""
    program = """
import resource, signal, tempfile
import numpy as np
from tunedeco.errors import ConfigurationError
from tunedeco.executors import parcel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with tempfile.TemporaryFile() as file:
    try:
        parcel.pack(file, {"x": np.zeros(100_000)})
    except ConfigurationError as error:
        print(error)
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "there is no room for the data that the workers share" in printed
    assert "set TMPDIR" in printed
