"""No executor, however wrong, can write what the journal could not go on from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeExecutor, plain_fn, records, run_search

from tunedeco import Objective, domains
from tunedeco.budgets import Budgets
from tunedeco.errors import TunedecoError
from tunedeco.events import Built, Created, Ended, Resumed, Trained
from tunedeco.executors.base import Emit
from tunedeco.journal.journal import load
from tunedeco.opening import open_search
from tunedeco.oracles import Random, describe
from tunedeco.search import Search
from tunedeco.space import Hyperparameter
from tunedeco.tracing import explore
from tunedeco.trial import Checkpoint, Epoch, State

LIKES: list[tuple[type, Callable[[Any], Any]]] = [
    (Built, lambda event: replace(event, trial=7)),
    (Built, lambda event: replace(event, trial=-1)),
    (Built, lambda event: replace(event, trial="0")),
    (Built, lambda event: replace(event, parameters=1.5)),
    (Built, lambda event: replace(event, values=None)),
    (Built, lambda event: replace(event, met=(clash(1), clash(2)))),
    (Built, lambda event: Resumed(event.trial, 1, 0)),
    (Built, lambda event: Resumed(event.trial, -1, 0)),
    (Built, lambda event: Ended(event.trial + 1, State.COMPLETED)),
    (Built, lambda event: Ended(event.trial, "well")),
    (Built, lambda event: "built"),
    (Trained, lambda event: replace(event, checkpoint=Checkpoint(0, 0, ""))),
    (Trained, lambda event: replace(event, checkpoint=Checkpoint(1.0, 0, ""))),
    (Trained, lambda event: replace(event, checkpoint=Checkpoint(1, 0, b"0"))),
    (Trained, lambda event: replace(event, epochs=())),
    (Trained, lambda event: replace(event, epochs=event.epochs * 2)),
    (Trained, lambda event: replace(event, epochs=(Epoch(1, {"val_loss": "low"}),))),
    (Trained, lambda event: replace(event, epochs=(Epoch(1, {"val_loss": 1j}),))),
    (Trained, lambda event: replace(event, epochs=(Epoch(1.0, event.epochs[0].logs),))),
]


def clash(largest: int) -> Hyperparameter:
    return Hyperparameter("new", "units", domains.Range(1, largest), 1)


class Wrong(FakeExecutor):
    """Says something else in place of the first event of a kind."""

    def __init__(self, kind: type, likes: Callable[[Any], Any]) -> None:
        super().__init__(plain_fn)
        self._kind, self._likes = kind, likes

    def wait(self, emit: Emit) -> None:
        super().wait(
            lambda event: emit(self._likes(event) if isinstance(event, self._kind) else event)
        )


@pytest.mark.parametrize(("kind", "likes"), LIKES)
def test_what_cannot_be_is_not_written(
    tmp_path: Path, kind: type, likes: Callable[[Any], Any]
) -> None:
    """The search stops with an error, the journal can be read, and the search goes on from it."""
    reference = records(run_search(tmp_path / "whole", plain_fn, max_trials=2).state)
    oracle = Random()
    space = explore(plain_fn)
    wanted = Created("model_fn", Objective("val_loss"), space, describe(oracle), 0)
    journal, state = open_search(tmp_path / "run", wanted)
    with journal:
        search = Search(
            journal,
            state,
            oracle,
            Wrong(kind, likes),
            Budgets(max_epochs=3, max_trials=2),
            lambda event: None,
        )
        with pytest.raises((TunedecoError, TypeError, AttributeError)):
            search.run(wanted)
    assert load(tmp_path / "run") == state
    run = run_search(tmp_path / "run", plain_fn, max_trials=2)
    assert records(run.state) == reference
