"""A search in a process that dies goes on in the next one, as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.keras

PROGRAM = """
import sys
import keras, numpy as np
from tunedeco import Choice, Linear, Tuner

def model_fn():
    units, rate = Choice("units", [8, 12, 16]), Linear("rate", 0.1, 0.5, 3)
    model = keras.Sequential([
        keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization(),
        keras.layers.Dropout(rate), keras.layers.Dense(3, activation="softmax"),
    ])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    return model

draw = np.random.RandomState(0)
x = draw.normal(size=(400, 6))
tuner = Tuner(model_fn, "val_accuracy", max_trials=4, max_epochs=3, directory=sys.argv[1])
tuner.search(x, x[:, :3].argmax(axis=1), validation_split=0.25, batch_size=8)
"""


def start(directory: str) -> subprocess.Popen[str]:
    Path("search.py").write_text(PROGRAM)
    command = [sys.executable, "search.py", directory]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(directory: str, events: int, process: subprocess.Popen[str]) -> None:
    """Wait until a journal has so many lines."""
    journal = Path(directory, "journal.jsonl")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= events:
            return
    pytest.fail(f"{events} events did not come")


def test_killed(python: Callable[..., Any]) -> None:
    """Killed with SIGKILL again and again, a search ends with the journal of one that never was.

    It is the benchmark with fewer kills; it ends with status 1 where anything differs.
    """
    options = ["--kills", 6, "--trials", 3, "--epochs", 2, "--oracles", "evolution"]
    printed = python(ROOT / "benchmarks" / "kill.py", *options).stdout
    assert "| evolution | 6 |" in printed


def test_interrupted(trials: Callable[[str], Any]) -> None:
    """Ctrl-C ends the program with status 130 and says how to go on; so it does."""
    process = start("run")
    wait_for("run", 5, process)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "nothing is lost: run the same program again" in errors
    assert "Traceback" not in errors
    process = start("run")
    assert process.wait() == 0
    whole = start("whole")
    assert whole.wait() == 0
    assert trials("run") == trials("whole")


def test_two_at_once(trials: Callable[[str], Any]) -> None:
    """Of two searches in one directory one runs; the other is told who does, and leaves."""
    first = start("run")
    wait_for("run", 3, first)
    first.send_signal(signal.SIGSTOP)  # or it may be at its end when the second has loaded Keras
    second = start("run")
    _, errors = second.communicate()
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert f"is being written by process {first.pid} on " in errors
    assert first.wait() == 0
    assert [trial["state"] for trial in trials("run")] == ["completed"] * 4


def test_readers(python: Callable[..., Any]) -> None:
    """While a search writes, every command answers, each time with more or as much as before."""
    process = start("run")
    wait_for("run", 2, process)
    epochs = [0]
    while process.poll() is None:
        status = json.loads(python("-m", "tunedeco", "status", "run", "--json").stdout)
        assert status["epochs"] >= epochs[-1]
        epochs.append(status["epochs"])
        python("-m", "tunedeco", "trials", "run")
    assert process.returncode == 0
    assert python("-m", "tunedeco", "export", "run", "-o", "-").stdout.startswith("{")
    assert "val_accuracy" in python("-m", "tunedeco", "best", "run").stdout
