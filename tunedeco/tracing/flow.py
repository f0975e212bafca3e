"""Which way a run took through the user's code: a fingerprint of every jump in it.

Two runs with the same fingerprint executed the same instructions in the same order, so what
differed between them decided nothing. Code of Keras, of its backends and of the standard library
is not followed: it may look at any value, and asks for no hyperparameter.
"""

import gc
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

_LIBRARIES = ("jax", "jaxlib", "keras", "numpy", "tensorflow", "torch", "tunedeco")

_skipped: set[str] = set()  # files seen so far that hold no code of the user's

Jump = tuple[int, int, int, int]
"""From an instruction of a code object to another one of another."""


class Flow:
    """What one run did: its fingerprint, and the jumps in it."""

    def __init__(self) -> None:
        self.fingerprint = 0
        self.jumps: set[Jump] = set()
        self._at = (0, 0)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ANN401, ARG002 (as sys.settrace wants it)
        filename = frame.f_code.co_filename
        if filename in _skipped:  # nearly always, and a set is the quickest to tell
            return None
        if not _followed(filename):
            _skipped.add(filename)
            return None
        # in this order: Python 3.13 tells of the instructions of a frame that is traced already
        frame.f_trace = self._executed
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._executed

    def _executed(self, frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ANN401, ARG002
        if event == "opcode":
            at = (id(frame.f_code), frame.f_lasti)
            self.jumps.add((*self._at, *at))
            self.fingerprint = hash((self.fingerprint, at))
            self._at = at
        return self._executed


@contextmanager
def followed() -> Iterator[Flow | None]:
    """Follow what runs in the block; None where a debugger or a coverage tool already does.

    No garbage is collected in it: that comes at any time, and runs finalizers and callbacks, which
    would look like another way.
    """
    if sys.gettrace() is not None:
        yield None
        return
    flow = Flow()
    collecting = gc.isenabled()
    gc.disable()
    # or Python 3.12 tells of no instruction before the next trace function is set
    sys._getframe().f_trace_opcodes = True  # noqa: SLF001
    sys.settrace(flow._called)  # noqa: SLF001 (its own)
    try:
        yield flow
    finally:
        sys.settrace(None)
        if collecting:
            gc.enable()


@cache
def _followed(filename: str) -> bool:
    """Return whether a file holds code of the user's."""
    if filename.startswith("<frozen") or "__autograph_generated" in filename:
        return False
    parts = Path(filename).parts
    if "site-packages" in parts or "dist-packages" in parts:
        return not filename.startswith(_library_folders())
    return not filename.startswith((*_library_folders(), sysconfig.get_path("stdlib")))


@cache
def _library_folders() -> tuple[str, ...]:
    specs = map(find_spec, _LIBRARIES)
    return tuple(
        folder for spec in specs if spec for folder in spec.submodule_search_locations or ()
    )
