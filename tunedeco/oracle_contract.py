"""What every oracle owes, and how a scheduler is put to the test; see `tunedeco.testing`."""

import importlib.util
import inspect
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from random import Random as Stream
from typing import Any

from tunedeco import domains
from tunedeco.errors import HyperparameterError, OracleError
from tunedeco.oracles import Continue, Done, Oracle, Scheduler, Start, Wait, describe
from tunedeco.space import Hyperparameter, Space
from tunedeco.trial import UNFINISHED, Epoch, State, Trial

_Outcome = Callable[[int], tuple[State, float | None]]


def _space(**named: domains.Domain) -> Space:
    return Space(tuple(Hyperparameter("group", n, d, d.first) for n, d in named.items()))


_SPACES = {
    "finite": _space(
        kind=domains.Choice(("relu", "gelu", None)), units=domains.Range(1, 4), on=domains.Boolean()
    ),
    "ordered": _space(
        rate=domains.Logarithmic(1e-5, 1.0, 30), units=domains.Range(8, 512, 8),
        share=domains.Linear(0.0, 0.5, 11), name=domains.Fixed("x"),
    ),
    "continuous": _space(
        rate=domains.Float(1e-5, 1.0, log=True), share=domains.Float(0.0, 0.5),
        on=domains.Boolean(),
    ),
    "of one configuration": _space(units=domains.Range(3, 3), name=domains.Fixed(None)),
    "empty": Space(),
}  # fmt: skip

_OUTCOMES: dict[str, _Outcome] = {
    "completed": lambda number: (State.COMPLETED, float(number * 7 % 5)),
    "all alike": lambda _: (State.COMPLETED, 0.5),
    "failed": lambda _: (State.FAILED, None),
    "diverged": lambda number: (State.DIVERGED, 1.0 if number % 2 else None),
    "rejected": lambda _: (State.REJECTED, None),
    "running": lambda _: (State.RUNNING, None),
    "mixed": lambda number: (list(State)[number % 5], [None, 1.0, -1.0][number % 3]),
}


