"""Proposing a space for a function that declares none.

HEAVY: importing this module loads Keras.

The rules in `kinds` say what could be different; what of it can be is found by trying. Whatever
decides on shapes is tried at the ends of its domain, alone and with the others. What builds only
when it changes together with others, such as the widths along a residual stream, becomes one
hyperparameter with them; what does not build at one end loses that end; and what does not build at
all is left alone, as is what would change the model's outputs and what follows from something else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tunedeco.discovery import kinds
from tunedeco.discovery.observing import Observation, attempt
from tunedeco.discovery.plan import Call, Knob, scalar
from tunedeco.domains import Choice, Domain, Range, Value, plain
from tunedeco.space import Values

_OUTPUT = ("units", "filters", "activation", "kernel_size")


def candidates(seen: Observation) -> tuple[dict[str, Knob], set[str]]:
    """Return what the rules propose, and the names of those that decide on shapes."""
    knobs: dict[str, Knob] = {}
    shaping: set[str] = set()
    for call in seen.calls:
        assert call.site is not None
        for parameter, (group, rule) in kinds.rules_for(call.family, call.class_name).items():
            name = f"{call.site.name}.{parameter}"
            if name in knobs or not _is_free(call, parameter, rule, seen):
                continue
            present = scalar(call.arguments[parameter])
            domain = kinds.domain_for(rule, present)
            if domain is not None:
                knobs[name] = Knob(name, group, domain, plain(present, name))
                if rule.shapes:
                    shaping.add(name)
    for repeat in seen.repeats:
        domain = kinds.repeats(repeat.count)
        assert domain is not None
        knobs[repeat.name] = Knob(repeat.name, "blocks", domain, repeat.count)
        shaping.add(repeat.name)
    return knobs, shaping


def _is_free(call: Call, parameter: str, rule: kinds.Rule, seen: Observation) -> bool:
    assert call.site is not None
    if parameter not in call.site.arguments or (rule.given and parameter not in call.given):
        return False
    if call.site.name in seen.output_sites and parameter in _OUTPUT:
        return False
    kernel, strides = (scalar(call.arguments.get(name)) for name in ("kernel_size", "strides"))
    return not (parameter == "kernel_size" and kernel == strides)  # it cuts into patches


class Proposal:
    """What is left of the candidates, while they are tried on the function."""

    def __init__(self, function: Callable[[], object], seen: Observation) -> None:
        """Begin with all that the rules propose."""
        self._function = function
        self._seen = seen
        self.knobs, self._shaping = candidates(seen)

    def found(self) -> dict[str, Knob]:
        """Return the knobs that can be searched, by name; those that are tied share one."""
        for declared in self._seen.asked:  # what follows from these is no candidate
            for end in (declared.domain.decode(0.0), declared.domain.decode(1.0)):
                self._builds({}, {declared.group: {declared.name: end}})
        units = self._units([name for name in self.knobs if name in self._shaping])
        for top in (True, False):
            self._cut(units, top=top)
        self._drop_what_raises([name for name in self.knobs if name not in self._shaping])
        return {name: knob for name, knob in self.knobs.items() if knob.domain.size != 1}

    def _builds(self, changed: Mapping[str, Value], declared: Values | None = None) -> bool:
        """Return whether changed values build; drop the candidates that turn out to follow."""
        values = {group: dict(names) for group, names in (declared or {}).items()}
        for name, value in changed.items():
            if name in self.knobs:
                values.setdefault(self.knobs[name].group, {})[self.knobs[name].name] = value
        plan = self._seen.plan(self.knobs)
        builds, follow = attempt(self._function, plan, values, self._seen)
        self.knobs = {name: knob for name, knob in self.knobs.items() if name not in follow}
        return builds

    def _can_change(self, names: Sequence[str]) -> bool:
        """Return whether knobs of one domain can be something else, all of them the same."""
        knob = self.knobs[names[0]]
        ends = (_end(knob.domain, top=False), _end(knob.domain, top=True))  # the cheap one first
        others = [*_beyond(knob, top=True), *_beyond(knob, top=False)]
        tried = others if knob.default in ends else ends
        return any(self._builds(dict.fromkeys(names, value)) for value in tried)

    def _units(self, names: Sequence[str]) -> list[str]:
        """Return the names of what can be changed by itself; tie what can only change together."""
        stuck: dict[tuple[Domain, Value], list[str]] = {}
        units = []
        for name in names:
            if name in self.knobs and self._can_change([name]):
                units.append(name)
            elif name in self.knobs:
                knob = self.knobs[name]
                stuck.setdefault((knob.domain, knob.default), []).append(name)
        for alike in stuck.values():
            while tied := self._smallest([name for name in alike if name in self.knobs]):
                self.knobs.update(dict.fromkeys(tied, self.knobs[tied[0]]))
                units.append(tied[0])
                alike[:] = [name for name in alike if name not in tied]
            for name in alike:
                self.knobs.pop(name, None)
        return units

    def _smallest(self, names: list[str]) -> list[str]:
        """Return the fewest of some names that can be changed together; none if they cannot."""
        some = [names, *([n for n in names if n != left] for left in names)]
        tied = next((s for s in some if len(s) > 1 and self._can_change(s)), [])
        for name in tuple(tied):
            rest = [other for other in tied if other != name]
            if len(rest) > 1 and self._can_change(rest):
                tied = rest
        return tied

    def _cut(self, units: Sequence[str], *, top: bool) -> None:
        """Cut off the values at one end of the domains that do not build with those of others."""
        ends = {
            name: _end(self.knobs[name].domain, top=top) for name in units if name in self.knobs
        }
        if self._builds(ends):
            return
        built: dict[str, Value] = {}
        for name in ends:
            if (knob := self.knobs.get(name)) is None:
                continue
            beyond = _beyond(knob, top=top)
            built[name] = next(
                (v for v in beyond if self._builds({**built, name: v})), knob.default
            )
            cut = replace(knob, domain=_cut_at(knob.domain, built[name], top=top))
            self.knobs = {n: cut if k is knob else k for n, k in self.knobs.items()}

    def _drop_what_raises(self, names: Sequence[str]) -> None:
        """Drop the knobs that decide on no shape, and yet do not build."""
        for top in (True, False):
            ends = {n: _end(self.knobs[n].domain, top=top) for n in names if n in self.knobs}
            if not self._builds(ends):
                for name, end in ends.items():
                    if not self._builds({name: end}):
                        self.knobs.pop(name, None)


def _end(domain: Domain, *, top: bool) -> Value:
    return domain.decode(1.0 if top else 0.0)


def _beyond(knob: Knob, *, top: bool) -> Iterator[Value]:
    """Yield the values on one side of the default, the farthest first."""
    size = knob.domain.size
    assert size is not None
    own = knob.domain.index(knob.default)
    for index in range(size - 1, own, -1) if top else range(own):
        yield knob.domain.at(index)


def _cut_at(domain: Domain, value: Value, *, top: bool) -> Domain:
    """Return a domain that ends, or begins, with a value."""
    size = domain.size
    assert size is not None
    at = domain.index(value)
    values = [domain.at(i) for i in (range(at + 1) if top else range(at, size))]
    if isinstance(domain, Range):
        return Range(values[0], values[-1])  # type: ignore[arg-type]
    return Choice(tuple(values))
