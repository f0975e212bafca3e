"""`@tunable`: what it keeps of a function, and who answers its questions in which context."""

import functools
import inspect
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tunedeco import Choice, Range, Space, exporting, tracing, tunable
from tunedeco.decorator import Tunable
from tunedeco.errors import ConfigurationError, ExportError, HyperparameterError, ModelFunctionError


def layers(prefix: str = "layer") -> list[int]:
    """Ask from a helper, within a comprehension."""
    return [Range(f"{prefix}{i}", 1, 9, group="net") for i in range(Range("depth", 1, 3))]


@tunable
def model_fn(scale: int = 1, *, offset: int = 0) -> dict[str, Any]:
    """Build a model."""
    return {
        "rate": Choice("rate", [0.1, 0.01, 0.001], group="optimizer"),
        "units": Range("units", 8, 32, 8) * scale + offset,
        "layers": layers(),
    }


DEFAULTS = {"rate": 0.1, "units": 8, "layers": [1]}


def exported(values: object, **more: object) -> dict[str, Any]:
    """Return what an exported file holds, as far as reading goes."""
    return {"schema": exporting.SCHEMA, "hyperparameters": values, **more}


def test_a_plain_call_runs_the_function_with_its_defaults() -> None:
    """A decorated function is still called with arguments of its own, and returns as before."""
    assert model_fn() == DEFAULTS
    assert model_fn(10, offset=1) == {**DEFAULTS, "units": 81}


def test_name_docstring_and_signature_are_kept() -> None:
    """What a function says of itself it says decorated, too."""
    assert model_fn.__name__ == "model_fn"
    assert model_fn.__doc__ == "Build a model."
    assert model_fn.__module__ == __name__
    assert list(inspect.signature(model_fn).parameters) == ["scale", "offset"]
    assert repr(model_fn) == "<tunable model_fn>"


def test_with_and_without_parentheses_is_the_same() -> None:
    """`@tunable`, `@tunable()` and decorating twice give one thing, which wraps the function."""

    def plain() -> int:
        return Range("units", 1, 3)

    once = tunable(plain)
    assert isinstance(once, Tunable)
    assert tunable(once) is once
    with_parentheses = tunable()(plain)
    assert with_parentheses.function is once.function is plain
    assert with_parentheses.space == once.space
    assert tunable()(once) is once


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_traces": 0}, "max_traces must be a whole number of at least 1, not 0"),
        ({"max_traces": 2.5}, "max_traces must be a whole number of at least 1, not 2.5"),
        ({"discover": "all"}, "discover must be True, or a mapping of what to search, not 'all'"),
    ],
)
def test_wrong_options_are_named(wrong: dict[str, Any], says: str) -> None:
    """An option that is not what it may be is an error where the function is decorated."""
    with pytest.raises(ConfigurationError, match=says):
        tunable(**wrong)


def test_the_bound_of_tracing_can_be_raised() -> None:
    """`max_traces` is how often the function is run at most, and decorating again can raise it."""
    calls: list[int] = []

    def deep() -> None:
        calls.append(1)
        for i in range(Range("layers", 1, 60)):
            Choice(f"units_{i}", [8, 16])

    few = tunable(max_traces=7)(deep)
    assert few.space.coverage is not None
    assert not few.space.coverage.complete
    assert len(calls) == 7
    many = tunable(few, max_traces=1000)
    assert many.space.coverage is not None
    assert many.space.coverage.complete
    assert len(many.space) == 61


@pytest.mark.parametrize("thing", [3, "model_fn", classmethod(lambda cls: cls)])
def test_only_functions_are_decorated(thing: Any) -> None:
    """What cannot be called is refused where it is decorated."""
    with pytest.raises(
        ModelFunctionError, match="@tunable and Tuner take a function that builds a model, not"
    ):
        tunable(thing)


def test_the_space_is_what_every_run_asks_for() -> None:
    """`.space` holds each hyperparameter in the order met: also of helpers and comprehensions."""
    assert [h.label for h in model_fn.space] == [
        "optimizer/rate",
        "default/units",
        "default/depth",
        "net/layer0",
        "net/layer1",
        "net/layer2",
    ]
    assert list(model_fn.space.groups) == ["optimizer", "default", "net"]
    assert model_fn.space.size == 3 * 4 * (9 + 9**2 + 9**3)


