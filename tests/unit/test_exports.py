"""What the package shows to the outside: its names, its errors, and how little it loads."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tunedeco
from tunedeco import errors


def test_every_public_name_resolves() -> None:
    """Each name in `__all__` is there, from a module of ours, with a docstring."""
    assert tunedeco.__all__ == sorted(tunedeco.__all__)
    assert dir(tunedeco) == tunedeco.__all__
    for name in tunedeco.__all__:
        value = getattr(tunedeco, name)
        assert value.__name__ == name
        assert value.__module__.startswith("tunedeco.")
        assert getattr(importlib.import_module(value.__module__), name) is value
        assert value.__doc__


def test_a_type_checker_sees_the_same_names() -> None:
    """The imports under TYPE_CHECKING, `__all__` and the lazy table name the same things."""
    tree = ast.parse(Path(tunedeco.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == tunedeco.__all__
    assert {f"tunedeco.{home}" for home in tunedeco._HOMES.values()} == set(seen.values())
    assert {name: f"tunedeco.{home}" for name, home in tunedeco._HOMES.items()} == seen


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """The lazy package answers an unknown name as any module does."""
    with pytest.raises(AttributeError, match="module 'tunedeco' has no attribute 'Tunner'"):
        tunedeco.Tunner  # noqa: B018


def test_the_drawing_of_the_errors_is_their_tree() -> None:
    """The docstring of `errors` shows every class under its base, and no other."""
    assert errors.__doc__ is not None
    drawn: dict[str, set[str]] = {}
    above: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(
            r"    ([ │]*(?:[├└]── )?)([A-Z]\w+Error|[A-Z]\w+)(?: \((\w+)\))?(?:\s\s|$)", line
        )
        if found:
            depth = len(found[1]) // 4
            del above[depth:]
            mixed_in = {found[3]} - {None}
            drawn[found[2]] = {above[-1]} | mixed_in if above else mixed_in or {"Exception"}
            above.append(found[2])
    actual = {
        name: {base.__name__ for base in value.__bases__}
        for name, value in vars(errors).items()
        if inspect.isclass(value)
    }
    assert drawn == actual
    assert all(value.__doc__ for value in vars(errors).values() if inspect.isclass(value))


LIGHT = """
import sys
import {module}
{then}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}})
print(*loaded)
"""
HEAVY = {"keras", "tensorflow", "jax", "torch", "optuna", "pandas", "sklearn"}


@pytest.mark.parametrize(
    ("module", "then", "also"),
    [
        ("tunedeco", "", {"numpy", "tinydb", "tqdm"}),
        ("tunedeco", "[getattr(tunedeco, name) for name in tunedeco.__all__]", set()),
        ("tunedeco.oracles", "", {"numpy", "tinydb"}),
        ("tunedeco.errors", "", {"numpy", "tinydb"}),
        ("tunedeco.testing", "", {"pytest", "hypothesis"}),
        ("tunedeco.cli", "", {"numpy"}),
    ],
)
def test_the_light_parts_load_nothing_heavy(module: str, then: str, also: set[str]) -> None:
    """Importing the package, its names, oracles, errors or command line loads no backend."""
    code = LIGHT.format(module=module, then=then)
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    loaded = set(output.split())
    assert "tunedeco" in loaded
    assert not loaded & (HEAVY | also)
