"""Repeated blocks: which runs of layers could be repeated more or less often.

HEAVY: importing this module loads Keras.

A block is a sequence of layers that follow each other in a line, several times in a row, each from
one place in the code with the same arguments: the body of a loop. A line is what is added to one
`Sequential`, or a chain of functional calls in which each layer takes just what the one before it
gave. Only there can a repetition be left out, or another come after the last, and all else stay.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from tunedeco.discovery.plan import Call, Repeat
from tunedeco.discovery.run import Applied, Run


def repeats_in(run: Run) -> tuple[Repeat, ...]:
    """Return the repeated blocks of a run whose sites are named."""
    made = {id(call.thing): call for call in run.calls}
    counts = Counter(call.site.name for call in run.calls if call.site)
    found: list[Repeat] = []
    for line in _lines(run):
        names = [_name(made.get(id(layer))) for layer in line]
        for start, length, count in _tandems(names):
            sites = tuple(name for name in names[start : start + length] if name)
            alone = all(counts[site] == count for site in sites)  # it is not used elsewhere too
            if len(sites) == length == len(set(sites)) and alone:
                found.append(Repeat(f"block_{len(found) + 1}.repeats", sites, count))
    return tuple(found)


def _name(call: Call | None) -> str | None:
    return call.site.name if call and call.site else None


def _lines(run: Run) -> Iterable[Sequence[object]]:
    yield from (layers for _, layers in run.models.values())
    yield from _chains(run.flow)


def _chains(flow: Sequence[Applied]) -> Iterable[Sequence[object]]:
    """Yield the layers of each chain; a tensor that two layers take ends one."""
    times = Counter(id(applied.layer) for applied in flow)
    line: list[object] = []
    before: Applied | None = None
    for applied in flow:
        follows = before is not None and applied.given is before.result
        # Keras keeps nowhere public who takes a layer's output: any operation, not only layers
        if before is None or not follows or len(before.layer._outbound_nodes) != 1:  # noqa: SLF001
            yield line
            line = []
        if times[id(applied.layer)] == 1:
            line.append(applied.layer)
        before = applied
    yield line


def _tandems(names: Sequence[str | None]) -> Iterable[tuple[int, int, int]]:
    """Yield (start, length, count) of what stands several times in a row, the longest row first."""
    start = 0
    while start < len(names):
        rows = [
            (length, count)
            for length in range(1, (len(names) - start) // 2 + 1)
            if (count := _times(names, start, length)) > 1
        ]
        if rows:
            length, count = max(rows, key=lambda row: (row[0] * row[1], -row[0]))
            yield start, length, count
            start += length * count
        else:
            start += 1


def _times(names: Sequence[str | None], start: int, length: int) -> int:
    """Return how often the names from a start on stand in a row."""
    block = names[start : start + length]
    count = 1
    while names[start + count * length : start + (count + 1) * length] == block:
        count += 1
    return count
