"""Runs of W&B and MLflow as sources, through stand-ins that have the documented shape of their interfaces."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from samples import TRUTH, lr_batch_runs, schedules

import jaxlaws
from jaxlaws.cli import main
from jaxlaws.errors import BadInput, Failed

SETTING = ["--set", "seq_len=128", "--bootstrap", "50"]


class CommError(Exception):
    pass


class UsageError(Exception):
    pass


class Run:
    """`wandb.apis.public.Run`: its config, its summary and a scan of its history, which it counts."""

    scans = 0

    def __init__(self, id: str, config: dict, summary: dict, state: str = "finished", history: list[dict] = ()):  # type: ignore[assignment]
        self.id, self.name, self.state, self.config, self.history = id, f"name-of-{id}", state, config, history
        self.summary = SimpleNamespace(_json_dict={**summary, "_timestamp": 1.7e9, "_wandb": {"runtime": 3}})

    def scan_history(self, keys: list[str] | None = None, page_size: int = 1000) -> Iterator[dict]:
        Run.scans += 1
        if self.history is None:
            raise CommError("HTTP 502: Bad gateway")
        return (row for row in self.history if not keys or all(key in row for key in keys))


def a_run(name: str, row: pd.Series, **more) -> Run:
    config = {
        "model": {"n_params": int(row["params_nonembedding"]), "act": "gelu", "dims": [1, 2]},
        "optim": {"learning_rate": float(row["peak_lr"]), "name": "adamw"},
        "batch_size": int(row["batch_tokens"]) // 128,
        "tokens": int(row["tokens"]),
        "_wandb": {"cli_version": "0.22"},
    }
    summary = {"val/loss": float(row["val_loss_nats"]), "train/lr": 0.0, "hist": {"_type": "histogram", "bins": [1]}}
    return Run(name, config, {**summary, **more.pop("summary", {})}, **more)


@pytest.fixture
def wandb(monkeypatch, tmp_path) -> Callable[[list[Run]], list[dict]]:
    """Put runs behind `wandb.Api().runs(...)`; returns the questions that are asked."""
    asked: list[dict] = []
    module = ModuleType("wandb")
    module.errors = SimpleNamespace(CommError=CommError, UsageError=UsageError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))

    def put(runs: list[Run] | Exception) -> list[dict]:
        def answer(path=None, filters=None, order="+created_at", per_page=50, include_sweeps=False, lazy=True):
            asked.append({"path": path, "filters": filters, "lazy": lazy})
            if isinstance(runs, Exception):
                raise runs
            return iter(runs)

        module.Api = lambda: SimpleNamespace(runs=answer)  # type: ignore[attr-defined]
        return asked

    return put


def test_a_sweep_in_wandb_is_fitted_as_its_table_would_be(wandb, tmp_path, capsys):
    runs = [a_run(str(name), row) for name, row in lr_batch_runs().iterrows()]
    runs[3].config = json.dumps(runs[3].config)  # type: ignore[assignment]
    runs[4].state, runs[4].summary._json_dict["val/loss"] = "crashed", 9.0
    runs[5].summary._json_dict["val/loss"] = "NaN"
    runs[6].state = "running"
    asked = wandb(runs)
    out = tmp_path / "fit.json"
    assert main(["fit", "step_law", "wandb:me/lm/sweeps/ab12", *SETTING, "-o", str(out)]) == 0
    assert asked == [{"path": "me/lm", "filters": {"sweep": "ab12"}, "lazy": False}]
    said = " ".join(capsys.readouterr().out.split())
    assert "108 runs: 105 used" in said
    assert "1 crashed" in said
    assert "1 running" in said
    low, high = json.loads(out.read_text())["intervals"]["lr_N"]
    assert low < TRUTH["lr_N"] < high


def test_other_commands_read_a_tracker_too(wandb, capsys):
    wandb([a_run(str(name), row) for name, row in lr_batch_runs().iterrows()])
    source = ["wandb:me/lm", "--set", "seq_len=128"]
    assert main(["inspect", *source]) == 0
    assert "wandb:me/lm: 108 runs: 108 used" in capsys.readouterr().out
    wandb([a_run(str(name), row) for name, row in lr_batch_runs().iterrows()])
    assert main(["recommend", *source, "--params", "100k", "--tokens", "2M", "--json"]) == 0
    advice = json.loads(capsys.readouterr().out)["peak_lr"]
    assert advice["low"] < 4.5e-3 * 5 ** TRUTH["lr_N"] * 4 ** TRUTH["lr_D"] < advice["high"]


@pytest.mark.parametrize(
    ("address", "path", "filters"),
    [
        ("me/lm", "me/lm", {}),
        ("//me/lm", "me/lm", {}),
        ("https://wandb.ai/me/lm?nw=nwuserme", "me/lm", {}),
        ("https://wandb.ai/me/lm/sweeps/ab12?nw=1", "me/lm", {"sweep": "ab12"}),
        ("me/lm/sweep/ab12", "me/lm", {"sweep": "ab12"}),
    ],
)
def test_addresses_of_projects_and_sweeps(wandb, address: str, path: str, filters: dict):
    asked = wandb([a_run(str(name), row) for name, row in lr_batch_runs().head(2).iterrows()])
    runs = jaxlaws.open_runs(f"wandb:{address}", set={"seq_len": 128}, where="name!=name-of-run-001")
    assert list(runs.table.index) == ["run-000"]
    assert runs.table["peak_lr"].iloc[0] == 1.5e-3
    assert asked == [{"path": path, "filters": filters, "lazy": False}]


def curves() -> list[Run]:
    """Four schedules; the loss and the LR are logged in rows of their own, as trainers do, with the trainer's steps."""
    runs = []
    for name, lr in schedules(400, 20).items():
        rows = [{"_step": 2 * t, "train/global_step": t, "train/lr": value} for t, value in enumerate(lr)]
        rows += [{"_step": 2 * t + 1, "train/global_step": t, "eval/loss": 3 + 1 / (t + 9)} for t in range(39, 400, 40)]
        config = {"model": {"n_params": 25_000}, "batch_size": 4}
        runs.append(Run(name, config, {"eval/loss": 3.0}, history=sorted(rows, key=lambda row: row["_step"])))
    return runs


