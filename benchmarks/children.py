"""Measurements that are each a process of their own, and the images that they train on."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def measured(arguments: Sequence[object], backend: str) -> dict[str, Any]:
    """Run a Python program; return what it printed last, as JSON, and what it took.

    That is the seconds of wall and of CPU of the whole process, its own children included, and its
    peak memory in MiB.
    """
    command = [sys.executable, *map(str, arguments)]
    surroundings = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as child:
        assert child.stdout is not None
        printed = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)  # so that it is not waited for again
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return {
        "answer": json.loads(printed.splitlines()[-1]),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss / 1024,
    }


def results(
    wanted: Sequence[tuple[Any, ...]], run: Callable[..., dict[str, Any]], kept: Path | None
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the results of runs, in turn; some may have been made before, and kept in a file."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    if kept is not None and kept.exists():
        for line in kept.read_text().splitlines():
            *key, result = json.loads(line)
            found[tuple(key)] = result
    for key in wanted:
        if key not in found:
            found[key] = run(*key)
            figures = {n: round(v, 2) for n, v in found[key].items() if isinstance(v, float)}
            print(*key, figures, f"load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
            if kept is not None:
                with kept.open("a") as file:
                    print(json.dumps([*key, found[key]]), file=file)
    return {key: found[key] for key in wanted}


def mnist(path: Path, images: int, validation: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return so many images with their classes as one-hot rows, and so many to validate on."""
    import numpy as np

    with np.load(path) as file:
        x, y, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    rows = np.eye(10, dtype="float32")
    parts = ((x[:images], y[:images]), (x_test[:validation], y_test[:validation]))
    training, judged = ((a[..., None].astype("float32") / 255, rows[b]) for a, b in parts)
    return training, judged
