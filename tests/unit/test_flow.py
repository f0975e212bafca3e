"""Claims about following a run: which way it took, told alike on every version of Python."""

import gc
import sys
from collections.abc import Callable

from tunedeco.tracing.flow import Flow, followed


def fresh() -> Callable[[bool], list[int]]:
    """Return a function that has never been run, and calls others that have not."""
    source = """if True:
        def helper(k):
            return [j for j in range(k)]
        def program(far):
            return helper(2) + (list(j for j in helper(3)) if far else [])
    """
    scope: dict[str, Callable[[bool], list[int]]] = {}
    exec(compile(source, "<user>", "exec"), scope)
    return scope["program"]


def way(function: Callable[[bool], list[int]], far: bool) -> Flow:
    with followed() as flow:
        function(far)
    assert flow is not None
    return flow


def test_the_first_run_is_like_the_second() -> None:
    """What is executed for the first time is followed as it is ever after, helpers too."""
    program = fresh()
    for far in (False, True):
        first, second = way(program, far), way(program, far)
        assert first.fingerprint == second.fingerprint != 0
        assert first.jumps == second.jumps


def test_collecting_garbage_is_no_way() -> None:
    """What runs when garbage happens to be collected is not taken for the function's own."""
    program, collected = fresh(), []
    finalized = lambda phase, info: collected.append(phase)
    gc.callbacks.append(finalized)
    before = gc.get_threshold()
    gc.set_threshold(3)  # within nearly every run, at another place each time
    try:
        assert len({way(program, True).fingerprint for _ in range(20)}) == 1
        assert gc.isenabled()
        assert collected
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(finalized)


def test_another_way_is_another_fingerprint() -> None:
    """A branch taken shows, and so do the jumps in it."""
    program = fresh()
    near, far = way(program, False), way(program, True)
    assert near.fingerprint != far.fingerprint
    assert far.jumps - near.jumps


def test_somebody_else_follows_already() -> None:
    """Where a debugger has set a trace function, it stays, and the run is not followed."""
    theirs = lambda frame, event, arg: None
    before = sys.gettrace()
    sys.settrace(theirs)
    try:
        with followed() as flow:
            assert flow is None
        assert sys.gettrace() is theirs
    finally:
        sys.settrace(before)
