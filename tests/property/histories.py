"""Trials of any configurations, in whatever states; and searches that are walked to their end."""

import json
from typing import Any

from hypothesis import strategies as st

from tunedeco.oracles import Done, Oracle
from tunedeco.space import Space, Values
from tunedeco.tracing import defaults, from_values, run
from tunedeco.trial import State, Trial


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[State, float | None]:
    """Draw how a trial can stand: ended well or badly, or still running."""
    state = draw(st.sampled_from(State))
    scored = state in (State.COMPLETED, State.DIVERGED, State.RUNNING)
    loss = draw(st.none() | st.sampled_from([0.0, 1.0]) | st.floats(-9, 9)) if scored else None
    return state, loss


def trial(
    number: int, values: Values, outcome: tuple[State, float | None] = (State.COMPLETED, 0.0)
) -> Trial:
    """Return a trial of these values."""
    return Trial(number, values, 3, state=outcome[0], score=outcome[1], loss=outcome[1])


@st.composite
def histories(draw: st.DrawFn, space: Space, most: int = 24) -> list[Trial]:
    """Draw trials of any configurations, in whatever states."""
    points = st.lists(
        st.tuples(*[st.floats(0, 1)] * len(space)),
        max_size=most,
        min_size=draw(st.integers(0, most)),
    )
    return [
        trial(number, space.decode(point), draw(outcomes()))
        for number, point in enumerate(draw(points))
    ]


def assert_in(space: Space, values: Values) -> None:
    """Check that values are a whole configuration of a space, each as the domain itself has it."""
    own = space.complete(values)
    assert json.dumps(own) == json.dumps(values)
    assert json.dumps(space.complete(json.loads(json.dumps(values)))) == json.dumps(own)


def walked(oracle: Oracle, function: Any, space: Space, most: int) -> list[str]:
    """Return what the trials of a search ask for, in order, until the oracle has no more."""
    trials: list[Trial] = []
    while len(trials) <= most:
        decision = oracle.next(space, tuple(trials), 0)
        if isinstance(decision, Done):
            break
        proposed = space.complete(decision.values)
        asked = run(function, from_values(proposed, defaults))[1].values
        loss = float(len(trials) * 7 % 5)
        trials.append(Trial(len(trials), asked, 1, state=State.COMPLETED, score=loss, loss=loss))
    return [trial.key for trial in trials]
