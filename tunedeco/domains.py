"""What a hyperparameter can be: frozen values that list, place and check, and nothing else.

A domain with a finite number of values answers by index: `at(i)` gives the i-th value, `index`
finds one again, and neither ever lists them all, so a range of a billion costs nothing. Every
domain also maps to the unit interval and back (`encode`, `decode`), in its own order and scale:
that is the only view of it an oracle needs.

Values that come from outside, such as a JSON file, pass through `canonical`: it returns the
domain's own value for an equal one (``0`` for ``0.0``, ``0.30000000000000004`` for ``0.3``), or
raises `HyperparameterError`.

Longer than other files, since it is seven small classes of one shape that are best read together.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeGuard, final

from tunedeco.errors import HyperparameterError

Value = str | int | float | bool | None
"""What a hyperparameter can hold; exactly what JSON can say."""

_CLOSE = 1e-9  # relative: what a value may lose on its way through arithmetic and text
_CLOSE_STEPS = 1e-6  # the same, in steps from one bucket to the next
_APART = 1e-10  # relative: what keeps neighbours apart when they are written with twelve digits
_SMALLEST = 1e-300  # floats below lose their digits
_MOST = 2**50  # as many values as positions in the unit interval still tell apart
_LARGEST_LOG = 2**40  # up to here they do so on a log scale, too


class Domain:
    """The base of all domains; a subclass is final, frozen, and has ``kind`` as its JSON name."""

    kind: ClassVar[str]

    @property
    def size(self) -> int | None:
        """How many values there are; None for a continuous domain."""
        raise NotImplementedError

    @property
    def ordered(self) -> bool:
        """Whether neighbours on the unit interval are alike."""
        return True

    @property
    def even(self) -> bool:
        """Whether all values have equal shares of the unit interval."""
        return True

    def at(self, index: int) -> Value:
        """Return the value at an index from 0 to ``size - 1``."""
        raise NotImplementedError

    def index(self, value: Value) -> int:
        """Return the index of a value of this (finite) domain."""
        raise NotImplementedError

    def canonical(self, value: object) -> Value:
        """Return this domain's own value that equals the given one.

        Raises:
            HyperparameterError: there is none.
        """
        index = self._find(plain(value, "a value"))
        if index is None:
            msg = f"{value!r} is not in {self}"
            raise HyperparameterError(msg)
        return self.at(index)

    def nearest(self, value: object) -> Value:
        """Return this domain's own value that is nearest to a number, on its own scale.

        Raises:
            HyperparameterError: it is no number, or the domain has none, and no equal value.
        """
        return self.canonical(value)

    def checked_default(self, default: object) -> Value:
        """Return this domain's own value that equals a default.

        Raises:
            HyperparameterError: there is none; says that it is about the default.
        """
        default = plain(default, "the default")
        try:
            return self.canonical(default)
        except HyperparameterError as error:
            msg = f"the default {error}"
            raise HyperparameterError(msg) from None

    def _find(self, value: Value) -> int | None:
        """Return the index of an equal value, or None; for finite domains."""
        raise NotImplementedError

    def contains(self, value: object) -> bool:
        """Return whether a value, or one equal to it, is in the domain."""
        try:
            self.canonical(value)
        except HyperparameterError:
            return False
        return True

    @property
    def first(self) -> Value:
        """The first value: the default where none is given."""
        return self.decode(0.0)

    def encode(self, value: Value) -> float:
        """Return where a value lies in the unit interval: the middle of its share."""
        size = self.size
        assert size is not None
        return (self.index(value) + 0.5) / size

    def decode(self, position: float) -> Value:
        """Return the value at a position in the unit interval; uniform in, uniform out."""
        size = self.size
        assert size is not None
        return self.at(min(int(position * size), size - 1))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `domain_from_json` turns back into an equal domain."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """Return the domain that `Domain.to_json` described.

    Raises:
        HyperparameterError: it is not such a description.
    """
    try:
        fields = dict(data)
        return _KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"not a domain: {data!r}"
        raise HyperparameterError(msg) from error


@final
@dataclass(frozen=True)
class Choice(Domain):
    """An explicit list of values, in the order given.

    A list of rising or falling numbers is ordered: its neighbours are alike. Values of different
    types are different even when Python calls them equal (``1``, ``1.0`` and ``True``).

    Raises:
        HyperparameterError: the list is empty, holds a value twice, or holds something that is
            not a str, int, float, bool or None.
    """

    kind: ClassVar[str] = "choice"
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        unordered = isinstance(self.values, (set, frozenset))  # another order in each process
        if unordered or isinstance(self.values, str) or not hasattr(self.values, "__iter__"):
            msg = f"choices must be a list of values, not {self.values!r}"
            raise HyperparameterError(msg)
        values = tuple(plain(value, "a choice") for value in self.values)
        if not values:
            msg = "the list of choices is empty; give at least one value"
            raise HyperparameterError(msg)
        seen: set[tuple[type, Value]] = set()
        for value in values:
            if (type(value), value) in seen:
                msg = f"{value!r} is listed twice; give each choice once"
                raise HyperparameterError(msg)
            seen.add((type(value), value))
        object.__setattr__(self, "values", values)

    def __eq__(self, other: object) -> bool:
        # to Python 1, 1.0 and True are equal, and then so are lists of them
        return isinstance(other, Choice) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(self.values)

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def ordered(self) -> bool:
        numbers = [v for v in self.values if type(v) in (int, float)]
        return len(numbers) == len(self.values) and numbers in (
            sorted(numbers),  # type: ignore[type-var]
            sorted(numbers, reverse=True),  # type: ignore[type-var]
        )

    def nearest(self, value: object) -> Value:
        value = plain(value, "a value")
        numbers = [own for own in self.values if _number(own)]
        if not _number(value) or len(numbers) < self.size or self._find(value) is not None:
            return self.canonical(value)
        inside = min(max(value, min(numbers)), max(numbers))
        return min(numbers, key=lambda own: abs(own - inside))

    def at(self, index: int) -> Value:
        return self.values[index]

    def index(self, value: Value) -> int:
        index = self._find(value)
        assert index is not None
        return index

    def _find(self, value: Value) -> int | None:
        for index, own in enumerate(self.values):
            if type(own) is type(value) and own == value:
                return index
        for index, own in enumerate(self.values):  # JSON may write 1.0 as 1
            if _number(own) and _number(value) and own == value:
                return index
        return None

    def __str__(self) -> str:
        return ", ".join(map(repr, self.values))


@final
@dataclass(frozen=True)
class Range(Domain):
    """Integers from ``start`` to ``stop`` in steps; ``stop`` is included when a step lands on it.

    With ``log=True`` they are the same integers, and each has the share of the unit interval that
    lies between it and the next one on a log scale: 1 has as much of it as 2 and 3 together.

    Raises:
        HyperparameterError: something is not an integer, the step is below 1 or larger than the
            range, ``stop`` lies below ``start``, there are more than 2^50 values, or ``log=True``
            and ``start`` lies below 1 or ``stop`` above 2^40.
    """

    kind: ClassVar[str] = "range"
    start: int
    stop: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("start", "stop", "step"):
            value = plain(getattr(self, name), name)
            if type(value) is not int:
                msg = f"{name} must be an integer, not {value!r}; for floats there is Linear"
                raise HyperparameterError(msg)
            object.__setattr__(self, name, value)
        if self.stop < self.start:
            msg = f"stop {self.stop} lies below start {self.start}; swap them"
            raise HyperparameterError(msg)
        if self.step < 1:
            msg = f"step {self.step} must be at least 1"
            raise HyperparameterError(msg)
        if self.step > max(1, self.stop - self.start):
            msg = (
                f"step {self.step} is larger than the range from {self.start} to {self.stop}: "
                f"only {self.start} would be left; use a smaller step, or Fixed"
            )
            raise HyperparameterError(msg)
        if self.size > _MOST:
            msg = f"more than 2^50 values from {self.start} to {self.stop}; use a larger step"
            raise HyperparameterError(msg)
        object.__setattr__(self, "log", _flag(self.log, "log"))
        if self.log and not 1 <= self.start <= self.stop <= _LARGEST_LOG:
            msg = (
                f"a log scale reaches from 1 to 2^40, and not from {self.start} to {self.stop}; "
                "leave log=True out"
            )
            raise HyperparameterError(msg)

    @property
    def size(self) -> int:
        return (self.stop - self.start) // self.step + 1

    @property
    def even(self) -> bool:
        return not self.log or self.size == 1

    def nearest(self, value: object) -> Value:
        value = plain(value, "a value")
        if not _number(value):
            return self.canonical(value)
        inside = min(max(value, self.start), self.at(self.size - 1))
        if not self.log:
            return self.at(round((inside - self.start) / self.step))
        below = self.at(int((inside - self.start) // self.step))
        above = min(below + self.step, self.at(self.size - 1))
        return below if inside / below <= above / inside else above

    def at(self, index: int) -> int:
        return self.start + index * self.step

    def encode(self, value: Value) -> float:
        if self.even:
            return super().encode(value)
        assert isinstance(value, int)
        first, beyond = self._logs
        middle = (math.log(value) + math.log(value + self.step)) / 2
        return (middle - first) / (beyond - first)

    def decode(self, position: float) -> Value:
        if self.even:
            return super().decode(position)
        first, beyond = self._logs
        index = (math.exp(first * (1 - position) + beyond * position) - self.start) // self.step
        return self.at(min(max(int(index), 0), self.size - 1))

    @property
    def _logs(self) -> tuple[float, float]:
        """Where the log scale begins and ends: at the first value, and one step after the last."""
        return math.log(self.start), math.log(self.at(self.size))

    def index(self, value: Value) -> int:
        assert isinstance(value, int)
        return (value - self.start) // self.step

    def _find(self, value: Value) -> int | None:
        if not _number(value) or value != int(value):
            return None
        steps, rest = divmod(int(value) - self.start, self.step)
        return steps if rest == 0 and 0 <= steps < self.size else None

    def to_json(self) -> dict[str, Any]:
        described = super().to_json()
        if not self.log:  # a range without it is described as it was before there was one
            del described["log"]
        return described

    def __str__(self) -> str:
        step = "" if self.step == 1 else f" step {self.step}"
        return f"{self.start} to {self.at(self.size - 1)}{step}{', log scale' if self.log else ''}"


@dataclass(frozen=True)
class _Spaced(Domain):
    """A number of floats between two ends, both included; how they are spaced is the subclass's."""

    start: float
    stop: float
    num_buckets: int

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            object.__setattr__(self, name, real(getattr(self, name), name))
        number = plain(self.num_buckets, "num_buckets")
        if type(number) is not int or number < 1:
            msg = f"num_buckets must be an integer of at least 1, not {number!r}"
            raise HyperparameterError(msg)
        object.__setattr__(self, "num_buckets", number)
        _check_ends(start=self.start, stop=self.stop)
        if (number == 1) != (self.start == self.stop):
            msg = (
                f"{number} values from {self.start} to {self.stop}: "
                "both ends are included, so give at least 2, or use Fixed for one value"
            )
            raise HyperparameterError(msg)

    def _check_apart(self) -> None:
        if self.num_buckets > 1 and not self._gap() > _SMALLEST:
            msg = (
                f"{self.num_buckets} values from {self.start} to {self.stop} lie too close "
                "together to tell apart; give fewer"
            )
            raise HyperparameterError(msg)

    @property
    def size(self) -> int:
        return self.num_buckets

    def nearest(self, value: object) -> Value:
        value = plain(value, "a value")
        if not _number(value):
            return self.canonical(value)
        return self.at(self.index(min(max(value, self.start), self.stop)))

    def at(self, index: int) -> float:
        if index == 0:
            return self.start
        if index == self.num_buckets - 1:
            return self.stop
        # twelve digits, so that a journal says 0.001 and not 0.0010000000000000002
        return float(f"{self._inner(index / (self.num_buckets - 1)):.12g}")

    def _gap(self) -> float:
        """Return by how much neighbours differ, beyond what writing them down may lose."""
        raise NotImplementedError

    def _inner(self, share: float) -> float:
        raise NotImplementedError

    def _share(self, value: float) -> float:
        raise NotImplementedError

    def index(self, value: Value) -> int:
        assert isinstance(value, (int, float))
        return round(self._steps(value))

    def _steps(self, value: float) -> float:
        last = self.num_buckets - 1
        return self._share(value) * last if last else 0.0

    def _find(self, value: Value) -> int | None:
        if not _number(value):
            return None
        inside = min(max(value, self.start), self.stop)
        if not _close(value, inside):
            return None
        index = self.index(inside)
        near = abs(self._steps(inside) - index) <= _CLOSE_STEPS
        return index if near or self.at(index) == value else None


