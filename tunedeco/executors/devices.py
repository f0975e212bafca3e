"""The accelerator that Keras computes on, and the precision that suits it.

The one place that asks a backend of Keras for its devices; another backend is one more function.
Importing this module loads neither Keras nor a backend: only its functions do.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tunedeco.errors import ConfigurationError

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
"""What can be asked for."""

_BFLOAT16 = 8  # the major compute capability from which tensor cores multiply bfloat16
_FLOAT16 = 7  # and float16


@dataclass(frozen=True)
class Accelerator:
    """A GPU: its name, and NVIDIA's compute capability; None for another maker's."""

    name: str
    capability: tuple[int, int] | None


def accelerator() -> Accelerator | None:
    """Return the GPU that Keras computes on; None when there is none.

    Of several the least capable, since one precision must suit all that share a model. Nothing
    is allocated on TensorFlow; JAX and PyTorch start their GPU runtime to answer.
    """
    import keras

    find = _BACKENDS.get(keras.backend.backend(), list)
    return min(find(), key=lambda gpu: gpu.capability or (0, 0), default=None)


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


def _tensorflow() -> list[Accelerator]:
    import tensorflow as tf

    # Visible, not physical: a program can forbid TensorFlow a GPU. Neither creates a device.
    details = map(tf.config.experimental.get_device_details, tf.config.get_visible_devices("GPU"))
    return [Accelerator(d.get("device_name", "GPU"), d.get("compute_capability")) for d in details]


def _jax() -> list[Accelerator]:
    import jax

    return [
        Accelerator(device.device_kind, _capability(getattr(device, "compute_capability", "")))
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
        )
        for index in range(torch.cuda.device_count())
    ]


_BACKENDS: Mapping[str, Callable[[], list[Accelerator]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}


def _capability(text: str) -> tuple[int, int] | None:
    """Return JAX's ``"8.0"`` as numbers; None for AMD's ``"gfx90a"``."""
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def forget_programs() -> None:
    """Give back the memory of compiled programs: JAX keeps every one, whatever Keras clears."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


def synchronize(model: Any) -> None:  # noqa: ANN401 (a Keras model)
    """Bring a model's variables up to date within an epoch: JAX holds their values elsewhere."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
