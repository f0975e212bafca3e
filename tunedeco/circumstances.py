"""When and where this process runs: what the journal keeps under ``runtime``."""

import os
import socket
from datetime import UTC, datetime
from importlib import metadata
from typing import Any


def circumstances() -> dict[str, Any]:
    """Return when and where this process runs, and with which packages."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on, as far as installed."""
    found = {}
    for package in ("tunedeco", "keras", "tensorflow", "jax", "torch", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
