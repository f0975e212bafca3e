"""Events survive JSON and the journal's file, and their fold is what was put in."""

import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import hyperparameters, seeds, small_domains, spaces

from tunedeco.errors import NoTrialError
from tunedeco.events import (
    Built,
    Created,
    Ended,
    Enqueued,
    Event,
    Proposed,
    Resumed,
    Started,
    Stopped,
    Trained,
    event_from_json,
)
from tunedeco.journal.journal import Journal, load
from tunedeco.journal.search_state import SearchState
from tunedeco.objective import Objective
from tunedeco.space import Space
from tunedeco.trial import Checkpoint, Epoch, State

texts = st.text(max_size=8)
json_trees = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)
runtimes = st.dictionaries(texts, st.integers() | texts, max_size=2)
seconds = st.dictionaries(texts, st.integers() | st.floats(0, 9), max_size=2)
scores = st.floats(-5, 5) | st.sampled_from([1.0, 2.0, 2.0, math.nan, math.inf, -math.inf, 1e308])
logs = st.fixed_dictionaries({"val_loss": scores}, optional={"loss": scores, "naïve\n名": scores})
errors = st.none() | st.fixed_dictionaries({"type": texts, "message": texts, "traceback": texts})
ends = st.sampled_from([s for s in State if s not in (State.RUNNING, State.OUTSIDE)])


@dataclass
class Expected:
    """What a schedule of events should amount to, kept by the simplest means."""

    space: Space = field(default_factory=Space)
    epochs: list[list[dict[str, float]]] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def best(self) -> tuple[float, int, int] | None:
        """The least finite val_loss of a trial that did not fail, its trial and its epoch."""
        found = [
            (logs["val_loss"], number, epoch)
            for number, (state, kept) in enumerate(zip(self.states, self.epochs, strict=True))
            if state is not State.FAILED
            for epoch, logs in enumerate(kept, 1)
            if math.isfinite(logs["val_loss"])
        ]
        return min(found, default=None)


@st.composite
def schedules(draw: st.DrawFn, most: int = 25) -> tuple[list[Event], Expected]:
    """Draw a search: any events in any order in which they can happen."""
    created = Created(
        draw(texts),
        Objective("val_loss", "min"),
        draw(spaces(small_domains, largest=2)),
        draw(st.dictionaries(texts, st.integers() | texts, max_size=2)),
        draw(seeds),
        draw(runtimes),
    )
    expected = Expected(created.space)
    events: list[Event] = [created]
    for _ in range(draw(st.integers(0, most) | st.just(most))):
        events.append(draw(draw(st.sampled_from(_steps(expected)))))
        _expect(expected, events[-1])
    return events, expected


def _steps(expected: Expected) -> list[st.SearchStrategy[Event]]:
    """Return what can happen next; first, as Hypothesis prefers, what searches mostly do."""
    space, count = expected.space, len(expected.states)
    values = st.tuples(*[st.floats(0, 1)] * len(space)).map(space.decode)
    steps: list[st.SearchStrategy[Event]] = []
    running = [i for i, state in enumerate(expected.states) if state is State.RUNNING]
    if running:
        trial = st.sampled_from(running)
        met = st.lists(hyperparameters(small_domains), max_size=1).map(
            lambda found: tuple(h for h in found if h.label not in {k.label for k in space})
        )
        steps += [
            trial.flatmap(lambda i: _trained(i, len(expected.epochs[i]))),
            st.builds(Ended, trial, ends, errors),
            st.builds(Built, trial, values, met, st.integers(0), texts, json_trees),
        ]
    steps.append(
        st.builds(
            *(Proposed, st.just(count), values, st.integers(1, 9)),
            enqueued=st.none() | st.just({}) | values,
        )
    )
    if count:
        steps.append(
            st.integers(0, count - 1).flatmap(
                lambda i: st.builds(
                    Resumed, st.just(i), st.integers(0, len(expected.epochs[i])), st.integers(0, 2)
                )
            )
        )
    return [
        *steps,
        st.builds(Started, st.dictionaries(texts, st.integers(), max_size=2), runtimes),
        st.builds(Stopped, texts),
        st.builds(Enqueued, st.lists(values, max_size=2).map(tuple), st.none() | texts),
    ]


def _trained(trial: int, before: int) -> st.SearchStrategy[Trained]:
    """Return the next epochs of a trial: none, one or several."""

    def made(records: list[tuple[dict[str, float], dict[str, Any]]], step: int) -> Trained:
        epochs = tuple(Epoch(i, *record) for i, record in enumerate(records, before + 1))
        return Trained(trial, epochs, Checkpoint(before + len(epochs), step, f"{before:064}"))

    return st.builds(made, st.lists(st.tuples(logs, seconds), max_size=2), st.sampled_from([0, 7]))


def _expect(expected: Expected, event: Event) -> None:
    match event:
        case Proposed():
            expected.epochs.append([])
            expected.states.append(State.RUNNING)
        case Resumed(trial, epoch):
            del expected.epochs[trial][epoch:]
            expected.states[trial] = State.RUNNING
        case Built():
            expected.space = expected.space.extended(event.met)
        case Trained():
            expected.epochs[event.trial] += [dict(epoch.logs) for epoch in event.epochs]
        case Ended():
            expected.states[event.trial] = event.state


def folded(events: list[Event]) -> SearchState:
    """Return the state that events amount to."""
    state = SearchState()
    for event in events:
        state.apply(event)
    return state


@settings(max_examples=30)
@given(schedules())
def test_events_survive_json(schedule: tuple[list[Event], Expected]) -> None:
    """Every event comes back from its JSON as it was, NaN and infinities in the logs included."""
    for event in schedule[0]:
        text = json.dumps(event.to_json(), allow_nan=False)
        back = event_from_json(json.loads(text))
        assert repr(back) == repr(event)
        assert json.dumps(back.to_json(), allow_nan=False) == text


@pytest.mark.slow
@given(schedules())
def test_the_fold_is_what_was_put_in(schedule: tuple[list[Event], Expected]) -> None:
    """Epochs, their sum, states, space and best trial are those of the events that still hold."""
    events, expected = schedule
    state = folded(events)
    assert [t.state for t in state.trials] == expected.states
    assert repr([[e.logs for e in t.epochs] for t in state.trials]) == repr(expected.epochs)
    assert state.epochs == sum(map(len, expected.epochs))
    assert state.space == expected.space
    try:
        best = state.best
    except NoTrialError:
        assert expected.best is None
    else:
        assert (best.score, best.number, best.best_epoch) == expected.best


@pytest.mark.slow
@settings(max_examples=25)
@given(schedules(), st.integers(0, 25))
def test_a_journal_opened_again_tells_the_same(
    schedule: tuple[list[Event], Expected], pause: int
) -> None:
    """The state folded from the file is the state kept while it was written, by two writers too."""
    events, _ = schedule
    kept = SearchState()
    with tempfile.TemporaryDirectory() as directory:
        for part in (events[:pause], events[pause:]):
            with Journal(Path(directory)) as journal:
                for event in part:
                    journal.append(event)
                    kept.apply(event)
        with Journal(Path(directory)) as journal:
            assert repr(list(journal.events())) == repr(events)
        assert repr(load(Path(directory))) == repr(kept)
