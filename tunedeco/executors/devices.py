"""The accelerator that Keras computes on, its memory, and the precision that suits it.

The one place that asks a backend of Keras for its devices; another backend is one more function.
Importing this module loads neither Keras nor a backend: only its functions do.
"""

import ctypes
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunedeco.errors import ConfigurationError
from tunedeco.units import bytes_in

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
"""What can be asked for."""

_BFLOAT16 = 8  # the major compute capability from which tensor cores multiply bfloat16
_FLOAT16 = 7  # and float16


@dataclass(frozen=True)
class Accelerator:
    """A GPU."""

    name: str
    capability: tuple[int, int] | None
    """NVIDIA's compute capability; None for another maker's."""
    memory: int | None = None
    """The bytes that Keras may use of it; None where they cannot be told."""


def accelerator() -> Accelerator | None:
    """Return the GPU that Keras computes on; None when there is none.

    Of several the least capable, since one precision must suit all that share a model. Nothing
    is allocated on TensorFlow; JAX and PyTorch start their GPU runtime to answer.
    """
    return min(_gpus(), key=lambda gpu: gpu.capability or (0, 0), default=None)


def memory() -> int | None:
    """Return the bytes of memory of the device that Keras computes on; None if unknown.

    Of several GPUs the smallest one's, since each holds the whole model. Without one it is the
    machine's, or the limit of the control group that this process is in, as in a container.
    Nothing is allocated, as with `accelerator`.
    """
    gpus = _gpus()
    sizes = [gpu.memory for gpu in gpus] if gpus else _host()
    return min((size for size in sizes if size is not None), default=None)


def check_memory(requested: object) -> None:
    """Check a limit of memory.

    Raises:
        ConfigurationError: it is neither a number of bytes, nor text for it, ``"auto"`` or None.
    """
    if requested is None or requested == "auto" or (type(requested) is int and requested > 0):
        return
    if isinstance(requested, str):
        with suppress(ValueError):
            bytes_in(requested)
            return
    msg = (
        "max_memory must be a number of bytes, text such as '8GB', '500MB' or '8GiB', 'auto' for "
        f"the device's, or None for no limit, not {requested!r}"
    )
    raise ConfigurationError(msg)


def resolve_memory(requested: int | str | None) -> int | None:
    """Return a limit of memory in bytes; None where there is none, or it is unknown.

    Raises:
        ConfigurationError: it is not one.
    """
    check_memory(requested)
    if requested == "auto":
        return memory()
    return bytes_in(requested) if isinstance(requested, str) else requested


def check_precision(requested: object) -> None:
    """Check the name of a precision.

    Raises:
        ConfigurationError: nothing of that name can be asked for.
    """
    if requested not in PRECISIONS:
        choices = ", ".join(map(repr, PRECISIONS))
        msg = f"precision is one of {choices}, not {requested!r}"
        raise ConfigurationError(msg)


