"""Models of trials: called for, built, measured before they exist, and restored.

HEAVY: importing this module loads Keras.
"""

import contextlib
import gc
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import keras

from tunedeco import tracing
from tunedeco.abstract import Size, size_of, try_abstractly
from tunedeco.errors import ConfigurationError
from tunedeco.executors import checkpoints, devices, draws, generators, own_state
from tunedeco.executors.base import Slice
from tunedeco.executors.data import FitData, first_batch, input_spec, symbolic
from tunedeco.executors.fit_arguments import adapted, checked
from tunedeco.executors.rates import Owners, in_variables
from tunedeco.executors.training_state import put
from tunedeco.objective import Objective
from tunedeco.objectives import Objectives
from tunedeco.randomness import stream, training_seed
from tunedeco.space import Hyperparameter
from tunedeco.tracing import Trace
from tunedeco.trial import Trial


@final
@dataclass(frozen=True)
class Made:
    """What a model function made of a trial's values."""

    model: Any
    """A Keras model; under a training loop of the user's own, anything."""
    arguments: dict[str, Any]
    """What it returned for `fit`."""
    trace: Trace
    data: FitData
    """What the trial is trained on."""
    inputs: Any
    """Shapes and dtypes of its inputs, as JSON."""
    rates: Owners = field(default_factory=dict)
    """Whose rates are in variables."""

    @property
    def built(self) -> bool:
        """Whether its size is known."""
        return not isinstance(self.model, keras.Model) or bool(self.model.built)

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        if isinstance(self.model, keras.Model):
            return int(self.model.count_params())
        leaves = keras.tree.flatten(self.model)
        return sum(math.prod(leaf.shape) for leaf in leaves if hasattr(leaf, "shape"))


@final
@dataclass(frozen=True)
class Maker:
    """Makes the models of trials.

    Args:
        model_fn: asks for hyperparameters, and returns a model.
        objectives: what is watched.
        data: what the search was given to train on.
        inputs: what `input_spec` says of it.
        own_loop: whether the user's own loop trains them.
    """

    model_fn: Callable[[], object]
    objectives: Objectives
    data: FitData
    inputs: Any
    own_loop: bool

    @property
    def name(self) -> str:
        """What to call the model function."""
        return tracing.name_of(self.model_fn)

    def called(self, work: Slice) -> Made:
        """Call the model function with a trial's values and seed.

        Raises:
            ModelFunctionError: it returned something that cannot be trained.
        """
        number, execution = work.trial.number, work.trial.execution
        generators.seed(training_seed(work.seed, number, execution, "weights"))

        def draw(hyperparameter: Hyperparameter) -> Any:  # noqa: ANN401 (a value of its domain)
            draws = stream(work.seed, number, f"met {hyperparameter.group}/{hyperparameter.name}")
            return hyperparameter.domain.decode(draws.random())

        answer = tracing.from_values(work.trial.values, draw)
        result, trace = tracing.run(self.model_fn, answer, number)
        model, arguments = checked(result, self.name, own_loop=self.own_loop)
        data = adapted(self.data, arguments, self.objectives, self.name, own_loop=self.own_loop)
        inputs = self.inputs if data.x is self.data.x else input_spec(data)
        return Made(model, arguments, trace, data, inputs)

    @draws.by_few_programs()
    def made(self, work: Slice) -> Made:
        """Make the model of a trial, and build it where that can be done before training."""
        made = self.called(work)
        if isinstance(made.model, keras.Model):
            # What cannot be built from shapes alone is left to fit, which then says what is wrong.
            with contextlib.suppress(Exception):
                _build(made.model, made.inputs)
            if not self.own_loop:
                _add_objectives(made.model, self.objectives)
                if made.model.built and devices.compiles():
                    return replace(made, rates=in_variables(made.model))
        return made

    def measured(self, work: Slice) -> tuple[tuple[Made, Size] | None, str | None]:
        """Return a model that holds nothing, and its size; or None, and why it cannot be built.

        There is no size of what is no Keras model.
        """

        def measured() -> tuple[Made, Size] | None:
            made = self.called(work)
            if not isinstance(made.model, keras.Model):
                return None
            _build(made.model, made.inputs)
            return made, size_of(made.model)

        return try_abstractly(measured)


