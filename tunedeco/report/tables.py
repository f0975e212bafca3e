"""The trials of a search as rows, and as the tables that `summary` and the command line print."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from tunedeco import exporting, pareto, text
from tunedeco.errors import NoTrialError
from tunedeco.events import Created
from tunedeco.journal.search_state import SearchState
from tunedeco.trial import State, Trial
from tunedeco.units import duration

_MOST = 10**4000  # Python prints no number of more than 4,300 digits
_BRACKETS = 5  # how many to show of them, the latest


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials from the best to the worst; those without a score last, in order.

    Of several objectives one front after the other, in each from the best in the first objective.
    """
    fronts = [0.0] * len(trials)
    if any(len(trial.point) > 1 for trial in trials):
        fronts = [front for front, *_ in pareto.ranks([trial.point for trial in trials])]
    keys = [(t.loss is None, f, t.point, t.number) for t, f in zip(trials, fronts, strict=True)]
    return [trials[i] for i in sorted(range(len(trials)), key=keys.__getitem__)]


def front(state: SearchState) -> list[Trial]:
    """Return the trials that none is better than in all objectives, by the first of them.

    The first is `SearchState.best`; of one objective, the others are those with the same score.
    """
    points = [trial.point for trial in state.trials]
    return [state.trials[i] for i in next(pareto.fronts(points), [])]


def chosen(state: SearchState, number: int | None) -> Trial:
    """Return the trial of a number, or the best one.

    Raises:
        NoTrialError: there is none, or it has no score.
    """
    if number is None:
        return state.best
    if type(number) is not int or not 0 <= number < len(state.trials):
        msg = f"there is no trial {number!r}: there are {len(state.trials)}, counted from 0"
        raise NoTrialError(msg)
    if state.trials[number].loss is None:
        msg = f"trial {number} has no score: it is {state.trials[number].state}"
        raise NoTrialError(msg)
    return state.trials[number]


def scored(state: SearchState) -> list[Trial]:
    """Return the trials that have ended with a score, in order."""
    return [t for t in state.trials if t.loss is not None and t.state is not State.RUNNING]


def rows(state: SearchState) -> list[dict[str, Any]]:
    """Return one flat row a trial, in order; a hyperparameter's column is ``group/name``.

    Of several objectives each has a column, and the first one's is ``score``. One that has the name
    of another column is called ``objective/<name>``; that of ``parameters`` is the model's.
    """
    if not state.trials:
        return []
    rungs = _rungs_of(state)
    before, labels = ("number", "state"), [h.label for h in state.space]
    after = ("best_epoch", "epochs", *rungs, "parameters", *labels)
    names = [*before, *_apart(("score", *_others(state)), (*before, *after)), *after]
    return [dict(zip(names, _row(state, trial, rungs), strict=True)) for trial in state.trials]


def trials_table(state: SearchState, trials: Sequence[Trial]) -> str:
    """Return a table of some of the trials, with a column for each hyperparameter."""
    several = len(state.objectives) > 1
    scores = (state.objective.name if several else "score", *_others(state))
    rungs = _rungs_of(state)
    before, after = ("trial", "state"), ("epoch", "epochs", *rungs, "parameters")
    # names alone are shorter; the group is shown where two columns share a name
    names = [*before, *scores, *after, *(h.name for h in state.space)]
    labels = [h.name if names.count(h.name) == 1 else h.label for h in state.space]
    shown = [_row(state, trial, rungs) for trial in trials]
    if scores[0] == "parameters":  # as the first objective it has its column there
        for row in shown:
            del row[len(before) + len(scores) + len(after) - 1]
        after = after[:-1]
    header = (*before, *_apart(scores, (*before, *after, *labels)), *after, *labels)
    return text.table(header, shown)


def _row(state: SearchState, trial: Trial, rungs: Sequence[str]) -> list[object]:
    """Return what stands in the columns of a trial."""
    return [
        *(trial.number, str(trial.state)),
        *(trial.score, *(trial.scores.get(name) for name in _others(state))),
        *(trial.best_epoch, len(trial.epochs), *(getattr(trial, name) for name in rungs)),
        trial.parameters,
        *(trial.values.get(h.group, {}).get(h.name) for h in state.space),
    ]


