"""Opening a search's directory: the same one goes on, another is refused, moved or extended."""

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tunedeco import conditions, tracing
from tunedeco.circumstances import circumstances
from tunedeco.errors import JournalError, SearchMismatch
from tunedeco.events import Created, Extended
from tunedeco.files import clear_abandoned
from tunedeco.journal.journal import Journal
from tunedeco.journal.search_state import SearchState
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import State


def open_search(
    directory: Path,
    wanted: Created,
    *,
    overwrite: bool = False,
    extend: Callable[[SearchState], Extended] | None = None,
) -> tuple[Journal, SearchState]:
    """Open the journal of a search for writing, and fold it; a new directory gives an empty one.

    A search there that has trained nothing yet makes way; any other must be the same one.

    Args:
        directory: where the search lives.
        wanted: the search that is to be there.
        overwrite: move any other aside.
        extend: makes another with the same objective into this one.

    Raises:
        SearchMismatch: another search lives in the directory; shows the differences.
        JournalError: the journal cannot be read or written, or another process holds it.
    """
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(directory))
        journal.lock()
        for folder in (directory, directory / "checkpoints"):
            clear_abandoned(folder)
        state = journal.state()
        differences = compare(state.created, wanted) if state.created else []
        if not differences and not (overwrite and state.created):
            stack.pop_all()  # it stays open
            return journal, state
        if extend and _comparable(state.created, wanted):
            journal.record(extend(state), state)
            stack.pop_all()
            return journal, state
        if state.epochs and not overwrite:
            msg = "\n  ".join([f"{directory} holds another search:", *differences]) + (
                "\nrun it with its own settings to continue it, or choose another directory=, "
                "or pass overwrite=True to move it aside and begin anew"
            )
            if _comparable(state.created, wanted):
                msg += (
                    ", or extend=True to go on with those of its trials that lie in the new space"
                )
            raise SearchMismatch(msg)
        move_aside(directory)  # under its lock, so that nobody writes it meanwhile
    return open_search(directory, wanted)


def _comparable(there: Created | None, here: Created) -> bool:
    """Return whether a score means the same in two searches."""
    return there is not None and (there.objectives, there.executions, there.folds) == (
        *(here.objectives, here.executions, here.folds),
    )


def carried_over(state: SearchState, wanted: Created, model_fn: Callable[[], object]) -> Extended:
    """Return what makes a search into another, with those of its trials that lie in the new space.

    A trial does if the model function, given its values, asks for exactly these. Trials that failed
    or were rejected are not carried over: what has changed may have mended it.
    """
    space = wanted.space
    carried = []
    for trial in (state.outside.get(t.number, t) for t in state.trials):
        if trial.state in (State.FAILED, State.REJECTED):
            continue
        asked = tracing.asks_only_for(model_fn, trial.values)
        if asked is not None:
            carried.append(trial.number)
            space = space.extended(h for h in asked if h.key not in space.by_key)
    return Extended(
        wanted.space,
        tuple(space)[len(wanted.space) :],
        wanted.oracle,
        wanted.seed,
        tuple(carried),
        circumstances(),
    )


def move_aside(directory: Path) -> Path:
    """Rename a directory to the first free of ``<name>.1``, ``<name>.2`` and so on.

    Raises:
        JournalError: it cannot be renamed; it is as it was.
    """
    directory = directory.absolute()  # "." has no name of its own
    if Path.cwd().is_relative_to(directory.resolve()):  # it would take this process with it
        msg = f"cannot move {directory} aside: this program runs in it; run it from elsewhere"
        raise JournalError(msg)
    names = (directory.with_name(f"{directory.name}.{i}") for i in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    try:
        return directory.rename(aside)
    except OSError as error:
        msg = f"cannot move {directory} aside: {error.strerror or error}; choose another directory"
        raise JournalError(msg) from error


def compare(there: Created, here: Created) -> list[str]:
    """Return what makes two searches different ones, a line each."""
    lines = []
    for old, new in itertools.zip_longest(there.objectives, here.objectives):
        if old != new:
            shown = ["nothing" if o is None else f"{o.name} ({o.direction})" for o in (old, new)]
            lines.append(f"objective: {shown[0]} there, {shown[1]} here")
    lines += [
        f"oracle {setting}: {there.oracle.get(setting)!r} there, {here.oracle.get(setting)!r} here"
        for setting in {**there.oracle, **here.oracle}
        if there.oracle.get(setting) != here.oracle.get(setting)
    ]
    for what in ("executions", "folds"):
        was, now = getattr(there, what), getattr(here, what)
        if was != now:
            lines.append(f"{what}: {was} there, {now} here")
    if there.seed != here.seed:
        lines.append(f"seed: {there.seed} there, {here.seed} here")
    return lines + compare_spaces(there.space, here.space)


def compare_spaces(there: Space, here: Space) -> list[str]:
    """Return how two spaces differ, a line for each hyperparameter that does.

    What tracing has found out of conditions and order is not what was declared: where that differs,
    as it may under a debugger, the search goes on with what it knows.
    """
    lines = []
    for key in {**there.by_key, **here.by_key}:
        old, new = there.by_key.get(key), here.by_key.get(key)
        if old is None or new is None or replace(old, when=()) != replace(new, when=()):
            shown = _described(old, there), _described(new, here)
            lines.append(f"{'/'.join(key)}: {shown[0]} there, {shown[1]} here")
    return lines


def _described(hyperparameter: Hyperparameter | None, space: Space) -> str:
    if hyperparameter is None:
        return "nothing"
    text = f"{hyperparameter.domain} (default {hyperparameter.default!r})"
    when = conditions.describe(hyperparameter.when, space.domains)
    return f"{text}, when {when}" if when else text