@contextlib.contextmanager
def clean_session(policy: str) -> Iterator[None]:
    """Run with a fresh Keras state and a dtype policy; give the memory back after."""
    with settled(), devices.precision(policy):
        clear_session(policy)
        try:
            yield
        finally:
            forget()


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Have the garbage collector pass over all that is there already.

    It would look at each of a backend's hundreds of thousands of objects whenever a model is
    cleared away, which takes longer than to train a small one.
    """
    if gc.get_freeze_count():  # somebody has seen to it, and may rely on it
        yield
        return
    gc.collect()  # what is garbage now would stay until the end
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def clear_session(policy: str) -> None:
    """Begin again with a fresh Keras state, and the dtype policy that this would reset."""
    keras.utils.clear_session()
    keras.config.set_dtype_policy(policy)


def forget() -> None:
    """Give back the memory of models and programs that nobody needs any more."""
    keras.utils.clear_session()
    devices.forget_programs()


def restored_model(
    model_fn: Callable[[], object],
    objectives: Objectives,
    trials: Sequence[Trial],
    directory: Path,
    *,
    own_loop: bool,
) -> keras.Model:
    """Return the model of the first trial with the weights of its best epoch.

    Args:
        model_fn: the model function.
        objectives: metrics that the model evaluates, whether `model_fn` compiled them or not.
        trials: those with a score, the one whose model it is first.
        directory: the directory given to the executor.
        own_loop: whether the user's own loop trained it.

    Raises:
        CheckpointError: the weights are not there, or do not fit the model.
        ConfigurationError: what was trained is no Keras model.
    """
    trial = trials[0]
    arrays, _ = checkpoints.read(*checkpoints.of_first(directory, trials))
    answer = tracing.from_values(trial.values, tracing.defaults)
    with devices.precision(trial.precision or keras.config.floatx()):
        result = tracing.run(model_fn, answer, trial.number)[0]
        model, _ = checked(result, tracing.name_of(model_fn), own_loop=own_loop)
        if not isinstance(model, keras.Model):
            msg = (
                f"{tracing.name_of(model_fn)} returns no Keras model: what its best trial kept is "
                "tuner.best_state()"
            )
            raise ConfigurationError(msg)
        _build(model, trial.inputs)
        if not own_loop:
            _add_objectives(model, objectives)
    put("best", model.weights, arrays)
    return model


def restored_state(trials: Sequence[Trial], directory: Path) -> dict[str, Any]:
    """Return what the first trial's loop kept in ``context.state``, as of its best epoch.

    Raises:
        CheckpointError: it is not there.
        ConfigurationError: the trial was trained by `fit`, which keeps no such thing.
    """
    arrays, meta = checkpoints.read(*checkpoints.of_first(directory, trials))
    rest = (meta.get("best") or {}).get("state")
    if rest is None:
        msg = "there is no context.state: the search has no train_fn; see tuner.best_model()"
        raise ConfigurationError(msg)
    return dict(own_state.unpacked(rest, arrays))


def _build(model: keras.Model, inputs: object) -> None:
    """Create the weights of a model from what `input_spec` said, where it has none yet."""
    if not model.built and inputs is not None:
        model(symbolic(inputs))


def built_by_training(model: keras.Model, x: Any) -> bool:  # noqa: ANN401 (whatever fit takes)
    """Build a model that only training can build; what that changes is restored later."""
    try:
        if model.compiled:
            model.train_on_batch(*first_batch(x))
        else:
            model(first_batch(x)[0], training=True)
    except Exception:  # noqa: BLE001 (fit says what is wrong, from the beginning)
        return False
    return True


def _add_objectives(model: keras.Model, objectives: Objectives) -> None:
    """Compile the model again with the metrics that objectives name, where it lacks them."""
    for objective in objectives:
        if objective.measure is None and not objective.supplied:
            _add_objective(model, objective)


def _add_objective(model: keras.Model, objective: Objective) -> None:
    """Compile the model again with the metric that the objective names, where it lacks it."""
    # Keras keeps what compile was given here, and nowhere that is public
    compiled = model._compile_config.config  # noqa: SLF001
    metrics = compiled.get("metrics") or []
    one_output = len(getattr(model, "outputs", None) or [None]) == 1
    if not isinstance(metrics, (list, tuple)) or not one_output:
        return  # names for each output: the user knows what is logged under which name
    given = [*metrics, *(compiled.get("weighted_metrics") or [])]
    names = {"loss", *(getattr(m, "name", None) or getattr(m, "__name__", m) for m in given)}
    prefix = "val_" if objective.validation else ""
    if objective.find({f"{prefix}{name}": 0.0 for name in names}) is not None:
        return
    metric: Any = objective.metric
    try:
        keras.metrics.get(metric)
    except (ValueError, TypeError):  # TypeError: it is Keras's, and needs arguments
        metric = getattr(keras.losses, metric, None)
    if metric is not None:  # else it is the user's own, or nobody's, and the logs will tell
        # Trainer.compile itself: a subclass may take other arguments
        keras.Model.compile(model, **{**compiled, "metrics": [*metrics, metric]})