@final
@dataclass(frozen=True)
class Linear(_Spaced):
    """``num_buckets`` evenly spaced floats from ``start`` to ``stop``, both included.

    Raises:
        HyperparameterError: an end is not a finite number, ``stop`` lies below ``start``, or there
            are fewer than two values between two different ends.
    """

    kind: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_apart()

    def _gap(self) -> float:
        step = (self.stop - self.start) / (self.num_buckets - 1)
        return step - _APART * max(abs(self.start), abs(self.stop))

    def _inner(self, share: float) -> float:
        inner = self.start + (self.stop - self.start) * share
        # from -0.1 to 0.5 there is a 0, and not a -1.38777878078e-17
        return inner if abs(inner) > _APART * self._gap() else 0.0

    def _share(self, value: float) -> float:
        return (value - self.start) / (self.stop - self.start)

    def __str__(self) -> str:
        return f"{self.start:g} to {self.stop:g}, {self.num_buckets} evenly spaced"


@final
@dataclass(frozen=True)
class Logarithmic(_Spaced):
    """``num_buckets`` floats from ``start`` to ``stop``, each the same multiple of the one before.

    Start and stop are the values themselves, not exponents, and both are included.

    Raises:
        HyperparameterError: as `Linear`, or ``start`` is not above 0.
    """

    kind: ClassVar[str] = "logarithmic"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_positive(start=self.start)
        self._check_apart()

    def _gap(self) -> float:
        return (math.log(self.stop) - math.log(self.start)) / (self.num_buckets - 1) - _APART

    def _inner(self, share: float) -> float:
        return math.exp(math.log(self.start) * (1 - share) + math.log(self.stop) * share)

    def _share(self, value: float) -> float:
        return (math.log(value) - math.log(self.start)) / (
            math.log(self.stop) - math.log(self.start)
        )

    def __str__(self) -> str:
        return f"{self.start:g} to {self.stop:g}, {self.num_buckets} on a log scale"


