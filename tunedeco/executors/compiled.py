"""Compiled programs on disk, where the backend can keep them: what goes on compiles nothing again.

JAX compiles a model for seconds and loads what it has compiled in a fraction of one. What it keeps
is for one kind of processor, so that each has a folder of its own: a search may go on elsewhere.

HEAVY: importing this module loads Keras.
"""

import contextlib
import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

import keras

_SECONDS = 0.1
"""What is compiled faster is not kept."""
_BYTES = 2**30
"""What all may take."""


@contextlib.contextmanager
def kept(directory: Path | None) -> Iterator[None]:
    """Have JAX keep compiled programs, unless it has been told where.

    Args:
        directory: where; None keeps none.
    """
    if directory is None or keras.backend.backend() != "jax":
        yield
        return
    import jax
    from jax.experimental.compilation_cache import compilation_cache as cache

    if jax.config.jax_compilation_cache_dir is not None:
        yield
        return
    seconds = jax.config.jax_persistent_cache_min_compile_time_secs
    _prune(directory)
    jax.config.update("jax_compilation_cache_dir", str(directory / _machine()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)
    cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
        cache.reset_cache()


def _machine() -> str:
    """Return a name that machines have in common which can run the same programs."""
    told = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):  # which is Linux's
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told += sorted({line for line in lines if line.startswith(("flags", "Features", "model"))})
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _prune(directory: Path) -> None:
    """Remove the oldest programs of those that take too much."""
    with contextlib.suppress(OSError):  # another process does the same
        files = [(path.stat(), path) for path in directory.rglob("*") if path.is_file()]
        excess = sum(stat.st_size for stat, _ in files) - _BYTES
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= stat.st_size
