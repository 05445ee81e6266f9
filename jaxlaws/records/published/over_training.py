"""104 models, .25 to 32 times 20 tokens a parameter, with eight losses each (Gadre et al. 2024, arXiv 2403.08540)."""

from __future__ import annotations

from pathlib import Path

from jaxlaws.records.columns import TARGET
from jaxlaws.records.published.read import renamed
from jaxlaws.records.table import Runs

_COLUMNS = {
    **{"params_total": "params", "params_nonembedding": "params_no_embed", "tokens": "tokens", "corpus": "dataset"},
    **{"peak_lr": "lr", "final_lr": "cd", "weight_decay": "wd", "warmup_steps": "warmup"},
}


def load(path: Path) -> Runs:
    """The models of `models.csv`, whose `corpus` is what they were trained on: `--where corpus==c4_original`.

    The losses have the names of the file, which does not say on what they were measured: `val_loss.loss_0` to
    `val_loss.loss_7`, of which `--target loss_1` chooses one. The batch (`bs`) is left out: its unit is not stated.
    """
    losses = {f"{TARGET}loss_{i}": f"loss_{i}" for i in range(8)}
    return renamed(path, "over_training", {**_COLUMNS, **losses}, run_id="name")