def test_values_reach_helpers_and_branches() -> None:
    """`.build` answers in helpers and comprehensions, also what only these values lead to."""
    values = {"default": {"depth": 3}, "net": {"layer0": 2, "layer2": 5}, "rate": 0.01}
    assert model_fn.build(values) == {"rate": 0.01, "units": 8, "layers": [2, 1, 5]}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"ratee": 1}, "ratee was not asked for; with these values the function asks for: opt"),
        ({"net": {"layer1": 2}}, "net/layer1 was not asked for"),
        ({"nett": {"layer0": 2}, "x": 1}, "nett/layer0, x was not asked for"),
        ({"units": 9}, "default/units: 9 is not in 8 to 32 step 8"),
        ({"optimizer": {"rate": "0.1"}}, "optimizer/rate: '0.1' is not in 0.1, 0.01, 0.001"),
        ({"units": [8]}, "default/units: a value must be a str, int, float, bool or None"),
    ],
)
def test_values_that_do_not_fit_are_named(values: dict[str, Any], says: str) -> None:
    """A name nobody asks for, or a value outside its domain, is an error that names it."""
    with pytest.raises(HyperparameterError) as raised:
        model_fn.build(values)
    assert says in str(raised.value)


def test_a_name_in_two_groups_needs_its_group() -> None:
    """`{name: value}` is enough where one group has the name; with two the error shows both."""

    @tunable
    def twice() -> tuple[int, int]:
        return Range("units", 1, 9, group="a"), Range("units", 1, 9, group="b")

    assert twice.build({"a": {"units": 2}, "b": {"units": 3}}) == (2, 3)
    assert twice.build({"a": {"units": 2}}) == (2, 1)
    with pytest.raises(HyperparameterError, match="stands in several groups, a and b; write"):
        twice.build({"units": 2})


def test_an_exported_file_builds_what_it_says(tmp_path: Path) -> None:
    """`.build` takes the path of an exported file, as str or Path, or the object that is in it."""
    values = model_fn.space.complete({"rate": 0.001, "units": 16, "depth": 1, "layer0": 7})
    path = exporting.write(tmp_path / "best.json", exported(values))
    expected = {"rate": 0.001, "units": 16, "layers": [7]}
    assert model_fn.build(path) == model_fn.build(str(path)) == expected
    assert model_fn.build(json.loads(path.read_text("utf-8"))) == expected


def test_an_export_of_another_space_names_every_problem(tmp_path: Path) -> None:
    """One error lists what the file lacks, what it has too much, and what lies outside."""
    values = {"optimizer": {"rate": 0.5}, "default": {"depth": 1, "width": 3}, "net": {"layer0": 2}}
    path = exporting.write(tmp_path / "other.json", exported(values))
    with pytest.raises(ExportError) as raised:
        model_fn.build(path)
    assert str(raised.value).splitlines() == [
        f"{path} is of another space:",
        "  default/units is asked for, and not in the file",
        "  default/width is in the file, and not asked for",
        "  optimizer/rate: 0.5 is not in 0.1, 0.01, 0.001",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\x80", "is not a search that tunedeco exported"),
        ("[]", "is not a search that tunedeco exported: it has no schema 'tunedeco/best/1'"),
        ("{}", "is not a search that tunedeco exported"),
        ('{"schema": "tunedeco/best/1"}', "is not a search that tunedeco exported"),
        ('{"schema": "tunedeco/best/2", "hyperparameters": {}}', "has schema 'tunedeco/best/2'"),
        ('{"schema": "tunedeco/best/1", "hyperparameters": {"a": 1}}', "must be {group: {name:"),
    ],
)
def test_what_is_no_exported_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """A file that is not JSON, or not ours, or of a later version, is an error with its path."""
    path = tmp_path / "best.json"
    path.write_text(json.dumps(text) if text == "\x80" else text, "utf-8")
    with pytest.raises(ExportError) as raised:
        model_fn.build(path)
    assert str(raised.value).startswith(str(path))
    assert says in str(raised.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory and a binary file are errors that name them."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfa")
    for name, says in (("missing", "cannot read"), (".", "cannot read"), ("binary", "is not JSON")):
        with pytest.raises(ExportError, match=says):
            model_fn.build(tmp_path / name)


