"""The journal's file: appended, checked, cut where a crash tore it, and never wrong in silence."""

import errno
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tinydb import Query, TinyDB, where
from tinydb.storages import JSONStorage

from tunedeco.errors import JournalDamaged, JournalError, JournalLocked
from tunedeco.journal.storage import JournalDB, JournalStorage

DOCUMENTS = [
    {
        "event": "epoch",
        "trial": i,
        "logs": {"loss": i / 7, "naïve 名": -1.5e-300},
        "on": [None, True],
    }
    for i in range(6)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a journal of six documents."""
    file = tmp_path / "journal.jsonl"
    with JournalDB(file) as db:
        db.insert_multiple(DOCUMENTS[:3])
        for document in DOCUMENTS[3:]:
            db.insert(document)
    return file


def read(path: Path) -> list[dict[str, Any]]:
    with TinyDB(path, storage=JournalStorage) as db:
        return [dict(document) for document in db]


def test_plain_tinydb_reads_it(path: Path) -> None:
    """TinyDB itself, with the storage and nothing else, answers its ordinary queries."""
    with TinyDB(path, storage=JournalStorage) as db:
        assert [dict(document) for document in db] == DOCUMENTS
        assert db.search(where("trial") > 3) == DOCUMENTS[4:]
        assert db.get(Query().logs.loss == 2 / 7).doc_id == 3
        assert db.count(where("event") == "epoch") == 6
        assert db.contains(doc_id=6)
        assert db.tables() == {"_default"}


def test_plain_tinydb_adds_to_it(path: Path) -> None:
    """TinyDB's own insert appends, in any table; what is there stays as it is, to the byte."""
    before = path.read_bytes()
    with TinyDB(path, storage=JournalStorage) as db:
        assert db.insert({"more": 1}) == 7
        assert db.table("other").insert({"more": 2}) == 1
    assert path.read_bytes().startswith(before)
    assert read(path) == [*DOCUMENTS, {"more": 1}]


@pytest.mark.parametrize("opened", [JournalDB, lambda p: TinyDB(p, storage=JournalStorage)])
@pytest.mark.parametrize(
    "change",
    [
        lambda db: db.update({"trial": 9}),
        lambda db: db.update({"trial": 9}, where("trial") == 1),
        lambda db: db.remove(where("trial") == 1),
        lambda db: db.remove(doc_ids=[1]),
        lambda db: db.update({"trial": 9}, doc_ids=[1]),
        lambda db: db.truncate(),
        lambda db: db.drop_tables(),
        lambda db: db.upsert({"trial": 9}, where("trial") == 1),
    ],
)
def test_nothing_is_changed(
    opened: Callable[[Path], TinyDB], change: Callable[[TinyDB], object], path: Path
) -> None:
    """Whatever would change or remove a document is refused, and has changed nothing."""
    before = path.read_bytes()
    with opened(path) as db:
        with pytest.raises(JournalError, match="append-only"):
            change(db)
        assert [dict(document) for document in db] == DOCUMENTS
    assert path.read_bytes() == before


def test_a_document_is_copied(path: Path) -> None:
    """Changing a dict that was inserted changes nothing that was inserted."""
    mine = {"values": [1, 2]}
    with JournalDB(path) as db:
        db.insert(mine)
        mine["values"].append(3)
        assert db.get(doc_id=7) == {"values": [1, 2]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_json_cannot_hold(value: Any, path: Path) -> None:
    """A value that JSON cannot hold is refused, and nothing of its document is written."""
    before = path.read_bytes()
    with JournalDB(path) as db, pytest.raises(JournalError, match="not a document"):
        db.insert({"value": value})
    assert path.read_bytes() == before


def test_each_line_is_json(path: Path) -> None:
    """Any tool for JSON Lines reads the file, its sequence numbers in order."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(7))
    assert [line["doc"][2] for line in lines[1:]] == DOCUMENTS


@pytest.mark.slow
def test_cut_at_every_byte(path: Path) -> None:
    """Cut anywhere in its last three lines, it has all complete ones, and goes on after them."""
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for size in range(ends[-4], len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends) - 1
        assert read(path) == DOCUMENTS[:complete]
        assert path.read_bytes() == whole[:size]  # reading writes nothing
        with JournalDB(path) as db:
            db.insert({"after": size})
        assert read(path) == [*DOCUMENTS[:complete], {"after": size}]


@pytest.mark.parametrize("size", range(70))
def test_cut_in_the_first_lines(size: int, path: Path) -> None:
    """Cut within the header or just after it, it is an empty journal that can be written."""
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    path.write_bytes(whole[: min(size, header)])
    assert read(path) == []
    with JournalDB(path) as db:
        db.insert({"first": 1})
    assert read(path) == [{"first": 1}]


def test_blocks_that_were_never_written(path: Path) -> None:
    """NUL bytes at the end, as a power cut leaves them, count as not written."""
    whole = path.read_bytes()
    for tail in (b"\0" * 100, b'{"seq":7,"si\0\0\0\0'):
        path.write_bytes(whole + tail)
        assert read(path) == DOCUMENTS


def test_every_flipped_bit_is_seen(path: Path) -> None:
    """A flipped bit anywhere in a complete journal is an error that names the line and the byte."""
    whole = path.read_bytes()
    draw = random.Random(0)
    places = draw.sample(range(len(whole) * 8), 1000)
    for place in places:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        line = whole[: place // 8].count(b"\n") + 1
        with pytest.raises(JournalDamaged) as refused:
            read(path)
        assert f"in line {line}, at byte " in str(refused.value), (place, str(refused.value))


def test_lines_that_are_moved_or_missing(path: Path) -> None:
    """A line that is missing, doubled or out of place shows, though each one is whole."""
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        [*lines[:3], *lines[4:]],
        [*lines[:3], lines[3], *lines[3:]],
        [*lines[:3], lines[4], lines[3], *lines[5:]],
        lines[1:],
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(JournalDamaged):
            read(path)


@pytest.mark.parametrize(
    "content", [b'{"_default": {"1": {}}}', b"\x93NUMPY", b"hello\n", b"[1, 2]\n", b"{}"]
)
def test_what_is_no_journal(content: bytes, tmp_path: Path) -> None:
    """Another kind of file is refused, and not written to."""
    file = tmp_path / "journal.jsonl"
    file.write_bytes(content)
    with pytest.raises(JournalDamaged):
        read(file)
    with pytest.raises(JournalDamaged):
        JournalDB(file).insert({})
    assert file.read_bytes() == content


def test_a_newer_version(path: Path) -> None:
    """A journal of a later version asks for a later tunedeco."""
    import zlib

    body = b'["tunedeco-journal",2]'
    crc = zlib.crc32(body, zlib.crc32(b"0,%d," % len(body)))
    path.write_bytes(b'{"seq":0,"size":%d,"crc":"%08x","doc":%b}\n' % (len(body), crc, body))
    with pytest.raises(JournalError, match="use a newer tunedeco"):
        read(path)


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """Looking at a journal that is not there makes no file, no folder and no lock."""
    assert read(tmp_path / "nowhere" / "journal.jsonl") == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append that fails half-way leaves the journal as it was; the next one succeeds."""
    before = path.read_bytes()
    pwrite = os.pwrite

    def full(handle: int, data: bytes, offset: int) -> int:
        pwrite(handle, bytes(data)[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with JournalDB(path) as db:
        db.storage.lock()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(JournalError, match=r"No space left.*make room"):
                db.insert({"lost": 1})
        assert path.read_bytes() == before
        assert len(db) == 6
        db.insert({"kept": 1})
    assert read(path) == [*DOCUMENTS, {"kept": 1}]


def test_one_writer(path: Path) -> None:
    """A second writer is told which process writes; when that one is gone, it may."""
    program = (
        "import sys; from tunedeco.journal.storage import JournalDB\n"
        "db = JournalDB(sys.argv[1]); db.storage.lock(); print('locked', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        assert read(path) == DOCUMENTS  # readers are not in its way, nor it in theirs
        db = JournalDB(path)
        with pytest.raises(
            JournalLocked, match=f"is being written by process {other.pid} on .* since"
        ):
            db.insert({})
        other.kill()
        other.wait()
        db.insert({"mine": 1})
        db.close()
    assert read(path)[-1] == {"mine": 1}


def test_what_others_append_is_seen(path: Path) -> None:
    """An open reader sees what is appended later, through TinyDB's cache of queries too."""
    with JournalDB(path) as reader, JournalDB(path) as writer:
        assert reader.search(where("trial") == 9) == []
        writer.insert({"trial": 9})
        assert reader.search(where("trial") == 9) == [{"trial": 9}]
        assert len(reader) == 7


def test_a_file_that_is_replaced(path: Path) -> None:
    """A reader whose file is replaced by another one reads that one."""
    with JournalDB(path) as reader:
        assert len(reader) == 6
        other = path.with_name("other")
        with JournalDB(other) as db:
            db.insert({"new": 1})
        other.replace(path)
        assert [dict(document) for document in reader] == [{"new": 1}]


def test_a_file_that_is_moved_away(path: Path) -> None:
    """A writer whose file was moved or deleted says so, and writes neither there nor anew."""
    for move in (lambda: path.parent.rename(path.parent.with_name("moved")), path.unlink):
        path.parent.mkdir(exist_ok=True)
        with JournalDB(path) as db:
            db.insert({"first": 1})
            move()
            with pytest.raises(JournalError, match="was moved or deleted while it was"):
                db.insert({"second": 2})
            assert not path.exists()
    assert read(path.parent.with_name("moved") / path.name)[-1] == {"first": 1}


def test_a_fork_does_not_write(path: Path) -> None:
    """A process forked from the writer cannot write through what it inherited."""
    program = """
import os, sys
from tunedeco.errors import JournalError
from tunedeco.journal.storage import JournalDB
db = JournalDB(sys.argv[1])
db.storage.lock()
if os.fork() == 0:
    try:
        db.insert({})
    except JournalError as error:
        os._exit(0 if "fork" in str(error) else 2)
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0
    assert read(path) == DOCUMENTS


def test_a_fork_does_not_keep_the_lock(path: Path) -> None:
    """When the writer is killed, a worker that it forked and that lives on is in nobody's way."""
    program = """
import os, sys, time
from tunedeco.journal.storage import JournalDB
db = JournalDB(sys.argv[1])
db.storage.lock()
worker = os.fork()
if worker == 0:
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
time.sleep(600)
"""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "forked\n"
        with JournalDB(path) as db, pytest.raises(JournalLocked):
            db.insert({})  # what the fork lets go of, the writer still holds
        writer.kill()
        writer.wait()
        with JournalDB(path) as db:
            db.insert({"mine": 1})
    assert read(path)[-1] == {"mine": 1}


def test_a_second_writer_after_all(path: Path) -> None:
    """Where someone deletes the lock of a writer, the one that comes later stays the only one."""
    with JournalDB(path) as first, JournalDB(path) as second:
        first.insert({"first": 1})
        path.with_name(f"{path.name}.lock").unlink()
        second.insert({"second": 1})
        with pytest.raises(JournalError, match="was changed by another process"):
            first.insert({"first": 2})
    assert read(path) == [*DOCUMENTS, {"first": 1}, {"second": 1}]


def test_after_closing(path: Path) -> None:
    """A closed journal says so."""
    db = JournalDB(path)
    db.close()
    with pytest.raises(JournalError, match="has been closed"):
        db.all()


def test_tinydbs_own_storage_is_left_alone(tmp_path: Path) -> None:
    """Using the journal changes nothing for other databases of the program."""
    with TinyDB(tmp_path / "plain.json") as db:
        db.insert({"a": 1})
        db.update({"a": 2})
        assert isinstance(db.storage, JSONStorage)
        assert db.all() == [{"a": 2}]
