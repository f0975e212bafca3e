"""The command line: what it prints of a search, as text and as JSON, and what it refuses."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Curve, model_fn, run_search, without_runtime

from tunedeco import Objective, Range, domains, exporting, tunable
from tunedeco.cli import main
from tunedeco.events import Created, Proposed, Trained
from tunedeco.journal.journal import FILE_NAME, Journal, load
from tunedeco.journal.storage import JournalDB
from tunedeco.oracles import Aging
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import Checkpoint, Epoch

OPTIONS: dict[str, Any] = {"oracle": Aging(4, 2), "seed": 6, "epoch_budget": 20}
COMMANDS = ("status", "trials", "best")

Capture = pytest.CaptureFixture[str]
Shell = Callable[..., str]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a search that has ended."""
    directory = tmp_path_factory.mktemp("runs") / "model_fn"
    run_search(directory, max_parameters=24, **OPTIONS)
    return directory


@pytest.fixture
def shell(capsys: Capture) -> Shell:
    """Run a command in this process, and return what it prints."""

    def run(*arguments: object, status: int = 0) -> str:
        assert main([str(argument) for argument in arguments]) == status
        printed = capsys.readouterr()
        assert bool(printed.err) == bool(status)
        return printed.err if status else printed.out

    return run


def test_status_shows_where_a_search_stands(searched: Path, shell: Shell) -> None:
    """`status` is one line of counts and the best score, and a table of the best trials."""
    state = load(searched)
    line, _, header, rule, *rows = shell("status", searched).splitlines()
    assert line.startswith(f"model_fn: {len(state.trials)} trials (")
    for number in ("completed", "diverged", "failed", "rejected"):
        assert f"{sum(t.state == number for t in state.trials)} {number}" in line
    assert f"20 of 20 epochs; best val_loss {state.best.score:.6g} in trial" in line
    assert header.split() == [
        *("trial", "state", "score", "epoch", "epochs", "parameters"),
        *("optimizer", "rate", "units", "momentum"),
    ]
    assert set(rule) == {"-", " "}
    assert len(rows) == 5
    assert rows[0].split()[:2] == [str(state.best.number), str(state.best.state)]


def test_status_json_counts_by_state(searched: Path, shell: Shell) -> None:
    """`status --json` says what the search is, what it has cost, and how it stopped."""
    state = load(searched)
    status = json.loads(shell("status", searched, "--json"))
    assert set(status["runtime"]) == {"sessions", "elapsed", "seconds_left", "seconds"}
    best = {"trial": state.best.number, "score": state.best.score, "epoch": state.best.best_epoch}
    counts = {s: sum(t.state == s for t in state.trials) for s in status["trials"]}
    assert without_runtime(status) == {
        "name": "model_fn",
        "objective": {"name": "val_loss", "direction": "min"},
        "oracle": {"name": "aging", "population": 4, "tournament": 2, "crossover": 0.5},
        "seed": 6,
        "space": {"hyperparameters": 4, "configurations": 5 * 4 * (1 + 3)},
        "trials": {"running": 0, "paused": 0, **counts},
        "epochs": 20,
        "epochs_left": 0,
        "budgets": {
            "epoch_budget": 20,
            "max_epochs": 3,
            "min_epochs": 1,
            "max_trials": None,
            "time_budget": None,
            "target": None,
            "max_consecutive_failures": 5,
            "max_retries": 2,
        },
        "stopped": "epoch_budget",
        "best": best,
    }


def test_trials_json_is_the_list_that_other_programs_rely_on(searched: Path, shell: Shell) -> None:
    """Each trial has number, state, values, score, best_epoch and epochs with epoch and logs."""
    trials = json.loads(shell("trials", searched, "--json"))
    assert [trial["number"] for trial in trials] == list(range(len(trials)))
    for trial, record in zip(trials, load(searched).trials, strict=True):
        assert trial["state"] == record.state
        assert trial["values"] == record.values
        assert (trial["score"], trial["best_epoch"]) == (record.score, record.best_epoch)
        assert [epoch["epoch"] for epoch in trial["epochs"]] == [e.epoch for e in record.epochs]
        for epoch in trial["epochs"]:
            assert set(epoch) == {"epoch", "logs", "runtime"}
            assert set(epoch["logs"]) == {"loss", "val_loss"}
    logs = [epoch["logs"]["val_loss"] for trial in trials for epoch in trial["epochs"]]
    assert "nan" in logs  # JSON has no NaN
    assert {trial["error"]["type"] for trial in trials if trial["state"] == "failed"} == {
        "RuntimeError"
    }


