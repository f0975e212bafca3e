"""Ctrl-C and SIGTERM: the first asks a search to stop at a safe point, the second stops it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Caught:
    """Which signal has come, if one has."""

    signal: int | None = None

    def leave(self) -> NoReturn:
        """Leave the program as the signal would have: with exit status 130 or 143.

        Raises:
            KeyboardInterrupt: in a notebook or an interactive session, which goes on.
            SystemExit: anywhere else.
        """
        if self.signal != signal.SIGTERM and interactive():
            raise KeyboardInterrupt
        raise SystemExit(128 + (self.signal or signal.SIGINT))


@contextmanager
def caught(interrupt: Callable[[], None]) -> Iterator[Caught]:
    """Call a function at the first signal, and raise at the second.

    Only the main thread can handle signals; elsewhere nothing is changed.
    """
    state = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if state.signal is not None:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        state.signal = number
        interrupt()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interactive() -> bool:
    """Return whether a person's session outlives the search: a notebook, or a Python prompt."""
    import __main__

    return not hasattr(__main__, "__file__")
