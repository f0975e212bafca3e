"""The oracles that come with us, and one such as users write, satisfy the contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random as Stream
from typing import Any

import pytest

from tunedeco.oracles import (
    ASHA,
    Aging,
    Grid,
    Hyperband,
    MedianStopping,
    Oracle,
    PlateauStopping,
    Random,
    Start,
    SuccessiveHalving,
)
from tunedeco.randomness import stream
from tunedeco.space import Space
from tunedeco.testing import OracleContract
from tunedeco.trial import Trial


class TestGrid(OracleContract):
    def oracle(self) -> Oracle:
        return Grid()


class TestRandom(OracleContract):
    def oracle(self) -> Oracle:
        return Random()


class TestEvolution(OracleContract):
    def oracle(self) -> Oracle:
        return Aging(population=6, tournament=3)


class TestASHA(OracleContract):
    def oracle(self) -> Oracle:
        return ASHA(Aging(6, 3), reduction=2, min_epochs=1)


class TestSuccessiveHalving(OracleContract):
    def oracle(self) -> Oracle:
        return SuccessiveHalving("grid", min_epochs=1)


class TestHyperband(OracleContract):
    def oracle(self) -> Oracle:
        return Hyperband("random", reduction=2)


class TestMedianStopping(OracleContract):
    def oracle(self) -> Oracle:
        return MedianStopping("random", interval=2, min_trials=2)


class TestPlateauStopping(OracleContract):
    def oracle(self) -> Oracle:
        return PlateauStopping("random", patience=2)


@dataclass(frozen=True)
class Nearby:
    """What a user may write: redraw one hyperparameter of the best trial so far."""

    patience: int = 3

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start:
        draw = stream(seed, len(trials), "nearby")
        scored = [trial for trial in trials if trial.loss is not None]
        best = min(scored, key=lambda trial: trial.loss or 0.0, default=None)
        if best is None or len(trials) % self.patience == 0 or not len(space):
            return Start(space.decode(draw.random() for _ in space))
        point = list(space.encode(best.values))
        point[draw.randrange(len(point))] = draw.random()
        return Start(space.decode(point), until=2)


class TestOracleOfAUser(OracleContract):
    def oracle(self) -> Oracle:
        return Nearby()


class Wrong:
    """The base of oracles that break one law each."""

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        return Start(space.defaults)


class Forgetful(Wrong):
    draw = Stream(1)

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        return Start(space.decode(self.draw.random() for _ in space))


class Hashing(Wrong):
    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        return Start(space.decode([hash("seed") % 1000 / 1000] * len(space)))


class Outside(Wrong):
    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        return Start({"group": {"unheard-of": 1}})


class Silent(Wrong):
    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        return None


class Meddling(Wrong):
    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        for trial in trials:
            trial.values.clear()  # type: ignore[attr-defined]
        return Start(space.defaults)


class Comparing(Wrong):
    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        min((trial.loss for trial in trials), default=None)  # type: ignore[type-var]
        return Start(space.defaults)


class Endless(Wrong):
    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        return Start(space.defaults, until=0)


class Nameless(Wrong):
    def __init__(self) -> None:
        self.helper = object()


class Contract(OracleContract):
    made: type[Wrong] = Wrong

    def oracle(self) -> Oracle:
        return self.made()


class HashingContract(Contract):
    made = Hashing


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (Forgetful, "test_the_same_question_has_the_same_answer"),
        (Outside, "test_proposals_lie_in_the_space"),
        (Silent, "test_proposals_lie_in_the_space"),
        (Endless, "test_proposals_lie_in_the_space"),
        (Comparing, "test_proposals_lie_in_the_space"),
        (Meddling, "test_nothing_it_is_given_is_changed"),
        (Nameless, "test_its_settings_are_json"),
    ],
)
def test_the_contract_finds_an_oracle_that_breaks_it(wrong: type[Wrong], test: str) -> None:
    """Each test of the contract fails for an oracle that breaks what it is about."""
    contract = Contract()
    contract.made = wrong
    with pytest.raises((AssertionError, TypeError)):
        getattr(contract, test)()


def test_the_contract_finds_an_oracle_that_hashes() -> None:
    """An oracle whose answers depend on the hash seed of its process does not pass."""
    with pytest.raises(AssertionError):
        HashingContract().test_the_same_answer_in_another_process()
