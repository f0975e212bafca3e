"""From a model function to its space: run it, see what it asks for, and tell it values.

`trace` is one run: who answers a hyperparameter in which context. `exploring` makes many, until all
branches are known; `flow` tells it which way a run took, and `learning` under which values
something is asked for.
"""

from tunedeco.tracing.exploring import MAX_TRACES, explore
from tunedeco.tracing.trace import (
    Trace,
    ask,
    asks_only_for,
    declare,
    defaults,
    from_values,
    name_of,
    run,
    run_in,
    trial_number,
    value_of,
)

__all__ = [
    "MAX_TRACES",
    "Trace",
    "ask",
    "asks_only_for",
    "declare",
    "defaults",
    "explore",
    "from_values",
    "name_of",
    "run",
    "run_in",
    "trial_number",
    "value_of",
]
