"""Kill a search at random instants, again and again, and compare what comes out.

``python benchmarks/kill.py --kills 200``. For each oracle a search runs once undisturbed. Then the
same search is started in another directory, killed with SIGKILL at a random instant (while it
starts, trains, writes a checkpoint or appends to the journal), and started again, until its share
of the kills has come or it has ended; if it ends before, it begins anew in a further directory. At
the end every directory must hold the same trials, values and logs, compared with ``==``; each epoch
once; and no epoch may have been trained again that a checkpoint had held.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """
import sys
import keras, numpy as np
from tunedeco import Choice, Linear, Range, Tuner

def model_fn():
    learning_rate = Choice("learning_rate", [0.03, 0.01, 0.003], group="optimizer")
    rate = Linear("rate", 0.1, 0.5, 3, group="dense")
    units = Range("units", 8, 16, 8, group="dense")
    model = keras.Sequential([
        keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization(),
        keras.layers.Dropout(rate), keras.layers.Dense(3, activation="softmax"),
    ])
    model.compile(loss="sparse_categorical_crossentropy",
                  optimizer=keras.optimizers.Adam(learning_rate))
    return model

draw = np.random.RandomState(0)
x = draw.normal(size=(600, 8))
y = (x[:, :3] + draw.normal(size=(600, 3)) / 2).argmax(axis=1)
directory, oracle, trials, epochs = sys.argv[1:]
tuner = Tuner(model_fn, "val_accuracy", max_trials=int(trials), max_epochs=int(epochs),
              oracle=oracle, directory=directory)
tuner.search(x, y, validation_split=0.25, batch_size=16, verbose=0, callbacks=[
    keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
    keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
])
"""


def start(directory: Path, oracle: str, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Start the search in a process of its own."""
    arguments = [directory, oracle, options.trials, options.epochs]
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a search to end well."""
    _, errors = process.communicate()
    if process.returncode:
        sys.exit(f"a search ended with status {process.returncode}:\n{errors.decode()}")


def trials(directory: Path) -> list:
    """Return the trials in a directory, without what is circumstance."""
    command = [sys.executable, "-m", "tunedeco", "trials", str(directory), "--json"]
    return _reproducible(
        json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    )


def _reproducible(data: object) -> object:
    if isinstance(data, dict):
        return {k: _reproducible(v) for k, v in data.items() if k != "runtime"}
    return [_reproducible(item) for item in data] if isinstance(data, list) else data


def repeated(directory: Path) -> int:
    """Return how many epochs the journal holds more than once."""
    lines = (directory / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line)["doc"][2] for line in lines[1:]]
    seen = [
        (event["trial"], epoch["epoch"])
        for event in events
        if event["event"] == "trained"
        for epoch in event["epochs"]
    ]
    return len(seen) - len(set(seen))


def torture(
    oracle: str, kills: int, options: argparse.Namespace, draw: random.Random, root: Path
) -> tuple[int, int, int]:
    """Return (searches compared, those that differ, epochs journalled twice) for one oracle."""
    whole = root / f"{oracle}-whole"
    began = time.monotonic()
    finish(start(whole, oracle, options))
    longest = time.monotonic() - began
    expected = trials(whole)
    compared = different = twice = done = 0
    while done < kills:
        directory = root / f"{oracle}-{compared}"
        while done < kills:
            process = start(directory, oracle, options)
            try:
                # half of the kills come early, where starting up and the first writes are
                share = draw.choice([0.3, 1.0])
                process.wait(draw.uniform(0.5, longest * share / 2 + 2))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                done += 1
        finish(start(directory, oracle, options))
        found = trials(directory)
        compared += 1
        twice += repeated(directory)
        if found != expected:
            different += 1
            for ours, theirs in zip(found, expected, strict=False):
                if ours != theirs:
                    print(f"DIFFERENT in {directory}:\n  {ours}\n  {theirs}")
    return compared, different, twice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--oracles", nargs="+", default=["grid", "random", "evolution"])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file to write the table to as well")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    lines = [
        f"{options.trials} trials of {options.epochs} epochs.",
        "",
        "| oracle | kills | searches compared | that differ | epochs journalled twice |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as root:
        for i, oracle in enumerate(options.oracles):
            count = len(options.oracles)
            kills = options.kills * (i + 1) // count - options.kills * i // count
            result = torture(oracle, kills, options, draw, Path(root))
            wrong += result[1] + result[2]
            lines.append(f"| {oracle} | {kills} | " + " | ".join(map(str, result)) + " |")
            print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
