"""Journals, exports and checkpoints that nobody of good will has written, and what opens them."""

import contextlib
import copy
import hashlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import strategies as st

from tunedeco import Choice, Objective, Range, domains, exporting, tunable, warm_starts
from tunedeco.cli import main
from tunedeco.errors import CheckpointError, TunedecoError
from tunedeco.executors import checkpoints
from tunedeco.journal import lines
from tunedeco.journal.journal import FILE_NAME, Journal, load
from tunedeco.report import tables
from tunedeco.space import Hyperparameter, Space

KEPT = Path(__file__).parents[1] / "data" / "journal-1"

JOURNAL = (KEPT / FILE_NAME).read_bytes()
with Journal(KEPT) as _journal:
    EVENTS = [event.to_json() for event in _journal.events()]
EXPORT = tables.export(load(KEPT))
_VALUES = {"optimizer": "sgd", "units": 9, "rate": 1, "momentum": 2.0, "depth": 3, "deep": True}
TRIALS = [
    {"score": 0.1, "values": {"default": _VALUES}},
    {"score": None, "values": {"training": {"optimizer": "adam"}}},
]
COMMANDS = [
    *(["status"], ["status", "--json"], ["trials"], ["trials", "--json"], ["best"]),
    *(["best", "--json"], ["export", "-o", "-"], ["doctor"], ["doctor", "--json"]),
    *(["doctor", "--repair"], ["compact"], ["importances"], ["importances", "--json"]),
]

_texts = st.text(max_size=6) | st.sampled_from(
    ["../../etc/passwd", "/dev/zero", "\x1b[2J", "\x00", "\ud800", "nan", "running", "val_loss"]
)
_numbers = (
    st.integers(-2, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**63, -(2**64), 10**30, 10**400, 1e308, -0.0])
)
_scalars = st.none() | st.booleans() | _numbers | _texts
_deep = st.integers(50, 3000).map(lambda n: _nested(min(n, 900)))
evil = (
    st.recursive(
        _scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
        max_leaves=6,
    )
    | _deep
)


def _nested(depth: int) -> list[Any]:
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything in a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, (dict, list)):
            found += _places(value, (*path, key))
    return found


def _mutated(draw: st.DrawFn, tree: Any) -> None:
    """Put something else somewhere into a JSON tree, or take something out of it."""
    places = _places(tree)
    if not places:
        return
    *path, key = draw(st.sampled_from(places))
    for step in path:
        tree = tree[step]
    if not draw(st.integers(0, 3)):
        del tree[key]
    elif draw(st.booleans()):
        tree[key] = draw(evil)
    else:  # of the same kind, it gets further
        tree[key] = draw(_alike(tree[key]))


def _alike(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, str):
        return _texts
    if isinstance(value, dict):
        return st.dictionaries(_texts, _scalars, max_size=3)
    if isinstance(value, list):
        return st.lists(_scalars, max_size=3)
    return _numbers


@st.composite
def event_journals(draw: st.DrawFn) -> bytes:
    """Draw journals whose checksums are right, and whose events are not."""
    events = json.loads(json.dumps(EVENTS[: draw(st.integers(1, len(EVENTS)))]))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(events) - 1))
        match draw(st.integers(0, 5)):
            case 0:
                events.insert(place, copy.deepcopy(draw(st.sampled_from(EVENTS))))
            case 1 if len(events) > 1:
                del events[place]
            case 2:
                fields = draw(st.dictionaries(_texts, evil, max_size=3))
                kind = draw(st.sampled_from(EVENTS))["event"]
                events.insert(place, {"event": kind, **fields})
            case _:
                _mutated(draw, events[place] if isinstance(events[place], dict) else events)
    documents = [draw(evil) if draw(st.integers(0, 200)) == 0 else event for event in events]
    return _lines(documents)


def _lines(documents: list[Any]) -> bytes:
    with mock.patch.object(lines, "_shallow", return_value=True):  # the reader has to see it
        return b"".join(lines.journal(("_default", i, d) for i, d in enumerate(documents, 1)))


