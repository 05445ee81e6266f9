"""What the configs of a sweep's runs agree on: the setting of a law that is fitted to them, beyond their table."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaxlaws.errors import BadInput
from jaxlaws.records.run import RunDir
from jaxlaws.records.table import Runs

#: Configs that are read, at most, evenly spaced over the runs.
_MOST = 64


def shared_config(runs: Runs, keys: Collection[str]) -> dict[str, Any]:
    """Dotted key of `config.yaml` → its value, of those keys that all runs have the same value of.

    Args:
      runs: of a sweep's directory; runs of any other source have no configs, and share nothing.
      keys: that are looked for, such as `data.source`.
    """
    names = [str(name) for name in runs.table.index] if Path(runs.source).is_dir() else []
    configs = []
    for name in names[:: 1 + len(names) // _MOST]:
        with suppress(OSError, BadInput):
            configs.append(dict(_flat(RunDir(Path(runs.source) / name).config())))
    if not configs:
        return {}
    first = configs[0]
    return {key: first[key] for key in keys if key in first and all(one.get(key) == first[key] for one in configs)}


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every value; infinity as a word, since JSON has none."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "inf" if value == math.inf else value
