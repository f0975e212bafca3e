"""Whose code it is that calls, and where it stands."""

import functools
import os
import sysconfig
from pathlib import Path
from types import FrameType

from tunedeco.discovery.plan import Place

_OURS = str(Path(__file__).parents[1])
_INSTALLED = sorted(  # the innermost first: site-packages may lie within the standard library
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}, key=len, reverse=True
)


@functools.lru_cache(maxsize=4096)
def is_users(file: str, home: str) -> bool:
    """Return whether code is the user's: neither installed nor ours, or of the same package."""
    package = _package(file)
    return package is None or (package == _package(home) and not package.endswith(f"{os.sep}keras"))


def _package(file: str) -> str | None:
    """Return which installed package, or which of the standard library, a file belongs to."""
    if file.startswith(_OURS + os.sep):
        return _OURS
    for root in _INSTALLED:
        if file.startswith(root + os.sep):
            return root + os.sep + Path(file).relative_to(root).parts[0]
    return None


def place_of(frame: FrameType) -> Place:
    """Return where a frame stands."""
    code = frame.f_code
    return Place(code.co_filename, code.co_qualname, code.co_firstlineno, frame.f_lasti)
