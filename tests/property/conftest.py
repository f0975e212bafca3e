"""How Hypothesis runs here: without deadlines, since the machine's load is no property of ours."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # for `strategies`, whatever pytest's import mode

settings.register_profile(
    "property", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("property")
