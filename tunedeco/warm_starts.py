"""A warm start: the best configurations of another search are tried first in this one.

Its configurations are taken over, and not its scores: another search had other data, other epochs
or another objective, and what it scored means nothing beside this one's scores. To begin with what
was best elsewhere is the warm start of Matthias Feurer, Jost Tobias Springenberg and Frank Hutter,
"Initializing Bayesian Hyperparameter Optimization via Meta-Learning", AAAI 2015.

Hyperparameters are found again by group and name; or by name alone, where only one has it here and
only one has it there. A number that is not allowed here becomes the nearest one that is.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunedeco import exporting, pareto
from tunedeco.errors import ConfigurationError, ExportError, HyperparameterError, TunedecoError
from tunedeco.events import Enqueued
from tunedeco.journal.journal import FILE_NAME, load
from tunedeco.objectives import Objectives
from tunedeco.pareto import Point
from tunedeco.space import Space, Values, flat, nested
from tunedeco.trial import configuration_key

BEST = 5
"""How many different configurations are taken over from each search."""

_MAX_BYTES = 2**28  # a list of ten thousand trials, each with fifty epochs, has half of it


@dataclass(frozen=True)
class Source:
    """Another search."""

    name: str
    """What it is called in the journal: its path, as it was given."""
    configurations: tuple[Values, ...] = ()
    """Those that have a score, the best one first."""
    problem: TunedecoError | None = None
    """Why it cannot be read."""


@dataclass(frozen=True)
class TakenOver:
    """What is made use of in another search, and what could not be as it was."""

    event: Enqueued
    found: int
    """How many configurations with a score it has."""
    dropped: tuple[str, ...] = ()
    """Hyperparameters of its that this space does not have, or that have no such value in it."""
    missing: tuple[str, ...] = ()
    """Hyperparameters of this space that it does not have."""
    moved: tuple[str, ...] = ()
    """Hyperparameters of this space that got the nearest value."""


def paths(warm_start: object) -> tuple[str, ...]:
    """Return the argument of the tuner as a list of paths.

    Raises:
        ConfigurationError: it is not a path, nor a list of them.
    """
    if warm_start is None:
        return ()
    several = isinstance(warm_start, Sequence) and not isinstance(warm_start, (str, bytes))
    found: Sequence[object] = warm_start if several else [warm_start]  # type: ignore[assignment]
    for path in found:
        if not isinstance(path, (str, os.PathLike)):
            msg = (
                "warm_start is the directory of another search, a JSON file that was exported "
                f"from one, or a list of these, not {path!r}"
            )
            raise ConfigurationError(msg)
    # "runs/other/" is "runs/other"
    return tuple(dict.fromkeys(os.path.normpath(path) for path in found))  # type: ignore[call-overload]  # as checked


def read(paths: Iterable[str], objectives: Objectives, own: Path | None = None) -> list[Source]:
    """Read other searches; of one that cannot be read, return why.

    Args:
        paths: the directory or journal of each, or a JSON file: `Tuner.export_best`'s, or the
            output of ``tunedeco trials --json``.
        objectives: say which scores are better in a list of trials, which does not.
        own: the directory that the search goes on in, which has nothing new to tell it; None where
            it begins anew.
    """
    itself = () if own is None else (str(own), str(own / FILE_NAME))
    return [_source(path, objectives) for path in paths if not _among(path, itself)]


def _among(path: str, others: Iterable[str]) -> bool:
    """Return whether one of several paths leads to the same place, however it is written."""
    place = os.path.realpath(path)
    normal = os.path.normpath(path)  # of another working directory, only how it is written counts
    return any(normal == os.path.normpath(o) or place == os.path.realpath(o) for o in others)


def _source(path: str, objectives: Objectives) -> Source:
    try:
        return Source(path, tuple(_ranked(Path(path), objectives)))
    except TunedecoError as error:
        return Source(path, problem=error)


def taken_over(
    sources: Iterable[Source], space: Space, already: Sequence[str]
) -> Iterator[TakenOver]:
    """Yield what is to be enqueued of other searches.

    Args:
        sources: the searches.
        space: this one's.
        already: the names of those that the journal says were taken over: they are not needed.

    Raises:
        TunedecoError: one of the others cannot be read.
    """
    for source in sources:
        if _among(source.name, already):
            continue
        if source.problem is not None:
            raise source.problem
        fits: dict[str, _Fit] = {}
        for values in source.configurations:
            if len(fits) < BEST and (fit := _fitted(space, values)).values:
                fits.setdefault(configuration_key(fit.values), fit)
        used = fits.values()
        yield TakenOver(
            Enqueued(tuple(fit.values for fit in used), source.name),
            len(source.configurations),
            *(
                tuple(dict.fromkeys(label for fit in used for label in getattr(fit, what)))
                for what in ("dropped", "missing", "moved")
            ),
        )


@dataclass(frozen=True)
class _Fit:
    """What becomes of one configuration in another space."""

    values: Values
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    moved: tuple[str, ...]


def _fitted(space: Space, values: Values) -> _Fit:
    theirs = flat(values)
    here, there = Counter(h.name for h in space), Counter(name for _, name in theirs)
    alone = {key[1]: key for key in theirs if here[key[1]] == there[key[1]] == 1}
    fitting, moved, known = {}, set(), set()
    for h in space:
        key = h.key if h.key in theirs else alone.get(h.name)
        if key is None:
            continue
        with suppress(HyperparameterError):  # no number, and not one of the values here
            fitting[h.key] = h.domain.nearest(theirs[key])
            known.add(key)
            if not h.domain.contains(theirs[key]):
                moved.add(h.key)
    whole = flat(space.asked(space.assigned(fitting)))
    asked = [h for h in space if h.key in whole]
    return _Fit(
        nested((h, fitting[h.key]) for h in asked if h.key in fitting),
        tuple("/".join(key) for key in theirs if key not in known),
        tuple(h.label for h in asked if h.key not in fitting),
        tuple(h.label for h in asked if h.key in moved),
    )


def _ranked(path: Path, objectives: Objectives) -> list[Values]:
    """Return the configurations that have a score, the best one first."""
    is_file = path.suffix == ".json" or path.is_file()
    if path.is_dir() or path.name == FILE_NAME or not is_file:
        return _best_first([(t.point, t.values) for t in load(path).trials if t.point])
    data = exporting.loaded(path, _MAX_BYTES)
    if isinstance(data, Mapping):
        return [exporting.parsed(data, str(path)).values]
    try:
        scored = [(t, _nested(t["values"])) for t in data if t["score"] is not None]
        # of several objectives if it is of all of ours; else what it has is the first one's
        names = [objective.name for objective in objectives]
        every = all(name in t.get("scores", ()) for t, _ in scored for name in names)
        known = [
            ([float(t["scores"][n]) for n in names] if every else [float(t["score"])], values)
            for t, values in scored
        ]
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        msg = f"{path} is neither an exported search nor what `tunedeco trials --json` prints"
        raise ExportError(msg) from error
    return _best_first(
        [
            (tuple(o.loss(s) for o, s in zip(objectives, scores, strict=every)), values)
            for scores, values in known
            if all(map(math.isfinite, scores))
        ]
    )


def _best_first(known: Sequence[tuple[Point, Values]]) -> list[Values]:
    """Return configurations by their points: of several losses, by fronts and crowding."""
    points = [point for point, _ in known]
    several = any(len(point) > 1 for point in points)
    keys: Sequence[Any] = pareto.ranks(points) if several else points
    return [known[i][1] for i in sorted(range(len(known)), key=keys.__getitem__)]


def _nested(values: Mapping[str, Mapping[str, Any]]) -> Values:
    return {group: dict(names.items()) for group, names in values.items()}
