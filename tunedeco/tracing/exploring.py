"""Exploring: run a function again and again with other values, until its space is known.

Whatever a hyperparameter decides shows in the way a run takes through the user's code (`flow`). So:

1. From the defaults, values are changed, many at once. If the run takes the same way, none of them
   decides anything; if not, halves of them are tried, down to single ones (adaptive group testing:
   Robert Dorfman, "The Detection of Defective Members of Large Populations", 1943). A run that asks
   for something new, or jumps where none did before, is a new place to do the same from.
2. From all runs a condition is learned for each hyperparameter: the shortest decision tree found
   greedily by information gain (J. R. Quinlan, "Induction of Decision Trees", 1986).
3. The conditions are put to the test with every combination of the values that decide something;
   where one is refuted, that run is learned from, and the test goes on.

Each run is of a function that the user wrote, so the number of runs is bounded. What is beyond the
bound, or depends on a continuous value, is said (`Coverage`); when a trial meets it, it joins the
space, so nothing is lost but foresight. Two runs that would ask the same are one: a function is
taken to do the same when it is given the same.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace

from tunedeco.conditions import Key
from tunedeco.domains import Domain, Value
from tunedeco.errors import TunedecoError
from tunedeco.narrowing import pinned
from tunedeco.randomness import permuted
from tunedeco.space import Coverage, Hyperparameter, Space, flat
from tunedeco.tracing.flow import Flow, Jump, followed
from tunedeco.tracing.learning import Sample, learned
from tunedeco.tracing.trace import Trace, clash, run_in

MAX_TRACES = 256
"""How often a function is run at most, unless more is asked for."""

_ALIKE = 3  # runs with the defaults of which two must take the same way
_DEAR = 32  # the most runs where each of them must do what is best avoided
_PROBES = 8  # values that are tried of a hyperparameter, until it is seen to decide something
_ALL = 64  # values that are tried of one that does
_CONFIRMED = 32  # combinations that are tried where there are too many to try all

Assignment = dict[Key, Value]
Context = Callable[[], AbstractContextManager[object]]


def explore(
    function: Callable[[], object],
    *,
    limit: int = MAX_TRACES,
    within: Sequence[Context] = (nullcontext,),
) -> Space:
    """Return all that a function can ask for, and under which values of what.

    Args:
        function: run first with every default; what that raises passes through, while a later run
            that raises has only shown what it asked for until then.
        limit: the most runs, at least 1.
        within: what makes the context of each run. Where a run raises in the first, it is done
            again in the next; the very first run settles for all whether the first one serves.

    Raises:
        HyperparameterClash: two runs declare the same (group, name) differently; shows both places.
    """
    runs = _Runs(function, limit, within)
    runs.begin()
    try:
        complete = _follow(runs)
    except _Exhausted:
        complete = False
    space, explained = runs.learned()
    coverage = Coverage(runs.count, complete and explained, runs.limit, runs.problem)
    return replace(space, coverage=coverage)


def _follow(runs: "_Runs") -> bool:
    """Run until nothing new appears; return whether all that decides something was tried."""
    while True:
        while runs.fresh:
            base = runs.fresh.pop(0)
            for key in _deciders(runs, base):
                runs.deciding[key] = None
                for value in _values(runs.met[key].domain, _ALL):
                    runs.sample(base.given | {key: value})
        before = runs.count
        whole = _confirmed(runs)
        if whole is not None:
            return whole
        if runs.count == before and not runs.fresh:
            return False  # refuted by what is known already: there is no condition to be learned


def _deciders(runs: "_Runs", base: Sample) -> list[Key]:
    """Return what changes the way from one run, by itself or together, and was not known to."""
    found: dict[Key, None] = {}
    domains = {k: runs.met[k].domain for k in base.given if k not in runs.deciding}
    others = {
        key: [v for v in _values(domain, _PROBES) if repr(v) != repr(base.given[key])]
        for key, domain in domains.items()
    }
    for turn in range(2 * _PROBES):  # side by side, then each in an order of its own
        changes: Assignment = {}
        for place, (key, values) in enumerate(others.items()):
            if key in found or turn % _PROBES >= len(values):
                continue
            index = turn if turn < _PROBES else permuted(turn - _PROBES, len(values), place + 1)
            changes[key] = values[index]
        found |= dict.fromkeys(_guilty(runs, base, changes))
    return list(found)


def _guilty(runs: "_Runs", base: Sample, changes: Assignment) -> list[Key]:
    """Return which of some changes make a run take another way."""
    if not changes or runs.sample(base.given | changes).went_like(base):
        return []
    if len(changes) == 1:
        return list(changes)
    items = list(changes.items())
    middle = len(items) // 2
    halves = (dict(items[:middle]), dict(items[middle:]))
    # where neither half does it, it takes some of both
    return [key for half in halves for key in _guilty(runs, base, half)] or list(changes)


def _confirmed(runs: "_Runs") -> bool | None:
    """Put what is learned to the test with combinations of what decides something.

    Returns:
        True if nothing refuted it; False if nothing did, and some that depend on each other are too
        many to be tried; None if it was refuted, or something new came up.
    """
    space, _ = runs.learned()
    decides = [k for k in runs.deciding if space.domains[k].size is not None]
    tested = pinned(space, {h.key: h.default for h in space if h.key not in decides})
    assert tested.size is not None
    # all of them; or all of each part that no condition connects to another, and some of the whole
    whole = tested.size <= runs.limit
    indices = range(tested.size) if whole else _some(tested.size)
    combinations: list[Assignment] = [flat(tested.at(index)) for index in indices]
    possible = True
    for part in () if whole else tested.parts:
        possible = possible and part.size <= runs.limit
        indices = range(part.size) if part.size <= runs.limit else _some(part.size)
        combinations += [flat(tested.asked(tested.assigned(part.at(index)))) for index in indices]
    refuted = False
    for values in combinations:
        sample = runs.sample(values)
        refuted = refuted or not (sample.broken or sample.given.keys() == values.keys())
    return None if refuted or runs.fresh else possible


def _some(size: int) -> list[int]:
    return [permuted(turn, size, 0) for turn in range(min(size, _CONFIRMED))]


def _values(domain: Domain, most: int) -> list[Value]:
    """Return values of a domain, evenly spread over it, both ends among them."""
    size = domain.size
    if size is None:
        return [domain.decode(step / 4) for step in range(5)]
    if size <= most:
        return [domain.at(index) for index in range(size)]
    return [domain.at(step * (size - 1) // (most - 1)) for step in range(most)]


class _Exhausted(Exception):  # noqa: N818 (it ends exploring, and is no error)
    """The function has been run as often as it may be."""


@dataclass
class _Node:
    """A place in the tree of all runs: what is asked for here, and where each value leads."""

    key: Key | None = None
    sample: Sample | None = None
    after: dict[tuple[type, Value], "_Node"] = field(default_factory=dict)


class _Runs:
    """All runs of a function so far: what they asked for, in a tree of questions and answers."""

    def __init__(
        self, function: Callable[[], object], limit: int, within: Sequence[Context]
    ) -> None:
        self.samples: list[Sample] = []
        self.fresh: list[Sample] = []
        """Those that brought something new, and have not been gone on from."""
        self.met: dict[Key, Hyperparameter] = {}
        self.deciding: dict[Key, None] = {}
        """What has been seen to change the way, by itself or with others, in the order seen."""
        self.count = 0
        self.limit = limit
        self.problem: str | None = None
        """What the first run raised in a context that could not be kept to."""
        self._jumps: set[Jump] = set()
        self._following = True
        self._function = function
        self._within = within
        self._root = _Node()

    def begin(self) -> None:
        """Run with the defaults until two runs are alike: the first may set up what others find."""
        fingerprints: list[int | None] = []
        while True:
            trace, flow, error = self._run({}, self._within[0])
            if error is not None:
                if len(self._within) == 1:
                    raise error
                self.problem = f"{type(error).__name__}: {error}".splitlines()[0]
                self._within = self._within[1:]
                self.limit = min(self.limit, _DEAR)
                continue
            self.count += 1
            fingerprints.append(flow.fingerprint if flow else None)
            if len(fingerprints) > 1 and fingerprints[-1] == fingerprints[-2]:
                break
            if flow is None or self.count == min(self.limit, _ALIKE):
                self._following = False  # another way each time tells nothing
                break
        self._note(trace, flow, broken=False)

    def sample(self, values: Assignment) -> Sample:
        """Return what a run with these values asks for; defaults for what they lack.

        Raises:
            _Exhausted: it would be a run too many.
        """
        known = self._known(values)
        if known is not None:
            return known
        if self.count >= self.limit:
            raise _Exhausted
        self.count += 1
        for context in self._within:
            with redirect_stdout(io.StringIO()):
                trace, flow, error = self._run(values, context)
            if error is None:
                break
        return self._note(trace, flow, broken=error is not None)

    def _run(
        self, values: Assignment, context: Context
    ) -> tuple[Trace, Flow | None, Exception | None]:
        """Run the function once; return what it asked for, its way, and what it raised."""
        trace = Trace(lambda h: values.get(h.key, h.default))
        with context(), followed() as flow:
            try:
                run_in(trace, self._function)
            except TunedecoError:  # a wrong declaration is wrong in any circumstances
                raise
            except Exception as error:  # noqa: BLE001 (the user's function, in circumstances of ours)
                return trace, flow, error
        return trace, flow, None

    def learned(self) -> tuple[Space, bool]:
        """Return the space with the conditions that the runs show, and whether they show all."""
        domains = {key: h.domain for key, h in self.met.items()}
        deciding = [key for key in self.met if key in self.deciding and domains[key].size]
        explained = True
        found: dict[Key, Hyperparameter] = {}
        for key, hyperparameter in self.met.items():
            condition = learned(key, self.samples, deciding, domains)
            explained = explained and condition is not None
            found[key] = replace(hyperparameter, when=condition or ())
        return Space(tuple(_in_order(found))), explained

    def _note(self, trace: Trace, flow: Flow | None, *, broken: bool) -> Sample:
        new = False
        for key, hyperparameter in trace.asked.items():
            new = new or key not in self.met
            known = self.met.setdefault(key, hyperparameter)
            if known != hyperparameter:
                raise clash(known, hyperparameter)
        flow = flow if self._following else None
        sample = Sample(dict(trace.given), broken, flow.fingerprint if flow else None)
        self.samples.append(sample)
        if flow:
            new = new or not flow.jumps <= self._jumps
            self._jumps |= flow.jumps
        if new:
            self.fresh.append(sample)
        node = self._root
        for key, value in sample.given.items():
            node.key = key
            node = node.after.setdefault((type(value), value), _Node())
        node.sample = sample
        return sample

    def _known(self, values: Assignment) -> Sample | None:
        """Return the run that these values would repeat."""
        node = self._root
        while node.key is not None:
            value = values.get(node.key, self.met[node.key].default)
            after = node.after.get((type(value), value))
            if after is None:
                return None
            node = after
        return node.sample


def _in_order(hyperparameters: Mapping[Key, Hyperparameter]) -> Iterator[Hyperparameter]:
    """Yield hyperparameters in the order met, but each after those that its condition is about."""
    placed: set[Key] = set()
    waiting = list(hyperparameters.values())
    while waiting:
        ready = next((h for h in waiting if _parents(h) <= placed), None)
        if ready is None:  # conditions in a circle: none of them is known to be right
            ready = replace(waiting[0], when=())
        waiting = [h for h in waiting if h.key != ready.key]
        placed.add(ready.key)
        yield ready


def _parents(hyperparameter: Hyperparameter) -> set[Key]:
    return {among.key for clause in hyperparameter.when for among in clause}
