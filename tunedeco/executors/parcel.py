"""What every worker needs, in one file without a name: functions pickled, arrays as they are.

The file is open in the coordinating process and in its workers, and nowhere else: it is gone with
them, however they end. Arrays are written to it once, wherever they stand (in the data, in a
``PyDataset``, in what a function refers to), and each worker maps them into its memory.
"""

import io
import mmap
import pickle
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, final

import cloudpickle
import numpy as np
import numpy.typing as npt

from tunedeco.errors import ConfigurationError

_SMALL = 16_384  # bytes below which an array is pickled with the rest
_ALIGNMENT = 64  # of arrays in the file, as NumPy aligns them

_HINTS = {
    "model_fn": "make what it needs inside it, or at the top of a module that it imports",
    "callbacks": "pass callbacks=lambda trial: [...] that makes new ones",
    "x": "pass arrays, a PyDataset, or a function that returns the dataset",
    "validation_data": "pass arrays, a PyDataset, or a function that returns the dataset",
}

Place = tuple[int, int]
"""Where a parcel begins in its file, and how many bytes it has."""


def pack(file: BinaryIO, parts: Mapping[str, object]) -> Place:
    """Append parts to a file.

    Args:
        file: a real one, open for writing and reading.
        parts: by name.

    Raises:
        ConfigurationError: one of them cannot be sent to another process, and which; or there is
            no room for them.
    """
    try:
        pickled = _pickled(file, parts)
        begin = file.seek(0, io.SEEK_END)
        file.write(pickled)
        file.flush()
    except OSError as error:
        msg = (
            f"there is no room for the data that the workers share ({error}); set TMPDIR to a "
            "folder with more"
        )
        raise ConfigurationError(msg) from error
    return begin, len(pickled)


def unpack(file: int, place: Place) -> dict[str, Any]:
    """Return the parts that were packed; their arrays may be written to, each process its own.

    Args:
        file: its handle. It is mapped and not read, since all processes share one position in it.
        place: what `pack` returned.
    """
    begin, size = place
    mapped = mmap.mmap(file, begin + size, access=mmap.ACCESS_COPY)
    unpickler = _Unpickler(io.BytesIO(mapped[begin:]))
    unpickler.mapped = mapped
    parts: dict[str, Any] = unpickler.load()
    return parts


def _pickled(file: BinaryIO, parts: Mapping[str, object]) -> bytes:
    packer = _Packer(file)
    try:
        return packer.pickled(parts)
    except OSError:
        raise
    except Exception as error:
        for name, part in parts.items():
            _check(packer, name, part)
        msg = f"the search cannot be sent to worker processes ({type(error).__name__}: {error})"
        raise ConfigurationError(msg) from error


def _check(packer: "_Packer", name: str, part: object) -> None:
    try:
        packer.pickled(part)
    except Exception as error:
        hint = _HINTS.get(name, "leave out what cannot be pickled")
        msg = (
            f"{name} cannot be sent to worker processes ({type(error).__name__}: {error}); with "
            f"workers=, {hint}"
        )
        raise ConfigurationError(msg) from error


@final
class _Packer:
    """Pickles, and writes the arrays that it meets into the file, each one once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[int, tuple[Any, ...]] = {}
        self._met: list[object] = []  # so that no other array gets the id of one that is gone

    def pickled(self, thing: object) -> bytes:
        stream = io.BytesIO()
        pickler = _Pickler(stream)
        pickler.place = self._place
        pickler.dump(thing)
        return stream.getvalue()

    def _place(self, array: npt.NDArray[Any]) -> tuple[Any, ...]:
        if id(array) not in self._places:
            self._met.append(array)
            self._places[id(array)] = self._written(array)
        return self._places[id(array)]

    def _written(self, array: npt.NDArray[Any]) -> tuple[Any, ...]:
        offset = -(-self._file.seek(0, io.SEEK_END) // _ALIGNMENT) * _ALIGNMENT
        self._file.seek(offset)
        columns = array.flags.f_contiguous and not array.flags.c_contiguous
        np.ascontiguousarray(array.T if columns else array).tofile(self._file)
        return offset, array.dtype, array.shape, "F" if columns else "C"


@final
class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    place: Callable[[npt.NDArray[Any]], tuple[Any, ...]]

    def persistent_id(self, thing: object) -> tuple[Any, ...] | None:
        if type(thing) not in (np.ndarray, np.memmap):
            return None
        assert isinstance(thing, np.ndarray)
        plain = not thing.dtype.hasobject and thing.nbytes >= _SMALL
        return self.place(thing) if plain else None


@final
class _Unpickler(pickle.Unpickler):
    mapped: mmap.mmap

    def persistent_load(self, place: tuple[Any, ...]) -> npt.NDArray[Any]:
        offset, dtype, shape, order = place
        return np.ndarray(shape, dtype, self.mapped, offset, order=order)
