"""Ten tables as four trackers and people write them, each from a law that is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from samples import schedules

CHINCHILLA = {"E": 1.7, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
STEP_LAW = {"lr_N": -0.5, "lr_D": 0.25, "batch_D": 0.5}
#: At one batch B the best LR is that of the best batch times (B / B*)^.3.
AT_ONE_BATCH = {"lr_N": -0.5, "lr_D": 0.25 - 0.3 * 0.5}
OPL = {"L0": 2.6, "A": 0.7, "alpha": 0.45}
SEQ_LEN = 1024


@dataclass(frozen=True)
class Messy:
    """A table that was written, and what is known of it.

    Attributes:
      source: file or folder.
      law: to be fitted.
      flags: with which it goes in.
      truth: constant → its value, which the interval has to hold.
      used: words of the sentence on what was used.
      warns: words of a warning on what these runs cannot say.
    """

    source: Path
    law: str
    flags: Sequence[str] = ()
    truth: Mapping[str, float] = field(default_factory=dict)
    used: Sequence[str] = ()
    warns: str = ""


def loss(n, d):
    c = CHINCHILLA
    return c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"]


def over_n_and_d(seed: int) -> pd.DataFrame:
    """Tuned runs over a grid of N and D, N without embeddings."""
    rng = np.random.default_rng(seed)
    n = np.repeat(np.geomspace(3e7, 3e9, 7).round(), 7)
    d = np.tile(np.geomspace(5e8, 2e11, 7), 7)
    steps = np.round(d / 2**19)
    d = steps * 2**19
    return pd.DataFrame({"n": n, "d": d, "steps": steps, "loss": loss(n, d) * np.exp(0.002 * rng.standard_normal(49))})


def grid(seed: int, batches: Sequence[int] = (64, 128, 256, 512, 1024)) -> pd.DataFrame:
    """LR × batch grids in nine cells around η* = 100 N^-.5 D^.25 and B* = 8 D^.5 tokens; batches in sequences."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in (2e7, 8e7, 3.2e8):
        for d in (1e9, 4e9, 1.6e10):
            best_lr, best_batch = 0.05 * n**-0.5 * d**0.25, 8 * d**0.5
            for lr in 2.0 ** np.arange(-12, -5.5, 0.75):
                for batch in batches:
                    x, y = np.log(lr / best_lr), np.log(batch * SEQ_LEN / best_batch)
                    end = loss(n, d) * (1 + 0.012 * (x - 0.3 * y) ** 2 + 0.008 * y**2)
                    rows.append((n, d, lr, batch, end * np.exp(7e-4 * rng.standard_normal())))
    return pd.DataFrame(rows, columns=["n", "d", "lr", "batch", "loss"])


