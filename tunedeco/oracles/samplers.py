"""`optuna`: one of Optuna's samplers, by its name, or one of the user's, as an oracle."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from tunedeco.errors import ConfigurationError
from tunedeco.oracles.base import Oracle
from tunedeco.oracles.study import Optuna, quiet

_NAMED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    # "group" is for conditions: what is asked for together is sampled together
    "tpe": ("TPESampler", {"multivariate": True, "group": True, "constant_liar": True}),
    "gp": ("GPSampler", {}),
    "cmaes": ("CmaEsSampler", {}),
    "nsgaii": ("NSGAIISampler", {}),
    "nsgaiii": ("NSGAIIISampler", {}),
    "qmc": ("QMCSampler", {"scramble": True}),
    "random": ("RandomSampler", {}),
}

_NEEDS = {"CmaEsSampler": ("cmaes",), "GPSampler": ("scipy", "torch"), "QMCSampler": ("scipy",)}

_FROM_TRIALS = ("TPESampler", "GPSampler", "RandomSampler", "BruteForceSampler")
"""Those to whom a study is no more than its trials; others may keep notes in it."""


def optuna(
    sampler: Any = "tpe",  # noqa: ANN401 (a name, or Optuna's type, which may not be there)
    *,
    replay: bool | None = None,
    **settings: Any,  # noqa: ANN401 (they are the sampler's)
) -> Optuna:
    """Return an oracle whose values are those of one of Optuna's samplers.

    ``optuna("tpe")``, ``optuna("cmaes", popsize=8)``, ``optuna(TPESampler(n_startup_trials=5))``,
    ``optuna(lambda seed: MySampler(seed))``, and around each of them `Hyperband` and its like.

    The study that the sampler sees is rebuilt for each proposal. With 8 hyperparameters, a proposal
    after 100 and after 1,000 trials takes 0.02 and 0.1 seconds of one core for TPE, and 0.2 and 1.8
    for CMA-ES, NSGA-II and the quasi-random sequence, whose study must be replayed. What went wrong
    is told as the worst loss so far; what runs is running, and TPE and GP keep away from it.

    Args:
        sampler: ``"tpe"``, ``"gp"``, ``"cmaes"``, ``"nsgaii"``, ``"nsgaiii"``, ``"qmc"`` or
            ``"random"``; an instance of a sampler that comes with Optuna, whose own seed does not
            count; or what makes a sampler when called with ``seed=``, such as its class: one is
            made for each proposal, so what it is to remember must be in its study.
            Hyperparameters are called ``"group/name"`` there.
        replay: whether the sampler keeps notes in its study, as CMA-ES and NSGA-II do, so that the
            study must be asked and told of trial after trial; None: yes, but for those of Optuna's
            that are known not to.
        settings: the sampler's own, such as ``n_startup_trials=5``; not for an instance.

    Raises:
        ConfigurationError: Optuna, or what the sampler needs beside it, is not installed; there is
            no such sampler or setting; or what it proposes would not follow from its seed.
    """
    if find_spec("optuna") is None:
        msg = 'optuna(...) needs Optuna: python -m pip install "tunedeco[optuna]"'
        raise ConfigurationError(msg)
    from optuna import samplers

    if isinstance(sampler, str):
        make = _named(sampler, settings)
    elif isinstance(sampler, samplers.BaseSampler):
        make = _copied(sampler, settings)
    elif callable(sampler):
        make = _called(sampler, settings)
    else:
        msg = (
            f"optuna(...) takes a name ({', '.join(_NAMED)}), a sampler of Optuna's, or what makes "
            f"one when called with seed=, not {sampler!r}"
        )
        raise ConfigurationError(msg)
    made = _tried(make, sampler)
    kind = type(made)
    _check_installed(kind.__name__)
    own = not any(_foreign(part) for part in _parts(made))
    # of a name, what was said: what is not said is Optuna's, and may change with its version
    described = settings if isinstance(sampler, str) else _settings(made)
    return Optuna(
        sampler if isinstance(sampler, str) else kind.__qualname__,
        {name: _plain(value) for name, value in sorted(described.items())},
        not (own and kind.__name__ in _FROM_TRIALS) if replay is None else replay,
        make,
        (lambda last, _, trial: _reseeded(last, trial))
        if own
        else (lambda _, *seeds: make(*seeds)),
    )


def hint(given: object) -> str:
    """Return what to write where one of Optuna's samplers was given as an oracle; else nothing."""
    kind = given if isinstance(given, type) else type(given)
    if isinstance(given, str) and given.lower() in _NAMED:
        what = f'"{given.lower()}"'
    elif given is optuna:
        what = '"tpe"'
    elif any(base.__module__.partition(".")[0] == "optuna" for base in kind.__mro__):
        what = "sampler"
    else:
        return ""
    return f"; for a sampler of Optuna's: from tunedeco.oracles import optuna, and optuna({what})"


def check_several(oracle: Oracle, count: int) -> None:
    """Check that a sampler takes so many objectives, alone or inside what decides on epochs.

    Raises:
        ConfigurationError: it takes one only; names some that take several.
    """
    inner = getattr(oracle, "inner", oracle)
    if not isinstance(inner, Optuna) or count == 1 or _takes(inner, count) or not _takes(inner, 1):
        return  # or it cannot be told: it may know no other space than the search's
    msg = (
        f"Optuna's sampler {inner.sampler} takes a single objective, not {count}: give one, or "
        'take optuna("nsgaii"), optuna("nsgaiii"), optuna("tpe") or optuna("random")'
    )
    raise ConfigurationError(msg)


