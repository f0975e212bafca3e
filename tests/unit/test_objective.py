"""`Objective`: directions, names that mean the same, and errors that say what to write."""

import re

import pytest

from tunedeco.errors import ConfigurationError, ObjectiveError
from tunedeco.objective import Objective


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("accuracy", "max"),
        ("val_acc", "max"),
        ("val_AUC", "max"),
        ("val_auc_1", "max"),
        ("F1Score", "max"),
        ("fbeta_score", "max"),
        ("val_r2_score", "max"),
        ("val_mean_iou", "max"),
        ("mean_io_u_12", "max"),
        ("cosine_similarity", "max"),
        ("true_negatives", "max"),
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_mse", "min"),
        ("MAE", "min"),
        ("mape", "min"),
        ("MSLE", "min"),
        ("bce", "min"),
        ("val_KLDivergence", "min"),
        ("kld", "min"),
        ("logcosh", "min"),
        ("huber_loss", "min"),
        ("false_positives_2", "min"),
        ("val_dice", "min"),
        ("Tversky", "min"),
    ],
)
def test_direction_of_what_keras_ships_is_known(name: str, direction: str) -> None:
    """A metric or loss of Keras needs no direction, by whichever of its names."""
    assert Objective(name).direction == direction


@pytest.mark.parametrize(
    "name",
    [
        "digit_accuracy",
        "val_digit_loss",
        "f1",
        "Mean",
        "sum",
        "mean_metric_wrapper",
        "my_score",
        "val_",
        "val_val_accuracy",
        "auc_0",
        "auc_one",
        " accuracy",
    ],
)
def test_what_keras_does_not_ship_is_asked_for(name: str) -> None:
    """An unknown direction is an error that names the objective and both things to write."""
    with pytest.raises(ObjectiveError) as caught:
        Objective(name)
    for text in (name, f'Objective({name!r}, "min")', f'Objective({name!r}, "max")'):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("val_acuracy", "val_accuracy"),
        ("acurracy", "accuracy"),
        ("vall_accuracy", "val_accuracy"),
        ("mean_square_error", "mean_squared_error"),
        ("val_f1score", "val_f1_score"),
        ("valloss", "val_loss"),
    ],
)
def test_a_misspelt_name_is_corrected(wrong: str, right: str) -> None:
    """A name close to one of Keras's is answered with that one."""
    with pytest.raises(ObjectiveError, match=re.escape(f"Did you mean {right!r}?")):
        Objective(wrong)


@pytest.mark.parametrize("name", ["digit_accuracy", "val_digit_accuracy", "my_score", "val_f1"])
def test_a_name_unlike_any_is_not_corrected(name: str) -> None:
    """A metric of the user's own gets no misleading suggestion."""
    with pytest.raises(ObjectiveError) as caught:
        Objective(name)
    assert "Did you mean" not in str(caught.value)


def test_a_direction_that_is_given_holds() -> None:
    """The user's direction is taken for any name, also against the table."""
    assert Objective("val_f1", "max").direction == "max"
    assert Objective("my_score", direction="min").direction == "min"
    assert Objective("cosine_similarity", "min").direction == "min"


@pytest.mark.parametrize("name", ["", None, 3, ["val_loss"]])
def test_a_name_that_is_none_is_refused(name: object) -> None:
    """A name is a text that is not empty."""
    with pytest.raises(ConfigurationError, match="such as 'val_accuracy'"):
        Objective(name, "max")  # type: ignore[arg-type]


@pytest.mark.parametrize("direction", ["", "MAX", "maximize", 1, ["max"]])
def test_a_wrong_direction_is_refused(direction: object) -> None:
    """The error names the objective, what was given and the two that there are."""
    with pytest.raises(ObjectiveError, match=r"'val_f1' is \"min\" or \"max\", not "):
        Objective("val_f1", direction)  # type: ignore[arg-type]


def test_objectives_that_mean_the_same_are_equal() -> None:
    """Aliases are one objective; another direction, prefix or number is another."""
    one = Objective("val_acc")
    assert one == Objective("val_accuracy") == Objective("val_Accuracy", "max")
    assert hash(one) == hash(Objective("val_accuracy"))
    assert Objective("mse") == Objective("MeanSquaredError")
    assert Objective("AUC_1") == Objective("auc_1")
    assert one != Objective("acc")
    assert one != Objective("val_acc", "min")
    assert Objective("auc_1") != Objective("auc")
    assert Objective("Score", "max") != Objective("score", "max")


def test_it_says_what_to_measure_and_where() -> None:
    """`metric` is the name for Keras; `validation` says on which data."""
    assert (Objective("val_acc").metric, Objective("val_acc").validation) == ("accuracy", True)
    assert (Objective("KLD").metric, Objective("KLD").validation) == ("kl_divergence", False)
    assert Objective("val_my_score", "max").metric == "my_score"


