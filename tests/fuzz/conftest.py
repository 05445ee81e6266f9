"""What a run of these tests says of itself."""

from __future__ import annotations

import pytest
from scale import EXAMPLES, SEED


def pytest_report_header(config: pytest.Config) -> str:
    return f"fuzzing: {EXAMPLES} examples, " + ("derandomised" if SEED is None else f"JAXLAWS_FUZZ_SEED={SEED}")
