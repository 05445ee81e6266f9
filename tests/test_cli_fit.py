"""`jaxlaws fit`, `predict`, `laws` and `bench` as they are typed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.cli import main
from jaxlaws.listing import laws


@pytest.fixture
def table(tmp_path):
    n, d = np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(2e9, 1e11, 4))
    loss = 1.8172 + 482.01 * n**-0.3478 + 2085.43 * d**-0.3658
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(16))
    frame = pd.DataFrame({"params_nonembedding": n.ravel(), "tokens": d.ravel(), "loss": loss.ravel() * noise})
    frame.to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


def test_fit_then_predict(table, tmp_path, capsys):
    out = tmp_path / "fit.json"
    assert main(["fit", "chinchilla", str(table), "--bootstrap", "50", "-o", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    for name in ("law", "convention", "noise", "objective", "objective_plain", "params", "intervals", "status"):
        assert name in printed
    assert set(printed["params"]) == {"E", "A", "B", "alpha", "beta"}
    assert main(["predict", str(out), "--params", "7B", "--tokens", "1.4T", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["low"] < answer["value"] < answer["high"]
    assert any("extrapolation" in words for words in answer["warnings"])
    assert main(["fit", "chinchilla", str(table), "--bootstrap", "20"]) == 0
    assert "chinchilla" in capsys.readouterr().out


def test_an_unidentified_fit_is_written_and_not_trusted(table, tmp_path, capsys):
    frame = pd.read_csv(table)
    frame["tokens"] = 20 * frame["params_nonembedding"] * (1 + 1e-3 * np.arange(16))
    frame.to_csv(table, index=False)
    out = tmp_path / "fit.json"
    assert main(["fit", "chinchilla", str(table), "--bootstrap", "0", "-o", str(out)]) == 3
    assert json.loads(out.read_text())["status"] == "unidentified"
    assert "alpha" in capsys.readouterr().err
    assert main(["fit", "chinchilla", str(table), "--bootstrap", "0", "--force"]) == 0


def test_predict_along_a_schedule(tmp_path, capsys):
    lr = 3e-4 * np.minimum((np.arange(3000) + 1) / 100, 1) * (1 - np.arange(3000) / 3000)
    pd.DataFrame({"step": np.arange(3000), "lr": lr}).to_csv(tmp_path / "lr.csv", index=False)
    arguments = ["predict", "multi_power:25M", "--schedule", str(tmp_path / "lr.csv"), "--warmup", "100"]
    assert main([*arguments, "--json"]) == 0
    end = json.loads(capsys.readouterr().out)["value"]
    assert main([*arguments, "--every", "1000", "--json"]) == 0
    along = json.loads(capsys.readouterr().out)
    assert along["at"][-1] == 2999
    assert along["value"][-1] == pytest.approx(end, rel=1e-9)
    assert main([*arguments, "--warmup-ld", "excluded"]) == 2
    assert "included, asked for excluded" in capsys.readouterr().err
    assert (
        main(["predict", "multi_power:25M", "--schedule", "wsd(colldown=0.1)", "--steps", "9", "--peak-lr", "1"]) == 2
    )
    assert "did you mean 'cooldown'" in capsys.readouterr().err


def test_laws_lists_every_preset(capsys):
    assert main(["laws", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["multi_power"]["presets"]["multi_power:25M"]["params"]["L0"] == 3.04045406
    assert listed["step_law"]["presets"]["step_law:published"]["params"]["lr_N"] == -0.713
    assert main(["laws", "kaplan"]) == 0
    shown = capsys.readouterr().out
    assert "alpha_N" in shown
    assert "critical batch 2.1e8" in shown
    assert main(["laws", "kaplen"]) == 2


@pytest.mark.parametrize("columns", [110, 200])
def test_laws_are_listed_with_their_whole_formulas_as_wide_as_the_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["laws"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    for law in laws().values():
        assert " ".join(law["formula"].split()) in " ".join(shown.split())


def test_bench_names_its_benchmarks(capsys):
    assert main(["bench", "fits"]) == 2
    assert "did you mean 'fit'" in capsys.readouterr().err


@pytest.mark.slow
def test_bench_fit(capsys):
    assert main(["bench", "fit", "--repeats", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["ours_s"] > 0 for row in rows)
    assert any(row["speedup"] for row in rows)


@pytest.mark.parametrize(
    "flags",
    [
        ["--starts", "8"],
        ["--fix", "lr_N=-0.7"],
        ["--params-column", "params_total"],
        ["--warmup-ld", "excluded"],
        ["--noise", "huber"],
        ["--train", "a,b"],
        ["--bootstrap", "-1"],
        ["--bootstrap", "1000000000000"],
    ],
)
def test_a_law_of_lr_and_batch_refuses_what_it_does_not_read(tmp_path, capsys, flags):
    path = tmp_path / "runs.csv"
    step_law_runs(half_lrs=2, half_batches=2).table.to_csv(path, index=False)
    assert main(["fit", "step_law", str(path), *flags]) == 2
    assert flags[0].lstrip("-") in capsys.readouterr().err


def test_a_law_of_lr_and_batch_uses_the_seed_and_exits_by_its_status(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    step_law_runs(half_lrs=2, half_batches=2).table.to_csv(path, index=False)

    def intervals(seed):
        assert main(["fit", "step_law", str(path), "--bootstrap", "20", "--json", "--seed", seed]) == 0
        return json.loads(capsys.readouterr().out)["intervals"]

    assert intervals("1") == intervals("1") != intervals("2")
    step_law_runs(half_lrs=0, half_batches=3).table.to_csv(path, index=False)
    assert main(["fit", "step_law", str(path), "--bootstrap", "20"]) == 3
    assert "one learning rate" in capsys.readouterr().err
    assert main(["fit", "step_law", str(path), "--bootstrap", "20", "--force"]) == 0
