"""Let the disk be full at each write of a search, one after the other, and compare what comes out.

``python benchmarks/full_disk.py``. The search of ``victim.py`` runs once undisturbed. Then, for
each call by which it makes, writes, flushes, cuts or renames a file, it runs in a new directory
where this call and all later ones that need room fail with ENOSPC; then once more, with room. At
the end every directory must hold the same trials, logs and weights, compared with ``==``.
``--every N`` takes only every Nth call.
"""

import argparse
import errno
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from kill import outcome
from victim import search

from tunedeco.errors import CheckpointError, JournalError

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from faults import Faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--oracle", default="evolution")
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    settings = (options.oracle, options.trials, options.epochs)
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root, "whole")
        with Faults().installed() as calls:
            search(whole, *settings)
        expected = outcome(whole)
        results: Counter[str] = Counter()
        for at in range(1, calls.counts.total() + 1, options.every):
            directory = Path(root, "run")
            with Faults(at, errno.ENOSPC, for_good=True).installed() as faults:
                try:
                    search(directory, *settings)
                except (JournalError, CheckpointError) as error:
                    results[type(error).__name__] += 1
                else:
                    results["no error"] += 1
            assert faults.struck
            search(directory, *settings)
            results["different"] += outcome(directory) != expected
            shutil.rmtree(directory)
    print(f"calls of each kind: {dict(calls.counts)}; every {options.every} of them failed")
    print(f"what came of it: {dict(results)}")
    sys.exit(bool(results["different"]))


if __name__ == "__main__":
    main()