def test_loss_is_less_for_the_better_score() -> None:
    """Oracles compare one number in one direction."""
    assert Objective("val_loss").loss(0.25) == 0.25
    assert Objective("val_accuracy").loss(0.25) == -0.25


@pytest.mark.parametrize(
    ("name", "logs", "key"),
    [
        ("val_accuracy", ["accuracy", "val_accuracy"], "val_accuracy"),
        ("val_acc", ["accuracy", "val_accuracy"], "val_accuracy"),
        ("val_accuracy", ["acc", "val_acc"], "val_acc"),
        ("acc", ["accuracy", "val_accuracy"], "accuracy"),
        ("mse", ["loss", "mean_squared_error"], "mean_squared_error"),
        ("mean_squared_error", ["MSE", "mse", "mean_squared_error"], "mean_squared_error"),
        ("MeanSquaredError", ["loss", "mse"], "mse"),
        ("val_auc", ["auc_3", "val_auc_3"], "val_auc_3"),
        ("val_AUC", ["auc_3", "val_auc_3"], "val_auc_3"),
        ("auc_1", ["auc_3", "val_auc_3"], "auc_3"),
        ("auc_1", ["auc", "auc_2"], None),
        ("auc", ["auc_1", "auc"], "auc"),
        ("auc", ["auc_1", "auc_2"], None),
        ("mean_iou", ["mean_io_u_4"], "mean_io_u_4"),
        ("val_accuracy", ["accuracy", "loss"], None),
        ("accuracy", ["val_accuracy"], None),
        ("accuracy", ["digit_accuracy"], None),
        ("loss_1", ["loss"], None),
        ("accuracy", ["accuracy_1"], None),
        ("precision", ["precision_at_recall"], None),
        ("accuracy", ["binary_accuracy"], None),
        ("MSE", ["mse", "mean_squared_error"], None),
        ("accuracy", [], None),
    ],
)
def test_find(name: str, logs: list[str], key: str | None) -> None:
    """The exact name wins, then another name of the same, then the only one of its numbers."""
    assert Objective(name).find(dict.fromkeys(logs, 0.5)) == key


def test_find_takes_a_metric_of_the_users_own_literally() -> None:
    """Names that Keras does not know have no aliases, no numbers and no letter case."""
    objective = Objective("val_Score", "max")
    assert objective.find({"val_Score": 1.0}) == "val_Score"
    assert objective.find({"val_score": 1.0, "val_Score_1": 1.0, "Score": 1.0}) is None


def test_missing_lists_the_logs_and_suggests_the_closest() -> None:
    """Whoever reads the error sees what there is to choose from."""
    error = Objective("val_f1", "max").missing({"loss": 1.0, "val_loss": 1.0, "val_f1_score": 0.0})
    assert isinstance(error, ObjectiveError)
    assert "'val_f1': they contain 'loss', 'val_loss', 'val_f1_score'" in str(error)
    assert "Did you mean 'val_f1_score'?" in str(error)


def test_missing_asks_for_validation_data() -> None:
    """Without validation data no ``val_`` objective can be in the logs: the usual cause."""
    text = str(Objective("val_accuracy").missing({"accuracy": 1.0, "loss": 1.0}))
    assert "validation_data=" in text
    assert "'accuracy', 'loss'" in text


def test_missing_names_those_it_cannot_choose_between() -> None:
    """Two metrics that Keras numbered are both named."""
    text = str(Objective("auc").missing({"loss": 1.0, "auc_1": 0.5, "auc_2": 0.5}))
    assert "could be 'auc_1' or 'auc_2'" in text


def test_missing_from_empty_logs() -> None:
    """Logs with nothing in them are said to have nothing in them."""
    assert "contain nothing at all" in str(Objective("accuracy").missing({}))


@pytest.mark.parametrize("objective", [Objective("val_acc"), Objective("my_score", "min")])
def test_json_round_trip(objective: Objective) -> None:
    """What is written keeps the user's spelling, and reads back as the same."""
    data = objective.to_json()
    assert data == {"name": objective.name, "direction": objective.direction}
    assert Objective.from_json(data) == objective
    assert Objective.from_json(data).name == objective.name


def test_it_is_frozen_and_prints_as_it_is_written() -> None:
    """An objective cannot change under a search, and shows its direction."""
    objective = Objective("val_acc")
    assert repr(objective) == "Objective(name='val_acc', direction='max')"
    with pytest.raises(AttributeError):
        objective.name = "loss"  # type: ignore[misc]
