"""Optuna's samplers satisfy the contract of an oracle."""

import pytest

from tunedeco.oracles import Oracle, SuccessiveHalving, optuna
from tunedeco.testing import OracleContract

pytest.importorskip("optuna")


class TestRandom(OracleContract):
    proposals = 10

    def oracle(self) -> Oracle:
        return optuna("random")


class TestTPE(OracleContract):
    proposals = 10

    def oracle(self) -> Oracle:
        return optuna("tpe", n_startup_trials=4)


class TestCMAES(OracleContract):
    proposals = 10

    def oracle(self) -> Oracle:
        pytest.importorskip("cmaes")
        return optuna("cmaes", popsize=3)


class TestHalving(OracleContract):
    proposals = 10

    def oracle(self) -> Oracle:
        return SuccessiveHalving(optuna("tpe", n_startup_trials=4), min_epochs=1)