def along(seed: int, every: int = 25) -> pd.DataFrame:
    """Curves of four schedules from one power law in the LR sum: run, step, lr, loss."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, lr in schedules(steps=2000, warmup=100).items():
        step = np.arange(every - 1, 2000, every)
        value = OPL["L0"] + OPL["A"] * np.cumsum(lr)[step] ** -OPL["alpha"]
        value = value * np.exp(5e-4 * rng.standard_normal(len(step)))
        parts.append(pd.DataFrame({"run": name, "step": step, "lr": lr[step], "loss": value}))
    return pd.concat(parts, ignore_index=True)


def wandb_runs(folder: Path) -> Messy:
    """A run table of W&B: states, NaN, a batch in sequences, N whose name does not say which."""
    rows = grid(0)
    table = pd.DataFrame(
        {
            "Name": [f"sunny-wave-{i}" for i in range(len(rows))],
            "State": "finished",
            "ID": [f"x{i:05d}" for i in range(len(rows))],
            "learning_rate": rows["lr"],
            "batch_size": rows["batch"],
            "block_size": SEQ_LEN,
            "n_params": rows["n"],
            "tokens_seen": rows["d"],
            "train/loss": rows["loss"] * 0.99,
            "val/loss": rows["loss"].astype(str),
            "Notes": "",
        }
    )
    for place, state in ((3, "crashed"), (50, "crashed"), (90, "failed"), (120, "running")):
        table.loc[place, ["State", "val/loss"]] = [state, ""]
    table.loc[[8, 61], "val/loss"] = "NaN"
    table.to_csv(folder / "wandb_runs.csv", index=False)
    used = ("2 crashed", "1 failed", "1 running", "2 NaN", "peak_lr = learning_rate", "batch_size × block_size")
    return Messy(folder / "wandb_runs.csv", "step_law", (), STEP_LAW, used)


def wandb_chart(folder: Path) -> Messy:
    """Two charts of W&B, a column a run: bounds beside each, the LR in a file of its own."""
    rows = along(1)
    for metric, column in (("val/loss", "loss"), ("train/lr", "lr")):
        wide = rows.pivot(index="step", columns="run", values=column).reset_index().rename(columns={"step": "Step"})
        for run in list(wide.columns[1:]):
            wide[f"{run} - {metric}"] = wide.pop(run)
            for bound in ("__MIN", "__MAX"):
                wide[f"{run} - {metric}{bound}"] = wide[f"{run} - {metric}"]
        wide.to_csv(folder / f"chart_{column}.csv", index=False)
    flags = ("--join", str(folder / "chart_lr.csv"), "--set", "warmup_steps=100")
    return Messy(folder / "chart_loss.csv", "opl", flags, OPL, ("4 runs: 4 used", "loss = val/loss"))


def wandb_history(folder: Path) -> Messy:
    """A history of W&B: metrics in rows of their own, the last step twice, steps logged again after a resumption."""
    rows = along(2)
    losses = rows[["run", "step", "loss"]].rename(columns={"step": "_step", "loss": "eval/loss"})
    lrs = rows[["run", "step", "lr"]].rename(columns={"step": "_step", "lr": "train/learning_rate"})
    last = losses[losses["_step"] == losses["_step"].max()]
    again = losses[losses["_step"].between(800, 900)]
    before = again.assign(**{"eval/loss": again["eval/loss"] + 0.5})
    table = pd.concat([before, losses, lrs, last], ignore_index=True).assign(_timestamp=1.7e9)
    table.to_csv(folder / "history.csv.gz", index=False)
    return Messy(folder / "history.csv.gz", "opl", ("--set", "warmup_steps=100"), OPL, ("lr = train/learning_rate",))


def mlflow_runs(folder: Path) -> Messy:
    """`mlflow.search_runs` as CSV: total N, which the vocabulary and the width turn into N without embeddings."""
    rows = over_n_and_d(3)
    table = pd.DataFrame(
        {
            "run_id": [f"{i:032x}" for i in range(len(rows))],
            "experiment_id": 1,
            "status": "FINISHED",
            "artifact_uri": "mlflow-artifacts:/1",
            "metrics.val_loss": rows["loss"],
            "metrics.step": rows["steps"],
            "params.total_params": (rows["n"] + 50257 * 768).astype(int).astype(str),
            "params.train_tokens": rows["d"],
            "params.lr": "0.0006",
            "tags.mlflow.user": "ada",
        }
    )
    failed = table.iloc[:2].assign(run_id=["f" * 32, "e" * 32], status=["FAILED", "KILLED"])
    failed["metrics.val_loss"] = np.nan
    pd.concat([table, failed]).to_csv(folder / "mlflow.csv", index=False)
    flags = ("--set", "vocab=50257", "--set", "width=768", "--params-column", "params_nonembedding")
    return Messy(
        folder / "mlflow.csv", "chinchilla", flags, CHINCHILLA, ("1 failed", "1 killed", "params.total_params")
    )


def mlflow_metrics(folder: Path) -> Messy:
    """Metrics of MLflow with a row a metric and step."""
    rows = along(4).rename(columns={"run": "run_id"})
    table = rows.melt(["run_id", "step"], ["lr", "loss"], "key").replace({"key": {"loss": "validation_loss"}})
    table.assign(timestamp=1.7e12, is_nan=False).to_csv(folder / "metrics.csv", index=False)
    return Messy(folder / "metrics.csv", "opl", ("--set", "warmup_steps=100"), OPL, ("loss = validation_loss",))


def csv_logger(folder: Path) -> Messy:
    """A folder of Lightning's CSV logger: one file a run, validations between the training steps."""
    (folder / "logs").mkdir()
    for name, rows in along(5).groupby("run"):
        train = pd.DataFrame(
            {"epoch": 0, "step": rows["step"], "train_loss": rows["loss"] + 0.1, "lr-AdamW": rows["lr"]}
        )
        val = pd.DataFrame({"epoch": 0, "step": rows["step"], "val_loss": rows["loss"]})
        pd.concat([train, val]).sort_values("step", kind="stable").to_csv(folder / "logs" / f"{name}.csv", index=False)
    return Messy(folder / "logs", "opl", ("--set", "warmup_steps=100"), OPL, ("4 runs: 4 used", "lr = lr-AdamW"))


