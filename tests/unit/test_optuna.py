"""Functions of Optuna's `trial`, without Optuna: tests/keras compares with the real one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tunedeco import Tuner, domains, tracing, tunable
from tunedeco.errors import HyperparameterClash, HyperparameterError, TranslationError

if TYPE_CHECKING:
    import optuna

Suggest = Callable[[Any], object]


def space_of(suggest: Suggest) -> dict[str, domains.Domain]:
    """Return the domains that a function of `trial` asks for, by name."""
    return {h.name: h.domain for h in tunable(lambda trial: suggest(trial)).space}  # noqa: PLW0108 (its name)


@pytest.mark.parametrize(
    ("suggest", "domain"),
    [
        (lambda t: t.suggest_int("x", 1, 9), domains.Range(1, 9)),
        (lambda t: t.suggest_int("x", 1, 10, step=2), domains.Range(1, 9, 2)),
        (lambda t: t.suggest_int("x", 1, 2, step=5), domains.Range(1, 1)),
        (lambda t: t.suggest_int("x", 1e1, 1e3, log=True), domains.Range(10, 1000, log=True)),
        (lambda t: t.suggest_float("x", 0, 1), domains.Float(0, 1)),
        (lambda t: t.suggest_float("x", 1, 1), domains.Fixed(1.0)),
        (lambda t: t.suggest_float("x", 1e-5, 1e-1, log=True), domains.Float(1e-5, 1e-1, log=True)),
        (lambda t: t.suggest_float("x", 0.2, 0.8, step=0.1), domains.Linear(0.2, 0.8, 7)),
        (lambda t: t.suggest_float("x", 0, 1, step=0.3), domains.Linear(0, 0.9, 4)),
        (lambda t: t.suggest_float("x", 0, 0.1, step=0.3), domains.Fixed(0.0)),
        (lambda t: t.suggest_categorical("x", ["a", None, 1]), domains.Choice(("a", None, 1))),
        (lambda t: t.suggest_uniform("x", 0, 1), domains.Float(0, 1)),
        (lambda t: t.suggest_loguniform("x", 1e-5, 1), domains.Float(1e-5, 1, log=True)),
        (lambda t: t.suggest_discrete_uniform("x", 0, 1, 0.25), domains.Linear(0, 1, 5)),
    ],
)
def test_each_suggestion_has_a_domain(suggest: Suggest, domain: domains.Domain) -> None:
    """What `trial` suggests is the domain of ours with its values; the first is the default."""
    assert space_of(suggest) == {"x": domain}
    value = tunable(lambda trial: suggest(trial))()  # noqa: PLW0108 (its name)
    assert (type(value), value) == (type(domain.first), domain.first)


@pytest.mark.parametrize(
    ("suggest", "says"),
    [
        (lambda t: t.suggest_int("x", 9, 1), "stop 1 lies below start 9"),
        (lambda t: t.suggest_int("x", 0.5, 9), "low must be an integer, not 0.5"),
        (lambda t: t.suggest_int("x", 1, 9, step=0), "step 0 must be at least 1"),
        (lambda t: t.suggest_int("x", 1, 9, step=2, log=True), "on a log scale step must be 1"),
        (lambda t: t.suggest_int("x", 0, 9, log=True), "a log scale reaches from 1"),
        (lambda t: t.suggest_float("x", 1, 0), "high 0 lies below low 1"),
        (lambda t: t.suggest_float("x", 0, 1, log=True), "low 0 must be above 0"),
        (lambda t: t.suggest_float("x", 1, 2, step=0.1, log=True), "on a log scale there is no st"),
        (lambda t: t.suggest_float("x", 0, 1, step=0), "step 0 must be above 0"),
        (lambda t: t.suggest_float("x", 1, 0, step=0.1), "the highest 0 lies below the lowest 1"),
        (lambda t: t.suggest_categorical("x", []), "the list of choices is empty"),
        (lambda t: t.suggest_categorical("x", [(1, 2)]), "name it with a string and look it up"),
    ],
)
def test_a_wrong_suggestion_names_the_line(suggest: Suggest, says: str) -> None:
    """What Optuna refuses, and what has no domain here, is an error with name and line."""
    with pytest.raises(HyperparameterError) as raised:
        space_of(suggest)
    assert str(raised.value).startswith(f"default/x ({__file__}:")
    assert says in str(raised.value)


def test_a_function_of_trial_is_a_model_function() -> None:
    """It is found by the parameter's name or its annotation, decorated or not."""

    def by_name(trial):
        return [trial.suggest_int(f"n{i}/units", 4, 8) for i in range(trial.suggest_int("n", 1, 3))]

    def by_annotation(study_trial: "optuna.trial.Trial"):
        return by_name(study_trial)

    for function in (by_name, by_annotation):
        assert tunable(function)() == [4]
        assert tunable(function).build({"n": 2, "n1/units": 7}) == [4, 7]
        tuner = Tuner(function, "val_loss", max_trials=1)
        names = ["n", "n0/units", "n1/units", "n2/units"]
        assert [h.label for h in tuner.space] == [f"default/{name}" for name in names]
        assert tuner.space.size == 5 + 5**2 + 5**3


def test_trial_knows_what_it_has_suggested() -> None:
    """`params`, user attributes and `number` are those of this run."""

    def asks(trial):
        trial.suggest_int("x", 1, 9)
        trial.suggest_categorical("y", ["a", "b"])
        trial.set_user_attr("seen", [1])
        return trial.params, trial.user_attrs, trial.number

    function = tunable(asks)
    assert function() == ({"x": 1, "y": "a"}, {"seen": [1]}, 0)
    answer = tracing.from_values({"default": {"x": 5, "y": "b"}}, tracing.defaults)
    ran = tracing.run(function.alone, answer, 7)[0]
    assert ran == ({"x": 5, "y": "b"}, {"seen": [1]}, 7)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("report", "every epoch is journalled as it ends"),
        ("should_prune", "the tuner decides how long a trial trains"),
        ("distributions", r"`tunable\(function\)\.space` has the domains"),
        ("study", "what has been tried is in `tuner.trials`"),
        ("set_constraint", "max_parameters"),
        ("datetime_start", "runtime"),
        ("relative_params", "a model function has suggest_int"),
    ],
)
def test_what_is_not_translated_says_what_to_do(name: str, instead: str) -> None:
    """Anything else of theirs is an error that says what tunedeco does in its place."""
    with pytest.raises(TranslationError, match=rf"trial\.{name} is not translated: .*{instead}"):
        tunable(lambda trial: getattr(trial, name)).space  # noqa: B018


def test_the_same_name_with_other_bounds_is_an_error() -> None:
    """A name has one meaning: suggested again it is the same, with other bounds it is an error."""
    assert list(space_of(lambda t: [t.suggest_int("x", 1, 9) for _ in range(3)])) == ["x"]
    with pytest.raises(HyperparameterClash, match="means two things"):
        space_of(lambda t: (t.suggest_int("x", 1, 9), t.suggest_int("x", 1, 5)))
