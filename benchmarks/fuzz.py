"""Open many files that nobody of good will has written: journals, exports, checkpoints.

``python benchmarks/fuzz.py --inputs 100000``. The inputs and the claims are those of
``tests/property/hostile.py``. Ends with a traceback where anything happens but an answer or an
error of ``tunedeco.errors``; else prints the counts and the most memory that was used.
"""

import argparse
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "property"))
from hostile import (
    COMMANDS,
    checkpoint_files,
    export_files,
    journals,
    open_checkpoint,
    open_export,
    open_journal,
)
from hypothesis import HealthCheck, Phase, given, seed, settings

_MEMORY = 4 * 2**30  # bytes of addresses: what asks for more fails


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    draw = random.Random(options.seed)
    counts: Counter[str] = Counter()

    def journal(data):
        command = draw.choice(COMMANDS)
        counts[f"journals, status {open_journal(data, command)}"] += 1

    def export(data):
        open_export(data)
        counts["exports"] += 1

    def checkpoint(data):
        open_checkpoint(data)
        counts["checkpoints"] += 1

    began = time.monotonic()
    for part in range(options.inputs // 1000):  # Hypothesis remembers what it has drawn in one go
        for number, strategy, check in (
            (700, journals, journal),
            (200, export_files, export),
            (100, checkpoint_files, checkpoint),
        ):
            many = settings(
                max_examples=number,
                phases=[Phase.generate],
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            many(seed(options.seed + part)(given(strategy)(check)))()
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(", ".join(f"{number} {what}" for what, number in sorted(counts.items())))
    print(f"{counts.total()} inputs in {seconds:.0f} s, at most {peak:.0f} MiB")


if __name__ == "__main__":
    main()
