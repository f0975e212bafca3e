"""The examples and the README do what they say."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_digits(python: Callable[..., Any]) -> None:
    """The main job shows the best trials, and its best.json reaches the reported val_accuracy."""
    output = python(EXAMPLES / "digits_cnn.py", "--epochs", 15).stdout
    assert re.search(r"^trial +state +score +epoch", output, re.MULTILINE)
    reported, reached = map(
        float, re.findall(r"reported val_accuracy ([\d.]+);.*: ([\d.]+)$", output, re.MULTILINE)[0]
    )
    assert reached >= reported
    best = json.loads(Path("best.json").read_text())
    assert best["schema"] == "tunedeco/best/1"
    assert best["score"] == pytest.approx(reported, abs=1e-4)
    again = python(EXAMPLES / "digits_cnn.py", "--epochs", 15).stdout
    assert "nothing to do: the epoch_budget of 15 is spent" in again


def test_mnist(python: Callable[..., Any]) -> None:
    """The MNIST example searches a file of the form that Keras downloads."""
    draw = np.random.RandomState(0)
    images, labels = draw.randint(256, size=(80, 28, 28)), draw.randint(10, size=80)
    np.savez("mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    output = python(EXAMPLES / "mnist_cnn.py", "--data", "mnist.npz", "--epochs", 4).stdout
    assert re.search(r"accuracy on 80 test images: 0\.\d+", output)


@pytest.mark.parametrize("name", ["functional_api", "own_oracle", "own_loop", "untouched"])
def test_the_other_examples(name: str, python: Callable[..., Any]) -> None:
    """The example ends well, with a table of its trials."""
    assert "completed" in python(EXAMPLES / f"{name}.py").stdout


def test_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python snippet of the README runs, in order, as one program, on small data."""
    text = (ROOT / "README.md").read_text()
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(snippets) >= 4
    program = "\n".join(snippets)
    for budget in re.findall(r"epoch_budget=500", program):
        program = program.replace(budget, "epoch_budget=4")
    program = program.replace("max_trials=20", "max_trials=2").replace(
        "max_epochs=5", "max_epochs=2"
    )
    draw = np.random.RandomState(0)
    data = draw.normal(size=(40, 8, 8, 1)), keras.utils.to_categorical(draw.randint(10, size=40))
    Path("program.py").write_text(program)
    names = {"train_data": data, "validation_data": data, "x": data[0], "y": data[1]}
    found = runpy.run_path("program.py", init_globals=names)
    assert found["epochs"]
    assert found["model"].compiled
