"""Programs run as a user runs them: in processes of their own, in a directory of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what runs Python with arguments, and gives back what it printed."""

    def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def trials(python: Callable[..., Any]) -> Callable[[str], Any]:
    """Return what gives the trials in a directory as the command line prints them."""

    def read(directory: str) -> Any:
        output = python("-m", "tunedeco", "trials", directory, "--json").stdout
        return without_runtime(json.loads(output))

    return read


def without_runtime(data: Any) -> Any:
    """Return JSON without what is circumstance."""
    if isinstance(data, dict):
        return {k: without_runtime(v) for k, v in data.items() if k != "runtime"}
    return [without_runtime(item) for item in data] if isinstance(data, list) else data
