"""What evolution finds on a suite that had no say in its settings.

``python benchmarks/left_out.py --tables DIR`` searches every task of every suite with several
settings of the default oracle. Then each suite is left out in turn: the setting that does best on
the others (the lowest mean over suites of its regret, of all budgets together, as a share of the
default's) is reported on the one left out, beside the settings that are the library's defaults.
``--runs FILE`` keeps each run, to go on from.
"""

import argparse
import datetime as dt
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import quality  # first: it sets the threads of NumPy
from kept import results
from tables import load, names, publish

from tunedeco.oracles import Evolution, breeding

Setting = tuple[int, int, float, int, int]
"""Points that are spread out at first, how many of the best can be parents, the share of the losses
that are told from each other, of how many proposals one is to improve on what the model believes
(`NEVER`: none), and from how many trials on trees have a say."""

NEVER = 10**6
DEFAULT: Setting = (
    *(Evolution().initial, Evolution().population),
    *(breeding.TOLD, breeding.PLUGGED_IN, breeding.JUMPS),
)
SETTINGS: tuple[Setting, ...] = (
    *((initial, *DEFAULT[1:]) for initial in (4, 6, 8, 12, 16)),
    *((DEFAULT[0], population, *DEFAULT[2:]) for population in (2, 4, 16, 32)),
    *((*DEFAULT[:2], told, *DEFAULT[3:]) for told in (0.5, 0.75, 0.95, 1.0)),
    *((*DEFAULT[:3], plugged_in, DEFAULT[4]) for plugged_in in (1, 2, NEVER)),
    *((*DEFAULT[:4], jumps) for jumps in (25, NEVER)),
)
assert DEFAULT in SETTINGS
_NOTHING = 1e-3  # a regret that is as good as none

Found = dict[tuple[Setting, str], list[float]]
"""Mean regret at each budget, of a setting on a suite."""


def run(tables: Path, *key: Any) -> list[float]:
    """Return the regret of one run at each budget: of a setting, a suite, a task and a seed."""
    initial, population, told, plugged_in, jumps, suite, name, seed = key
    search = quality.Search(load(tables / suite, name), max(quality.BUDGETS))
    breeding.TOLD, breeding.PLUGGED_IN, breeding.JUMPS = told, plugged_in, jumps
    quality.ours(Evolution(initial=initial, population=population))(search, seed)
    return [min(1.0, *search.regrets[:budget]) for budget in quality.BUDGETS]


def share(found: Found, setting: Setting, suites: list[str]) -> float:
    """Return the mean share of the default's regret, over suites."""
    return statistics.fmean(
        (sum(found[setting, s]) + _NOTHING) / (sum(found[DEFAULT, s]) + _NOTHING) for s in suites
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--runs", type=Path, help="a file that keeps each run, to go on from")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    options = parser.parse_args()
    suites = sorted(p.parent.name for p in options.tables.glob("*/space.json"))
    wanted = [
        (*setting, suite, name, seed)
        for seed in range(options.seeds)
        for setting in SETTINGS
        for suite in suites
        for name in names(options.tables / suite)
    ]
    runs = results(wanted, partial(run, options.tables), options.runs, options.jobs)
    found: Found = {
        (setting, suite): [
            statistics.fmean(column)
            for column in zip(
                *(r for k, r in runs.items() if k[: len(setting) + 1] == (*setting, suite)),
                strict=True,
            )
        ]
        for setting in SETTINGS
        for suite in suites
    }
    budgets = " | ".join(map(str, quality.BUDGETS))
    lines = [
        f"# A suite that had no say in the settings, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
        "",
        f"`python benchmarks/left_out.py --tables DIR --seeds {options.seeds}`: evolution's",
        "(initial, population, share of losses told from each other, of how many proposals one is",
        f"to improve on what the model believes, trials before trees have a say), {DEFAULT} by",
        f"default, as the other suites would choose it of {len(SETTINGS)} settings, and the mean",
        "regret.",
        "",
        f"| left out | chosen by the others | {budgets} | defaults: {budgets} |",
        "|---|---|" + "---:|" * 2 * len(quality.BUDGETS),
    ]
    for suite in suites:
        others = [s for s in suites if s != suite]
        chosen = min(SETTINGS, key=lambda setting: share(found, setting, others))
        cells = " | ".join(f"{r:.3f}" for r in (*found[chosen, suite], *found[DEFAULT, suite]))
        lines.append(f"| {suite} | {chosen} | {cells} |")
    lines += [
        "",
        "The regret of each setting as a share of the defaults', all budgets together:",
        "",
        "| (initial, population, told, plugged in, jumps) | " + " | ".join(suites) + " | mean |",
        "|---|" + "---:|" * (len(suites) + 1),
    ]
    for setting in SETTINGS:
        cells = [share(found, setting, [suite]) for suite in suites]
        cells.append(statistics.fmean(cells))
        lines.append(f"| {setting} | " + " | ".join(f"{c:.2f}" for c in cells) + " |")
    publish(lines, options.out)


if __name__ == "__main__":
    main()
