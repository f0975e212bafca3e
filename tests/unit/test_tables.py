"""The benchmarks that compare oracles in tables, in short: on tables that are made here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EPOCHS = 9


def pool(folder: Path) -> None:
    """Write a suite of learning curves: a rate on a log scale, a number of units, a share."""
    folder.mkdir()
    scale = {"low": 1e-4, "high": 1e-1, "log": True}
    hps = [
        {"name": "rate", "type": "float", **scale},
        {"name": "units", "type": "int", "low": 4, "high": 64, "log": True},
        {"name": "share", "type": "float", "low": 0.0, "high": 0.9, "log": False},
    ]
    (folder / "space.json").write_text(json.dumps({"hps": hps, "direction": "min"}))
    for task in range(2):
        draw = np.random.RandomState(task)
        u = draw.uniform(size=(600, 3))
        values = [1e-4 * 1000 ** u[:, 0], np.round(4 * 16 ** u[:, 1]), 0.9 * u[:, 2]]
        best = draw.uniform(0.2, 0.8, 3)
        end = ((u - best) ** 2 * [3, 1, 0.3]).sum(axis=1)
        curve = end[:, None] + 0.5 ** np.arange(EPOCHS) * u[:, [1]]  # the largest learn slowest
        np.savez(folder / f"task{task}.npz", X=np.stack(values, axis=1), C=curve)


def grid(folder: Path) -> None:
    """Write a suite that is a full grid: an ordinal, and three categoricals that interact."""
    folder.mkdir()
    hps = [
        {"name": "width", "type": "ordinal", "choices": [1, 2, 4, 8, 16, 32, 64, 128]},
        *({"name": n, "type": "categorical", "choices": list("pqrst")} for n in "abc"),
    ]
    (folder / "space.json").write_text(json.dumps({"hps": hps, "direction": "max"}))
    w, *others = np.meshgrid(range(8), range(5), range(5), range(5), indexing="ij")
    for task in range(2):
        draw = np.random.RandomState(task)
        table = draw.normal(size=(5, 5, 5))
        one, two = draw.normal(size=(2, 5))
        score = -((w - 5) ** 2) / 8 + one[others[0]] + two[others[1]] + 0.3 * table[tuple(others)]
        np.savez(folder / f"task{task}.npz", Y=score.reshape(-1, 1))


def printed(script: str, *options: object) -> str:
    """Run a benchmark; return what it says."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *map(str, options), "--jobs", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(script: str, tables: Path, *options: object) -> dict[str, list[list[float]]]:
    """Run a benchmark on tables; return the numbers of each method's rows."""
    found: dict[str, list[list[float]]] = {}
    for line in printed(script, "--tables", tables, *options).splitlines():
        name, *cells = line.replace("*", "").strip("| ").split(" | ")
        if cells and "±" in line:
            numbers = [float(cell.split(" ± ")[0]) for cell in cells if "±" in cell]
            found.setdefault(name.removesuffix(" (default)"), []).append(numbers)
    return found


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    pool(tmp_path / "lcbench_dev")
    grid(tmp_path / "grid")
    return tmp_path


def test_the_default_finds_more(tables: Path) -> None:
    """After 25, 50 and 100 evaluations it is ahead of random search, on each suite."""
    methods = ["random", "evolution"]
    found = table("quality.py", tables, "--seeds", 2, "--methods", *methods)
    assert len(found["evolution"]) == 2  # the suites
    for ours, chance in zip(found["evolution"], found["random"], strict=True):
        assert all(own < other for own, other in zip(ours, chance, strict=True)), found


def test_the_default_needs_fewer_epochs(tables: Path) -> None:
    """With rungs it is ahead, over all budgets, of the same oracle without, and of random search.

    Of random search also at the smallest budget.
    """
    ours, whole, chance = (
        "SuccessiveHalving(evolution)",
        "evolution, full length",
        "random, full length",
    )
    found = table("multifidelity.py", tables, "--seeds", 3, "--methods", ours, whole, chance)
    (early,) = found[ours]
    for other in (whole, chance):
        assert sum(early) < sum(found[other][0]), found
    assert early[0] < found[chance][0][0], found


def test_tables_are_made_of_real_trainings(tmp_path: Path) -> None:
    """Networks that learn, some much better than others; and a search can be had in them.

    A second run makes only what is missing.
    """
    options = ("--out", tmp_path, "--count", 32, "--tasks")
    said = printed("make_tables.py", *options, "digits")
    best = np.load(made := tmp_path / "small_nets" / "digits.npz")["C"].max(axis=1)
    assert np.median(best) + 10 < best.max() < 100, said
    before = made.stat().st_mtime_ns
    assert said in printed("make_tables.py", *options, "digits", "drawn")
    assert made.stat().st_mtime_ns == before
    chance = "random, full length"
    options = ("--suite", "small_nets", "--seeds", 1, "--methods", chance)
    (regrets,) = table("multifidelity.py", tmp_path, *options)[chance]
    assert regrets == sorted(regrets, reverse=True)
    assert regrets[-1] < 1
