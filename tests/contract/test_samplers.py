"""Optuna's samplers satisfy the contract of an oracle."""

import pytest

from tunedeco.oracles import Oracle, optuna
from tunedeco.testing import OracleContract

pytestmark = pytest.mark.slow

pytest.importorskip("optuna")


class TestRandom(OracleContract):
    proposals = 6

    def oracle(self) -> Oracle:
        return optuna("random")


class TestTPE(OracleContract):
    proposals = 6

    def oracle(self) -> Oracle:
        return optuna("tpe", n_startup_trials=3)


class TestCMAES(OracleContract):
    proposals = 6

    def oracle(self) -> Oracle:
        pytest.importorskip("cmaes")
        return optuna("cmaes", popsize=3)
