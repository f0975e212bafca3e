"""The page on migration: its programs run, and its tables are true."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import tunedeco
from tunedeco import tunable

pytestmark = [pytest.mark.keras, pytest.mark.once]

PAGE = (Path(tunedeco.__file__).parents[1] / "docs" / "migration.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ROWS = re.findall(r"^\| (`(?:hp|trial)\..*?) \| (`[A-Z].*?) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_program_runs(program: str, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    """Every Python block runs as it stands, given data `x` and `y`; searches find a best trial."""
    names = {"x": arrays[0], "y": arrays[1], "keras": keras}
    exec(program, names)
    if "tuner" in names:
        assert len(names["tuner"].trials) == 3
        assert names["tuner"].best_hyperparameters
        names["tuner"].best_model()


@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_each_row_means_the_same(theirs: str, ours: str) -> None:
    """What stands left and right in the tables of declarations asks for equal values."""
    for left, right in zip(_calls(theirs), _calls(ours), strict=True):
        found = [
            tunable(lambda hp, trial, call=call: eval(call, {**_OURS, "hp": hp, "trial": trial}))
            for call in (left, right)
        ]
        one, other = (next(iter(function.space)) for function in found)
        assert (one.name, one.domain, one.default) == (other.name, other.domain, other.default)


_OURS = {name: getattr(tunedeco, name) for name in tunedeco.__all__}


def _calls(cell: str) -> list[str]:
    return re.findall(r"`(.*?)`", cell)


def test_the_tables_are_found() -> None:
    """The page has programs and rows to test: it has not been written in another form."""
    assert len(PROGRAMS) == 4
    assert len(ROWS) == 15