def resolve_precision(requested: str) -> str:
    """Return the name of the Keras dtype policy to train with.

    ``"auto"`` is mixed_bfloat16 on a GPU of compute capability 8 or newer, mixed_float16 on 7.x,
    and float32 elsewhere; but a global dtype policy other than float32 that the user has set is
    the user's wish. Keras keeps that policy for each thread, so ask in the user's own.

    Raises:
        ConfigurationError: nothing of that name can be asked for.
    """
    check_precision(requested)
    if requested != "auto":
        return requested
    import keras

    policy: str = keras.config.dtype_policy().name
    if policy != "float32":
        return policy
    gpu = accelerator()
    if gpu is None or gpu.capability is None or gpu.capability[0] < _FLOAT16:
        return "float32"
    return "mixed_bfloat16" if gpu.capability[0] >= _BFLOAT16 else "mixed_float16"


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build and compile models with a dtype policy; leave the user's in place after.

    `keras.utils.clear_session` drops every global policy, so clear before entering: what is built
    after a call inside is float32 again. The user's policy comes back all the same.
    """
    import keras

    users = keras.config.dtype_policy()
    # The user's own object stays where only its name was asked for: it may be more than a name.
    keras.config.set_dtype_policy(users if policy == users.name else policy)
    try:
        yield
    finally:
        # Set, not popped: clear_session has put a new global state in place of the one we changed.
        keras.config.set_dtype_policy(users)


def _gpus() -> list[Accelerator]:
    import keras

    return _BACKENDS.get(keras.backend.backend(), list)()


def _tensorflow() -> list[Accelerator]:
    import tensorflow as tf

    # Visible, not physical: a program can forbid TensorFlow a GPU. Neither creates a device.
    gpus = tf.config.get_visible_devices("GPU")
    physical = tf.config.list_physical_devices("GPU") if gpus else []
    found = []
    for gpu in gpus:
        details = tf.config.experimental.get_device_details(gpu)
        capability = details.get("compute_capability")
        limits = [d.memory_limit for d in tf.config.get_logical_device_configuration(gpu) or ()]
        size = None if None in limits else sum(limits) * 2**20
        if not size and capability:
            size = _cuda_memory(physical.index(gpu))
        found.append(Accelerator(details.get("device_name", "GPU"), capability, size or None))
    return found


def _cuda_memory(index: int) -> int | None:
    """Return the memory of NVIDIA's nth GPU of those this process may see, from its driver.

    TensorFlow itself tells only after it has taken most of it.
    """
    size = ctypes.c_size_t()
    device = ctypes.c_int()
    try:
        cuda = ctypes.CDLL("nvcuda" if os.name == "nt" else "libcuda.so.1")
        failed = (
            cuda.cuInit(0)
            or cuda.cuDeviceGet(ctypes.byref(device), index)
            or cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
        )
    except (OSError, AttributeError):
        return None
    return None if failed else size.value


def _jax() -> list[Accelerator]:
    import jax

    return [
        Accelerator(
            device.device_kind,
            _capability(getattr(device, "compute_capability", "")),
            (device.memory_stats() or {}).get("bytes_limit"),
        )
        for device in jax.local_devices()
        if device.platform == "gpu"
    ]


def _torch() -> list[Accelerator]:
    import torch

    if not torch.cuda.is_available():  # a driver can be missing where a GPU is counted
        return []
    # On AMD's ROCm it answers with a number of AMD's, which means something else.
    nvidia = torch.version.cuda is not None
    return [
        Accelerator(
            torch.cuda.get_device_name(index),
            torch.cuda.get_device_capability(index) if nvidia else None,
            torch.cuda.get_device_properties(index).total_memory,
        )
        for index in range(torch.cuda.device_count())
    ]


_BACKENDS: Mapping[str, Callable[[], list[Accelerator]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}


def _host() -> list[int | None]:
    """Return the memory of this machine, and the limits of this process's control groups."""
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [machine, *_control_groups(Path("/"))]
    return []


def _control_groups(root: Path) -> Iterator[int]:
    """Return the limits of the control groups that this process is in, of either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers in ("", "memory"):
            file = "memory.limit_in_bytes" if controllers else "memory.max"
            group = root / "sys/fs/cgroup" / controllers / name.strip("/")
            # Every group above holds for this process too; inside a container they are the root's
            for directory in (group, *group.parents[: len(Path(name).parts) - 1]):
                with suppress(OSError, ValueError):  # it says "max", or is not to be seen from here
                    yield int((directory / file).read_text())


def _capability(text: str) -> tuple[int, int] | None:
    """Return JAX's ``"8.0"`` as numbers; None for AMD's ``"gfx90a"``."""
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def compiles() -> bool:
    """Return whether the backend makes a program of a training step."""
    import keras

    return keras.backend.backend() in ("tensorflow", "jax")


def plain_tensorflow() -> bool:
    """Return whether the backend is TensorFlow, with no model spread over several devices."""
    import keras

    if keras.backend.backend() != "tensorflow" or keras.distribution.distribution() is not None:
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy()


def forget_programs() -> None:
    """Give back the memory of compiled programs that a backend keeps, whatever Keras clears.

    JAX keeps every one. TensorFlow keeps the graph of every training step: Keras's optimizers add
    up gradients by a function with a gradient of its own, which is registered for good, and holds
    what it was made of. Nothing asks for it but second derivatives, taken through an optimizer.
    """
    import keras

    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    elif keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        registry = getattr(ops, "gradient_registry", None)  # which is nowhere public
        registered: dict[str, Any] = getattr(registry, "_registry", {})
        custom = [name for name in registered if name.startswith("CustomGradient-")]
        for name in custom:
            if _adds_up(registered[name].get("type")):
                del registered[name]


def _adds_up(gradient: Any) -> bool:  # noqa: ANN401 (whatever is registered)
    """Return whether a registered gradient is that of an optimizer's adding up."""
    for name in ("tape_grad_fn", "grad_fn"):  # within which `tf.custom_gradient` has wrapped it
        if not inspect.isfunction(gradient):
            return False
        gradient = inspect.getclosurevars(gradient).nonlocals.get(name)
    return getattr(gradient, "__qualname__", "").startswith("ReplicaContextBase.all_reduce.")


def synchronize(model: Any) -> None:  # noqa: ANN401 (a Keras model)
    """Bring a model's variables up to date within an epoch: JAX holds their values elsewhere."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
