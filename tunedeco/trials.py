"""The trials of a search in order, and what is asked of all of them at each step.

A search asks after every event which trials are not at their end, which is the best, and whether a
configuration has been tried. Here each answer is kept up to date by the one trial that changes, so
that it costs the same among ten trials as among ten thousand. An oracle sees no more than a
sequence; where it is given another one, as in a test, what it asks is found by looking at each.

*Tried* means more than equal, where some hyperparameters stand behind an ``if``. A trial's values
are what its model function asked for. A configuration that agrees with all of them leads to the
same questions, and to the same model, whatever else it says. So it has been tried when *some
trial's values are all in it*: of the momentum that only one optimizer has, the others have been
tried with every value.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from tunedeco.pareto import Point
from tunedeco.space import Values
from tunedeco.trial import UNFINISHED, Trial, configuration_key

if TYPE_CHECKING:
    from tunedeco.domains import Value

Asked = tuple[tuple[str, str], ...]
"""The (group, name) of each hyperparameter that was asked for, sorted."""


class Tried:
    """What has been tried: by what trials asked for, and then by their values."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._numbers: dict[Asked, dict[str, list[int]]] = {}
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Take in a trial."""
        insort(self._numbers.setdefault(trial.asked, {}).setdefault(trial.key, []), trial.number)

    def remove(self, trial: Trial) -> None:
        """Forget a trial that was taken in."""
        by_key = self._numbers[trial.asked]
        by_key[trial.key].remove(trial.number)
        if not by_key[trial.key]:
            del by_key[trial.key]
        if not by_key:
            del self._numbers[trial.asked]

    def had(self, values: Values) -> int | None:
        """Return the number of the first trial that had a configuration; None if none had."""
        found = (by_key.get(_part(values, asked) or "") for asked, by_key in self._numbers.items())
        return min((numbers[0] for numbers in found if numbers), default=None)


class Trials(Sequence[Trial]):
    """Trials by their numbers, which rise; some may be missing."""

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._trials = list(trials)
        self._numbers = [trial.number for trial in self._trials]
        self._unfinished = {t.number: t for t in self._trials if t.state in UNFINISHED}
        # these two are made when they are asked for: reading a search needs neither
        self._ranked: list[tuple[Point, int]] | None = None
        self._tried: Tried | None = None

    def put(self, trial: Trial) -> None:
        """Take in a trial, in the place of the one with its number, if there is one."""
        place = bisect_left(self._numbers, trial.number)
        if place < len(self._numbers) and self._numbers[place] == trial.number:
            before = self._trials[place]
            self._trials[place] = trial
        else:
            before = None
            self._trials.insert(place, trial)
            self._numbers.insert(place, trial.number)
        if trial.state in UNFINISHED:
            self._unfinished[trial.number] = trial
        else:
            self._unfinished.pop(trial.number, None)
        if self._ranked is not None:
            _replace(self._ranked, _rank(before), _rank(trial))
        if self._tried is not None and (before is None or before.values is not trial.values):
            if before is not None:
                self._tried.remove(before)
            self._tried.add(trial)

    @property
    def unfinished(self) -> list[Trial]:
        """Those that are not at their end, in order."""
        return [self._unfinished[number] for number in sorted(self._unfinished)]

    @property
    def ranked(self) -> Iterator[Trial]:
        """Those with a score, the best first; the earlier one where two are equal.

        Of several objectives the first decides, and the next where that is equal.
        """
        if self._ranked is None:
            self._ranked = sorted(r for r in map(_rank, self._trials) if r is not None)
        for _, number in self._ranked:
            yield self._trials[bisect_left(self._numbers, number)]

    @property
    def tried(self) -> Tried:
        """Their configurations."""
        if self._tried is None:
            self._tried = Tried(self._trials)
        return self._tried

    def __len__(self) -> int:
        return len(self._trials)

    @overload
    def __getitem__(self, place: int) -> Trial: ...
    @overload
    def __getitem__(self, place: slice) -> list[Trial]: ...
    def __getitem__(self, place: int | slice) -> Trial | list[Trial]:
        return self._trials[place]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __reversed__(self) -> Iterator[Trial]:
        return reversed(self._trials)


def tried(trials: Iterable[Trial]) -> Tried:
    """Return the configurations of any trials."""
    return trials.tried if isinstance(trials, Trials) else Tried(trials)


def _part(values: Values, asked: Asked) -> str | None:
    """Return the key of a part of a configuration; None where it lacks some of that part."""
    part: dict[str, dict[str, Value]] = {}
    for group, name in asked:
        if name not in values.get(group, {}):
            return None
        part.setdefault(group, {})[name] = values[group][name]
    return configuration_key(part)


def _rank(trial: Trial | None) -> tuple[Point, int] | None:
    return None if trial is None or trial.loss is None else (trial.point, trial.number)


def _replace(
    ordered: list[tuple[Point, int]],
    before: tuple[Point, int] | None,
    after: tuple[Point, int] | None,
) -> None:
    """Put one item in the place of another in an ordered list."""
    if before == after:
        return
    if before is not None:
        del ordered[bisect_left(ordered, before)]
    if after is not None:
        insort(ordered, after)