def neptune_one_batch(folder: Path) -> Messy:
    """A runs table of Neptune at one batch: the LR is measured, the batch is not."""
    rows = grid(6, batches=(128,))
    table = pd.DataFrame(
        {
            "sys/id": [f"PRE-{i}" for i in range(len(rows))],
            "sys/name": "sweep",
            "parameters/optimizer/lr": rows["lr"],
            "parameters/tokens_per_step": rows["batch"] * SEQ_LEN,
            "parameters/non_embedding_params": rows["n"],
            "parameters/max_tokens": rows["d"],
            "metrics/eval_loss": rows["loss"],
        }
    )
    table.to_csv(folder / "neptune.tsv", index=False, sep="\t")
    flags = ("--map", "tokens=parameters/max_tokens")
    return Messy(
        folder / "neptune.tsv", "step_law", flags, AT_ONE_BATCH, ("tokens = parameters/max_tokens",), "not measured"
    )


def jsonl_two_batches(folder: Path) -> Messy:
    """Records of a tracker's API with nested configs, and two batches, which no optimum can be read from."""
    with (folder / "runs.jsonl").open("w") as file:
        for i, row in grid(7, batches=(128, 512)).iterrows():
            config = {"optim": {"lr": row["lr"], "name": "adamw"}, "global_batch_size": row["batch"], "seqlen": SEQ_LEN}
            config |= {"model": {"non_embedding_params": row["n"]}, "total_tokens": row["d"]}
            record = {"name": f"run-{i}", "state": "finished", "config": config, "summary": {"val_loss": row["loss"]}}
            file.write(json.dumps(record) + "\n")
    return Messy(folder / "runs.jsonl", "step_law", (), AT_ONE_BATCH, ("peak_lr = config.optim.lr",), "not measured")


def excel_mixed_optimizers(folder: Path) -> Messy:
    """A spreadsheet with semicolons, decimal commas, counts in millions and billions, and two optimisers."""
    rows = pd.concat([over_n_and_d(8).assign(opt="adamw"), over_n_and_d(9).assign(opt="lion")])
    rows["loss"] *= np.where(rows["opt"] == "lion", 1.05, 1)
    table = pd.DataFrame(
        {
            "Run": [f"{row.opt} {i}" for i, row in enumerate(rows.itertuples())],
            "Optimizer Name": rows["opt"],
            "Non-embedding params (M)": rows["n"] / 1e6,
            "Tokens (B)": rows["d"] / 1e9,
            "Validation loss": rows["loss"],
        }
    )
    text = table.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    (folder / "excel.csv").write_bytes(b"\xef\xbb\xbf" + text.encode() + b";;;;\r\n")
    used = ("98 runs: 49 used", "49 outside --where", "Tokens (B) × 1e+09")
    return Messy(folder / "excel.csv", "chinchilla", ("--where", "Optimizer Name==adamw"), CHINCHILLA, used)


def plan_and_results(folder: Path) -> Messy:
    """A plan of runs, and the losses that came back by run id, those of runs that diverged as NaN."""
    rows = grid(10)
    ids = [f"p{i:04d}" for i in range(len(rows))]
    plan = pd.DataFrame(
        {
            "run_id": ids,
            "params_total": rows["n"] + 32000 * 512,
            "vocab": 32000,
            "width": 512,
            "tokens": rows["d"],
            "peak_lr": rows["lr"],
            "batch_sequences": rows["batch"],
        }
    )
    plan.to_csv(folder / "plan.csv.xz", index=False)
    results = pd.DataFrame({"run": ids, "final_loss": rows["loss"]}).sample(frac=1, random_state=0)
    results["final_loss"] = results["final_loss"].astype(str).where(results["run"] != "p0100", "nan")
    results.to_csv(folder / "results.csv", index=False)
    flags = ("--join", str(folder / "plan.csv.xz"), "--set", f"seq_len={SEQ_LEN}")
    return Messy(folder / "results.csv", "step_law", flags, STEP_LAW, ("1 NaN (p0100) taken as diverged",))


TABLES: Sequence[Callable[[Path], Messy]] = (
    *(wandb_runs, wandb_chart, wandb_history, mlflow_runs, mlflow_metrics, csv_logger),
    *(neptune_one_batch, jsonl_two_batches, excel_mixed_optimizers, plan_and_results),
)
