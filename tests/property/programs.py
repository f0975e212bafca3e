"""Programs of nested ifs and loops that ask for hyperparameters, as source, and what they ask for.

A program is real Python, compiled, so that it takes its ways as a user's function does.
`every_configuration` finds all of its configurations by brute force.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from tunedeco import Boolean, Choice, Linear, Range
from tunedeco.tracing import from_values, run

_DECLARATIONS = (
    'Choice("{0}", ["p", "q", "r"])',
    'Choice("{0}", [1, 2], group="other")',
    'Range("{0}", 1, 3)',
    'Boolean("{0}", group="other")',
    'Linear("{0}", 0.0, 1.0, 2)',
)
_TESTS = (
    '{0} == "q"', '{0} in ("p", "r")', "{0} == 2", "{0} >= 2", "{0} is True", "not {0}",
    "{0} > 0.5",
)  # fmt: skip
_KINDS = ((0, 1), (2, 3), (2, 3), (4, 5), (6,))  # which tests go with which declaration


@st.composite
def programs(draw: st.DrawFn, most: int = 7) -> str:
    """Draw the source of a function ``program``."""
    names = iter(f"h{i}" for i in range(most))
    lines = _block(draw, names, [], 1)
    return "\n".join(["def program():", *lines, "    return None"])


def _block(draw: st.DrawFn, names: Any, known: list[tuple[str, int]], depth: int) -> list[str]:
    lines, indent = [], "    " * depth
    known = list(known)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["ask", "ask", "if", "both", "loop", "list"]))
        if kind in ("if", "both") and known and depth < 4:
            tests = [_test(draw, known) for _ in range(1 + (kind == "both"))]
            joint = draw(st.sampled_from([" and ", " or "]))
            lines.append(f"{indent}if {joint.join(tests)}:")
            lines += _block(draw, names, known, depth + 1)
            if draw(st.booleans()):
                lines += [f"{indent}else:", *_block(draw, names, known, depth + 1)]
            continue
        name = next(names, None)
        if name is None:
            continue
        number = draw(st.integers(0, len(_DECLARATIONS) - 1))
        if kind == "loop" and depth < 4:
            lines.append(f'{indent}for i in range(Range("{name}", 1, 3)):')
            lines.append(f'{indent}    Choice(f"{name}_{{i}}", [1, 2])')
        elif kind == "list":
            lines.append(
                f'{indent}[Boolean(f"{name}_{{i}}") for i in range(Range("{name}", 0, 2))]'
            )
        else:
            lines.append(f"{indent}{name} = {_DECLARATIONS[number].format(name)}")
            known.append((name, number))
    return lines or [f"{indent}pass"]


def _test(draw: st.DrawFn, known: list[tuple[str, int]]) -> str:
    name, number = draw(st.sampled_from(known))
    return _TESTS[draw(st.sampled_from(_KINDS[number]))].format(name)


OURS = {"Choice": Choice, "Range": Range, "Boolean": Boolean, "Linear": Linear}


def compiled(source: str, asks: Mapping[str, Any] = OURS) -> Callable[[], None]:
    """Return the function of a source, with what answers its questions."""
    scope = dict(asks)
    exec(compile(source, "<program>", "exec"), scope)
    return scope["program"]  # type: ignore[return-value]


def every_configuration(function: Callable[[], object]) -> list[dict[str, Any]]:
    """Return what a function asks for in each run that differs, found by trying everything."""
    found, waiting = [], [()]
    while waiting:
        chosen: tuple[int, ...] = waiting.pop()
        turns = itertools.chain(chosen, itertools.repeat(0))
        sizes = []

        def answer(hyperparameter, turns=turns, sizes=sizes):
            sizes.append(hyperparameter.domain.size)
            return hyperparameter.domain.at(next(turns))

        _, trace = run(function, answer)
        found.append(trace.values)
        for place in range(len(chosen), len(sizes)):
            zeros = (0,) * (place - len(chosen))
            waiting += [(*chosen, *zeros, turn) for turn in range(1, sizes[place])]
    return found


__all__ = ["compiled", "every_configuration", "from_values", "programs"]
