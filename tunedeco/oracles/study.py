"""Optuna's samplers as an oracle: their study is rebuilt from the trials for each proposal.

Takuya Akiba, Shotaro Sano, Toshihiko Yanase, Takeru Ohta and Masanori Koyama, "Optuna: A
Next-generation Hyperparameter Optimization Framework", KDD 2019. Nothing of a study outlives the
proposal it was made for, and its sampler is seeded by (seed, trial number), so a search that was
killed is told the same as one that was not.

Optuna itself is imported when an oracle is made of one of its samplers, and never before.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random as Stream
from typing import Any, final

from tunedeco import conditions
from tunedeco.conditions import Key
from tunedeco.domains import Boolean, Choice, Domain, Float, Range, Value
from tunedeco.errors import OracleError
from tunedeco.oracles.base import Done, Start
from tunedeco.oracles.held import comparable
from tunedeco.oracles.untried import LOOK, first_untried
from tunedeco.pareto import Point
from tunedeco.randomness import digest, stream
from tunedeco.space import Hyperparameter, Space, Values, flat, nested
from tunedeco.trial import UNFINISHED, Trial

ASKED = 8
"""How often a sampler is asked where it proposes what was tried; then what lies near is."""


@final
@dataclass(frozen=True)
class Optuna:
    """Values that one of Optuna's samplers proposes; made by `tunedeco.oracles.optuna`.

    To rebuild the study costs about 0.1 ms for each trial there is; where it is replayed, 2 ms.

    Args:
        sampler: its name.
        settings: as JSON, to tell one search from another.
        replay: ask and tell the study trial by trial, for samplers that keep notes in it.
        make: returns a new sampler for the search's seed and a trial's.
        remake: the same, and may make it of the last one, which costs less.
    """

    sampler: str
    settings: Mapping[str, Any] = field(hash=False)
    replay: bool
    make: Callable[[int, int], Any] = field(repr=False, compare=False)
    remake: Callable[[Any, int, int], Any] = field(repr=False, compare=False)

    def next(self, space: Space, trials: Sequence[Trial], seed: int) -> Start | Done:
        """Return what the sampler proposes, or `Done` when every configuration has been tried."""
        draw = stream(seed, len(trials), "optuna")
        return first_untried(space, trials, self._proposals(space, trials, seed, draw), draw)

    def made(self, seed: int, number: int) -> Any:  # noqa: ANN401 (Optuna's)
        """Return the sampler of a trial."""
        return self.make(*_seeds(seed, number))

    def _proposals(
        self, space: Space, trials: Sequence[Trial], seed: int, draw: Stream
    ) -> Iterator[Values]:
        """Yield what the sampler proposes, asked again and again, then what lies near the last."""
        with quiet(), self._explained():
            axes = {h.key: axis(h) for h in space if h.domain.size != 1}
            study = self._study(space, axes, trials, seed) if axes else None
        if study is None:
            return  # there is nothing to choose
        values: Values = {}
        for _ in range(ASKED):
            with quiet(), self._explained():  # not around the yield, or others would be silenced
                values = _asked(space, axes, study.ask())
            yield values
        places, known = space.encode(values), flat(values)
        searched = [i for i, h in enumerate(space) if h.key in axes and h.key in known]
        for _ in range(LOOK if searched else 0):
            near = [
                u if h.key in known else draw.random() for u, h in zip(places, space, strict=True)
            ]
            near[draw.choice(searched)] = draw.random()
            yield space.decode(near)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of which sampler it is that it cannot search the space, and what can be done."""
        try:
            yield
        except ValueError as error:
            msg = (
                f"Optuna's sampler {self.sampler} cannot search this space: {error}\n"
                'Optuna knows hyperparameters as "group/name", and those without a group as '
                '"default/name"; a sampler that lists configurations needs values to list: Linear, '
                'Logarithmic, Range or Choice in place of Float. oracle="grid" lists them all'
            )
            raise OracleError(msg) from error

    def _study(
        self, space: Space, axes: Mapping[Key, "Axis"], trials: Sequence[Trial], seed: int
    ) -> Any:  # noqa: ANN401 (Optuna's)
        """Return a study that holds the trials, with the sampler for the next one.

        Without those that had other values of what is held now: they were at another place.
        """
        from optuna import create_study
        from optuna.trial import TrialState, create_trial

        here = {trial.number for trial in comparable(space, trials)}
        known = [found for t in trials if t.number in here and (found := losses(t))]
        # what went wrong is as bad as the worst: samplers ignore what has no value, and go there
        worst = [max(values) for values in zip(*known, strict=True)] or None
        study = create_study(directions=["minimize"] * len(worst or [0]))
        study.sampler = self.made(seed, 0)
        for number, trial in enumerate(trials):
            params = _params(axes, trial)
            if not params or trial.number not in here:
                continue  # it says nothing of what is searched
            running = trial.state in UNFINISHED
            values = None if running else list(losses(trial)) or worst
            ended = TrialState.FAIL if values is None else TrialState.COMPLETE
            named = {axes[key].name: value for key, value in params.items()}
            if self.replay:
                study.sampler = self.remake(study.sampler, *_seeds(seed, number))
                again = _asked_again(study, named, [axes[key] for key in params])
                if not running:
                    study.tell(again, values, ended)
                continue
            state = TrialState.RUNNING if running else ended
            over = {axes[key].name: axes[key].distribution for key in params}
            frozen = create_trial(state=state, values=values, params=named, distributions=over)
            frozen.distributions = _Shared(frozen.distributions)
            study.add_trial(frozen)
        study.sampler = self.made(seed, len(trials))
        return study