def test_trials_is_a_table_of_all_in_order(searched: Path, shell: Shell) -> None:
    """`trials` has a row for each trial, in order, with a dash where it was not asked."""
    rows = [line.split() for line in shell("trials", searched).splitlines()[2:]]
    trials = load(searched).trials
    assert [row[0] for row in rows] == [str(trial.number) for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        momentum = trial.values["training"].get("momentum")
        assert row[-1] == ("-" if momentum is None else f"{momentum:g}")


def test_best_is_the_best_trial(searched: Path, shell: Shell) -> None:
    """`best` shows the values of the best trial by group; its JSON is that trial's."""
    best = load(searched).best
    lines = shell("best", searched).splitlines()
    shown = {tuple(line.split()[:2]): line.split()[2] for line in lines[4:]}
    assert shown == {
        (group, name): repr(value)
        for group, names in best.values.items()
        for name, value in names.items()
    }
    assert json.loads(shell("best", searched, "--json")) == json.loads(json.dumps(best.to_json()))


def test_export_writes_what_build_reads(searched: Path, tmp_path: Path, shell: Shell) -> None:
    """`export -o` writes the best hyperparameters, and the function builds from them."""
    path = tmp_path / "found.json"
    assert shell("export", searched, "-o", path).strip() == f"wrote {path}"
    data = json.loads(path.read_text("utf-8"))
    best = load(searched).best
    assert data["schema"] == exporting.SCHEMA
    assert data["hyperparameters"] == best.values
    assert (data["score"], data["epoch"], data["trial"]) == (
        best.score,
        best.best_epoch,
        best.number,
    )
    assert data["objective"] == {"name": "val_loss", "direction": "min"}
    assert (data["name"], data["seed"], data["precision"]) == (
        "model_fn",
        OPTIONS["seed"],
        "float32",
    )
    assert "numpy" in data["versions"]
    built = tunable(model_fn).build(path)
    assert isinstance(built, Curve)
    assert built.parameters == best.parameters
    assert json.loads(shell("export", searched, "-o", "-")) == data
    assert json.loads(shell("export", searched, "--json", "-o", path)) == data


def test_export_writes_best_json_where_nothing_is_said(
    searched: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `-o`, `export` writes best.json into the working directory, and nothing else."""
    monkeypatch.chdir(tmp_path)
    shell("export", searched)
    assert [path.name for path in tmp_path.iterdir()] == ["best.json"]


def test_two_runs_differ_in_runtime_alone(searched: Path, tmp_path: Path, shell: Shell) -> None:
    """The JSON of two runs of a search, one of them interrupted, is equal without `runtime`."""
    other = tmp_path / "model_fn"
    run_search(other, max_parameters=24, interrupt_at=17, **OPTIONS)
    run_search(other, max_parameters=24, **OPTIONS)
    for command in COMMANDS:
        one, two = (
            json.loads(shell(command, directory, "--json")) for directory in (searched, other)
        )
        assert without_runtime(one) == without_runtime(two)
        assert one != two
    exports = [shell("export", directory, "-o", "-") for directory in (searched, other)]
    assert exports[0] == exports[1]


def test_the_journal_itself_names_a_search(searched: Path, shell: Shell) -> None:
    """The path of the journal serves as well as its directory."""
    assert shell("status", searched / FILE_NAME) == shell("status", searched)


def test_looking_changes_nothing(searched: Path, tmp_path: Path, shell: Shell) -> None:
    """No command writes into the directory, not even where the journal has a torn end."""
    copy = tmp_path / "copy"
    copy.mkdir()
    content = (searched / FILE_NAME).read_bytes()[:-9]
    (copy / FILE_NAME).write_bytes(content)
    for command in COMMANDS:
        shell(command, copy)
    assert [path.name for path in copy.iterdir()] == [FILE_NAME]
    assert (copy / FILE_NAME).read_bytes() == content
    assert load(copy).stopped is None  # what was torn off


def test_a_search_under_way_can_be_looked_at(searched: Path, tmp_path: Path, shell: Shell) -> None:
    """Commands take no lock: they answer while another process writes."""
    copy = tmp_path / "copy"
    shutil.copytree(searched, copy)
    with Journal(copy) as journal:
        journal.lock()
        assert shell("status", copy) == shell("status", searched)


def test_numbers_beyond_all_use(tmp_path: Path, shell: Shell) -> None:
    """A space too large to print its size has none in JSON; seconds without a float are refused."""
    many = Space(tuple(Hyperparameter("g", f"{i}", domains.Range(0, 2**49), 0) for i in range(300)))
    with Journal(tmp_path) as journal:
        journal.append(Created("f", Objective("loss"), many, {}, 0))
        journal.append(Proposed(0, many.defaults, 1))
    status = json.loads(shell("status", tmp_path, "--json"))
    assert status["space"] == {"hyperparameters": 300, "configurations": None}
    trained = Trained(0, (Epoch(1, {"loss": 1.0}, {"seconds": 10**400}),), Checkpoint(1, 0, ""))
    with JournalDB(tmp_path / FILE_NAME) as database:
        database.insert(trained.to_json())
    assert "runtime is {'seconds': 10000" in shell("status", tmp_path, "--json", status=1)


def test_a_name_that_no_directory_can_have_is_reported(shell: Shell) -> None:
    """What the operating system refuses even to look for is an error, and no traceback."""
    for command in (*COMMANDS, "importances", "doctor", "compact"):
        assert "File name too long" in shell(command, "a" * 300, status=1)


def test_ctrl_c_ends_a_command_without_a_traceback(
    searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, a command leaves as a program does, with status 130."""

    def interrupted(directory: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tunedeco.cli.compact", interrupted)
    assert main(["compact", str(searched)]) == 130


@pytest.mark.parametrize("command", [*COMMANDS, "export", "importances"])
def test_a_directory_without_a_search_is_named(command: str, tmp_path: Path, shell: Shell) -> None:
    """Where there is no search the commands say so on stderr, in one line, and return 1."""
    error = shell(command, tmp_path / "none", status=1)
    assert (
        error
        == f"tunedeco: there is no search in {tmp_path / 'none'} (it would have a journal.jsonl)\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["best", "export"])
def test_without_a_score_there_is_no_best(command: str, tmp_path: Path, shell: Shell) -> None:
    """A search without any score has a status, and no best trial."""

    def broken_fn() -> Curve:
        return Curve(1.0, 0.9, breaks=Range("breaks", 1, 1))

    run_search(tmp_path, broken_fn, max_trials=1)
    assert shell(command, tmp_path, status=1) == "tunedeco: no trial has a score yet\n"
    assert "1 trials (1 failed), 0 epochs" in shell("status", tmp_path)
    assert json.loads(shell("status", tmp_path, "--json"))["best"] is None


def test_a_damaged_journal_is_reported(searched: Path, tmp_path: Path, shell: Shell) -> None:
    """A flipped digit in the middle is an error with the line, and no traceback."""
    content = (searched / FILE_NAME).read_bytes()
    middle = content.index(b"units", len(content) // 2)
    (tmp_path / FILE_NAME).write_bytes(content[:middle] + b"U" + content[middle + 1 :])
    error = shell("status", tmp_path, status=1)
    assert f"{tmp_path / FILE_NAME} is damaged in line" in error
    assert len(error.splitlines()) == 1


def test_an_export_that_cannot_be_written_is_reported(
    searched: Path, tmp_path: Path, shell: Shell
) -> None:
    """A path that cannot be written is an error that names it."""
    error = shell("export", searched, "-o", tmp_path / "no" / "best.json", status=1)
    assert f"cannot write {tmp_path / 'no' / 'best.json'}" in error


@pytest.mark.parametrize("arguments", [[], ["imagine", "."], ["status"], ["status", ".", "--xml"]])
def test_wrong_arguments_are_explained(arguments: list[str], capsys: Capture) -> None:
    """Arguments that make no command end with status 2, and usage on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: tunedeco" in capsys.readouterr().err


def test_no_command_loads_a_backend(searched: Path) -> None:
    """`python -m tunedeco` answers every command with neither Keras nor a backend loaded.

    Nor NumPy, but for what reckons with it.
    """
    code = (
        "import sys\nfrom tunedeco.cli import main\n"
        f"for command in {[*COMMANDS, 'export']!r}:\n"
        f"    for more in ([], ['--json']):\n"
        f"        output = ['-o', '-'] if command == 'export' else []\n"
        f"        assert main([command, {str(searched)!r}, *more, *output]) == 0\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'pandas'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
        f"assert main(['importances', {str(searched)!r}]) == 0\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = [line for line in done.stdout.splitlines() if line.startswith("loaded: ")]
    assert loaded == ["loaded: []", "loaded: ['numpy']"]


def test_it_is_a_module_to_run(searched: Path) -> None:
    """`python -m tunedeco status DIR --json` prints what the command prints, and returns 0."""
    done = subprocess.run(
        [sys.executable, "-m", "tunedeco", "status", str(searched), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["epochs"] == 20