class OracleContract:
    """What every oracle owes; a subclass at module level says which oracle.

    An oracle may refuse a kind of space with `OracleError`, always or never. It may end, or go on
    proposing what has been tried. A `Scheduler` is asked for trials of 1 to 9 epochs, where it says
    nothing itself.
    """

    proposals = 30
    """How many are asked for in each kind of space; a slow oracle may show enough with fewer."""

    def oracle(self) -> Oracle:
        """Return the oracle under test: a new one each time, with the same settings."""
        raise NotImplementedError

    def test_proposals_lie_in_the_space(self) -> None:
        """Whatever became of the trials, a proposal is a configuration of the space."""
        _answers(self.oracle(), self.proposals)

    def test_the_same_question_has_the_same_answer(self) -> None:
        """Asked again, an oracle answers the same, and so does another one with its settings."""
        first, second = self.oracle(), self.oracle()
        expected, again, other = (_answers(o, self.proposals) for o in (first, first, second))
        assert again == expected, "asked again, the oracle answers something else"
        assert other == expected, "another instance answers something else"

    def test_the_same_answer_in_another_process(self) -> None:
        """In a fresh process, with another hash seed, the oracle answers the same."""
        cls = type(self)
        assert "<locals>" not in cls.__qualname__, f"define {cls.__name__} at module level"
        place = (cls.__module__, inspect.getfile(cls), cls.__qualname__)
        seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
        answers = subprocess.run(  # noqa: S603 (this very Python, and nothing from outside)
            [
                sys.executable,
                "-c",
                f"from tunedeco import oracle_contract as c; c._elsewhere(*{place!r})",
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        assert json.loads(answers) == json.loads(
            json.dumps(_answers(self.oracle(), self.proposals))
        )

    def test_nothing_it_is_given_is_changed(self) -> None:
        """The space and the trials are as they were after an oracle has seen them."""
        for name, space in _SPACES.items():
            trials = [_ended(i, _decoded(space, i), _OUTCOMES["mixed"]) for i in range(20)]
            before = repr((space, trials))
            _ask(self.oracle(), space, trials, 0)
            assert repr((space, trials)) == before, f"in a space that is {name}"

    def test_it_does_not_hang_where_all_is_tried(self) -> None:
        """A finite space that is used up ends the search, or is proposed from again."""
        space = _SPACES["finite"]
        assert space.size is not None
        trials = [_ended(i, space.at(i), _OUTCOMES["completed"]) for i in range(space.size)]
        _ask(self.oracle(), space, trials, 0)

    def test_it_survives_a_space_that_grew(self) -> None:
        """Trials from before the space grew, which lack the new hyperparameter, are no obstacle."""
        for space in _SPACES.values():
            trials = [_ended(i, _decoded(space, i), _OUTCOMES["completed"]) for i in range(20)]
            new = Hyperparameter("new", "units", domains.Range(1, 5), 1)
            _ask(self.oracle(), space.extended([new]), trials, 0)

    def test_it_survives_trials_that_asked_for_less(self) -> None:
        """A trial holds only what its model function asked for, which may be nothing."""
        for space in _SPACES.values():
            trials = [_ended(i, {}, _OUTCOMES["completed"]) for i in range(20)]
            _ask(self.oracle(), space, trials, 0)

    def test_only_what_is_open_is_continued(self) -> None:
        """What a scheduler continues has ended a slice, was open ever since, and goes further."""
        oracle = _made(self.oracle())
        if not isinstance(oracle, Scheduler):
            return
        for capacity, (kind, outcome) in itertools.product((1, 3), _OUTCOMES.items()):
            if kind not in ("running", "mixed"):  # these never end
                race = _Race(oracle, capacity, outcome)
                race.run(oracle.next, trials=30)
                race.run(lambda _, trials, __: oracle.finish(trials), trials=30)
                assert race.answers[-1] == "done", f"it does not finish when trials are {kind}"

    def test_its_settings_are_json(self) -> None:
        """Two instances describe themselves alike, so that a search is recognised when resumed."""
        first, second = self.oracle(), self.oracle()
        described = describe(first)
        assert json.loads(json.dumps(described, allow_nan=False)) == described
        assert describe(second) == described


def _made(oracle: Oracle) -> Oracle:
    return oracle.within(1, 9) if isinstance(oracle, Scheduler) else oracle


def _ask(oracle: Oracle, space: Space, trials: list[Trial], seed: int) -> Any:  # noqa: ANN401 (JSON)
    """Return an oracle's answer as JSON, having checked it."""
    try:
        decision = _made(oracle).next(space, tuple(trials), seed)
    except OracleError:
        return "refused"
    return _checked(decision, space, trials, scheduler=isinstance(oracle, Scheduler))


def _checked(decision: Any, space: Space, trials: list[Trial], *, scheduler: bool) -> Any:  # noqa: ANN401 (JSON)
    """Return a decision as JSON."""
    if isinstance(decision, Done):
        return "done"
    if isinstance(decision, Wait):
        running = any(t.state in UNFINISHED for t in trials)
        assert running, "it waits, and nothing is running"
        return "wait"
    if isinstance(decision, Continue):
        assert scheduler, "an oracle that continues trials has within, finish and open as well"
        trial = {t.number: t for t in trials}.get(decision.trial)
        assert trial is not None, f"it continues trial {decision.trial}, and there is none"
        ended = trial.state is State.COMPLETED and not trial.stopped_early
        assert ended, f"it continues a trial that is {trial.state} at {len(trial.epochs)} epochs"
        assert type(decision.until) is int
        assert trial.until < decision.until, f"it has been there: {decision!r}"
        return [decision.trial, decision.until]
    assert isinstance(decision, Start), f"neither Start, Continue, Wait nor Done: {decision!r}"
    try:
        values = space.complete(decision.values)
    except HyperparameterError as error:
        msg = f"a proposal outside the space: {error}"
        raise AssertionError(msg) from error
    until = decision.until
    assert until is None or (type(until) is int and until >= 1), f"until={until!r}"
    return [values, until, decision.bracket, decision.rung]


def _answers(oracle: Oracle, proposals: int) -> dict[str, Any]:
    """Return what an oracle proposes in each kind of space, with each kind of outcome."""
    answers: dict[str, Any] = {}
    for (kind, space), (outcome, result) in (
        (space, outcome) for space in _SPACES.items() for outcome in _OUTCOMES.items()
    ):
        found: list[Any] = []
        trials: list[Trial] = []
        while len(found) < proposals and (not found or isinstance(found[-1], list)):
            found.append(_ask(oracle, space, trials, seed=len(answers)))
            match found[-1]:
                case [dict(values), until, bracket, rung]:
                    number = len(trials)
                    trials.append(_ended(number, values, result, until or 3, bracket, rung))
                case [int(number), int(until)]:
                    there = trials[number]
                    trials[number] = _ended(
                        number, there.values, result, until, there.bracket, (there.rung or 0) + 1
                    )
        refused = "refused" in found
        assert not (refused and trials), f"an oracle refuses a space at once, or never: {kind}"
        answers[f"{kind}, {outcome}"] = found
    return answers


def _elsewhere(module: str, file: str, name: str) -> None:
    """Print the answers of the oracle of a contract's subclass: the other process's part."""
    spec = importlib.util.spec_from_file_location(module, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[module] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    contract: Any = loaded
    for part in name.split("."):
        contract = getattr(contract, part)
    made = contract()
    sys.stdout.write(json.dumps(_answers(made.oracle(), made.proposals)))


def _decoded(space: Space, number: int) -> dict[str, dict[str, domains.Value]]:
    return space.decode((number * 0.37 + place * 0.61) % 1.0 for place in range(len(space)))


def _ended(
    number: int,
    values: Any,  # noqa: ANN401 (a configuration)
    outcome: _Outcome,
    until: int = 3,
    bracket: int | None = None,
    rung: int | None = None,
) -> Trial:
    state, loss = outcome(number)
    epochs = tuple(Epoch(i + 1, {}) for i in range(until if loss is not None else 0))
    losses = tuple(loss for _ in epochs if loss is not None)
    return Trial(
        number,
        values,
        until,
        state=state,
        score=loss,
        loss=loss,
        losses=losses,
        epochs=epochs,
        bracket=bracket,
        rung=rung,
    )


class _Race:
    """A search as a scheduler meets it: several trials at once, which end in any order."""

    def __init__(self, oracle: Scheduler, capacity: int, outcome: _Outcome) -> None:
        self.answers: list[Any] = []
        self._oracle = oracle
        self._capacity = capacity
        self._outcome = outcome
        self._trials: list[Trial] = []
        self._closed: set[int] = set()  # who ended a slice, and was not open once since

    def run(self, asked: Callable[..., Any], trials: int) -> None:
        """Ask until so many trials have begun and nobody runs, or it is done."""
        space = _SPACES["ordered"]
        draw = Stream(self._capacity)  # noqa: S311 (no secrets here)
        while True:
            running = [t for t in self._trials if t.state is State.RUNNING]
            waits = len(running) >= self._capacity
            if not waits:
                decision = asked(space, tuple(self._trials), 0)
                self.answers.append(_checked(decision, space, self._trials, scheduler=True))
                waits = self.answers[-1] in ("wait", "done")
                if isinstance(decision, Start):
                    if len(self._trials) >= trials and not running:
                        return
                    waits = len(self._trials) >= trials
                self._begin(decision, full=waits)
            if waits and not running:
                return
            if waits:
                self._end(draw.choice(running))

    def _begin(self, decision: Any, *, full: bool) -> None:  # noqa: ANN401 (checked before)
        trials = self._trials
        match decision:
            case Start() if not full:
                until = decision.until or 9
                new = Trial(len(trials), decision.values, until, bracket=decision.bracket)
                trials.append(replace(new, rung=decision.rung))
            case Continue():
                assert decision.trial not in self._closed, f"{decision!r}: it was not open"
                trials[decision.trial] = replace(
                    trials[decision.trial],
                    until=decision.until,
                    rung=decision.rung,
                    state=State.RUNNING,
                )

    def _end(self, trial: Trial) -> None:
        ended = _ended(
            trial.number,
            trial.values,
            self._outcome,
            trial.until,
            trial.bracket,
            trial.rung,
        )
        self._trials[trial.number] = ended
        opened = self._oracle.open(tuple(self._trials))
        self._closed |= {
            t.number for t in self._trials if t.state is State.COMPLETED and t.number not in opened
        }
