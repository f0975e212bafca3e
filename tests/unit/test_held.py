"""With some hyperparameters held, only what was tried with their values tells of the rest."""

from tunedeco import narrowing
from tunedeco.domains import Boolean, Choice, Fixed, Range
from tunedeco.oracles.held import comparable
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Trial

SPACE = Space(
    (
        Hyperparameter("g", "kind", Choice(("adam", "sgd")), "adam"),
        Hyperparameter("g", "units", Range(1, 9), 1),
        Hyperparameter("g", "depth", Fixed(3), 3),
        Hyperparameter("g", "flag", Boolean(), False),
    )
)
TRIALS = [
    Trial(0, {"g": {"kind": "adam", "units": 1, "depth": 3, "flag": True}}, 1),
    Trial(1, {"g": {"kind": "sgd", "units": 2, "depth": 3, "flag": False}}, 1),
    Trial(2, {"g": {"units": 3}, "other": {"kind": "sgd"}}, 1),
]


def test_a_trial_with_another_value_is_of_another_place() -> None:
    """What contradicts a held value is left out; what was not asked for it is not."""

    def left(**held: object) -> list[int]:
        pins = {("g", name): value for name, value in held.items()}
        pinned = narrowing.pinned(SPACE, pins)  # type: ignore[arg-type]  # they are values
        return [trial.number for trial in comparable(pinned, TRIALS)]

    assert left() == [0, 1, 2]
    assert left(kind="adam") == [0, 2]
    assert left(kind="sgd", units=2) == [1]
    assert left(flag=True) == [0, 2]
    assert left(kind="sgd", flag=True) == [2]