def test_an_export_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failed write raises, and leaves neither a new file nor a damaged old one."""
    path = exporting.write(tmp_path / "best.json", exported({}))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        exporting.write(path, exported({"a": {"b": float("nan")}}))
    with pytest.raises(ExportError, match="give a path that is writable"):
        exporting.write(tmp_path / "no" / "best.json", exported({}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_methods_know_their_instance() -> None:
    """A decorated method is bound like any other, and has `.space` and `.build` of its instance."""

    class Family:
        most = 5

        @tunable
        def build(self) -> int:
            return Range("units", 1, self.most)

        @staticmethod
        @tunable
        def still() -> int:
            return Range("units", 2, 3)

    family = Family()
    family.most = 7
    assert family.build() == 1
    assert family.build.build({"units": 7}) == 7
    assert family.build.space.size == 7
    assert Family().build.space.size == 5
    assert Family.build(family) == 1
    assert family.still.build({"units": 3}) == 3
    with pytest.raises(ModelFunctionError, match="cannot be called without arguments"):
        Family.build.space  # noqa: B018 (asking for it runs the function)


def test_a_function_with_arguments_must_be_bound() -> None:
    """A function that needs arguments has a space only once `functools.partial` gives them."""

    def needs(units: int) -> int:
        return Range("units", 1, units)

    with pytest.raises(ModelFunctionError, match="needs cannot be called without arguments"):
        tunable(needs).space  # noqa: B018 (asking for it runs the function)
    bound = tunable(functools.partial(needs, 4))
    assert bound.space.size == 4
    assert bound.build({"units": 3}) == 3


def test_a_build_within_a_build_is_its_own() -> None:
    """What a function builds inside itself neither sees the outer values nor adds to its space."""

    @tunable
    def inner() -> int:
        return Range("units", 1, 9)

    @tunable
    def outer() -> tuple[int, int, int, int]:
        first = Range("units", 1, 5)
        built = inner.build({"units": 9})
        found = len(inner.space)
        return first, built, found, Range("units", 1, 5)

    assert outer.build({"units": 3}) == (3, 9, 1, 3)
    assert outer.space.size == 5


def test_a_call_within_a_build_is_part_of_it() -> None:
    """A decorated function that is merely called asks whoever called it."""

    @tunable
    def inner() -> int:
        return Range("units", 1, 9)

    @tunable
    def outer() -> int:
        return inner()

    assert outer.build({"units": 4}) == 4
    assert [h.name for h in outer.space] == ["units"]


def test_a_function_may_build_itself() -> None:
    """A function that builds itself with other values gets each level's own."""

    @tunable
    def countdown() -> list[int]:
        depth = Range("depth", 0, 3)
        return [depth, *(countdown.build({"depth": depth - 1}) if depth else [])]

    assert countdown.build({"depth": 3}) == [3, 2, 1, 0]


def test_what_a_function_raises_passes_through_and_leaves_no_trace() -> None:
    """An error in the function is the user's own, and afterwards a call gives defaults again."""

    class OwnError(Exception):
        pass

    @tunable
    def broken() -> None:
        Range("units", 1, 9)
        raise OwnError

    for call in (broken, lambda: broken.space, lambda: broken.build({"units": 3})):
        with pytest.raises(OwnError):
            call()
        assert Range("units", 1, 5) == 1


def test_threads_build_with_values_of_their_own() -> None:
    """Builds that run at the same time in several threads do not meet."""
    barrier = threading.Barrier(8)

    @tunable
    def slow() -> list[int]:
        values = []
        for _ in range(3):
            barrier.wait(timeout=30)  # all threads are inside their build at once
            values.append(Range("units", 0, 9))
        return values

    results: dict[int, list[int]] = {}

    def build(number: int) -> None:
        results[number] = slow.build({"units": number})

    threads = [threading.Thread(target=build, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == {number: [number] * 3 for number in range(8)}


def test_a_run_returns_what_was_asked_and_told() -> None:
    """`tracing.run` answers from values, asks the fallback for the rest, and notes both."""
    drawn: list[str] = []

    def draw(hyperparameter: Any) -> Any:
        drawn.append(hyperparameter.label)
        return hyperparameter.domain.at(1)

    answer = tracing.from_values({"default": {"depth": 2, "units": 32}}, draw)
    result, trace = tracing.run(model_fn, answer)
    assert result == {"rate": 0.01, "units": 32, "layers": [2, 2]}
    assert drawn == ["optimizer/rate", "net/layer0", "net/layer1"]
    assert trace.values == {
        "optimizer": {"rate": 0.01},
        "default": {"units": 32, "depth": 2},
        "net": {"layer0": 2, "layer1": 2},
    }
    assert isinstance(trace.space, Space)
    assert len(trace.space) == 5


Names = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        ([("a", "b"), ("a", "c"), ("b", "b")], False),
        ([("a/b", "c"), ("a", "b")], False),
        ([("a/b", "c"), ("a", "b/c")], True),
    ],
)
def test_labels_tell_hyperparameters_apart(names: Names, clash: bool) -> None:
    """Two hyperparameters that every table would call the same are refused."""

    def ask() -> None:
        for group, name in names:
            Choice(name, [1], group=group)

    if clash:
        with pytest.raises(HyperparameterError, match="a/b/c"):
            tunable(ask).space  # noqa: B018
    else:
        assert len(tunable(ask).space) == len(names)
