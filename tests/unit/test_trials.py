"""What is asked of all trials at each step: right, and found without looking at each of them."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import plain_fn, run_search
from tunedeco import keeping
from tunedeco.budgets import Budgets
from tunedeco.domains import Range
from tunedeco.events import Created, Ended, Started
from tunedeco.journal.search_state import SearchState
from tunedeco.objective import Objective
from tunedeco.oracles import Aging, Grid, Oracle, Random
from tunedeco.report import tables
from tunedeco.report.progress import Progress
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import UNFINISHED, State, Trial
from tunedeco.trials import Trials, tried

SPACE = Space(tuple(Hyperparameter("g", name, Range(0, 99), 0) for name in "abc"))

# of two of them the first asks for less, and so has had the others
values = st.sampled_from([{"g": {"a": 1}}, {"g": {"a": 1, "b": 2}}, {"g": {"b": 2}}, {"g": {}}])
records = st.builds(
    lambda number, asked, state, loss: Trial(number, asked, 3, state=state, loss=loss),
    st.integers(0, 9),
    values,
    st.sampled_from([state for state in State if state is not State.OUTSIDE]),
    st.none() | st.sampled_from([0.0, 1.0]) | st.floats(-9, 9),
)


@given(st.lists(records, max_size=15), st.booleans())
def test_they_are_what_looking_at_each_finds(puts: list[Trial], early: bool) -> None:
    """Whatever trials come, go on and ask for other values: all answers are those of the latest."""
    trials = Trials()
    if early:  # then these are kept up to date, and else they are made at the end
        assert (list(trials.ranked), trials.tried.had({})) == ([], None)
    latest: dict[int, Trial] = {}
    for trial in puts:
        trials.put(trial)
        latest[trial.number] = trial
    known = [latest[number] for number in sorted(latest)]
    scored = [trial for trial in known if trial.loss is not None]
    assert list(trials) == known == trials[:] == [*reversed([*reversed(trials)])]
    assert len(trials) == len(known)
    assert trials.unfinished == [trial for trial in known if trial.state in UNFINISHED]
    assert list(trials.ranked) == sorted(scored, key=lambda trial: trial.point)
    for asked in ({"g": {"a": 1, "b": 2}}, {"g": {"b": 2, "c": 3}}, {"g": {"a": 2}}, {}):
        assert trials.tried.had(asked) == tried(known).had(asked)


def test_a_changed_record_is_another_one() -> None:
    """`Trial.but` is `dataclasses.replace`: the key of its values follows them, too."""
    trial = Trial(3, {"g": {"a": 1}}, 5, score=1.0)
    assert (trial.key, trial.asked) == ('{"g":{"a":1}}', (("g", "a"),))
    changes: dict[str, Any] = {"state": State.FAILED, "values": {"g": {"b": 2}}}
    other = trial.but(**changes)
    assert other == replace(trial, **changes)
    assert (other.key, other.asked) == ('{"g":{"b":2}}', (("g", "b"),))
    assert trial.but(score=2.0) == replace(trial, score=2.0)
    assert trial == Trial(3, {"g": {"a": 1}}, 5, score=1.0)


class Counter:
    """Counts the lines of Python that are run, those of loops as often as they turn."""

    def __init__(self) -> None:
        self.lines = 0

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, _: FrameType, event: str, __: object) -> Any:
        self.lines += event == "line"
        return self._trace


def searched(count: int) -> SearchState:
    """Return the state of a search in which so many trials have ended, and one has begun."""
    state = SearchState()
    state.apply(Created("run", Objective("loss", "min"), SPACE, {}, 0))
    state.apply(Started({"max_trials": 900, "max_epochs": 3}))
    for number in range(count + 1):
        loss = float(number * 7 % 11)
        trial = Trial(number, SPACE.at(number), 1, State.COMPLETED, loss, loss=loss, best_epoch=1)
        state.take({"trial": trial if number < count else Trial(number, SPACE.at(number), 1)})
    return state


QUESTIONS: dict[str, Callable[[SearchState], object]] = {
    "best": lambda state: state.best,
    "unfinished": lambda state: state.unfinished,
    "promised": Budgets(epoch_budget=900).promised,
    "reached": Budgets(target=-1.0).reached,
    "epochs left": tables.epochs_left,
    "checkpoints": lambda state: keeping.needed(state, Random(), 3, Path()),
    "a line": lambda state: Progress(state, None, 1).update(Ended(0, State.COMPLETED)),
    "next of a grid": lambda state: Grid().next(SPACE, state.inside, 0),
    "next at random": lambda state: Random().next(SPACE, state.inside, 0),
    "next of aging": lambda state: Aging(crossover=0.0).next(SPACE, state.inside, 0),
    "an event": lambda state: state.apply(Ended(len(state.trials) - 1, State.COMPLETED)),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_takes_no_more_among_many(question: str) -> None:
    """What a search asks at each step costs as many lines after 400 trials as after 40."""
    counts = []
    for count in (40, 400):
        state = searched(count)
        QUESTIONS[question](searched(count))  # what is done once, such as an import
        # two answers are made when they are first asked for, and kept up to date from then on
        assert (state.best.loss, state.inside.tried.had(SPACE.at(0))) == (0.0, 0)
        with Counter() as counter:
            QUESTIONS[question](state)
        counts.append(counter.lines)
    assert counts[1] <= counts[0] * 1.2


@dataclass
class Counted:
    """An oracle that counts the lines run from one time it is asked to a later one."""

    oracle: Oracle
    periods: tuple[range, ...] = (range(15, 20), range(55, 60))
    lines: list[int] = field(default_factory=list)
    counter: Counter | None = None

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Any:
        if self.counter and any(len(trials) == period.stop for period in self.periods):
            self.counter.__exit__()
            self.lines.append(self.counter.lines)
            self.counter = None
        if any(len(trials) == period.start for period in self.periods):
            self.counter = Counter().__enter__()
        return self.oracle.next(space, trials, seed)


@pytest.fixture
def traced() -> Iterator[None]:
    """Put the debugger or what measures coverage back, whatever happens."""
    before = sys.gettrace()
    yield
    sys.settrace(before)


@pytest.mark.parametrize("oracle", [Grid(), Random()], ids=["grid", "random"])
@pytest.mark.usefixtures("traced")
def test_a_step_of_a_search_takes_no_more_after_many(tmp_path: Path, oracle: Oracle) -> None:
    """Deciding, journalling and folding five trials costs as many lines later as at the start."""
    counted = Counted(oracle)
    run = run_search(tmp_path, plain_fn, oracle=counted, max_trials=62, max_epochs=1, target=-9.0)
    assert run.error is None
    few, many = counted.lines
    assert many <= few * 1.1
