"""Progress while a search runs: two bars on a terminal or in a notebook, plain lines elsewhere."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from tqdm.auto import tqdm

from tunedeco.errors import NoTrialError
from tunedeco.events import Built, Ended, Event, Lost, Resumed, Trained
from tunedeco.journal.search_state import SearchState
from tunedeco.report import tables
from tunedeco.trial import State
from tunedeco.units import duration


class Progress:
    """Shows a search; told of each event after it has been journalled.

    Args:
        state: the search as it stands; it is read again at each event.
        total: epochs the search can train in all; None where that is unknown.
        verbose: 0 for silence; anything else for bars, or lines where there is no terminal.
    """

    def __init__(self, state: SearchState, total: int | None, verbose: int) -> None:
        self._state = state
        self._trials: dict[tuple[int, int], Any] = {}  # the bars of the trainings under way
        self._search: Any = None
        # a notebook has no terminal, and tqdm.auto has bars of its own for it
        bars = sys.stderr.isatty() or tqdm.__module__.startswith("tqdm.notebook")
        self._verbose = bool(verbose)
        self._lines = self._verbose and not bars
        if verbose and bars:
            self._search = tqdm(
                total=total, initial=state.epochs, desc="search", unit="epoch", smoothing=0.1
            )
            self._show_best()

    def update(self, event: Event) -> None:
        """Show what an event changed; a search goes on where nobody can be shown any more."""
        with suppress(OSError):  # the terminal is gone, or the pipe is closed
            self._show(event)

    def say(self, lines: Iterable[str]) -> None:
        """Print lines, above the bars if there are any."""
        with suppress(OSError):
            for line in lines if self._verbose else ():
                tqdm.write(line)

    def _show(self, event: Event) -> None:
        match event:
            case Built() | Resumed() if self._search is not None:
                self._close_trial(event)
                trial = self._state.trials[event.trial]
                run = trial.runs[event.execution]
                self._search.n = self._state.epochs
                self._trials[event.trial, event.execution] = tqdm(
                    total=run.until,
                    initial=len(run.epochs),
                    desc=f"trial {trial.number}",
                    unit="epoch",
                    leave=False,
                )
            case Trained() if self._search is not None and event.epochs:
                logs = event.epochs[-1].logs
                bar = self._trials[event.trial, event.execution]
                bar.update(len(event.epochs))
                bar.set_postfix({name: f"{value:.4g}" for name, value in logs.items()})
                self._search.update(len(event.epochs))
                self._show_best()
            case Ended() | Lost() if self._search is not None:
                self._close_trial(event)
            case Ended() if self._lines:
                print(self._line(event.trial), file=sys.stderr, flush=True)  # noqa: T201
            case Lost() if self._lines:
                text = f"trial {event.trial} lost its process ({event.reason})"
                print(text, file=sys.stderr, flush=True)  # noqa: T201

    def close(self) -> None:
        """Leave the search's bar as it stands."""
        with suppress(OSError):
            for bar in self._trials.values():
                bar.close()
            if self._search is not None:
                self._search.close()

    def _close_trial(self, event: Built | Resumed | Lost | Ended) -> None:
        bar = self._trials.pop((event.trial, event.execution), None)
        if bar is not None:
            bar.close()

    def _show_best(self) -> None:
        with suppress(NoTrialError):
            best = self._state.best
            found = {"best": f"{best.score:.4g}", "trial": best.number}
            if self._search.total is None and (left := tables.seconds_left(self._state)):
                found["left"] = duration(left)  # the bar can tell where it knows how many epochs
            self._search.set_postfix(found)

    def _line(self, number: int) -> str:
        trial = self._state.trials[number]
        outcome = str(trial.state)
        if trial.state in (State.FAILED, State.REJECTED) and trial.error is not None:
            outcome += (
                f": {trial.error['message'].splitlines()[0] if trial.error['message'] else ''}"
            )
        elif trial.score is not None:
            scores = f"{trial.score:.6g}"
            if len(trial.scores) > 1:
                scores = ", ".join(f"{name} {n:.6g}" for name, n in trial.scores.items())
            outcome += f", {scores} in epoch {trial.best_epoch} of {len(trial.epochs)}"
        with suppress(NoTrialError):
            found = f"best {self._state.best.score:.6g}"
            if len(self._state.objectives) > 1:
                found += f", {len(tables.front(self._state))} on the Pareto front"
            outcome += f" ({found})"
        epochs, seconds = tables.epochs_left(self._state), tables.seconds_left(self._state)
        left = [] if epochs is None else [f"{epochs} epochs"]
        left += [] if seconds is None else [f"about {duration(seconds)}"]
        if left:
            outcome += f"; {', '.join(left)} left"
        return f"trial {trial.number} {outcome}"
