"""How much is fuzzed, and from where: JAXLAWS_FUZZ of 10,000 examples (4,000), derandomised unless there are more."""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("JAXLAWS_FUZZ", "4000"))
#: None: the same examples every time. One seed for all the processes of a run, which the first of them draws.
SEED = None
if EXAMPLES > 10_000:
    SEED = int(os.environ.setdefault("JAXLAWS_FUZZ_SEED", str(random.SystemRandom().randrange(10**9))))
SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=SEED is None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
