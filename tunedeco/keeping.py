"""Which checkpoints a search needs: of what is not at its end, and of the best."""

from itertools import islice
from pathlib import Path

from tunedeco import pareto
from tunedeco.executors import checkpoints
from tunedeco.journal.search_state import SearchState
from tunedeco.oracles import Oracle, Scheduler
from tunedeco.report import tables
from tunedeco.trial import State


def needed(state: SearchState, oracle: Oracle, keep: int, directory: Path) -> set[Path]:
    """Return the checkpoints that are needed.

    Args:
        state: the search.
        oracle: which trials it may yet continue.
        keep: of how many of the best trials the weights are kept; of several objectives, as
            `pareto.ranks` says: the best in each one, then those that no other one resembles.
        directory: where the checkpoints are.
    """
    # a trial that runs may still fail, and must not have cost the one it would have beaten
    if len(state.objectives) > 1:
        scored = tables.scored(state)
        ranks = pareto.ranks([trial.point for trial in scored], keep)
        best = [scored[i] for i in sorted(range(len(scored)), key=ranks.__getitem__)[:keep]]
    else:
        ended = (trial for trial in state.inside.ranked if trial.state is not State.RUNNING)
        best = list(islice(ended, keep))
    opened = oracle.open(state.inside) if isinstance(oracle, Scheduler) else ()
    waiting = [run for number in opened for run in state.trials[number].runs]
    found = [(run, c) for run in state.unfinished for c in run.checkpoints]
    latest = (*map(checkpoints.best_run, best), *waiting)
    found += [(run, c) for run in latest for c in run.checkpoints[-1:]]
    return {checkpoints.place(directory, run, c) for run, c in found}