def _others(state: SearchState) -> list[str]:
    """Return the objectives after the first that have a column; that of ``parameters`` is there."""
    return [o.name for o in state.objectives[1:] if o.name != "parameters"]


def _apart(objectives: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return what to call the columns of objectives, beside others: no two alike."""
    taken = {*columns}
    found = []
    for name in objectives:
        unique = name
        while unique in taken or (unique != name and unique in objectives):
            unique = f"objective/{unique}"
        taken.add(unique)
        found.append(unique)
    return found


def _rungs_of(state: SearchState) -> tuple[str, ...]:
    """Return the columns that say where on the rungs a trial is; none where no rungs are."""
    return ("bracket", "rung") if _on_rungs(state) else ()


def _on_rungs(state: SearchState) -> bool:
    """Return whether some trial has gone on to a higher rung."""
    return any(trial.rung for trial in state.trials)


def brackets(state: SearchState) -> list[dict[str, Any]]:
    """Return who stands where in each bracket of a multi-fidelity oracle, as JSON.

    Of each rung: ``epochs``, how many ``trials`` stand on it, and how many have ``reached`` it,
    those that have been promoted from it included.
    """
    found: dict[int, list[Trial]] = {}
    for trial in state.trials:
        if trial.bracket is not None and trial.state is not State.OUTSIDE:
            found.setdefault(trial.bracket, []).append(trial)
    return [
        {"bracket": number, "rungs": list(_rungs(members))}
        for number, members in sorted(found.items())
    ]


def _rungs(members: Sequence[Trial]) -> Iterator[dict[str, Any]]:
    for rung in sorted({trial.rung or 0 for trial in members}):
        there = [trial for trial in members if (trial.rung or 0) == rung]
        yield {
            "rung": rung,
            "epochs": max(trial.until for trial in there),
            "trials": len(there),
            "reached": sum((trial.rung or 0) >= rung for trial in members),
        }


def _bracket_lines(state: SearchState) -> Iterator[str]:
    found = brackets(state) if _on_rungs(state) else []
    if len(found) > _BRACKETS:
        promotions = sum(r["reached"] for b in found for r in b["rungs"] if r["rung"])
        yield f"{len(found)} brackets, {promotions} promotions; the latest:"
    for bracket in found[-_BRACKETS:]:
        rungs = (
            f"{r['trials']} at rung {r['rung']} ({r['epochs']} epochs)" for r in bracket["rungs"]
        )
        yield f"bracket {bracket['bracket']}: {', '.join(rungs)}"


def summary(state: SearchState, top: int = 10) -> str:
    """Return the best trials as a table, and what counts all of them: a line, and the rungs."""
    shown = [t for t in state.trials if t.state not in (State.FAILED, State.OUTSIDE)]
    best = ranked(shown)[:top]
    lines = [status_line(state), *_bracket_lines(state)]
    if best:
        lines += ["", trials_table(state, best)]
    return "\n".join(lines)


def best(state: SearchState) -> str:
    """Return the best trial: its score, and its values by group.

    Raises:
        NoTrialError: no trial has ended with a score.
    """
    values = [
        (group, name, repr(value))
        for group, names in state.best.values.items()
        for name, value in names.items()
    ]
    return f"{status_line(state)}\n\n{text.table(('group', 'name', 'value'), values)}"


def status(state: SearchState) -> dict[str, Any]:
    """Return where a search stands, as JSON."""
    created, size = state.created, state.space.size
    assert created is not None
    if size is not None and size > _MOST:
        size = None
    try:
        best: dict[str, Any] | None = {
            "trial": state.best.number,
            "score": state.best.score,
            "epoch": state.best.best_epoch,
            **({"scores": dict(state.best.scores)} if len(state.objectives) > 1 else {}),
        }
    except NoTrialError:
        best = None
    return {
        "name": created.name,
        "objective": created.objective.to_json(),
        **_of_several(state),
        "oracle": dict(created.oracle),
        "seed": created.seed,
        "space": {"hyperparameters": len(state.space), "configurations": size},
        "trials": {str(s): sum(t.state is s for t in state.trials) for s in State},
        **({"brackets": found} if (found := brackets(state)) else {}),
        "epochs": state.epochs,
        "budgets": dict(state.budgets),
        "epochs_left": epochs_left(state),
        **({"pinned": state.pinned} if state.pinned else {}),
        "stopped": state.stopped,
        "best": best,
        "runtime": {
            "sessions": list(state.sessions),
            "elapsed": round(state.elapsed, 3),
            "seconds_left": seconds_left(state),
            "seconds": round(
                sum(e.runtime.get("seconds", 0.0) for t in state.trials for e in t.epochs), 3
            ),
        },
    }


def _of_several(state: SearchState) -> dict[str, Any]:
    """Return what JSON says beside the first objective, where there are several."""
    if len(state.objectives) == 1:
        return {}
    return {
        "objectives": [objective.to_json() for objective in state.objectives],
        "pareto": [trial.number for trial in front(state)],
    }


def epochs_left(state: SearchState) -> int | None:
    """Return how many epochs the latest run's budgets leave; None where they do not say."""
    budgets = state.budgets
    limits = []
    if (budget := budgets.get("epoch_budget")) is not None:
        limits.append(budget - state.epochs)
    if (trials := budgets.get("max_trials")) is not None and state.created is not None:
        # no trial trains more, and some train less
        executions = state.created.executions
        ahead = (trials - len(state.trials)) * budgets["max_epochs"] * executions
        limits.append(max(ahead, 0) + sum(t.epochs_left for t in state.inside.unfinished))
    return max(min(limits), 0) if limits else None


def seconds_left(state: SearchState) -> float | None:
    """Return how long the search will still run, as fast as it did so far; None if unknown."""
    estimates = []
    left = epochs_left(state)
    if left is not None and state.epochs and state.elapsed:
        estimates.append(left * state.elapsed / state.epochs)
    if (budget := state.budgets.get("time_budget")) is not None:
        estimates.append(max(budget - state.elapsed, 0.0))
    return min(estimates, default=None)


def status_line(state: SearchState) -> str:
    """Return one line: how many trials and epochs, the best score, and why it rests."""
    created = state.created
    assert created is not None
    counts = [f"{count} {s}" for s in State if (count := sum(t.state is s for t in state.trials))]
    budget = state.budgets.get("epoch_budget")
    epochs = f"{state.epochs} of {budget} epochs" if budget else f"{state.epochs} epochs"
    line = f"{created.name}: {len(state.trials)} trials ({', '.join(counts) or 'none'}), {epochs}"
    with suppress(NoTrialError):
        best = state.best
        line += (
            f"; best {created.objective.name} {best.score:.6g} "
            f"in trial {best.number}, epoch {best.best_epoch}"
        )
        if created.others:
            line += f"; {len(front(state))} on the Pareto front"
    match state.stopped:
        case None:
            left = seconds_left(state)
            return line if left is None else f"{line}; about {duration(left)} left"
        case "interrupted":
            return f"{line}; interrupted"
        case reason:
            return f"{line}; stopped by {reason}"


def pareto_front(state: SearchState) -> str:
    """Return the front as a table, under the line that counts all trials."""
    found = front(state)
    table = [trials_table(state, found)] if found else []
    return "\n\n".join([status_line(state), *table])


def export(state: SearchState, number: int | None = None) -> dict[str, Any]:
    """Return a trial as the object that an exported JSON file holds: the best one, where None.

    Raises:
        NoTrialError: it does not exist, or has no score.
    """
    created, best = state.created, chosen(state, number)
    assert created is not None
    return {
        "schema": exporting.SCHEMA,
        "name": created.name,
        "objective": created.objective.to_json(),
        "score": best.score,
        **_all_scores(created, best),
        "epoch": best.best_epoch,
        "trial": best.number,
        "seed": created.seed,
        "precision": best.precision,
        "hyperparameters": best.values,
        "versions": state.sessions[-1].get("versions", {}) if state.sessions else {},
    }


def _all_scores(created: Created, trial: Trial) -> dict[str, Any]:
    """Return what an export says beside the first objective, where there are several."""
    if not created.others:
        return {}
    objectives = [objective.to_json() for objective in created.objectives]
    return {"objectives": objectives, "scores": dict(trial.scores)}
