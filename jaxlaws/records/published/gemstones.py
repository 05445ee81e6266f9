"""Models of 22 widths and depths before and after a cooldown (Gemstones; McLeish et al. 2025, arXiv 2502.06857)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import METRIC
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.repeats import CLUSTER
from jaxlaws.records.table import Runs

#: How the names of the files begin.
_STARTS = ("", "wandb_df_for_fitting_")
_NUMBERS = ("params_active_precise", "width", "depth", "tokens", "final_loss")


def load(path: Path) -> Runs:
    """The ends of the cooldowns in a folder with `hot.jsonl` and `cool_end.jsonl`, with what each gained.

    In the authors' repository (mcleish7/gemstone-scaling-laws) it is `wandb_dfs`, whose names begin with
    `wandb_df_for_fitting_`.

    A model of a constant LR is cooled down over a tenth more tokens from ten points of its training: the ends of
    one model are one `cluster`, all taken by `--assume checkpoints`. `metric.cooldown_gain` is the loss at the constant
    LR less that of the cooldown at equal tokens, nats; the former is linear in ln D between the two points beside it,
    and there is none after the last. N (`params_active_precise`) has embedding and head in it: over the 22 models it
    is 2·50,000 times the width, and the blocks, to 1.4%.
    """
    hot, cool = (_read(path, name) for name in ("hot.jsonl", "cool_end.jsonl"))
    absent = set(cool["run_name"]) - set(hot["run_name"])
    if absent:
        raise BadInput(f"{path}/hot.jsonl has no '{min(absent)}', which cool_end.jsonl has.")
    before = {name: part.sort_values("tokens") for name, part in hot.groupby("run_name")}
    constant = [_loss_at(before[name], d) for name, d in zip(cool["run_name"], cool["tokens"], strict=True)]
    table = pd.DataFrame(
        {
            "model": cool["run_name"],
            CLUSTER: cool["run_name"],
            "params_total": cool["params_active_precise"],
            "tokens": cool["tokens"],
            "aspect_ratio": cool["width"] / cool["depth"],
            "loss_nats": cool["final_loss"],
            f"{METRIC}cooldown_gain": np.array(constant) - cool["final_loss"],
        }
    )
    names = [f"{name}_{d / 1e9:.0f}B" for name, d in zip(cool["run_name"], cool["tokens"], strict=True)]
    return Runs(table.set_axis(pd.Index(names, name="run_id")), source=path.name)


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = next((path for start in _STARTS if (path := folder / f"{start}{name}").exists()), None)
    if path is None:
        raise BadInput(f"{folder / name} does not exist, expected a folder with hot.jsonl and cool_end.jsonl.")
    return read_csv(path, "gemstones", _NUMBERS, words=("run_name",))


def _loss_at(run: pd.DataFrame, tokens: float) -> float:
    """The loss of a run of a constant LR at these tokens, NaN beyond its end."""
    return float(np.interp(np.log(tokens), np.log(run["tokens"]), run["final_loss"], right=np.nan))
