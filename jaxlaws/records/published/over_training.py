"""104 models, .25 to 32 times 20 tokens a parameter, with eight losses each (Gadre et al. 2024, arXiv 2403.08540)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import TARGET
from jaxlaws.records.published.read import renamed
from jaxlaws.records.read import read_json
from jaxlaws.records.table import Runs
from jaxlaws.text import brief

_COLUMNS = {
    **{"params_total": "params", "params_nonembedding": "params_no_embed", "tokens": "tokens", "corpus": "dataset"},
    **{"peak_lr": "lr", "final_lr": "cd", "weight_decay": "wd", "warmup_steps": "warmup"},
}


def load(path: Path) -> Runs:
    """The models of `models.csv` or of the authors' `exp_data/models`, a JSON file each (mlfoundations/scaling).

    `corpus` is what they were trained on: `--where corpus==c4_original`. In the CSV file the losses have the names of
    the file, which does not say on what they were measured: `val_loss.loss_0` to `val_loss.loss_7`, of which `--target
    loss_1` chooses one; those of the JSON files are named after the folder of their data, such as `val_loss.c4_val`.
    The batch is left out: its unit is not stated.
    """
    if not path.is_dir():
        losses = {f"{TARGET}loss_{i}": f"loss_{i}" for i in range(8)}
        return renamed(path, "over_training", {**_COLUMNS, **losses}, run_id="name")
    files = sorted(path.glob("*.json"))
    if not files:
        raise BadInput(f"{path} has no JSON files, expected models.csv or a folder with a JSON file a model.")
    rows = [_model(file) for file in files]
    index = pd.Index([file.stem for file in files], name="run_id")
    return Runs(pd.DataFrame(rows, index=index), source=path.name)


def _model(file: Path) -> dict[str, Any]:
    """The columns of one model."""
    raw = read_json(file)
    try:
        stated = {**raw["hyperparameters"], "dataset": raw["dataset_name"]}
        losses = {TARGET + Path(one["val_data"][0]).parent.name: float(one["loss"]) for one in raw["results"]}
        row = {ours: stated[theirs] for ours, theirs in _COLUMNS.items()}
        return {name: str(value) if name == "corpus" else float(value) for name, value in (row | losses).items()}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInput(
            f"{file} is no model of the format over_training ({type(error).__name__} {brief(error)}): expected "
            "hyperparameters, dataset_name, and results with a loss and val_data."
        ) from None
