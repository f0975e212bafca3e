"""The command line: look at a search from outside, while it runs or after.

Reads the journal and nothing else; Keras is never loaded, nothing is ever written but an export.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tunedeco import exporting
from tunedeco.errors import TunedecoError
from tunedeco.journal.journal import load
from tunedeco.report import tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after an error and 2 for wrong arguments.

    Args:
        arguments: the words after the program's name; those of this process if None.
    """
    options = _parser().parse_args(arguments)
    try:
        print(options.command(options))  # noqa: T201 (what a command is for)
    except TunedecoError as error:
        print(f"tunedeco: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tunedeco", description="Look at a search.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("directory", metavar="DIR", type=Path, help="where the search lives")
    shared.add_argument("--json", action="store_true", help="print JSON")
    for name, command, text in (
        ("status", _status, "where the search stands"),
        ("trials", _trials, "all trials, in order"),
        ("best", _best, "the best trial"),
        ("export", _export, "write the best hyperparameters as a JSON file"),
    ):
        sub = commands.add_parser(name, parents=[shared], help=text, description=text)
        sub.set_defaults(command=command)
        if name == "export":
            sub.add_argument(
                "-o",
                "--output",
                metavar="FILE",
                type=Path,
                default=Path("best.json"),
                help="the file to write (default: %(default)s); - for standard output",
            )
    return parser


def _status(options: argparse.Namespace) -> str:
    state = load(options.directory)
    if options.json:
        return _json(tables.status(state))
    return tables.summary(state, top=5)


def _trials(options: argparse.Namespace) -> str:
    state = load(options.directory)
    if options.json:
        return _json([trial.to_json() for trial in state.trials])
    return tables.trials_table(state, state.trials)


def _best(options: argparse.Namespace) -> str:
    state = load(options.directory)
    if options.json:
        return _json(state.best.to_json())
    return tables.best(state)


def _export(options: argparse.Namespace) -> str:
    data = tables.export(load(options.directory))
    if str(options.output) == "-":
        return _json(data)
    path = exporting.write(options.output, data)
    return _json(data) if options.json else f"wrote {path}"


def _json(data: object) -> str:
    return json.dumps(data, indent=2, allow_nan=False)
