"""How many of the distinct configurations of nested conditional programs a grid visits.

``python benchmarks/conditional.py``. Random programs of nested ifs, loops and comprehensions come
from the generator of the tests (`tests/property/programs.py`), so the true configurations of each
are known by brute force. The same source runs with each library's own questions, in plain Python
ifs: ours, Keras Tuner's ``hp`` under the oracle of its GridSearch, and Optuna's ``trial`` under its
BruteForceSampler, each until it says that it has seen everything. For each program: trials run,
distinct configurations among them, repeats, what was missed, and whether it crashed or was stopped,
at three times the true number of trials and ten.

``--programs``, ``--seed`` and ``--most`` say which programs; ``--out FILE`` also writes the tables.
"""

import argparse
import io
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tunedeco.oracles import Done, Grid
from tunedeco.tracing import defaults, explore, from_values, run
from tunedeco.trial import State, Trial

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "property"))
from programs import compiled, every_configuration, programs

Configuration = frozenset[tuple[str, str]]  # names and values: 1 and True are two
Visit = Callable[[Configuration], None]


@dataclass
class Walk:
    """What one search did."""

    true: frozenset[Configuration]
    visited: list[Configuration] = field(default_factory=list)
    ended: str = "by itself"

    @property
    def distinct(self) -> int:
        return len(set(self.visited))

    @property
    def repeats(self) -> int:
        return len(self.visited) - self.distinct

    @property
    def missed(self) -> int:
        return len(self.true - set(self.visited))

    @property
    def crashed(self) -> bool:
        return self.ended not in ("by itself", "stopped")

    @property
    def exact(self) -> bool:
        return self.ended == "by itself" and not self.repeats and not self.missed


class _Stopped(BaseException):
    """More trials than there could be a use for; not an `Exception`, which peers handle."""


def configuration(asked: dict[str, Any]) -> Configuration:
    return frozenset((name, repr(value)) for name, value in asked.items())


def flat(values: dict[str, dict[str, Any]]) -> Configuration:
    return configuration({n: v for names in values.values() for n, v in names.items()})


def ours(source: str, visit: Visit) -> None:
    function = compiled(source)
    space, trials = explore(function), []
    while not isinstance(decision := Grid().next(space, trials, 0), Done):
        values = space.complete(decision.values)
        asked = run(function, from_values(values, defaults))[1].values
        trials.append(Trial(len(trials), asked, 1, state=State.COMPLETED, score=0.0, loss=0.0))
        visit(flat(asked))


def asking(source: str, asks: dict[str, Callable[..., Any]]) -> Configuration:
    """Run a program with a library's own questions; return what it asked for."""
    asked: dict[str, Any] = {}

    def noted(ask: Callable[..., Any]) -> Callable[..., Any]:
        def question(name: str, *args: Any, group: str = "") -> Any:  # noqa: ARG001 (no peer has groups)
            return asked.setdefault(name, ask(name, *args))

        return question

    compiled(source, {kind: noted(ask) for kind, ask in asks.items()})()
    return configuration(asked)


def spaced(low: float, high: float, number: int) -> list[float]:
    return [low + (high - low) * i / (number - 1) for i in range(number)]


def keras_tuner_grid(source: str, visit: Visit) -> None:
    def build(hp: Any) -> Configuration:
        asks = {
            "Choice": hp.Choice,
            "Range": hp.Int,
            "Boolean": hp.Boolean,
            "Linear": lambda name, *ends: hp.Choice(name, spaced(*ends)),
        }
        return asking(source, asks)

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any, **_: object) -> float:
            visit(build(trial.hyperparameters))
            return 0.0

    with tempfile.TemporaryDirectory() as directory:
        tuner = Tuner(keras_tuner.oracles.GridSearchOracle(), build, directory)
        tuner.search(verbose=0)


