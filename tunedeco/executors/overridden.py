"""What users' classes do otherwise than Keras's own base classes.

HEAVY: importing this module loads Keras.
"""

from typing import Any

import keras

WITHIN_EPOCH = (
    *("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    *("on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end"),
)
"""What a callback hears of batches, and around validation."""


def is_keras(thing: Any, name: str) -> bool:  # noqa: ANN401 (a model or a callback)
    """Return whether an object's method is that of Keras's own base class."""
    base = keras.Model if isinstance(thing, keras.Model) else keras.callbacks.Callback
    return getattr(getattr(thing, name), "__func__", None) is getattr(base, name)