@final
@dataclass(frozen=True)
class Float(Domain):
    """Any float from ``low`` to ``high``; uniform, or with ``log=True`` uniform in its logarithm.

    Raises:
        HyperparameterError: an end is not a finite number, ``high`` is not above ``low``, or
            ``log=True`` and ``low`` is not above 0.
    """

    kind: ClassVar[str] = "float"
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, real(getattr(self, name), name))
        object.__setattr__(self, "log", _flag(self.log, "log"))
        _check_ends(low=self.low, high=self.high)
        if self.low == self.high:
            msg = f"low and high are both {self.low}; use Fixed for one value"
            raise HyperparameterError(msg)
        if self.log:
            _check_positive(low=self.low)
            if math.log(self.low) == math.log(self.high):
                msg = f"low {self.low} and high {self.high} lie too close together; use Fixed"
                raise HyperparameterError(msg)

    @property
    def size(self) -> None:
        return None

    @property
    def first(self) -> float:
        return self.low  # where a logarithm and back would lose a digit

    def canonical(self, value: object) -> float:
        value = plain(value, "a value")
        if _number(value):
            inside = min(max(value, self.low), self.high)
            if _close(value, inside):
                return float(inside)
        msg = f"{value!r} is not in {self}"
        raise HyperparameterError(msg)

    def nearest(self, value: object) -> float:
        value = plain(value, "a value")
        inside = min(max(value, self.low), self.high) if _number(value) else value
        return self.canonical(inside)

    def encode(self, value: Value) -> float:
        assert isinstance(value, (int, float))
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def decode(self, position: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            inner = math.exp(low * (1 - position) + high * position)
        else:
            inner = self.low * (1 - position) + self.high * position
        return min(max(inner, self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, continuous{', log scale' if self.log else ''}"


@final
@dataclass(frozen=True)
class Boolean(Domain):
    """False or True."""

    kind: ClassVar[str] = "boolean"

    @property
    def size(self) -> int:
        return 2

    @property
    def ordered(self) -> bool:
        return False

    def at(self, index: int) -> bool:
        return bool(index)

    def index(self, value: Value) -> int:
        return int(value is True)

    def _find(self, value: Value) -> int | None:
        return int(value) if isinstance(value, bool) else None

    def __str__(self) -> str:
        return "False, True"


@final
@dataclass(frozen=True)
class Fixed(Domain):
    """One value: named, grouped and exported like the others, never searched.

    Raises:
        HyperparameterError: the value is not a str, int, float, bool or None.
    """

    kind: ClassVar[str] = "fixed"
    value: Value

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain(self.value, "the value"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and repr(self) == repr(other)  # as in Choice

    def __hash__(self) -> int:
        return hash(self.value)

    @property
    def size(self) -> int:
        return 1

    def at(self, index: int) -> Value:  # noqa: ARG002 (there is only one)
        return self.value

    def index(self, value: Value) -> int:  # noqa: ARG002 (there is only one)
        return 0

    def _find(self, value: Value) -> int | None:
        return Choice((self.value,))._find(value)  # noqa: SLF001 (its own kind)

    def __str__(self) -> str:
        return repr(self.value)


_KINDS: dict[str, type[Domain]] = {
    domain.kind: domain for domain in (Choice, Range, Linear, Logarithmic, Float, Boolean, Fixed)
}


def plain(value: object, what: str) -> Value:
    """Return a value as the plain Python object that JSON can hold; NumPy scalars are unwrapped.

    Args:
        value: anything.
        what: how an error names it.

    Raises:
        HyperparameterError: it is not a str, int, float, bool or None, or not a finite number.
    """
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]
    if value is not None and type(value) not in (str, int, float, bool):
        msg = (
            f"{what} must be a str, int, float, bool or None, not the {type(value).__name__} "
            f"{value!r}; name it with a string and look it up in a dict"
        )
        raise HyperparameterError(msg)
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{what} must be finite, not {value!r}"
        raise HyperparameterError(msg)
    return value  # type: ignore[return-value]


def _number(value: Value) -> TypeGuard[int | float]:
    """Return whether a (plain) value is an int or a float, and not a bool."""
    return type(value) in (int, float)


def _close(value: float, inside: float) -> bool:
    """Return whether a number is as good as one within the ends."""
    try:
        return math.isclose(value, inside, rel_tol=_CLOSE)
    except OverflowError:  # a whole number that no float can hold
        return False


def _flag(value: object, name: str) -> bool:
    value = plain(value, name)
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, not {value!r}"
        raise HyperparameterError(msg)
    return value


def real(value: object, name: str) -> float:
    """Return a value as a float.

    Args:
        value: anything.
        name: how an error names it.

    Raises:
        HyperparameterError: it is not a finite number.
    """
    value = plain(value, name)
    if not _number(value):
        msg = f"{name} must be a number, not {value!r}"
        raise HyperparameterError(msg)
    try:
        return float(value)
    except OverflowError:
        msg = f"{name} is too large for a float: {value!r}"
        raise HyperparameterError(msg) from None


def _check_ends(**ends: float) -> None:
    (first, start), (last, stop) = ends.items()
    if stop < start:
        msg = f"{last} {stop:g} lies below {first} {start:g}; swap them"
        raise HyperparameterError(msg)
    if math.isinf(stop - start):
        msg = f"{first} {start:g} and {last} {stop:g} lie too far apart; bring them closer"
        raise HyperparameterError(msg)


def _check_positive(**ends: float) -> None:
    ((name, value),) = ends.items()
    if value < _SMALLEST:
        msg = (
            f"{name} {value:g} must be above 0 (at least {_SMALLEST}) on a log scale; "
            "give the values themselves, not their exponents"
        )
        raise HyperparameterError(msg)
