"""The smallest three named models at four budgets: does the loss fall with N and D as a power law?

    python experiments/ladder.py [--out DIR]   # five minutes on two cores, resumes when interrupted

Models 6k, 12k and 25k, 250k to 2M tokens of Python's standard library in batches of 4 × 128, cosine to 10%, three peak
LRs; a cell counts with its best LR. Printed: the losses, the slope of ln L over ln D at each N and over ln N at each D,
and the Chinchilla law E + A/N^α + B/D^β fitted to the twelve cells and, as a test, to the nine without the largest D.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from jaxlaws.training.devices import use_host_devices

use_host_devices()

from jaxlaws.cli.progress import progress  # noqa: E402
from jaxlaws.compose import conf_dir  # noqa: E402
from jaxlaws.config import EvalConfig, OptimizerConfig, RunConfig  # noqa: E402
from jaxlaws.data.config import DataConfig  # noqa: E402
from jaxlaws.fitting.fit import fit  # noqa: E402
from jaxlaws.fitting.predict import predict  # noqa: E402
from jaxlaws.model.shape import ModelConfig, count_params  # noqa: E402
from jaxlaws.quickstart import sweep  # noqa: E402
from jaxlaws.records.run import collect  # noqa: E402
from jaxlaws.records.table import Runs  # noqa: E402
from jaxlaws.schedules.spec import ScheduleConfig  # noqa: E402

MODELS = ("6k", "12k", "25k")
TOKENS = (250_000, 500_000, 1_000_000, 2_000_000)
PEAK_LRS = (4e-3, 8e-3, 1.6e-2)


def named(name: str) -> ModelConfig:
    """The model of conf/model."""
    return ModelConfig(**{**yaml.safe_load((conf_dir() / "model" / f"{name}.yaml").read_text()), "vocab": 256})


def runs(models: dict[str, ModelConfig]) -> list[RunConfig]:
    """Every model at every budget and peak LR."""
    return [
        RunConfig(
            model=model,
            data=DataConfig(seq_len=128),
            schedule=ScheduleConfig(name="cosine", floor=0.1),
            optimizer=OptimizerConfig(peak_lr=lr),
            eval=EvalConfig(points=1, sequences=512),
            tokens=tokens,
            batch_sequences=4,
        )
        for model, tokens, lr in product(models.values(), TOKENS, PEAK_LRS)
    ]


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """The best run of every (N, D): columns params_nonembedding, tokens, peak_lr, loss_nats."""
    best = table.loc[table.groupby(["params_nonembedding", "tokens"])["val_loss_nats"].idxmin()]
    return best.rename(columns={"val_loss_nats": "loss_nats"})[
        ["params_nonembedding", "tokens", "peak_lr", "loss_nats"]
    ]


def slope(x: pd.Series, loss: pd.Series) -> tuple[float, float]:
    """(slope of ln loss over ln x, R² of that line)."""
    u, v = np.log(x.to_numpy(float)), np.log(loss.to_numpy(float))
    line = np.polyfit(u, v, 1)
    return float(line[0]), float(1 - np.var(v - np.polyval(line, u)) / np.var(v))


def main(out: Path) -> None:
    models = {name: named(name) for name in MODELS}
    sweep(runs(models), out, progress)
    best = cells(collect(out).table)
    print(best.pivot(index="params_nonembedding", columns="tokens", values="loss_nats").round(4).to_string())
    print("best peak LR")
    print(best.pivot(index="params_nonembedding", columns="tokens", values="peak_lr").to_string())
    for name, model in models.items():
        part = best[best["params_nonembedding"] == count_params(model)[0]]
        print("N = {}: L ~ D^{:.3f}, R² of the line {:.4f}".format(name, *slope(part["tokens"], part["loss_nats"])))
    for tokens in sorted(set(best["tokens"])):
        part = best[best["tokens"] == tokens]
        found = slope(part["params_nonembedding"], part["loss_nats"])
        print("D = {:.3g}: L ~ N^{:.3f}, R² of the line {:.4f}".format(float(tokens), *found))
    columns = ["params_nonembedding", "tokens", "loss_nats"]
    whole = fit("chinchilla", Runs(best[columns], source=str(out)))
    print("all twelve:", {name: float(f"{value:.4g}") for name, value in whole.params.items()}, whole.status)
    print("intervals:", {name: [float(f"{v:.3g}") for v in ends] for name, ends in whole.intervals.items()})
    print("warnings:", *whole.warnings, sep="\n  ")
    most = best["tokens"].max()
    test = best[best["tokens"] == most]
    rest = fit("chinchilla", Runs(best[best["tokens"] < most][columns], source=str(out)))
    for _, row in test.iterrows():
        told = predict(rest, params=row["params_nonembedding"], tokens=row["tokens"])
        value, low, high = (float(np.ravel(getattr(told, name))[-1]) for name in ("value", "low", "high"))
        print(
            f"N = {row['params_nonembedding']:,.0f}, D = {row['tokens']:.3g}, not fitted: predicted {value:.4f} "
            f"[{low:.4f}, {high:.4f}], measured {row['loss_nats']:.4f} ({value / row['loss_nats'] - 1:+.2%})"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("ladder"))
    main(parser.parse_args().out)
