"""Fine-tuning losses of 14 models by the number of examples (Lin et al. 2024, arXiv 2402.02314)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import Runs


def load(path: Path) -> Runs:
    """The runs of a wide table: a row a model, a column a number of examples, 0 to 819,200; a run is a cell.

    The `group` of a run is its model: `--where group==facebook/bart-large` selects the curve of one.
    """
    sizes = [str(name) for name in read_csv(path, "rectified", (), words=("model",)) if str(name).isdigit()]
    if not sizes:
        raise BadInput(f"{path} has no column that is a number of examples, which the format rectified has.")
    raw = read_csv(path, "rectified", sizes, words=("model",))
    models = raw["model"].to_numpy(str)
    table = pd.DataFrame(
        {
            "group": np.repeat(models, len(sizes)),
            "finetune_examples": np.tile(np.array(sizes, float), len(raw)),
            "loss_nats": raw[sizes].to_numpy(float).ravel(),
        },
        index=pd.Index([f"{model}@{size}" for model in models for size in sizes], name="run_id"),
    )
    return Runs(table[np.isfinite(table["loss_nats"])], source=path.name)
