"""How workers share a machine: its cores, and its GPUs.

All of it is said in environment variables, before a backend is loaded; what the user has set of
them stays.
"""

import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from tunedeco.errors import ConfigurationError

MEMORY_AS_NEEDED = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Keeps TensorFlow and JAX from taking all memory of a GPU at once."""

_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # JAX: the threads of XLA's client for the CPU
    "OMP_NUM_THREADS",  # PyTorch and oneDNN
    "OPENBLAS_NUM_THREADS",  # NumPy
    "MKL_NUM_THREADS",
)


def environments(workers: int, gpus_per_trial: float | None) -> list[dict[str, str]]:
    """Return the environment of each of some workers.

    Args:
        workers: how many.
        gpus_per_trial: a fraction to share a GPU, 0 for none; None to deal out all there are.

    Raises:
        ConfigurationError: there are not so many GPUs.
    """
    gpus = () if gpus_per_trial == 0 else visible_gpus(os.environ)
    cores = threads(workers, available_cores())
    # a search's workers all say the same when they are loaded, and its own process has said it
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "1"}
    common = {**cores, **quiet, **MEMORY_AS_NEEDED, **os.environ}
    dealt_out = dealt(gpus, workers, gpus_per_trial)
    return [common if g is None else {**common, "CUDA_VISIBLE_DEVICES": g} for g in dealt_out]


def available_cores() -> int:
    """Return on how many cores this process may run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # it is Linux that has it
        return os.cpu_count() or 1


def threads(workers: int, cores: int) -> dict[str, str]:
    """Return what holds each of some workers to its share of the cores."""
    share = str(max(1, cores // workers))
    return dict.fromkeys(_THREADS, share)


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of NVIDIA's GPUs that a process may use, as CUDA_VISIBLE_DEVICES has them.

    They are those of the variable, or all that the driver lists: of a card that is partitioned
    (MIG), its partitions.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = [name.strip() for name in named.split(",")]
        # as CUDA reads it: up to the first that is none
        end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
        return tuple(names[:end])
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],  # noqa: S607 (wherever the driver's installer has put it)
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return listed_gpus(listed)


def listed_gpus(text: str) -> tuple[str, ...]:
    """Return the names in what ``nvidia-smi -L`` prints."""
    names: list[str] = []
    for line in text.splitlines():
        found = re.search(r"UUID: ([\w-]+)", line)
        if found is None:
            continue
        if line[0].isspace() and names and names[-1].startswith("GPU-"):
            names.pop()  # the card whose partitions follow
        names.append(found[1])
    return tuple(names)


def dealt(gpus: Sequence[str], workers: int, gpus_per_trial: float | None) -> list[str | None]:
    """Return the CUDA_VISIBLE_DEVICES of each of some workers; None to leave it as it is.

    Args:
        gpus: the names of those there are.
        workers: how many.
        gpus_per_trial: a whole number, a fraction to share one, or 0 for none; None to deal all
            out evenly, several to a worker or several workers to one.

    Raises:
        ConfigurationError: it is none of these, or there are not so many GPUs.
    """
    if gpus_per_trial is None:
        if not gpus:
            return [None] * workers
        each = len(gpus) // workers
        if each == 0:
            return [gpus[i % len(gpus)] for i in range(workers)]
        return [",".join(gpus[i * each : (i + 1) * each]) for i in range(workers)]
    check_gpus_per_trial(gpus_per_trial)
    if gpus_per_trial == 0:
        return ["-1"] * workers
    if gpus_per_trial < 1:
        sharers = math.floor(1 / gpus_per_trial + 1e-9)  # 1 / 0.1 trials, whatever floats make it
        needed = -(-workers // sharers)
    else:
        needed = workers * int(gpus_per_trial)
    if needed > len(gpus):
        there = f"{len(gpus)} of them" if gpus else "none"
        msg = (
            f"workers={workers} with gpus_per_trial={gpus_per_trial:g} need {needed} GPUs, and "
            f"{there} can be seen here; ask for less, or for fractions to share them"
        )
        raise ConfigurationError(msg)
    if gpus_per_trial < 1:
        return [gpus[i % len(gpus)] for i in range(workers)]
    each = int(gpus_per_trial)
    return [",".join(gpus[i * each : (i + 1) * each]) for i in range(workers)]


def check_gpus_per_trial(number: object) -> None:
    """Check a number of GPUs for each trial.

    Raises:
        ConfigurationError: it is neither None, nor a whole number, nor a fraction of one.
    """
    if number is None:
        return
    if type(number) is int and number >= 0:
        return
    if type(number) is float and (0 <= number < 1 or number.is_integer()) and number >= 0:
        return
    msg = (
        "gpus_per_trial must be a whole number, a fraction such as 0.5 to share a GPU, or None "
        f"to deal out all there are, not {number!r}"
    )
    raise ConfigurationError(msg)
