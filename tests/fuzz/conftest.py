"""How much is fuzzed, and from where: JAXLAWS_FUZZ examples in all (10,000), derandomised unless there are more."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("JAXLAWS_FUZZ", "10000"))
#: None: the same examples every time.
SEED = None if EXAMPLES <= 10_000 else int(os.environ.get("JAXLAWS_FUZZ_SEED", random.SystemRandom().randrange(10**9)))

settings.register_profile(
    "fuzz",
    deadline=None,
    database=None,
    derandomize=SEED is None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")


def pytest_report_header(config: pytest.Config) -> str:
    return f"fuzzing: {EXAMPLES} examples, " + ("derandomised" if SEED is None else f"JAXLAWS_FUZZ_SEED={SEED}")
