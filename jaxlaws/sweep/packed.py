"""How the runs of a sweep are packed is decided once: what goes on later is computed as what was done before.

Lanes in one batch are summed in another order than one lane by itself. A run that is trained another way differs in the
last bits, training amplifies that, and the gaps between runs that a sweep is made for are small.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from jaxlaws.config import EngineConfig
from jaxlaws.records import files
from jaxlaws.sweep.packing import packing
from jaxlaws.sweep.plan import Planned

#: In the directory of a sweep: shape and device → strategy, lanes, and the number of runs that it was decided for.
NAME = "packing.json"

log = logging.getLogger(__name__)


def kept_packing(item: Planned, runs: int, strategy: str, engine: EngineConfig) -> tuple[str, int]:
    """(strategy, lanes) of a group of runs: as this sweep packed that shape before on such a device, or decided now.

    What was decided for fewer runs does not bind more of them. A strategy that is asked for by name is taken, and it is
    said where the sweep was begun under another one.

    Args:
      item, runs, strategy, engine: as for `jaxlaws.sweep.packing.packing`.
    """
    known = files.remembered(_path(item), _is_packing)
    if _path(item).exists() and not known:
        log.warning("%s holds no packing: how runs are packed is decided anew", _path(item))
    before = known.get(_key(item))
    if before and before["strategy"] == strategy:
        return strategy, before["lanes"]
    if before and strategy == "auto" and before["runs"] >= runs:
        return before["strategy"], before["lanes"]
    how, size = packing(item, runs, strategy, engine)
    if before and strategy != "auto":
        log.warning(
            "runs of this shape were begun under %s and are continued under %s: they differ from those before in "
            "rounding, which training amplifies; leave sweep.strategy out to go on as before",
            described(before["strategy"], before["lanes"]),
            described(how, size),
        )
    if runs > 1:
        keep_packing(item, runs, how, size)
    return how, size


def keep_packing(item: Planned, runs: int, how: str, size: int) -> None:
    """Remember how runs of a shape are packed in this sweep."""
    entry = {"strategy": how, "lanes": size, "runs": runs}
    files.remember(_path(item), {**files.remembered(_path(item), _is_packing), _key(item): entry})


def described(how: str, size: int) -> str:
    """A packing in words."""
    return how if size == 1 else f"{how} of {size} lanes"


def _path(item: Planned) -> Path:
    return item.directory.path.parent / NAME


def _key(item: Planned) -> str:
    import jax

    shape = hashlib.sha256(repr(item.shape).encode()).hexdigest()[:10]
    return f"{shape} on {jax.local_devices()[0].device_kind} x{jax.local_device_count()}"


def _is_packing(entry: Any) -> bool:
    from jaxlaws.training.program import STRATEGIES

    return (
        isinstance(entry, dict)
        and entry.get("strategy") in list(STRATEGIES)
        and all(type(entry.get(name)) is int and entry[name] > 0 for name in ("lanes", "runs"))
    )
