"""What the configs of a sweep's runs agree on: the setting of a law beyond the columns of its table. No pandas."""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxlaws.errors import BadInput
from jaxlaws.nested import dotted

if TYPE_CHECKING:
    from jaxlaws.records.table import Runs

#: Key of a run's config → its default, of the keys that a law's runs share and that no column of a table holds.
SHARED: dict[str, Any] = {
    "data.source": "stdlib",
    "data.path": None,
    "data.vocab": 256,
    "data.val_fraction": 0.05,
    "data.zipf": 1.1,
    "data.seed": 0,
    "data.token_dtype": None,
    "data.eos": None,
    "data.documents": False,
    "model.rope_base": 10_000.0,
    "model.norm": "rmsnorm",
    "model.mlp": "swiglu",
    "model.qk_norm": False,
    "model.tied": False,
    "model.softcap": None,
    "model.z_loss": 0.0,
    "model.parameterisation": "standard",
    "model.dtype": "float32",
    "optimizer.ema": 0.0,
    "optimizer.init_scale": 1.0,
    "eval.sequences": 256,
}
#: Keys whose default depends on another choice.
SHARED_ALWAYS = ("model.base_width", "optimizer.momentum", "optimizer.eps", "optimizer.clip")
#: Keys that runs of one model and one batch share; laws of curves are fitted to such runs.
OF_ONE_MODEL = (
    *("model.width", "model.depth", "model.heads", "model.kv_heads", "model.mlp_width"),
    *("data.seq_len", "batch_sequences", "batch_tokens"),
)
#: Keys that are columns of a table of runs too.
_COLUMNS = ("optimizer.name", "optimizer.weight_decay", "optimizer.beta1", "optimizer.beta2")
ALL = (*SHARED, *SHARED_ALWAYS, *OF_ONE_MODEL, *_COLUMNS)
#: Largest number of configs to read, evenly spaced over the runs.
_MOST = 64


def shared_config(runs: Runs, keys: Collection[str]) -> dict[str, Any]:
    """Dotted key of `config.yaml` → its value, of those keys that all runs have the same value of.

    Args:
      runs: of a sweep's directory; runs of any other source have no configs, and share nothing.
      keys: that are looked for, such as `data.source`.
    """
    from jaxlaws.records.run import RunDir

    names = [str(name) for name in runs.table.index] if Path(runs.source).is_dir() else []
    configs = []
    for name in names[:: 1 + len(names) // _MOST]:
        with suppress(OSError, BadInput):
            values = dotted(RunDir(Path(runs.source) / name).config())
            # A fit keeps them as JSON, which has no infinity.
            configs.append({key: "inf" if value == math.inf else value for key, value in values})
    if not configs:
        return {}
    first = configs[0]
    return {
        key: first[key] for key in keys if key in first and all(config.get(key) == first[key] for config in configs)
    }
