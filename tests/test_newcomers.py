"""First commands as people type them: each works, or is answered in one sentence that names what makes it work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from samples import TRUTH, hydra_multirun, lightning_logs, lr_batch_runs, wandb_export

import jaxlaws
from jaxlaws.cli import main

ASK = "--params 100k --tokens 40M"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with what a W&B user, a PyTorch trainer, and users of Hydra, Lightning and MLflow have in theirs."""
    folder = tmp_path_factory.mktemp("newcomer")
    export = wandb_export()
    export.insert(2, "Created", "2026-11-21T10:00:00.000Z")
    export.loc[export.index % 27 == 5, ["State", "val/loss"]] = ["crashed", np.nan]
    export.to_csv(folder / "wandb.csv", index=False)
    rows = lr_batch_runs().rename(columns={"params_nonembedding": "num_params", "peak_lr": "lr"})
    rows.reset_index().to_json(folder / "log.jsonl", orient="records", lines=True)
    hydra_multirun(folder / "multirun")
    lightning_logs(folder / "lightning_logs")
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    (folder / "wandb" / "run-20261121_100000-ab12").mkdir(parents=True)
    (folder / "wandb" / "run-20261121_100000-ab12" / "run-ab12.wandb").write_bytes(b"\1")
    (folder / "runs").mkdir()
    (folder / "runs" / "events.out.tfevents.1732.host").write_bytes(b"\1")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JAXLAWS_CACHE", str(folder / "cache"))
        yield folder


class Try(NamedTuple):
    """What is typed first, a part of the sentence that answers it ("" where it works), and what is typed then."""

    first: str
    said: str = ""
    then: str = ""


TRIES = [
    # with an export of W&B
    Try(f"recommend wandb.csv {ASK}", "--set seq_len=2048", f"recommend wandb.csv {ASK} --set seq_len=2048"),
    Try("wandb.csv", "jaxlaws inspect wandb.csv", "inspect wandb.csv"),
    Try("fit wandb.csv", "jaxlaws fit step_law wandb.csv", "fit step_law wandb.csv --set seq_len=2048"),
    Try("fit wandb.csv step_law", "jaxlaws fit step_law wandb.csv", "fit step_law wandb.csv --set seq_len=2048"),
    Try("fit step_law wandb.csv --seq-len 2048", "--set seq_len=2048", "fit step_law wandb.csv --set seq_len=2048"),
    Try("fit steplaw wandb.csv", "did you mean 'step_law'", "fit step_law wandb.csv --set seq_len=2048"),
    Try("fit step_law", "jaxlaws fit step_law runs.csv", "fit step_law log.jsonl"),
    Try("fit step_law wandb.csv --set seq_len=2048 --where State==finished"),
    Try(
        "fit chinchilla wandb.csv --set seq_len=2048 --bootstrap 20",
        "--assume tuning=best",
        "fit chinchilla wandb.csv --set seq_len=2048 --bootstrap 20 --assume tuning=best --force",
    ),
    Try("fit step_law wandb", "wandb sync, then read wandb:ENTITY/PROJECT"),
    Try("fit step_law https://wandb.ai/me/lm", "pip install 'jaxlaws[wandb]'"),
    # with a trainer in PyTorch
    Try("recommend log.jsonl --params 100k --tokens 2M --for torch"),
    Try("fit bound lightning_logs --bootstrap 20 --starts 2 --force"),
    Try("fit bound runs", "a CSV, a row a step"),
    Try("recommend --model 7B --tokens 1T", "--params", "recommend --params 7B --tokens 1T"),
    Try(f"recommend {ASK} --batch-size 64k", "--batch-tokens", f"recommend {ASK} --batch-tokens 64k"),
    # with a directory of Hydra, and with MLflow
    Try("fit step_law multirun"),
    Try(f"recommend multirun {ASK}"),
    Try("fit step_law multirun/2026-11-21/10-00-00 --where config.optim.lr<=1e-2"),
    Try("fit step_law mlruns", "MLFLOW_TRACKING_URI=mlruns"),
]


@pytest.mark.parametrize("attempt", TRIES, ids=[attempt.first for attempt in TRIES])
def test_a_first_command_works_or_names_what_does(here: Path, attempt: Try, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    code = main(attempt.first.split())
    error = capsys.readouterr().err
    if not attempt.said:
        assert code == 0, error
        return
    assert code == 2
    assert len(error.splitlines()) == 1
    assert attempt.said in error
    if attempt.then:
        assert main(attempt.then.split()) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.yaml", "a: &a [x]\nb: [*a, *a]", "it has aliases"),
        ("config.yaml", "{a: " * 100_000, "recursion"),
        ("config.yaml", "- " * 100_000, "recursion"),
        ("config.yaml", "a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("config.json", '{"a": ' * 100_000, "recursion"),
        ("hparams.yaml", "lr: \x1b[2J", "control characters are not allowed"),
        ("hparams.yaml", "lr: abc", "peak_lr in row 1 is 'abc', expected a number"),
        ("args.json", "x" * 2**20 + "x", "larger than 1 MiB"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, said: str):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.csv").write_text("step,lr,loss\n0,1e-3,3\n")
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(jaxlaws.BadInput, match=said):
        jaxlaws.open_runs(tmp_path)


@pytest.mark.parametrize("source", ["wandb.csv", "log.jsonl", "multirun"])
def test_the_truth_lies_in_the_interval(here: Path, source: str, tmp_path: Path):
    given = ["--set", "seq_len=2048"] if source == "wandb.csv" else []
    assert main(["fit", "step_law", source, *given, "--bootstrap", "200", "-o", str(tmp_path / "fit.json")]) == 0
    intervals = json.loads((tmp_path / "fit.json").read_text())["intervals"]
    for name in ("lr_N", "lr_D"):
        low, high = intervals[name]
        assert low < TRUTH[name] < high


def test_frames_in_python():
    runs = lr_batch_runs()
    law = jaxlaws.fit("step_law", runs, bootstrap=50)
    assert law.status == "converged"
    asked = {"params": 100e3, "tokens": 2e6}
    assert jaxlaws.recommend(**asked, law=law).peak_lr.value == pytest.approx(
        jaxlaws.recommend(**asked, law=runs).peak_lr.value, rel=0.05
    )
    best = runs.sort_values("val_loss_nats").groupby(["params_nonembedding", "tokens"]).head(1)
    points = best.groupby(["params_nonembedding", best["tokens"].round(-5)]).head(1)
    loss = jaxlaws.fit("chinchilla", points[["params_nonembedding", "tokens", "val_loss_nats"]], bootstrap=0)
    assert set(loss.params) == {"E", "A", "B", "alpha", "beta"}
    with pytest.raises(jaxlaws.BadInput, match="did you mean 'chinchilla'"):
        jaxlaws.fit("chinchila", pd.DataFrame())