@st.composite
def byte_files(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw files with bytes changed, added, repeated or missing."""
    data = bytearray(whole[: draw(st.just(len(whole)) | st.integers(0, len(whole)))])
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        end = place + draw(st.integers(0, 40))
        match draw(st.integers(0, 3)):
            case 0:
                data[place:place] = draw(st.binary(max_size=8))
            case 1:
                del data[place:end]
            case 2:
                data[place:place] = data[place:end]
            case _:
                data[place:end] = draw(st.binary(max_size=8))
    return bytes(data)


@st.composite
def exports(draw: st.DrawFn, whole: Any) -> bytes:
    """Draw exported files that are JSON, and not what was exported."""
    tree = [json.loads(json.dumps(whole))]
    for _ in range(draw(st.integers(1, 3))):
        _mutated(draw, tree)
    return json.dumps(tree[0] if tree else None).encode()


journals = event_journals() | byte_files(JOURNAL)
export_files = exports(EXPORT) | byte_files(json.dumps(EXPORT).encode())
trial_files = exports(TRIALS)


def _archive() -> bytes:
    file = io.BytesIO()
    meta = np.frombuffer(b'{"stop": false}', np.uint8)
    np.savez(file, **{"meta.json": meta, "model/00000": np.arange(6.0).reshape(2, 3)})
    return file.getvalue()


checkpoint_files = byte_files(_archive())


def open_journal(data: bytes, command: list[str]) -> int:
    """Run a command on a journal as a terminal would; return its exit status."""
    output = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, FILE_NAME).write_bytes(data)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = main([command[0], directory, *command[1:]])
        output.flush()
        names = {FILE_NAME, f"{FILE_NAME}.lock", f"{FILE_NAME}.damaged-1"}
        assert {path.name for path in Path(directory).iterdir()} <= names
    assert status in (0, 1)
    shown = output.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert all(character.isprintable() or character == "\n" for character in shown)
    return status


@tunable
def model_fn() -> tuple[Any, ...]:
    """Ask for what the exported search had."""
    optimizer = Choice("optimizer", ["adam", "sgd"], group="training")
    return optimizer, Range("units", 8, 32, 8)


SPACE = Space(
    (
        *model_fn.space,
        Hyperparameter("default", "rate", domains.Logarithmic(1e-4, 1e-1, 4), 1e-4),
        Hyperparameter("default", "momentum", domains.Float(0, 1), 0.5),
        Hyperparameter("default", "depth", domains.Choice((1, 2, 4)), 1),
        Hyperparameter("default", "deep", domains.Boolean(), False),
    )
)


def open_export(data: bytes) -> None:
    """Read an exported file and build from it; errors of ours are well."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "best.json")
        path.write_bytes(data)
        with contextlib.suppress(TunedecoError):
            exporting.read(path)
        with contextlib.suppress(TunedecoError):
            model_fn.build(path)
        begin_with(path)


def begin_with(path: Path) -> None:
    """Take over what a file holds; all of it lies in the space, or it is refused."""
    sources = warm_starts.read([str(path)], (Objective("val_loss"),))
    with contextlib.suppress(TunedecoError):
        for other in warm_starts.taken_over(sources, SPACE, ()):
            for values in other.event.configurations:
                assert SPACE.checked(values) == values


def open_trials(data: bytes) -> None:
    """Read a list of trials; errors of ours are well."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "trials.json")
        path.write_bytes(data)
        begin_with(path)


def open_checkpoint(data: bytes) -> None:
    """Read a checkpoint whose checksum somebody has made true."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "00000-00001-0000000.npz")
        path.write_bytes(data)
        with contextlib.suppress(CheckpointError):
            arrays, meta = checkpoints.read(path, hashlib.sha256(data).hexdigest())
            assert isinstance(meta, dict)
            assert sum(array.nbytes for array in arrays.values()) <= len(data)
