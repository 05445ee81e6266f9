"""What every test shares: strict JAX, a compile cache, and the published measurements where they are present."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from absl import logging as absl_logging

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A shell's background job ignores SIGINT, and so would every process that these tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# JAX's family loads absl, whose handler closes the stream it was made with once Hydra sets up logging: not pytest's.
absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

PublishedPath = Callable[[str], Path]


@pytest.fixture(scope="session")
def published() -> PublishedPath:
    """`published("step_law/dense_lr_bs_loss.csv")`: the path of a published measurement, or a skip with a reason."""
    folder = Path(os.environ.get("JAXLAWS_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"published data absent: no {name} under {folder} (set JAXLAWS_DATA)")
        return path

    return find


@pytest.fixture
def own_tables():
    """Tables without the rows of plug-ins after the test, which then are loaded anew."""
    from jaxlaws import plugins
    from jaxlaws.data.config import READS as SOURCES
    from jaxlaws.hyper import READS as OPTIMIZERS
    from jaxlaws.inputs import INPUTS
    from jaxlaws.laws.table import LAWS
    from jaxlaws.model.shape import ARCHITECTURES
    from jaxlaws.schedules.config import FAMILIES

    before = [(table, dict(table.data)) for table in (LAWS, FAMILIES, OPTIMIZERS, SOURCES, ARCHITECTURES)]
    inputs = dict(INPUTS)
    yield
    for table, rows in before:
        table.data = rows
    INPUTS.clear()
    INPUTS.update(inputs)
    plugins._run.cache_clear()
    plugins._installed.cache_clear()
