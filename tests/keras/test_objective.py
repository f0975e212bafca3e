"""The table of directions against the Keras that is installed."""

import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras.src.metrics import ALL_OBJECTS_DICT  # Keras shows its own table nowhere else

from tunedeco.errors import ObjectiveError
from tunedeco.objective import _ALIASES, _DIRECTIONS, _NUMBERED, Objective

pytestmark = [pytest.mark.keras, pytest.mark.once]

# Base classes, and what does not say of what it is the mean or the sum.
AMBIGUOUS = {"Loss", "Mean", "MeanMetricWrapper", "Metric", "Sum"}
# What Keras logs or compiles under these names is no class or function of its own.
WORDS = {"crossentropy", "loss"}
# They compare embeddings or sequences, not predictions with labels.
UNLIKE_LABELS = {"CTC", "Circle", "circle", "ctc"}

# What Keras does not build without.
REQUIRED: dict[str, dict[str, Any]] = {
    "IoU": {"num_classes": 2, "target_class_ids": [0, 1]},
    "MeanIoU": {"num_classes": 2},
    "OneHotIoU": {"num_classes": 2, "target_class_ids": [0, 1]},
    "OneHotMeanIoU": {"num_classes": 2},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "categorical_generalized_cross_entropy": {"q": 0.5},
}

Scorer = Callable[..., Any]  # a metric or loss, class or function
Floats = npt.NDArray[np.float32]
SPARSE = np.array([0, 1, 0, 1])
ONE_HOT = np.eye(2, dtype=np.float32)[SPARSE]


def shipped(module: ModuleType) -> dict[str, Scorer]:
    """Return the public classes and functions of a module that score something."""
    names = {name for name in vars(module) if not name.startswith("_")}
    names -= {"deserialize", "get", "serialize"}
    return {name: getattr(module, name) for name in sorted(names - AMBIGUOUS)}


METRICS = shipped(keras.metrics)
LOSSES = shipped(keras.losses)


def is_class(thing: object) -> bool:
    """Return whether it is to be made before it is called."""
    return inspect.isclass(thing)


def score(thing: Scorer, name: str, predictions: Floats) -> float:
    """Return what a class or function of Keras says of predictions for two classes."""
    metric = Objective(name).metric
    sparse = "sparse" in metric or metric == "categorical_generalized_cross_entropy"
    labels = SPARSE if sparse else ONE_HOT
    arguments = REQUIRED.get(name, {"k": 1} if "top_k" in metric else {})
    scorer = thing(**arguments) if is_class(thing) else partial(thing, **arguments)
    result = scorer(labels, predictions)  # a metric updates its state and returns its result
    return float(np.mean(keras.ops.convert_to_numpy(result)))


@pytest.mark.parametrize("name", sorted({*METRICS, *LOSSES}))
def test_what_keras_ships_has_a_direction(name: str) -> None:
    """Each public class and function has one: whatever is new in Keras fails here."""
    assert Objective(name).direction == Objective(f"val_{name}").direction


@pytest.mark.parametrize("name", sorted(AMBIGUOUS - {"Loss"}))
def test_what_could_mean_anything_has_no_direction(name: str) -> None:
    """The ambiguous are shipped, and asked for; ``loss`` is what Keras logs as such."""
    assert hasattr(keras.metrics, name)
    with pytest.raises(ObjectiveError):
        Objective(name)


def test_the_table_names_nothing_that_keras_lacks() -> None:
    """No direction is left of a metric that is gone."""
    named = {Objective(name).metric for name in (*METRICS, *LOSSES)}
    assert named == _DIRECTIONS.keys() - WORDS
    assert set(_ALIASES.values()) <= _DIRECTIONS.keys()
    assert _DIRECTIONS.keys() >= _NUMBERED


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # Keras on JAX
@pytest.mark.parametrize(
    ("thing", "name"),
    [
        pytest.param(thing, name, id=f"{module}.{name}")
        for module, things in (("metrics", METRICS), ("losses", LOSSES))
        for name, thing in things.items()
        if name not in UNLIKE_LABELS
    ],
)
def test_right_predictions_score_better_than_wrong_ones(thing: Scorer, name: str) -> None:
    """The direction in the table is the one that Keras computes."""
    if thing in (keras.losses.CosineSimilarity, keras.losses.cosine_similarity):
        pytest.skip("the negative of the metric of that name, which is what `compile` gives")
    objective = Objective(name)
    right = objective.loss(score(thing, name, ONE_HOT))
    wrong = objective.loss(score(thing, name, 1 - ONE_HOT))
    assert right < wrong


@pytest.mark.parametrize("name", sorted(n for n in METRICS if is_class(METRICS[n])))
def test_a_metric_is_found_by_its_class(name: str) -> None:
    """What a metric calls itself in the logs is the objective that its class names."""
    first, second = (METRICS[name](**REQUIRED.get(name, {})).name for _ in range(2))
    for key in (first, second):
        assert Objective(key).direction == Objective(name).direction
        assert Objective(f"val_{name}").find({"val_loss": 0.0, f"val_{key}": 0.0}) == f"val_{key}"
    # Which names Keras numbers, and which end in a number only where the user says so.
    assert (first != second) == (Objective(name).metric in _NUMBERED)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_found_by_its_class(name: str) -> None:
    """What a loss calls itself is the objective that its class or function names."""
    loss = LOSSES[name]
    assert Objective(loss().name if is_class(loss) else loss.__name__) == Objective(name)


@pytest.mark.parametrize("name", sorted(_DIRECTIONS.keys() - WORDS))
def test_the_canonical_name_is_one_for_keras(name: str) -> None:
    """`Objective.metric` can be handed to Keras, whichever name the user wrote."""
    assert name in ALL_OBJECTS_DICT or hasattr(keras.losses, name)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # Keras on JAX
@pytest.mark.parametrize("sparse", [False, True])
def test_what_compile_logs_for_a_text_is_found(*, sparse: bool) -> None:
    """Each text that ``compile(metrics=[...])`` takes is found by every text for the same."""
    unfit = {Objective(name).metric for name in REQUIRED}
    texts = {"acc", *ALL_OBJECTS_DICT} - AMBIGUOUS
    texts -= {"mean", "mean_metric_wrapper", "metric", "sum"}
    chosen = sorted(
        text
        for text in texts
        if ("sparse" in text.lower()) == sparse and Objective(text).metric not in unfit
    )
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy" if sparse else "mse", metrics=chosen)
    one_hot = np.eye(6, dtype=np.float32)
    labels = np.arange(6) if sparse else one_hot
    logs = model.evaluate(one_hot, labels, verbose=0, return_dict=True)
    for key in chosen:
        assert Objective(key).find(logs) == key
        for text in chosen:
            found = Objective(f"val_{text}").find({f"val_{key}": 0.5})
            assert (found is not None) == (Objective(text) == Objective(key))
