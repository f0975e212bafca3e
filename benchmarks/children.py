"""Measurements that are each a process of their own, and the images that they train on."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def surroundings(backend: str) -> dict[str, str]:
    """Return the environment of a process with Keras on a backend."""
    return {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}


def measured(arguments: Sequence[object], backend: str) -> dict[str, Any]:
    """Run a Python program; return what it printed last, as JSON, and what it took.

    That is the seconds of wall and of CPU of the whole process, its own children included, and its
    peak memory in MiB.
    """
    command = [sys.executable, *map(str, arguments)]
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=surroundings(backend)
    ) as child:
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


def mnist(path: Path, images: int, validation: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return so many images with their classes as one-hot rows, and so many to validate on."""
    import numpy as np

    with np.load(path) as file:
        x, y, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    rows = np.eye(10, dtype="float32")
    parts = ((x[:images], y[:images]), (x_test[:validation], y_test[:validation]))
    training, judged = ((a[..., None].astype("float32") / 255, rows[b]) for a, b in parts)
    return training, judged
