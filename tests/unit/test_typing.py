"""A type checker knows what the public functions return."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tunedeco

pytestmark = pytest.mark.slow

ROOT = Path(tunedeco.__file__).parents[1]


def test_a_type_checker_knows_what_is_returned(tmp_path: Path) -> None:
    """mypy, strict, agrees with every `assert_type` in typed.py, and finds its errors."""
    pytest.importorskip("mypy")
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nstrict = True\n"
        "[mypy-keras.*,numpy.*,optuna.*,pandas.*,tensorflow.*,tinydb.*,torch.*,tqdm.*]\n"
        "ignore_missing_imports = True\nfollow_imports = skip\n"
        "[mypy-tunedeco.*]\nignore_errors = True\n"
    )
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", str(config)),
            *("--cache-dir", os.devnull, str(Path(__file__).with_name("typed.py"))),
        ],
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout.startswith("Success"), checked.stdout + checked.stderr
