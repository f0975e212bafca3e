"""What `tunedeco doctor` says of a search: its journal, and the checkpoints that it needs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunedeco.executors import checkpoints
from tunedeco.journal.repair import Examination
from tunedeco.report.tables import ranked, scored, status_line
from tunedeco.trial import State, Trial


class BadCheckpoint(NamedTuple):
    """A checkpoint that is needed, and is not there or not whole."""

    trial: Trial
    file: Path
    problem: str


def health(found: Examination, bad: Sequence[BadCheckpoint]) -> dict[str, Any]:
    """Return what was found, as JSON."""
    state = found.state
    return {
        "journal": str(found.path),
        "damages": [
            {"line": d.line, "byte": d.byte, "problem": d.problem, "mended": d.mended}
            for d in found.damages
        ],
        "torn_bytes": found.torn,
        "events": {"saved": len(found.documents), "given_up": found.given_up},
        "trials": len(state.trials),
        "epochs": state.epochs,
        "kept_as": None if found.aside is None else str(found.aside),
        "checkpoints": [
            {"trial": trial.number, "file": str(file), "problem": problem}
            for trial, file, problem in bad
        ],
    }


def described(found: Examination, bad: Sequence[BadCheckpoint]) -> str:
    """Return what was found, as text, and what to do."""
    directory = found.path.parent
    lines = []
    if found.damages:
        lines.append(f"{found.path} is damaged:")
        for damage in found.damages:
            fate = "one flipped bit, which can be put right" if damage.mended else "lost"
            lines.append(f"  line {damage.line}, at byte {damage.byte}: {damage.problem} ({fate})")
        saved = f"saved: {len(found.documents)} events"
        if found.given_up:
            saved += f"; {found.given_up} that depend on what is lost are given up"
        lines.append(saved)
    elif found.given_up:
        lines.append(
            f"{found.path} is whole, but {found.given_up} of its events contradict those before "
            "them, or are of another version"
        )
        lines.append(f"saved: {len(found.documents)} events")
    else:
        lines.append(f"{found.path} is sound: {len(found.documents)} events")
    if found.torn:
        lines.append(
            f"a crash left {found.torn} bytes of an unfinished line at its end, which the next "
            "search cuts off"
        )
    if found.state.created is None:
        lines.append("there is no search in what can be read")
    else:
        lines.append(status_line(found.state))
    lines += _of_checkpoints(bad)
    if found.aside is not None:
        lines.append(f"repaired; the damaged journal is kept as {found.aside}")
    elif not found.sound and found.state.created is not None:
        lines.append(f"`tunedeco doctor {directory} --repair` writes what can be saved")
    return "\n".join(lines)


def _of_checkpoints(bad: Sequence[BadCheckpoint]) -> Iterator[str]:
    for trial, file, problem in bad:
        effect = (
            "it goes on from an earlier one, or from its beginning"
            if trial.state is State.RUNNING
            else "its weights are lost, its score is not"
        )
        yield f"{file}, of trial {trial.number}, is {problem}: {effect}"
    if bad:
        yield "no checkpoint can be repaired, and none need be: the search does without"


def bad_checkpoints(found: Examination) -> Iterator[BadCheckpoint]:
    """Yield the checkpoints that are needed and not whole: of running trials, and of the best."""
    best = ranked(scored(found.state))[:1]
    directory = found.path.parent / "checkpoints"
    for trial in (*best, *found.state.unfinished):
        run = checkpoints.best_run(trial)
        for checkpoint in run.checkpoints[-1:]:
            file = checkpoints.place(directory, run, checkpoint)
            if (problem := checkpoints.problem(file, checkpoint.sha256)) is not None:
                yield BadCheckpoint(trial, file, problem)