def _takes(oracle: Optuna, count: int) -> bool:
    """Return whether a sampler gets through a study of so many objectives."""
    from optuna import create_study

    with quiet():
        study = create_study(directions=["minimize"] * count, sampler=oracle.made(0, 0))
        try:
            for _ in range(2):
                trial = study.ask()
                trial.suggest_float("default/x", 0, 1)
                study.tell(trial, [0.0] * count)
        except Exception:  # noqa: BLE001 (whatever a sampler of the user's raises)
            return False
    return True


_Make = Callable[[int, int], Any]  # the search's seed, the trial's -> a sampler


def _named(name: str, settings: Mapping[str, Any]) -> _Make:
    from optuna import samplers

    if name not in _NAMED:
        msg = f"optuna(...) knows the samplers {', '.join(_NAMED)}, or takes your own, not {name!r}"
        raise ConfigurationError(msg)
    kind, usual = _NAMED[name]
    _check_installed(kind)
    chosen = {**usual, **settings}

    def make(search: int, trial: int) -> Any:  # noqa: ANN401 (Optuna's)
        if name == "qmc":  # one sequence for the whole search
            others = samplers.RandomSampler(seed=trial)
            return samplers.QMCSampler(**{"independent_sampler": others, **chosen, "seed": search})
        return getattr(samplers, kind)(**chosen, seed=trial)

    return make


def _called(factory: Callable[..., Any], settings: Mapping[str, Any]) -> _Make:
    return lambda _, trial: factory(**settings, seed=trial)


def _copied(sampler: Any, settings: Mapping[str, Any]) -> _Make:  # noqa: ANN401 (Optuna's)
    """Return what copies an instance, and gives the copy the seed of a trial."""
    from optuna import samplers

    kind = type(sampler).__name__
    if settings:
        msg = f"{', '.join(settings)}: an instance of {kind} has its settings; give them to it"
        raise ConfigurationError(msg)
    sampler = copy.deepcopy(sampler)  # whatever becomes of the user's
    for part in _parts(sampler):
        sequence = isinstance(part, samplers.QMCSampler)
        if sequence or _foreign(part):
            way = '"qmc"' if part is sampler and sequence else f"lambda seed: {kind}(...)"
            msg = (
                f"an instance of {type(part).__name__} cannot be given the seed of each trial, so "
                "its proposals would not be the same after a crash; pass what makes one with that "
                f"seed: optuna({way})"
            )
            raise ConfigurationError(msg)
    return lambda _, trial: _reseeded(copy.deepcopy(sampler), trial)


def _reseeded(sampler: Any, seed: int) -> Any:  # noqa: ANN401 (Optuna's)
    """Seed every generator of a sampler that comes with Optuna, as its constructor would have."""
    from numpy.random import RandomState

    sampler.reseed_rng()  # they are made when they are needed first: now they all are there
    for part in _parts(sampler):
        if isinstance(part, RandomState):
            part.seed(seed)
    return sampler


def _parts(whole: object) -> Iterator[object]:
    """Yield an object and what it is made of."""
    seen: dict[int, object] = {}
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        yield part
        if isinstance(part, Mapping):
            waiting += part.values()
        elif isinstance(part, (list, tuple, set)):
            waiting += part
        elif not isinstance(part, (type, ModuleType)):
            waiting += getattr(part, "__dict__", {}).values()


def _foreign(part: object) -> bool:
    """Return whether something is a sampler that does not come with Optuna."""
    from optuna.samplers import BaseSampler

    theirs = type(part).__module__.partition(".")[0] == "optuna"
    return isinstance(part, BaseSampler) and not theirs


def _tried(make: _Make, given: object) -> Any:  # noqa: ANN401 (Optuna's)
    """Return a sampler as it is made, having seen that its proposals follow from its seed.

    Raises:
        ConfigurationError: none is made, or they do not.
    """
    from optuna import create_study
    from optuna.samplers import BaseSampler

    named = f"optuna({given!r})" if isinstance(given, str) else f"optuna({_plain(given)})"
    with quiet():
        try:
            made = make(0, 0)
        except (ImportError, TypeError, ValueError) as error:
            msg = f"{named} could not be made with seed=: {error}"
            raise ConfigurationError(msg) from error
        if not isinstance(made, BaseSampler):
            msg = f"{named} makes no sampler of Optuna's when called with seed=, but {made!r}"
            raise ConfigurationError(msg)
        try:
            answers = {
                create_study(sampler=make(0, 0)).ask().suggest_float("default/x", 0, 1)
                for _ in range(2)
            }
        except Exception:  # noqa: BLE001 (a grid knows no x; then nothing was learned)
            return made
    if len(answers) > 1:
        msg = f"{named} does not use seed=: its proposals would not be the same after a crash"
        raise ConfigurationError(msg)
    return made


def _check_installed(kind: str) -> None:
    missing = [package for package in _NEEDS.get(kind, ()) if find_spec(package) is None]
    if missing:
        msg = (
            f"Optuna's {kind} needs {' and '.join(missing)}: "
            f"python -m pip install {' '.join(missing)}"
        )
        raise ConfigurationError(msg)


def _settings(sampler: Any) -> dict[str, Any]:  # noqa: ANN401 (Optuna's)
    """Return what a sampler's constructor was given, as far as the sampler has kept it."""
    names = inspect.signature(type(sampler)).parameters
    kept = {name: getattr(sampler, f"_{name}", getattr(sampler, name, None)) for name in names}
    return {name: value for name, value in kept.items() if name != "seed" and value is not None}


def _plain(value: object) -> Any:  # noqa: ANN401 (JSON)
    """Return a setting as JSON; of an object, what it is called."""
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return getattr(value, "__qualname__", type(value).__qualname__)
