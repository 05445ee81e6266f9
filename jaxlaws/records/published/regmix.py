"""RegMix: mixtures of 17 domains of the Pile, with a loss for each of 13 (Liu et al. 2024, arXiv 2407.01492)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import TARGET
from jaxlaws.records.published.read import read_csv
from jaxlaws.records.table import Runs

_SHARE = "train_the_pile_"
_LOSS = ("metric/the_pile_", "_val_loss")
#: How far the shares, published with three decimals, may be from a sum of 1.
_ROUNDING = 0.02
#: Model size of the file names → mixtures and losses.
_FILES = {
    "1m": ("train_mixture_1m.csv", "train_pile_loss_1m.csv"),
    "60m": ("mixture_60m.csv", "pile_loss_60m.csv"),
}


def load(path: Path) -> Runs:
    """The runs of a folder with the files of RegMix: 512 mixtures at 1M parameters and 256 at 60M.

    `group` is the size, 1m or 60m. Mixtures and losses are joined on `index`. Shares were rounded to three decimals and
    are divided by their sum, which was .996 to 1.003. Domains are `share.pile_cc`, `val_loss.pile_cc` and the like.
    """
    sizes = {size: files for size, files in _FILES.items() if all((path / file).exists() for file in files)}
    if not sizes:
        expected = " or ".join(" and ".join(files) for files in _FILES.values())
        raise BadInput(f"{path} is no folder of RegMix: expected {expected} in it.")
    return Runs(pd.concat([_of_size(path, size) for size in sizes]), source=path.name)


def _of_size(path: Path, size: str) -> pd.DataFrame:
    mixtures, losses = (_by_index(path / file) for file in _FILES[size])
    if set(mixtures.index) != set(losses.index):
        lone = min(set(mixtures.index) ^ set(losses.index))
        raise BadInput(f"{path}: index {lone} is in one of {' and '.join(_FILES[size])} only, expected both.")
    shares = mixtures.rename(columns=lambda name: f"share.{name.removeprefix(_SHARE)}")
    total = shares.sum(axis=1)
    worst = float(total.to_numpy()[np.argmax(np.abs(total.to_numpy() - 1))])
    if abs(worst - 1) > _ROUNDING:
        raise BadInput(f"{path}/{_FILES[size][0]}: the shares of a mixture sum to {worst:.3g}, expected 1.")
    shares = shares.div(total, axis=0)
    targets = losses.rename(columns=lambda name: TARGET + name.removeprefix(_LOSS[0]).removesuffix(_LOSS[1]))
    table = shares.join(targets).assign(group=size)
    return table.set_axis(pd.Index([f"{size}_{number}" for number in table.index], name="run_id"))


def _by_index(path: Path) -> pd.DataFrame:
    """The columns of shares or of losses, by `index`."""
    names = read_csv(path, "regmix", (), ("index",)).columns
    columns = [name for name in names if str(name).startswith((_SHARE, _LOSS[0]))]
    raw = read_csv(path, "regmix", columns, ("index",)).set_index("index")
    if raw.index.has_duplicates or raw[columns].isna().any(axis=None):
        raise BadInput(f"{path} has an index twice, or a cell without a number: expected one complete row a mixture.")
    return raw[columns].astype(float)
