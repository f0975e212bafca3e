"""Array data on TensorFlow: `tf.data` pipelines that trial after trial reads.

Keras makes a pipeline for each `fit`, of functions that TensorFlow traces, and reads batches of a
`PyDataset` through a generator. To train a small model for an epoch takes no longer than that.
These fetch the same batches by number from whatever `Feed` is read at present.

HEAVY: importing this module loads Keras.
"""

from collections.abc import Mapping
from typing import Any, final

import keras

from tunedeco.executors import devices
from tunedeco.executors.data import numpy_tree
from tunedeco.executors.feed import Feed
from tunedeco.executors.overridden import is_keras

_AHEAD = 8
"""Batches that are fetched while others are trained on."""
_MOST = 8
"""Pipelines that are kept."""


@final
class Pipelines:
    """The pipelines of an executor."""

    def __init__(self) -> None:
        self._made: dict[Any, Pipeline] = {}

    def of(
        self, model: keras.Model, arguments: Mapping[str, Any], feed: Feed | None
    ) -> Mapping[str, Any]:
        """Return arguments of `fit` with pipelines in place of arrays, where there can be some.

        Args:
            model: what is trained.
            arguments: of `fit`.
            feed: the training data among them, as set for the epoch that is trained next.
        """
        plain = (
            is_keras(model, "fit") and is_keras(model, "evaluate") and devices.plain_tensorflow()
        )
        if feed is None or feed.first_step or not plain:
            return arguments
        found = dict(arguments)
        # for weights of classes Keras adds a stage each time; what augments may give any shape
        if "class_weight" not in arguments and not feed.augments:
            found["x"] = self._reading("x", feed) or feed
        given = arguments["validation_data"]
        arrays = numpy_tree(given) if isinstance(given, tuple) else None
        if arrays is not None and "validation_steps" not in arguments:
            size = arguments["validation_batch_size"]
            whole = Feed(arrays, size, None, shuffle=False, seed=0, trial=0, execution=0)
            found["validation_data"] = self._reading("validation", whole) or given
        return found

    def release(self) -> None:
        """Give back the data that was read last; and all pipelines, where there are many."""
        for pipeline in self._made.values():
            pipeline.feed = None
        if len(self._made) > _MOST:
            self._made.clear()

    def _reading(self, name: str, feed: Feed) -> Any | None:  # noqa: ANN401 (a `tf.data.Dataset`)
        """Return a pipeline that reads a feed; None where TensorFlow has no type for its data."""
        batch = feed[0]
        leaves = keras.tree.flatten(batch)
        if not all(leaf.dtype.kind in "biuf" and leaf.dtype.isnative for leaf in leaves):
            return None
        structure = keras.tree.map_structure(lambda a: (str(a.dtype), a.shape[1:]), batch)
        key = (name, len(feed), repr(structure))
        if key not in self._made:
            self._made[key] = Pipeline(batch, len(feed))
        self._made[key].feed = feed
        return self._made[key].dataset


@final
class Pipeline:
    """A `tf.data.Dataset` of the batches of `feed`, whichever that is at present.

    Args:
        batch: one of them, whose types and shapes all have.
        batches: of an epoch.
    """

    def __init__(self, batch: Any, batches: int) -> None:  # noqa: ANN401 (a tree)
        import tensorflow as tf

        self.feed: Feed | None = None
        leaves = keras.tree.flatten(batch)

        def fetch(step: Any) -> Any:  # noqa: ANN401 (a tensor, and tensors)
            tensors = tf.numpy_function(self._fetched, [step], [leaf.dtype for leaf in leaves])
            for tensor, leaf in zip(tensors, leaves, strict=True):
                tensor.set_shape((None, *leaf.shape[1:]))
            return keras.tree.pack_sequence_as(batch, tensors)

        self.dataset = tf.data.Dataset.range(batches).map(fetch).prefetch(_AHEAD)

    def _fetched(self, step: Any) -> list[Any]:  # noqa: ANN401 (a NumPy integer)
        assert self.feed is not None
        return list(keras.tree.flatten(self.feed[int(step)]))
