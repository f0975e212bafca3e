"""Models that share a program, trained together: its step, vectorised over all their variables.

The program always has the lanes it was made for; those that no model needs repeat the first one. So
what becomes of a model does not depend on how many others there are: XLA adds up the numbers of a
program of another width in another order.

HEAVY, and for JAX only: beside `devices` the one place that knows a backend.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt

Tree = Any
"""Arrays in tuples, lists and dicts."""


@final
class Program:
    """Trains so many models by one epoch at once, and validates them.

    Args:
        model: one of them, built and compiled; the others differ in the values of variables.
        lanes: how many.
        data: what they train on, ``(x, y)`` and perhaps weights, on the device.
        validation: the same to validate on; None for none.
        batch_size: samples in a batch, of which the last one may have fewer.
        steps: batches in an epoch.
        validation_batch_size: samples in a batch of validation.

    Raises:
        Exception: whatever a step of the model raises that cannot be made for this data.
    """

    def __init__(
        self,
        model: keras.Model,
        lanes: int,
        data: Tree,
        validation: Tree | None,
        batch_size: int,
        steps: int,
        validation_batch_size: int,
    ) -> None:
        self._lanes = lanes
        self._batches = _batches(data, batch_size)[:steps]
        self._validation_batches = _batches(validation, validation_batch_size)
        model.reset_metrics()
        *one, metrics = _values(model)
        self._stack = _compiled(_stack, [one] * lanes)
        self._fresh = _compiled(lambda: _stack([metrics] * lanes))
        state = jax.eval_shape(_stack, [[*one, metrics]] * lanes)
        self._unstack = _compiled(_unstack, state)
        samples = _samples(data)
        order, first = jax.ShapeDtypeStruct((lanes, samples), np.int32), np.int32(0)

        def train(length: int, state: Tree, data: Tree, order: Tree, start: Tree) -> Tree:
            chosen = jax.lax.dynamic_slice_in_dim(order, start, length)
            batch = jax.tree.map(lambda array: jnp.take(array, chosen, axis=0), data)
            return list(map(list, model.train_step(state, batch)[1]))

        def test(length: int, state: Tree, data: Tree, start: Tree) -> Tree:
            batch = jax.tree.map(
                lambda array: jax.lax.dynamic_slice_in_dim(array, start, length), data
            )
            weights, others, optimizer, metrics = state
            weights, others, metrics = model.test_step((weights, others, metrics), batch)[1]
            return list(map(list, (weights, others, optimizer, metrics)))

        def results(metrics: Tree) -> Mapping[str, Any]:
            values = list(zip(model.metrics_variables, metrics, strict=True))
            with keras.StatelessScope(state_mapping=values):
                return dict(model.get_metrics_result())

        def step(function: Any, length: int, axes: tuple[int | None, ...], *like: Any) -> Any:  # noqa: ANN401
            return _compiled(jax.vmap(partial(function, length), axes), state, *like, donated=0)

        self._train = {
            length: step(train, length, (0, None, 0, None), data, order, first)
            for length in {length for _, length in self._batches}
        }
        self._test = {
            length: step(test, length, (0, None, None), validation, first)
            for length in {length for _, length in self._validation_batches}
        }
        self._results = _compiled(jax.vmap(results), state[-1])

    def epoch(
        self,
        models: Sequence[keras.Model],
        orders: Sequence[npt.NDArray[Any]],
        data: Tree,
        validation: Tree | None,
        before_batch: Callable[[], None],
    ) -> list[dict[str, Any]]:
        """Train models by an epoch; return the logs of each.

        Args:
            models: at most as many as there are lanes.
            orders: in which each sees the samples.
            data: as the program was made for, like the next one.
            validation: see above.
            before_batch: what it raises leaves the models as they were.
        """
        missing = self._lanes - len(models)
        states = [_values(model)[:-1] for model in models]
        order = jnp.asarray(np.stack([*orders, *[orders[0]] * missing]), np.int32)
        state = [*self._stack(states + [states[0]] * missing), self._fresh()]
        for start, length in self._batches:
            before_batch()
            state = self._train[length](state, data, order, np.int32(start))
        logs = dict(self._results(state[-1]))
        if self._validation_batches:
            state[-1] = self._fresh()
            for start, length in self._validation_batches:
                before_batch()
                state = self._test[length](state, validation, np.int32(start))
            logs |= {f"val_{name}": value for name, value in self._results(state[-1]).items()}
        logs = jax.device_get(logs)
        for model, found in zip(models, self._unstack(state), strict=False):
            for variables, values in zip(_variables(model), found, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
        return [{name: value[i] for name, value in logs.items()} for i in range(len(models))]


def on_device(tree: Tree) -> Tree:
    """Return NumPy's arrays as the device's."""
    return jax.tree.map(jnp.asarray, tree)


def _samples(data: Tree) -> int:
    return len(jax.tree.leaves(data)[0])


def _batches(data: Tree | None, size: int) -> list[tuple[int, int]]:
    """Return of each batch its first sample, and how many there are."""
    samples = 0 if data is None else _samples(data)
    return [(start, min(size, samples - start)) for start in range(0, samples, size)]


def _variables(model: keras.Model) -> list[list[keras.Variable]]:
    """Return all that training changes, in the order of Keras's own steps."""
    optimizer = model.optimizer.variables
    others = model.non_trainable_variables
    return [model.trainable_variables, others, optimizer, model.metrics_variables]


def _values(model: keras.Model) -> list[list[Any]]:
    return [[variable.value for variable in variables] for variables in _variables(model)]


def _stack(states: Sequence[Tree]) -> Tree:
    return jax.tree.map(lambda *values: jnp.stack(values), *states)


def _unstack(state: Tree) -> list[Tree]:
    leaves, kind = jax.tree.flatten(state)
    return [jax.tree.unflatten(kind, lane) for lane in zip(*leaves, strict=True)]


def _compiled(function: Callable[..., Any], *like: Any, donated: Any = ()) -> Callable[..., Any]:  # noqa: ANN401
    """Return a function compiled for such arguments: now, and JAX's caches may be cleared after."""
    compiled: Callable[..., Any] = jax.jit(function, donate_argnums=donated).lower(*like).compile()
    return compiled
