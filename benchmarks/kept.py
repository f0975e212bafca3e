"""Runs of a benchmark whose results are kept in a file, so that it goes on where it was stopped."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

Key = tuple[Any, ...]
"""What tells a run from the others: text and numbers."""


def results(
    wanted: Sequence[Key], run: Callable[..., Any], kept: Path | None, jobs: int | None = None
) -> dict[Key, Any]:
    """Return the results of all runs, of which some may have been made before.

    Args:
        wanted: the arguments of each run.
        run: returns what JSON can hold.
        kept: the file, a line for each run; None keeps nothing.
        jobs: processes to run side by side; None makes one run after the other in this one.
    """
    found: dict[Key, Any] = {}
    if kept is not None and kept.exists():
        for line in kept.read_text().splitlines():
            *key, result = json.loads(line)
            found[tuple(key)] = result
    missing = [key for key in wanted if key not in found]
    for key, result in _in_turn(missing, run) if jobs is None else _at_once(missing, run, jobs):
        found[key] = result
        if kept is not None:
            with kept.open("a") as file:
                print(json.dumps([*key, result]), file=file)
    return {key: found[key] for key in wanted}


def _in_turn(keys: Sequence[Key], run: Callable[..., Any]) -> Iterator[tuple[Key, Any]]:
    for key in keys:
        yield key, run(*key)
        print(*key, f"load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


def _at_once(keys: Sequence[Key], run: Callable[..., Any], jobs: int) -> Iterator[tuple[Key, Any]]:
    with ProcessPoolExecutor(jobs) as pool:
        futures = {pool.submit(run, *key): key for key in keys}
        for future in as_completed(futures):
            yield futures[future], future.result()
