"""What a search says to the person who runs it: why it rests, and how it goes on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tunedeco.budgets import Budgets
from tunedeco.enqueued import waiting
from tunedeco.events import Enqueued, Extended
from tunedeco.journal.search_state import SearchState
from tunedeco.space import flat
from tunedeco.units import duration
from tunedeco.warm_starts import TakenOver


def carried_over(event: Extended, state: SearchState) -> str:
    """Return how many trials an extended search has, and how many it has not."""
    kept, lost = len(event.carried), len(state.trials) - len(event.carried)
    return (
        f"extended: {kept} of {len(state.trials)} trials lie in the new space and are carried "
        f"over; {lost} do not, or had failed, and are set aside"
    )


def enqueued(
    events: Sequence[Enqueued], taken: Sequence[TakenOver], state: SearchState
) -> Iterator[str]:
    """Yield what is to be said of configurations that were just enqueued.

    Args:
        events: all of them.
        taken: those of other searches.
        state: the search, with the values that it holds.
    """
    for other in taken:
        number = len(other.event.configurations)
        yield (
            f"warm start: {number} of the {other.found} configurations in {other.event.source} are "
            "tried first"
        )
        for labels, what in (
            (other.dropped, "left out, since this space has no such hyperparameter or value"),
            (other.missing, "not in all of them, so at its default"),
            (other.moved, "moved to the nearest value that is allowed here"),
        ):
            if labels:
                yield f"  {what}: {', '.join(labels)}"
    queue = [values for event in events for values in event.configurations]
    for one in waiting(queue, state.space, flat(state.pinned), state.inside):
        if one.trial is not None:
            yield f"not tried again, since trial {one.trial} had it: {one.values}"
        elif one.whole is None:
            yield f"not tried yet, since groups= or freeze= hold other values: {one.values}"


def interrupted(state: SearchState, directory: Path) -> str:
    """Return what to tell someone whose search was interrupted."""
    return (
        f"interrupted after {state.epochs} epochs of {len(state.trials)} trials; nothing is "
        f"lost: run the same program again to go on ({directory})"
    )


def nothing_to_do(reason: str | None, budgets: Budgets) -> str:
    """Return why there is nothing to do, and what would change that.

    Args:
        reason: why the search had stopped.
        budgets: what it has now.
    """
    match reason:
        case "epoch_budget":
            why = f"the epoch_budget of {budgets.epoch_budget} is spent; give a larger one"
        case "time_budget":
            spent = duration(budgets.time_budget or 0.0)
            why = f"the time_budget of {spent} is spent; give a longer one"
        case "target":
            why = f"the target of {budgets.target} is reached; give another one"
        case "max_trials":
            why = f"max_trials={budgets.max_trials} are done; give a larger number"
        case _:
            why = "every configuration of the space has been tried"
    return f"nothing to do: {why}"
