"""Array data in an order of its own: each epoch's is a function of (seed, trial, epoch).

Keras draws the order of arrays from the global generator. With a fixed seed, TensorFlow then
repeats one order in every epoch, and JAX's order depends on all the epochs before. A permutation
keyed by the epoch is new each time, and the same again when training goes on after a crash.
"""

from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np

from tunedeco.randomness import training_seed

Augment = Callable[[Any, Any, np.random.Generator], tuple[Any, Any]]
"""Changes the ``x, y`` of a batch; draws from the generator it is given, and from nothing else."""


@final
class Feed(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of arrays; set `epoch` before each epoch begins.

    `first_step` is how many batches of the epoch are left out, having been trained before.

    Args:
        arrays: ``(x, y)`` or ``(x, y, sample_weight)``, each a tree of NumPy arrays of one length.
        batch_size: samples a batch; the last one may be smaller.
        steps: batches an epoch; None means all.
        shuffle: True for a new order each epoch; ``"batch"`` for one within each batch.
        seed: the search's seed.
        trial: the trial's number.
        execution: which training of it.
        augment: changes each batch; its generator is keyed by the batch, so that it draws the same
            after a crash.
    """

    def __init__(
        self,
        arrays: tuple[Any, ...],
        batch_size: int,
        steps: int | None,
        shuffle: bool | str,  # noqa: FBT001 (as fit has it)
        seed: int,
        trial: int,
        execution: int,
        augment: Augment | None = None,
    ) -> None:
        super().__init__()
        self._arrays = arrays
        self._batch_size = batch_size
        self._samples = len(keras.tree.flatten(arrays)[0])
        self.batches = steps or -(-self._samples // batch_size)
        """Of a whole epoch."""
        self._shuffle = shuffle
        self._seed = seed
        self._run = (trial, execution)
        self._augment = augment
        self.augments = augment is not None
        """Whether its batches are changed."""
        self.epoch = 0
        self.first_step = 0

    @property
    def epoch(self) -> int:
        """The epoch whose order holds, from 0 as Keras counts."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        order = np.arange(self._samples)
        # RandomState: the one generator whose numbers NumPy promises never to change
        draw = np.random.RandomState(training_seed(self._seed, *self._run, f"order {epoch}"))
        if self._shuffle == "batch":
            for start in range(0, self._samples, self._batch_size):
                draw.shuffle(order[start : start + self._batch_size])
        elif self._shuffle:
            draw.shuffle(order)
        self.order = order
        """Of the samples, in this epoch."""

    def __len__(self) -> int:
        return self.batches - self.first_step

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        step += self.first_step
        chosen = self.order[step * self._batch_size : (step + 1) * self._batch_size]
        batch = tuple(keras.tree.map_structure(lambda a: a[chosen], self._arrays))
        if self._augment is None:
            return batch
        seed = training_seed(self._seed, *self._run, f"augment {self._epoch}/{step}")
        changed = self._augment(batch[0], batch[1], np.random.default_rng(seed))
        x, y = keras.tree.map_structure(_array, tuple(changed))
        return (x, y, *batch[2:])


def _array(array: Any) -> Any:  # noqa: ANN401 (of any library)
    """Return an array as NumPy's, of the type that the others have."""
    array = keras.ops.convert_to_numpy(array)
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array
