"""`tunedeco doctor`: what it finds in a damaged journal, and what a search makes of its repair."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Run, records, run_search

from tunedeco.cli import main
from tunedeco.errors import JournalError, JournalLocked
from tunedeco.events import Ended
from tunedeco.journal.journal import FILE_NAME, Journal, load
from tunedeco.journal.repair import examined, repair
from tunedeco.oracles import Aging
from tunedeco.trial import State

Capture = pytest.CaptureFixture[str]


def search(directory: Path, *, with_checkpoints: bool = False) -> Run:
    return run_search(
        directory,
        oracle=Aging(3, 2),
        seed=14,
        epoch_budget=14,
        max_parameters=24,
        with_checkpoints=with_checkpoints,
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any]:
    """The journal of a search that has ended, and what it amounts to."""
    directory = tmp_path_factory.mktemp("whole")
    run = search(directory)
    return (directory / FILE_NAME).read_bytes(), records(run.state)


@pytest.fixture
def damaged(tmp_path: Path, searched: tuple[bytes, Any]) -> Callable[..., Path]:
    """Return what makes a directory with that journal after some damage."""

    def make(damage: Callable[[bytearray], None]) -> Path:
        data = bytearray(searched[0])
        damage(data)
        directory = tmp_path / "run"
        directory.mkdir(exist_ok=True)
        (directory / FILE_NAME).write_bytes(data)
        return directory

    return make


def garble(line: int) -> Callable[[bytearray], None]:
    """Return what makes a line of a journal, from 0, unreadable."""

    def damage(data: bytearray) -> None:
        begin = 0
        for _ in range(line):
            begin = data.index(b"\n", begin) + 1
        middle = (begin + data.index(b"\n", begin)) // 2
        data[middle : middle + 8] = b"\x00garbage"

    return damage


def test_a_flipped_bit_is_put_right(
    searched: tuple[bytes, Any], damaged: Callable[..., Path]
) -> None:
    """Wherever one bit is flipped, the repaired journal is the original one, byte for byte."""
    draw = random.Random(0)
    for _ in range(80):
        place, bit = draw.randrange(len(searched[0])), draw.randrange(8)

        def flip(data: bytearray, place: int = place, bit: int = bit) -> None:
            data[place] ^= 1 << bit

        directory = damaged(flip)
        found = repair(directory)
        if found.damages:
            (damage,) = found.damages
            assert damage.mended
            assert damage.byte <= place
            assert damage.line == searched[0].count(b"\n", 0, place) + 1
            assert found.aside is not None
            assert found.aside.read_bytes() != searched[0]
            assert (directory / FILE_NAME).read_bytes() == searched[0]
        else:  # in the last line's end, it is what a crash leaves
            assert found.torn


def test_a_lost_line_costs_no_more_than_its_trials(
    searched: tuple[bytes, Any], damaged: Callable[..., Path]
) -> None:
    """Whichever line is lost, the search goes on from what is saved, and ends with the same trials.

    Trials that had ended before it are not trained again.
    """
    whole = load(damaged(lambda data: None))
    for line in range(2, searched[0].count(b"\n")):
        directory = damaged(garble(line))
        found = repair(directory)
        assert [damage.line for damage in found.damages] == [line + 1]
        kept = {t.number for t in found.state.trials if t.state != "running"}
        assert kept >= {t.number for t in _ended_before(searched[0], line)}
        assert gone_on(directory) == searched[1]["trials"]
    assert len(whole.trials) == len(searched[1]["trials"])


def gone_on(directory: Path) -> Any:
    """Return the trials once the search has gone on; what had ended is not trained again."""
    ended = {t.number for t in load(directory).trials if t.state is not State.RUNNING}
    run = search(directory)
    assert run.error is None
    assert not ended & set(run.executor.submitted)
    return records(run.state)["trials"]


def _ended_before(data: bytes, line: int) -> list[Any]:
    lines = data.splitlines(keepends=True)[1:line]
    events = [json.loads(text)["doc"][2] for text in lines]
    ended = {event["trial"] for event in events if event["event"] == "ended"}
    return [type("Ended", (), {"number": number}) for number in ended]


def test_several_lost_lines(searched: tuple[bytes, Any], damaged: Callable[..., Path]) -> None:
    """With damage in several places, what is saved still leads to the same trials."""
    draw = random.Random(1)
    lines = searched[0].count(b"\n")
    for _ in range(15):
        chosen = draw.sample(range(2, lines), 3)
        directory = damaged(lambda data, c=chosen: [garble(line)(data) for line in c])
        repair(directory)
        assert gone_on(directory) == searched[1]["trials"]


@pytest.mark.parametrize("size", [1, 4096, 100_000])
def test_a_lost_block(searched: tuple[bytes, Any], damaged: Callable[..., Path], size: int) -> None:
    """A block of zeros, as a file system leaves one, costs what stood in it, and no more."""
    draw = random.Random(size)
    for _ in range(5):
        begin = draw.randrange(searched[0].index(b"\n", 100), len(searched[0]) - 1)

        def erase(data: bytearray, begin: int = begin) -> None:
            end = min(begin + size, len(data))
            data[begin:end] = bytes(end - begin)

        directory = damaged(erase)
        try:
            repair(directory)
        except JournalError as error:
            assert "nothing can be saved" in str(error)  # noqa: PT017 (either may happen)
        else:
            assert records(search(directory).state)["trials"] == searched[1]["trials"]


def test_the_first_event_is_needed(damaged: Callable[..., Path]) -> None:
    """Without the event that says what the search is, nothing is written, and that is said."""
    directory = damaged(garble(1))
    before = (directory / FILE_NAME).read_bytes()
    with pytest.raises(JournalError, match=r"nothing can be saved of .*: its first events"):
        repair(directory)
    assert (directory / FILE_NAME).read_bytes() == before


def test_the_header_is_not(searched: tuple[bytes, Any], damaged: Callable[..., Path]) -> None:
    """A lost header is written anew: what stands in it is known."""
    directory = damaged(garble(0))
    repair(directory)
    assert (
        records(load(directory))["trials"] == searched[1]["trials"][: len(load(directory).trials)]
    )


def test_a_sound_journal_is_left_alone(
    searched: tuple[bytes, Any], damaged: Callable[..., Path]
) -> None:
    """Of a sound journal nothing is written, a torn end included."""
    directory = damaged(lambda data: data.extend(b'{"seq":9'))
    found = repair(directory)
    assert (found.damages, found.torn, found.given_up) == ((), 8, 0)
    assert {path.name for path in directory.iterdir()} == {FILE_NAME, f"{FILE_NAME}.lock"}
    assert repr(examined(directory).state) == repr(load(directory))  # NaN is unequal to itself


def test_a_journal_that_contradicts_itself(tmp_path: Path, capsys: Capture) -> None:
    """A line that is whole, and says what cannot be, is found; without it the search goes on."""
    state = search(tmp_path, with_checkpoints=True).state
    with Journal(tmp_path) as journal:
        journal.append(Ended(0, State.FAILED, {"type": "", "message": "", "traceback": ""}))
    assert main(["status", str(tmp_path)]) == 1
    assert "`tunedeco doctor" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path)]) == 1
    assert "1 of its events contradict those before them" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path), "--repair"]) == 0
    assert records(load(tmp_path)) == records(state)
    assert main(["doctor", str(tmp_path)]) == 0


def test_a_running_search_is_not_repaired(damaged: Callable[..., Path]) -> None:
    """While a search writes, its journal is not repaired, but can be examined."""
    directory = damaged(lambda data: None)
    with Journal(directory) as journal:
        journal.lock()
        with pytest.raises(JournalLocked):
            repair(directory)
        assert not examined(directory).damages


def test_the_command(damaged: Callable[..., Path], capsys: Capture) -> None:
    """`doctor` says line, byte and what can be saved, with status 1; `--repair` saves it."""
    directory = damaged(garble(6))
    assert main(["doctor", str(directory)]) == 1
    said = capsys.readouterr().out
    assert f"{directory / FILE_NAME} is damaged:\n  line 7, at byte " in said
    assert f"`tunedeco doctor {directory} --repair` writes what can be saved" in said
    assert main(["doctor", str(directory), "--repair", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept_as"] == str(directory / f"{FILE_NAME}.damaged-1")
    assert [damage["line"] for damage in told["damages"]] == [7]
    assert main(["doctor", str(directory)]) == 1  # there never were checkpoints
    said = capsys.readouterr().out
    assert "journal.jsonl is sound" in said
    assert "is missing: it goes on from an earlier one, or from its beginning" in said
    assert main(["status", str(directory)]) == 0


@pytest.mark.parametrize("problem", ["damaged", "missing"])
def test_checkpoints_are_examined(tmp_path: Path, capsys: Capture, problem: str) -> None:
    """`doctor` names the checkpoints that are needed and not whole, with status 1.

    `--repair` can do nothing about them, says so, and has nothing left to repair: status 0.
    """
    run_search(tmp_path, max_trials=2, with_checkpoints=True)
    assert main(["doctor", str(tmp_path)]) == 0
    assert "weights" not in capsys.readouterr().out
    best = load(tmp_path).best.number
    for file in (tmp_path / "checkpoints").glob(f"{best:05}-*"):
        file.write_bytes(b"") if problem == "damaged" else file.unlink()
    for more, status in ([], 1), (["--repair"], 0), (["--json"], 1):
        assert main(["doctor", str(tmp_path), *more]) == status
        said = capsys.readouterr().out
        if more == ["--json"]:
            (told,) = json.loads(said)["checkpoints"]
            assert (told["trial"], told["problem"]) == (best, problem)
            continue
        assert f", of trial {best}, is {problem}: its weights are lost, its score is not" in said
        assert "no checkpoint can be repaired, and none need be" in said
        assert not list(tmp_path.glob("*.damaged-*"))
