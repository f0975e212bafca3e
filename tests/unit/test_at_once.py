"""Many processes and one journal: one writes, any number read, and none sees what never was."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import Curve, plain_fn, run_search

from tunedeco.journal.journal import Journal
from tunedeco.journal.search_state import SearchState

UNIT = Path(__file__).parent

READER = """
import hashlib, sys, time
from pathlib import Path
from tunedeco.journal.journal import Journal

directory, kept_open = Path(sys.argv[1]), sys.argv[2] == "kept open"
seen = []
journal = Journal(directory)
while not (directory / "done").exists():
    if not kept_open:
        journal.close()
        journal = Journal(directory)
    seen.append(hashlib.sha256(repr(journal.state()).encode()).hexdigest())
    time.sleep(0.1)
print("\\n".join(dict.fromkeys(seen)))
"""

WRITER = """
import sys, time
from pathlib import Path
from fakes import plain_fn, run_search
from tunedeco.errors import JournalLocked

directory, name, others = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
while not (directory / "go").exists():
    time.sleep(0.001)

calls = []

def model_fn():
    calls.append(1)
    deadline = time.monotonic() + 60
    while len(calls) > 1 and len(list(directory.glob("refused-*"))) < others:  # not when traced
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return plain_fn()

try:
    run_search(directory / "run", model_fn, max_trials=2, traces=1)
except JournalLocked as error:
    assert "is being written by process" in str(error)
    (directory / f"refused-{name}").touch()
else:
    print("ran")
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(UNIT), str(UNIT.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.slow
def test_fifty_readers(tmp_path: Path) -> None:
    """While a search writes, 50 processes read all the time: each sees only states that were."""
    readers = [start(READER, tmp_path, ("kept open", "anew")[i % 2]) for i in range(50)]

    def slow_fn() -> Curve:
        time.sleep(0.02)
        return plain_fn()

    run_search(tmp_path, slow_fn, max_trials=30)
    (tmp_path / "done").touch()
    states = SearchState()
    digests = {hashlib.sha256(repr(states).encode()).hexdigest()}
    with Journal(tmp_path) as journal:
        for event in journal.events():
            states.apply(event)
            digests.add(hashlib.sha256(repr(states).encode()).hexdigest())
    seen = set()
    for reader in readers:
        output, errors = reader.communicate()
        assert reader.returncode == 0, errors
        assert set(output.split()) <= digests
        seen |= set(output.split())
    assert len(seen) > 20


@pytest.mark.slow
def test_eight_searches_at_once(tmp_path: Path) -> None:
    """Of searches started at once in one directory exactly one runs; the others are told so."""
    searches = [start(WRITER, tmp_path, i, 7) for i in range(8)]
    time.sleep(1)
    (tmp_path / "go").touch()
    results = [search.communicate() for search in searches]
    assert not any(errors for _, errors in results)
    assert sorted(output for output, _ in results) == [""] * 7 + ["ran\n"]
