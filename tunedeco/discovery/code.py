"""The code that declares a proposed space: a decorator to paste above the function.

It is formatted as ruff and Black do by default.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tunedeco.domains import Domain
from tunedeco.space import Hyperparameter

_LINE = 88


def decorator(found: Mapping[str, Hyperparameter | str]) -> str:
    """Return the imports and the decorator.

    Args:
        found: by name: a hyperparameter, or the name of the one whose value it shares.
    """
    if not found:
        return "from tunedeco import tunable\n\n\n@tunable(discover={})\n"
    entries = "".join(_entry(name, item) for name, item in found.items())
    used = any(not isinstance(item, str) for item in found.values())
    imports = f"from tunedeco import {'space, ' if used else ''}tunable"
    return f"{imports}\n\n\n@tunable(\n    discover={{\n{entries}    }}\n)\n"


def _entry(name: str, item: Hyperparameter | str) -> str:
    indent = " " * 8
    key = f"{indent}{json.dumps(name)}: "
    if isinstance(item, str):
        return f"{key}{json.dumps(item)},\n"
    function = f"{key}space.{type(item.domain).__name__}("
    arguments = [
        *_arguments(item.domain),
        f"group={json.dumps(item.group)}",
        f"default={_literal(item.default)}",
    ]
    line = ", ".join(arguments)
    if len(f"{function}{line}),") <= _LINE:
        return f"{function}{line}),\n"
    if len(f"{indent}    {line}") <= _LINE:
        return f"{function}\n{indent}    {line}\n{indent}),\n"
    lines = "".join(_argument(argument, f"{indent}    ") for argument in arguments)
    return f"{function}\n{lines}{indent}),\n"


def _argument(argument: str, indent: str) -> str:
    return f"{indent}{argument},\n"


def _arguments(domain: Domain) -> list[str]:
    """Return what a domain is called with; what is left at its default is not said."""
    values = [(f, getattr(domain, f.name)) for f in fields(domain)]  # type: ignore[arg-type]
    while values and values[-1][0].default == values[-1][1]:
        values.pop()
    return [_literal(value) for _, value in values]


def _literal(value: Any) -> str:  # noqa: ANN401 (of a value, or of a tuple of them)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