def test_curves_are_read_and_an_interrupted_download_goes_on(wandb, capsys):
    runs = curves()
    whole, runs[2].history = runs[2].history, None  # type: ignore[assignment]
    wandb(runs)
    assert main(["fit", "multi_power", "wandb:me/lm", "--set", "seq_len=128"]) == 1
    assert "W&B does not answer for wandb:me/lm (HTTP 502: Bad gateway)" in capsys.readouterr().err
    runs[2].history, Run.scans = whole, 0
    wandb(runs)
    found = jaxlaws.open_runs("wandb:me/lm", set={"seq_len": 128}, curves=True)
    assert Run.scans == 2
    assert list(found.curves) == [run.id for run in runs]
    for name, lr in schedules(400, 20).items():
        np.testing.assert_allclose(found.curves[name].lr, lr, rtol=1e-9)
        assert list(found.curves[name].at) == list(range(39, 400, 40))
    assert list(found.table["params_nonembedding"]) == [25_000] * 4


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("No API key configured. Use `wandb login` to log in."), 2, "run wandb login, or set WANDB_API_KEY"),
        (ValueError("Could not find project lm (entity me) not found"), 2, "expected wandb:ENTITY/PROJECT"),
        (CommError("the service process is busy"), 1, "try again later"),
        (ConnectionError("Network is unreachable"), 1, "try again later"),
    ],
)
def test_what_wandb_raises_is_one_sentence(wandb, capsys, error: Exception, code: int, words: str):
    wandb(error)
    assert main(["fit", "step_law", "wandb:me/lm"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("source", ["wandb:me/lm", "mlflow:lm"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, capsys, source: str):
    name = source.partition(":")[0]
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["fit", "step_law", source]) == 2
    assert f"pip install 'jaxlaws[{name}]'" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["wandb:", "wandb:me", "wandb:me/lm/what/x"])
def test_no_project_is_refused_before_the_package_is_asked_for(source: str):
    with pytest.raises(BadInput, match="expected wandb:ENTITY/PROJECT"):
        jaxlaws.open_runs(source)


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    """Put runs behind `mlflow.search_runs(..., output_format="list")` and the client's metric histories."""
    module = ModuleType("mlflow")
    exceptions = SimpleNamespace(MlflowException=type("MlflowException", (Exception,), {}))
    module.exceptions, module.get_tracking_uri = exceptions, lambda: "file:///runs"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))

    def put(runs: list, histories: dict | None = None):
        def search_runs(experiment_ids, max_results, order_by, output_format):
            assert (experiment_ids, output_format) == (["7"], "list")
            return runs

        def get_metric_history(run: str, key: str) -> list:
            return [SimpleNamespace(step=s, value=v, timestamp=s) for s, v in (histories or {})[run][key]]

        experiments = [SimpleNamespace(name=name, experiment_id=id) for name, id in (("lm", "7"), ("Default", "0"))]
        client = SimpleNamespace(search_experiments=lambda: experiments, get_metric_history=get_metric_history)
        module.search_runs, module.MlflowClient = search_runs, lambda: client  # type: ignore[attr-defined]
        return exceptions.MlflowException

    return put


