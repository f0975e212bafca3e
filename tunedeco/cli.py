"""The command line: look at a search from outside, while it runs or after; and mend its journal.

Keras is never loaded but by ``suggest``, which runs a model function. Nothing is written but by
``export``, ``doctor --repair`` and ``compact``.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tunedeco import exporting, text
from tunedeco.errors import TunedecoError
from tunedeco.importances import EVALUATORS, importances
from tunedeco.journal.compaction import compact
from tunedeco.journal.journal import load
from tunedeco.journal.repair import examined, repair
from tunedeco.report import tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after an error and where `doctor` finds damage.

    After Ctrl-C it is 130.

    Wrong arguments end the program with status 2.

    Args:
        arguments: the words after the program's name; those of this process if None.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except TunedecoError as error:
        print(text.printable(f"tunedeco: {error}"), file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tunedeco", description="Look at a search.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("directory", metavar="DIR", type=Path, help="where the search lives")
    shared.add_argument("--json", action="store_true", help="print JSON")
    for name, command, about in (
        ("status", _status, "where the search stands"),
        ("trials", _trials, "all trials, in order"),
        ("best", _best, "the best trial"),
        ("pareto", _pareto, "the trials that none is better than in all objectives"),
        ("importances", _importances, "how much each hyperparameter and each group mattered"),
        ("export", _export, "write the best hyperparameters as a JSON file"),
        ("doctor", _doctor, "check the journal and the checkpoints; status 1 if damaged"),
        ("compact", _compact, "rewrite the journal with fewer events that amount to the same"),
    ):
        sub = commands.add_parser(name, parents=[shared], help=about, description=about)
        sub.set_defaults(command=command)
        if name == "importances":
            sub.add_argument(
                "--evaluator",
                choices=EVALUATORS,
                default=EVALUATORS[0],
                help="the built-in one, or one of Optuna's (default: %(default)s)",
            )
            sub.add_argument(
                "--objective",
                metavar="NAME",
                help="for which of several objectives (default: the first)",
            )
        if name == "export":
            sub.add_argument(
                "-o",
                "--output",
                metavar="FILE",
                type=Path,
                default=Path("best.json"),
                help="the file to write (default: %(default)s); - for standard output",
            )
            sub.add_argument(
                "--trial",
                metavar="N",
                type=int,
                help="the number of another trial than the best, such as one of `pareto`",
            )
        if name == "doctor":
            sub.add_argument(
                "--repair",
                action="store_true",
                help="write what can be saved as a new journal, the damaged one is kept beside it; "
                "checkpoints stay as they are; status 0 if the search can go on",
            )
    about = "propose a space for a model function that declares none"
    sub = commands.add_parser("suggest", help=about, description=about)
    sub.set_defaults(command=_suggest)
    sub.add_argument("function", metavar="MODULE:FUNCTION", help="or path/to/file.py:function")
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--write", action="store_true", help="print the decorator that declares it")
    return parser


def _status(options: argparse.Namespace) -> int:
    state = load(options.directory)
    if options.json:
        return _print(_json(tables.status(state)))
    return _print(tables.summary(state, top=5))


def _trials(options: argparse.Namespace) -> int:
    state = load(options.directory)
    if options.json:
        return _print(_json([trial.to_json() for trial in state.trials]))
    return _print(tables.trials_table(state, state.trials))


def _best(options: argparse.Namespace) -> int:
    state = load(options.directory)
    if options.json:
        return _print(_json(state.best.to_json()))
    return _print(tables.best(state))


def _pareto(options: argparse.Namespace) -> int:
    state = load(options.directory)
    if options.json:
        return _print(_json([trial.to_json() for trial in tables.front(state)]))
    return _print(tables.pareto_front(state))


def _importances(options: argparse.Namespace) -> int:
    state = load(options.directory)
    names = [objective.name for objective in state.objectives]
    found = importances(
        *(state.space, state.trials, options.evaluator),
        objectives=names,
        objective=options.objective,
    )
    return _print(_json(found.to_json()) if options.json else str(found))


def _export(options: argparse.Namespace) -> int:
    data = tables.export(load(options.directory), options.trial)
    if str(options.output) == "-":
        return _print(_json(data))
    path = exporting.write(options.output, data)
    return _print(_json(data) if options.json else f"wrote {path}")


def _doctor(options: argparse.Namespace) -> int:
    # to look at checkpoints takes NumPy, which no other command waits for
    from tunedeco.report.health import bad_checkpoints, described, health

    found = (repair if options.repair else examined)(options.directory)
    bad = list(bad_checkpoints(found))
    _print(_json(health(found, bad)) if options.json else described(found, bad))
    return int(not options.repair and (bool(bad) or not found.sound))


def _compact(options: argparse.Namespace) -> int:
    done = compact(options.directory)
    if options.json:
        return _print(_json(dataclasses.asdict(done)))
    return _print(
        f"{done.events + done.dropped:,} events became {done.events:,}, "
        f"{done.bytes_before:,} bytes {done.bytes_after:,}"
    )


def _suggest(options: argparse.Namespace) -> int:
    # it runs a model function, which loads Keras; no other command does
    from tunedeco.discovery import loading, suggest

    found = suggest(loading.function(options.function))
    if options.json:
        return _print(_json(found.to_json()))
    return _print(found.code.rstrip() if options.write else str(found))


def _print(output: str) -> int:
    print(text.printable(output))  # noqa: T201 (what a command is for)
    return 0


def _json(data: object) -> str:
    return json.dumps(data, indent=2, allow_nan=False)
