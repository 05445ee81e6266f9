"""What several tests begin with: the smallest run there is, and schedules that identify a law."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from jaxlaws.config import EvalConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.model.shape import ModelConfig

RUN = RunConfig(
    model=ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=16),
    data=DataConfig(source="language", vocab=16, seq_len=16),
    eval=EvalConfig(points=2, sequences=32),
    steps=20,
    batch_sequences=4,
)


def warmed(steps=3000, warmup=150, peak=3e-3):
    """[steps] the share of the steps after the warm-up that is over, and the LR that is constant after it."""
    x = np.maximum(np.arange(steps) - warmup, 0) / (steps - warmup)
    return x, peak * np.minimum((np.arange(steps) + 1) / warmup, 1)


def schedules(steps=3000, warmup=150, peak=3e-3):
    """Name → [steps] LR."""
    x, warm = warmed(steps, warmup, peak)
    return {
        "cosine": warm * (0.55 + 0.45 * np.cos(np.pi * x)),
        "constant": warm,
        "drop": warm * np.where(x < 0.5, 1, 0.3),
        "wsd": warm * np.minimum(1, (1 - x) / 0.3),
    }


#: Exponents of N and D in the best LR, and of D in the best batch, of `lr_batch_runs`.
TRUTH = {"lr_N": -0.2, "lr_D": 0.1, "batch_D": 0.3}


def lr_batch_runs() -> pd.DataFrame:
    """[108] runs of a sweep over LR and batch in nine cells (N, D) of small models, with noise, under our names."""
    grid = (5_968, 25_248, 55_536), (250_000, 500_000, 1_000_000), (1.5e-3, 3e-3, 6e-3, 1.2e-2), (512, 1024, 2048)
    n, d, lr, batch = (axis.ravel() for axis in np.meshgrid(*grid))
    best_lr = 4.5e-3 * (n / 2e4) ** TRUTH["lr_N"] * (d / 5e5) ** TRUTH["lr_D"]
    miss = 0.02 * np.log(lr / best_lr) ** 2 + 0.01 * np.log(batch / 1100 / (d / 5e5) ** TRUTH["batch_D"]) ** 2
    noise = np.exp(np.random.default_rng(0).normal(0, 2e-3, len(n)))
    return pd.DataFrame(
        {
            "params_nonembedding": n.astype(int),
            "tokens": (d // batch * batch).astype(int),
            "steps": (d // batch).astype(int),
            "batch_tokens": batch.astype(int),
            "seq_len": 128,
            "peak_lr": lr,
            "val_loss_nats": (1.2 + 8 / n**0.3 + 30 / d**0.3) * (1 + miss) * noise,
        },
        index=pd.Index([f"run-{row:03d}" for row in range(len(n))], name="run_id"),
    )


def wandb_export() -> pd.DataFrame:
    """The runs of `lr_batch_runs`, at sequences of 2048 tokens, as a table that W&B exports."""
    runs = lr_batch_runs().reset_index()
    return pd.DataFrame(
        {
            "Name": runs["run_id"],
            "State": "finished",
            "n_params": runs["params_nonembedding"],
            "tokens_seen": runs["tokens"] * 16,
            "learning_rate": runs["peak_lr"],
            "batch_size": runs["batch_tokens"] // 128,
            "val/loss": runs["val_loss_nats"],
        }
    )


def hydra_multirun(folder: Path) -> None:
    """The runs of `wandb_export` as a multirun of Hydra: a config, a log and a result in a folder a run."""
    for number, run in enumerate(wandb_export().to_dict("records")):
        directory = folder / "2026-11-21" / "10-00-00" / str(number)
        (directory / ".hydra").mkdir(parents=True)
        (directory / ".hydra" / "config.yaml").write_text(
            f"optim:\n  lr: {run['learning_rate']}\n  betas: [0.9, 0.95]\nmodel:\n  n_params: {run['n_params']}\n"
            f"data:\n  seq_len: 2048\n  batch_size: {run['batch_size']}\n  path: ${{oc.env:DATA}}\n"
            f"tokens: {run['tokens_seen']}\n"
        )
        (directory / ".hydra" / "overrides.yaml").write_text("[]\n")
        (directory / "train.log").write_text("[2026-11-21][INFO] - done\n")
        (directory / "results.json").write_text(json.dumps({"val_loss": run["val/loss"]}))


def lightning_logs(folder: Path) -> None:
    """Four schedules of one small model as Lightning's CSVLogger keeps them."""
    for number, lr in enumerate(schedules(400, 20).values()):
        directory = folder / f"version_{number}"
        directory.mkdir(parents=True)
        (directory / "hparams.yaml").write_text("lr: 0.003\nn_params: 1000000\nbatch_size: 8\n")
        area = np.cumsum(lr)
        steps = pd.DataFrame({"step": np.arange(400), "lr-AdamW": lr, "train_loss": 3.2, "val_loss": np.nan})
        steps.loc[39::40, "val_loss"] = (2.5 + 0.4 * (area + 0.01) ** -0.3 + 30 * lr)[39::40]
        steps.to_csv(directory / "metrics.csv", index=False)


def depth_runs() -> tuple[pd.DataFrame, dict[str, float]]:
    """Runs that vary N and layers, with noise, and the constants of the law of docs/plugins/depth_law.py."""
    rng = np.random.default_rng(0)
    size, layers = np.repeat(np.geomspace(1e7, 1e9, 6), 5), rng.permutation(np.resize([2, 4, 8, 16, 32], 30))
    loss = (1.8 + 300 / size**0.33 + 1.5 / layers**0.8) * np.exp(rng.normal(0, 1e-3, 30))
    frame = pd.DataFrame(
        {
            "params_nonembedding": size,
            "n_layers": layers,
            "tokens": np.resize(np.geomspace(1e9, 2e10, 5), 30),
            "loss": loss,
        }
    )
    return frame, {"E": 1.8, "A": 300.0, "alpha": 0.33, "G": 1.5, "gamma": 0.8}


def warm_starts() -> tuple[pd.DataFrame, dict[str, float]]:
    """Curves of models that have seen tokens before, and the constants of docs/plugins/warm_start_law.py."""
    from jaxlaws.laws.call import FittedLaw
    from jaxlaws.laws.curves.bound import LAW
    from jaxlaws.schedules.families import cosine, wsd

    rng, at = np.random.default_rng(0), np.linspace(59, 599, 20).astype(int)
    truth = {"L0": 2.8, "A": 0.5, "B": 3.0, "alpha": 0.4, "K": 2e-10}
    parts = []
    for run, share, seen in (("a", 0.3, 0.0), ("b", 0.1, 2e8), ("c", None, 5e8), ("d", 0.6, 0.0)):
        lr = 1e-3 * (cosine(600, 30, 0.1) if share is None else wsd(600, 30, share))
        loss = np.full(600, np.nan)
        loss[at] = np.asarray(FittedLaw(LAW, {name: truth[name] for name in LAW.names})(lr, at=at, warmup_steps=30))
        loss = (loss - truth["K"] * seen) * np.exp(rng.normal(0, 3e-4, 600))
        parts.append(pd.DataFrame({"run": run, "step": np.arange(600), "lr": lr, "loss": loss, "tokens_before": seen}))
    return pd.concat(parts), truth


#: Law of the examples of docs/laws.md → its runs and its constants.
OF_EXAMPLES = {"depth": depth_runs, "warm_start": warm_starts}
