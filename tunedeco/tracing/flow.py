"""Which way a run took through the user's code: a fingerprint of every jump in it.

Two runs with the same fingerprint executed the same instructions in the same order, so what
differed between them decided nothing. Code of Keras, of its backends and of the standard library
is not followed: it may look at any value, and asks for no hyperparameter.

What is followed are basic blocks, since Python tells of each instruction only until it has been
executed often enough to be joined with the next one.
"""

import dis
import gc
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_LIBRARIES = ("jax", "jaxlib", "keras", "numpy", "tensorflow", "torch", "tunedeco")

Block = tuple[int, int]
"""A code object, by its address, and the offset at which a basic block of it begins."""

Jump = tuple[Block, Block]

_skipped: set[str] = set()  # files seen so far that hold no code of the user's


class Flow:
    """What one run did: its fingerprint, and the jumps in it."""

    def __init__(self) -> None:
        self.fingerprint = 0
        self.jumps: set[Jump] = set()
        self._at: Block = (0, 0)
        self._offset = 0

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ANN401, ARG002 (as sys.settrace wants it)
        filename = frame.f_code.co_filename
        if filename in _skipped:  # nearly always, and a set is the quickest to tell
            return None
        if not _followed(filename):
            _skipped.add(filename)
            return None
        # in this order: Python 3.13 tells of the instructions of a frame that is traced already
        frame.f_trace = partial(self._executed, _begins(frame.f_code))
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return frame.f_trace

    def _executed(self, begins: Sequence[int], frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ANN401, ARG002
        if event == "opcode":
            offset = frame.f_lasti
            at = (id(frame.f_code), begins[offset // 2])
            if at != self._at or offset <= self._offset:
                self.jumps.add((self._at, at))
                self.fingerprint = hash((self.fingerprint, at))
                self._at = at
            self._offset = offset
        return frame.f_trace


@contextmanager
def followed() -> Iterator[Flow | None]:
    """Follow what runs in the block; None where a debugger or a coverage tool already does."""
    if sys.gettrace() is not None:
        yield None
        return
    flow = Flow()
    collects = gc.isenabled()
    gc.disable()  # what it calls, such as a finalizer, would seem to be called by anybody
    # or Python 3.12 tells of no instruction before the next trace function is set
    sys._getframe().f_trace_opcodes = True  # noqa: SLF001
    sys.settrace(flow._called)  # noqa: SLF001 (its own)
    try:
        yield flow
    finally:
        sys.settrace(None)
        if collects:
            gc.enable()


@cache
def _begins(code: CodeType) -> Sequence[int]:
    """Return, for each instruction, the offset at which its basic block begins."""
    instructions = list(dis.get_instructions(code))
    begins = {0, *(i.offset for i in instructions if i.is_jump_target)}
    for instruction, after in pairwise(instructions):
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            begins.add(after.offset)
    latest, found = 0, []
    for offset in range(0, len(code.co_code), 2):
        latest = offset if offset in begins else latest
        found.append(latest)
    return found


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