def logged(run: str, params: dict, metrics: dict, status: str = "FINISHED"):
    info = SimpleNamespace(run_id=run, run_name=f"name-of-{run}", status=status, end_time=1)
    return SimpleNamespace(info=info, data=SimpleNamespace(params=params, metrics=metrics))


def mlflow_runs() -> list:
    return [
        logged(
            str(name),
            {
                "n_params": str(int(row["params_nonembedding"])),
                "lr": str(row["peak_lr"]),
                "batch_size": str(int(row["batch_tokens"]) // 128),
                "train_tokens": str(int(row["tokens"])),
            },
            {"val_loss": row["val_loss_nats"], "lr": 0.0},
        )
        for name, row in lr_batch_runs().iterrows()
    ]


def test_an_experiment_in_mlflow_is_fitted_as_its_table_would_be(mlflow, tmp_path, capsys):
    runs = mlflow_runs()
    runs[4].info.status = "FAILED"
    runs[5].data.metrics["val_loss"] = float("nan")
    mlflow(runs)
    out = tmp_path / "fit.json"
    assert main(["fit", "step_law", "mlflow:lm", *SETTING, "-o", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "108 runs: 106 used, 1 failed (run-004), 1 NaN (run-005) taken as diverged" in said
    low, high = json.loads(out.read_text())["intervals"]["lr_N"]
    assert low < TRUTH["lr_N"] < high
    assert main(["fit", "step_law", "mlflow:ln", *SETTING]) == 2
    assert "mlflow:ln is no experiment of file:///runs, which has lm, Default" in capsys.readouterr().err


def test_curves_of_mlflow_take_the_last_value_of_a_step(mlflow):
    runs, histories = [], {}
    for name, lr in schedules(400, 20).items():
        runs.append(logged(name, {"n_params": "25000"}, {"learning_rate": 0.0, "eval_loss": 3.0, "gpu": 1.0}))
        losses = [(t, 3 + 1 / (t + 9)) for t in range(39, 400, 40)]
        histories[name] = {"learning_rate": list(enumerate(lr)), "eval_loss": [(39, 9.0), *losses]}
    mlflow(runs, histories)
    found = jaxlaws.open_runs("mlflow:7", curves=True)
    for name, lr in schedules(400, 20).items():
        np.testing.assert_allclose(found.curves[name].lr, lr, rtol=1e-9)
        assert found.curves[name].loss[0] == 3 + 1 / 48


def test_a_store_that_does_not_answer_is_a_failure(mlflow, monkeypatch):
    error = mlflow([])

    def search_runs(**question):
        raise error("refused\nmore")

    monkeypatch.setattr(sys.modules["mlflow"], "search_runs", search_runs)
    with pytest.raises(Failed, match=r"MLflow at file:///runs does not answer \(refused\)"):
        jaxlaws.open_runs("mlflow:lm")