class _Shared(dict[str, Any]):
    """The distributions of a trial: a study copies all of it deeply, and nobody changes them."""

    def __deepcopy__(self, memo: Any) -> "_Shared":  # noqa: ANN401 (what was copied)
        return self


def losses(trial: Trial) -> Point:
    """Return what a study is told that a trial has come to, less being better; ``()`` if nothing.

    What diverged has a loss of before, and comes to nothing: or a sampler would go there again.
    """
    return trial.standing


@final
@dataclass(frozen=True)
class Axis:
    """A hyperparameter as Optuna sees it."""

    name: str
    domain: Domain
    distribution: Any
    """One of Optuna's, over what ``told`` returns."""
    told: Callable[[Any], Any]
    """Returns what a value of the domain is to Optuna."""
    heard: Callable[[Any], Value]
    """Returns the value again."""


def axis(hyperparameter: Hyperparameter) -> Axis:
    """Return how Optuna is to see a hyperparameter.

    Integers and floats are what they are, on their own scale; buckets, and choices among rising or
    falling numbers, are counted from 0; the rest are categories.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    domain = hyperparameter.domain
    distribution: Any
    told: Callable[[Any], Any] = _same
    heard: Callable[[Any], Value] = _same
    match domain:
        case Float():
            distribution = FloatDistribution(domain.low, domain.high, log=domain.log)
        case Range(log=True, step=1):
            distribution = IntDistribution(domain.start, domain.stop, log=True)
        case Range(log=True):  # Optuna has no steps on a log scale
            distribution = FloatDistribution(0.0, 1.0)
            told, heard = domain.encode, domain.decode
        case Range():
            last = domain.at(domain.size - 1)
            distribution = IntDistribution(domain.start, last, step=domain.step)
        case Boolean():
            distribution = CategoricalDistribution((False, True))
        case Choice(ordered=False) if len(set(domain.values)) == domain.size:
            distribution = CategoricalDistribution(domain.values)
        case _:
            size = domain.size
            assert size is not None
            distribution = (
                IntDistribution(0, size - 1)
                if domain.ordered
                else CategoricalDistribution(range(size))  # 1 and True are one to Optuna
            )
            told, heard = domain.index, domain.at
    return Axis(hyperparameter.label, domain, distribution, told, heard)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Optuna logs and warns of to itself: a study is made at each proposal."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)


def _same(value: Any) -> Any:  # noqa: ANN401 (a value)
    return value


def _seeds(seed: int, number: int) -> tuple[int, int]:
    """Return what seeds a sampler: 32 bits of the search, and of a trial."""
    return digest(seed, 0, "optuna search") % 2**32, digest(seed, number, "optuna trial") % 2**32


def _params(axes: Mapping[Key, Axis], trial: Trial) -> dict[Key, Any]:
    """Return the values of a trial that lie on the axes, as Optuna sees them."""
    params: dict[Key, Any] = {}
    values = flat(trial.values)
    for key, where in axes.items():
        if key in values and where.domain.contains(values[key]):
            params[key] = where.told(where.domain.canonical(values[key]))
    return params


def _asked(space: Space, axes: Mapping[Key, Axis], trial: Any) -> dict[str, dict[str, Value]]:  # noqa: ANN401 (Optuna's)
    """Return a configuration as a trial of Optuna suggests it, asked for what is active only."""
    active: dict[Key, Value] = {}
    for h in space:
        if not conditions.holds(h.when, active, space.domains):
            continue
        if h.key not in axes:
            active[h.key] = h.domain.at(0)
            continue
        where = axes[h.key]
        active[h.key] = h.domain.canonical(where.heard(_suggested(trial, where)))
    return nested((h, active[h.key]) for h in space if h.key in active)


def _suggested(trial: Any, where: Axis) -> Any:  # noqa: ANN401 (Optuna's)
    from optuna.distributions import CategoricalDistribution, IntDistribution

    distribution = where.distribution
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(where.name, distribution.choices)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        step, log = distribution.step, distribution.log
        return trial.suggest_int(where.name, low, high, step=step, log=log)
    return trial.suggest_float(where.name, low, high, log=distribution.log)


def _asked_again(study: Any, named: Mapping[str, Any], axes: Iterable[Axis]) -> Any:  # noqa: ANN401 (Optuna's)
    """Return a trial whose values are known, having let the sampler make its notes on it."""
    study.enqueue_trial(named)
    trial = study.ask()
    _ = trial.relative_params  # sampled when it is looked at; the values are those of the queue
    for where in axes:
        _suggested(trial, where)
    return trial