def optuna_brute_force(source: str, visit: Visit) -> None:
    def objective(trial: Any) -> float:
        asks = {
            "Choice": trial.suggest_categorical,
            "Range": trial.suggest_int,
            "Boolean": lambda name: trial.suggest_categorical(name, [False, True]),
            "Linear": lambda name, *ends: trial.suggest_categorical(name, spaced(*ends)),
        }
        visit(asking(source, asks))
        return 0.0

    study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler(seed=0))
    study.optimize(objective)


WAYS: dict[str, Callable[[str, Visit], None]] = {
    "tunedeco": ours,
    "Keras Tuner": keras_tuner_grid,
    "Optuna": optuna_brute_force,
}


def walked(way: str, source: str, true: frozenset[Configuration]) -> Walk:
    walk = Walk(true)

    def visit(visited: Configuration) -> None:
        if len(walk.visited) >= 3 * len(true) + 10:
            raise _Stopped
        walk.visited.append(visited)

    try:
        with redirect_stdout(io.StringIO()):
            WAYS[way](source, visit)
    except _Stopped:
        walk.ended = "stopped"
    except Exception as error:  # noqa: BLE001 (what crashes is a result)
        walk.ended = f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"
    return walk


def drawn(number: int, seed: int, most: int) -> dict[str, frozenset[Configuration]]:
    """Return so many programs in which something depends on something, and what is true of them."""
    found: dict[str, frozenset[Configuration]] = {}

    @seeded(seed)
    @settings(
        max_examples=40 * number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs())
    def draw(source: str) -> None:
        if len(found) == number or source in found:
            return
        true = frozenset(map(flat, every_configuration(compiled(source))))
        asked = {frozenset(name for name, _ in configuration) for configuration in true}
        if len(asked) > 1 and len(true) <= most:
            found[source] = true

    draw()
    return found


COLUMNS = "trials | distinct | repeats | missed"
WORST = 5  # programs that are shown one by one


def numbers(walks: list[Walk]) -> list[int]:
    """Return what stands in `COLUMNS`, summed."""
    each = [(len(walk.visited), walk.distinct, walk.repeats, walk.missed) for walk in walks]
    return list(map(sum, zip(*each, strict=True)))


def summary(item: tuple[str, list[Walk]]) -> tuple[Any, ...]:
    way, walks = item
    exact, crashed = sum(w.exact for w in walks), sum(w.crashed for w in walks)
    stopped = sum(w.ended == "stopped" for w in walks)
    return way, f"{exact} of {len(walks)}", *numbers(walks), crashed, stopped


def table(header: str, rows: Iterable[tuple[Any, ...]]) -> list[str]:
    ruled = [f"| {header} |", "|---|" + "---:|" * header.count("|")]
    return [*ruled, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=200, help="configurations of a program")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    sources = drawn(options.programs, options.seed, options.most)
    walks = {way: [walked(way, *program) for program in sources.items()] for way in WAYS}
    counts = [len(true) for true in sources.values()]
    peers = ", ".join(f"{name} {version(name)}" for name in ("keras-tuner", "optuna"))
    order = sorted(
        range(len(sources)),
        key=lambda i: -max((w[i].missed + w[i].repeats) / counts[i] for w in walks.values()),
    )
    source = list(sources)[order[0]]
    lines = [
        f"{len(sources)} programs (seed {options.seed}) of {min(counts)} to {max(counts)} distinct",
        f"configurations, {sum(counts):,} together; {peers}, Python {platform.python_version()}",
        "",
        *table(
            f"grid of | exactly right | {COLUMNS} | crashed | stopped", map(summary, walks.items())
        ),
        "The programs of which most was missed or repeated by any:",
        "",
        *table(
            f"program | true | grid of | {COLUMNS} | ended",
            [
                (i, counts[i], way, *numbers([walk[i]]), walk[i].ended)
                for i in order[:WORST]
                for way, walk in walks.items()
            ],
        ),
        f"Program {order[0]}:",
        "",
        "```python",
        *source.splitlines(),
        "```",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
