"""Kill a search at random instants, again and again, and compare what comes out.

``python benchmarks/kill.py --kills 200``. For each oracle the search of ``victim.py`` runs once
undisturbed. Then it is started in another directory, killed with SIGKILL, and started again, until
the oracle's share of the kills has come or it has ended; if it ends before, it begins anew in a
further directory. Half of the kills come at a random instant after the start, the other half in the
middle of a random call that appends to the journal, writes a checkpoint, flushes, renames, or makes
a file.

At the end every directory must hold the same trials, values and logs, compared with ``==``, and the
same weights, compared by byte; its journal each epoch once; and no epoch may have been trained
again that the journal had held when the search was killed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tunedeco.errors import SearchNotFound
from tunedeco.events import Trained
from tunedeco.journal.journal import Journal, load

VICTIM = Path(__file__).with_name("victim.py")


@dataclass
class Result:
    """What came of one oracle's kills."""

    kills: Counter[str] = field(default_factory=Counter)
    """How many, by where they hit."""
    compared: int = 0
    different: int = 0
    journalled_twice: int = 0
    trained_again: int = 0

    @property
    def wrong(self) -> int:
        return self.different + self.journalled_twice + self.trained_again


class Torture:
    """The kills of one oracle's search."""

    def __init__(self, oracle: str, options: argparse.Namespace, root: Path) -> None:
        self.oracle = oracle
        self.options = options
        self.root = root
        self.draw = random.Random(f"{options.seed} {oracle}")
        self.result = Result()

    def start(self, directory: Path, *faults: object) -> subprocess.Popen[str]:
        arguments = [directory, self.oracle, self.options.trials, self.options.epochs, *faults]
        command = [sys.executable, VICTIM, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True)

    def finish(self, directory: Path) -> str:
        """Search to the end; return what was printed."""
        process = self.start(directory)
        output, errors = process.communicate()
        if process.returncode:
            sys.exit(f"a search ended with status {process.returncode}:\n{errors}")
        return output

    def run(self, kills: int) -> Result:
        """Kill so often, and compare."""
        whole = self.root / f"{self.oracle}-whole"
        began = time.monotonic()
        calls = json.loads(self.finish(whole))
        longest = time.monotonic() - began
        expected = outcome(whole)
        while self.result.kills.total() < kills:
            directory = self.root / f"{self.oracle}-{self.result.compared}"
            ended = False
            while not ended and self.result.kills.total() < kills:
                held, trained = journalled(directory), trained_in(directory)
                ended = not self.kill(directory, calls, longest)
                self.count_again(held, trained_in(directory)[len(trained) :])
            held, trained = journalled(directory), trained_in(directory)
            self.finish(directory)
            self.count_again(held, trained_in(directory)[len(trained) :])
            self.compare(directory, outcome(directory), expected)
        return self.result

    def kill(self, directory: Path, calls: dict[str, int], longest: float) -> bool:
        """Start the search and kill it; return False if it ended before."""
        if self.draw.random() < 0.5:
            place, faults = "any instant", []
            # a few kills while it starts; the others anywhere up to half of a whole search
            seconds = self.draw.uniform(0.5, self.draw.choice([5, longest / 2 + 5]))
        else:
            place = self.draw.choice(sorted(calls))
            seconds = None
            faults = ["--kill-at", place, self.draw.randint(1, max(2, calls[place] // 4))]
        process = self.start(directory, *faults)
        try:
            _, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        else:
            if process.returncode == 0:
                return False
            if process.returncode != -9:
                sys.exit(f"a search ended with status {process.returncode}:\n{errors}")
        self.result.kills[place] += 1
        return True

    def count_again(self, held: set[tuple[int, int]], trained: list[tuple[int, int]]) -> None:
        again = held & set(trained)
        self.result.trained_again += len(again)
        if again:
            print(f"TRAINED AGAIN (trial, epoch): {sorted(again)}")

    def compare(self, directory: Path, found: list, expected: list) -> None:
        self.result.compared += 1
        with Journal(directory) as journal:
            events = [event for event in journal.events() if isinstance(event, Trained)]
        epochs = [(event.trial, epoch.epoch) for event in events for epoch in event.epochs]
        self.result.journalled_twice += len(epochs) - len(set(epochs))
        if found != expected:
            self.result.different += 1
            for ours, theirs in zip(found, expected, strict=False):
                if ours != theirs:
                    print(f"DIFFERENT in {directory}:\n  {ours}\n  {theirs}")


def journalled(directory: Path) -> set[tuple[int, int]]:
    """Return the epochs that a journal holds, as (trial, epoch)."""
    try:
        trials = load(directory).trials
    except SearchNotFound:
        return set()
    return {(trial.number, epoch.epoch) for trial in trials for epoch in trial.epochs}


def trained_in(directory: Path) -> list[tuple[int, int]]:
    """Return the epochs that were trained, in order, as (trial, epoch)."""
    file = directory.with_suffix(".trained")
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(trial), int(epoch)) for trial, epoch in map(str.split, lines)]


def outcome(directory: Path) -> list:
    """Return all that must be the same: trials without circumstances, and the files of weights."""
    trials = [without_runtime(trial.to_json()) for trial in load(directory).trials]
    files = sorted((directory / "checkpoints").iterdir())
    return [*trials, *((file.name, file.read_bytes()) for file in files)]


def without_runtime(data: object) -> object:
    if isinstance(data, dict):
        return {k: without_runtime(v) for k, v in data.items() if k != "runtime"}
    return [without_runtime(item) for item in data] if isinstance(data, list) else data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--oracles", nargs="+", default=["grid", "random", "evolution"])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    options = parser.parse_args()
    lines = [
        f"{options.trials} trials of {options.epochs} epochs.",
        "",
        "| oracle | kills | compared | different | epochs journalled twice | trained again |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    count, wrong, places = len(options.oracles), 0, Counter()
    with tempfile.TemporaryDirectory() as root:
        for i, oracle in enumerate(options.oracles):
            kills = options.kills * (i + 1) // count - options.kills * i // count
            result = Torture(oracle, options, Path(root)).run(kills)
            wrong += result.wrong
            places += result.kills
            numbers = (
                *(result.kills.total(), result.compared, result.different),
                *(result.journalled_twice, result.trained_again),
            )
            lines.append(f"| {oracle} | " + " | ".join(map(str, numbers)) + " |")
            print(lines[-1], flush=True)
    hit = ", ".join(f"{place} {number}" for place, number in places.most_common())
    lines += ["", f"Where the kills hit: {hit}."]
    print("\n".join(lines[-2:]))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
