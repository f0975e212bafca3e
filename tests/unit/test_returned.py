"""A function that returns a model, and what `fit` is to be given with it."""

import json
from pathlib import Path

from tunedeco import Range, tunable
from tunedeco.returned import parts


def test_build_gives_the_model_and_apply_all(tmp_path: Path) -> None:
    """Of `(model, fit_arguments)`, `build` returns the first and `apply` both; a call is a call."""

    @tunable
    def function() -> tuple[str, dict[str, int]]:
        return "model", {"batch_size": Range("batch_size", 8, 32, 8)}

    assert function() == ("model", {"batch_size": 8})
    assert function.build({"batch_size": 16}) == "model"
    assert function.apply({"batch_size": 16}) == ("model", {"batch_size": 16})
    exported = {"schema": "tunedeco/best/1", "hyperparameters": {"default": {"batch_size": 24}}}
    path = tmp_path / "best.json"
    path.write_text(json.dumps(exported))
    assert function.apply(path)[1] == function.apply({"batch_size": 24})[1]


def test_what_is_no_pair_is_the_model() -> None:
    """Only a tuple whose second part is a mapping is taken apart."""
    for result in (None, "model", ("a", "b"), ["a", {}], ("a", {}, {}), ({},)):
        assert parts(result) == (result, {})
    assert parts(("a", {"b": 1})) == ("a", {"b": 1})
