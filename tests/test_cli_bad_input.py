"""Bad input through the command line: exit code 2, one clear sentence on stderr, nothing on stdout."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main

RNG = np.random.default_rng(0)


def grid(runs=12):
    n, d = np.meshgrid(np.geomspace(1e8, 1e9, 3), np.geomspace(2e9, 4e10, runs // 3))
    loss = 1.8 + 480 * n**-0.35 + 2100 * d**-0.37
    rows = {"params_total": n.ravel(), "tokens": d.ravel(), "steps": d.ravel() / 5e5, "batch_tokens": 5e5}
    return pd.DataFrame({**rows, "loss_nats": loss.ravel() * np.exp(0.001 * RNG.standard_normal(runs))})


def curves(count=2, points=60):
    parts = []
    for i in range(count):
        step = np.arange(points) * 10
        lr = np.where(step < 300 * (1 + i % 2), 1e-3, 3e-4)
        area = np.cumsum(lr) * 10
        parts.append(pd.DataFrame({"run_id": f"r{i}", "step": step, "lr": lr, "loss": 2 + area**-0.5}))
    return pd.concat(parts, ignore_index=True)


def at_row(frame, column, value, row=3):
    return frame.assign(**{column: np.where(np.arange(len(frame)) == row, value, frame[column])})


def refused(capsys, *arguments):
    """The sentence on stderr of a command that has to be refused."""
    code = main(list(map(str, arguments)))
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.startswith("jaxlaws: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    return printed.err


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.csv"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[:1], "a single run"),
        (lambda t: t.iloc[:4], "needs at least 5"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.drop(columns="loss_nats"), "--map loss=NAME"),
        (lambda t: t.drop(columns=["tokens", "steps"]), "no column tokens"),
        (lambda t: t.drop(columns="params_total"), "params_nonembedding or params_total"),
        (lambda t: at_row(t, "loss_nats", np.nan), "loss_nats is missing"),
        (lambda t: at_row(t, "loss_nats", -2.0), "expected a positive number"),
        (lambda t: at_row(t, "tokens", np.nan), "tokens is missing"),
        (lambda t: t.assign(batch_tokens=256.0), "batch_tokens in sequences"),
        (lambda t: t.assign(batch_tokens=256.0).drop(columns="steps"), "counts sequences"),
        (lambda t: t.assign(tokens=t["tokens"] / 1e9).drop(columns=["steps", "batch_tokens"]), "plain counts"),
    ],
)
def test_bad_tables(path, capsys, change, words):
    change(grid()).to_csv(path, index=False)
    assert words in refused(capsys, "fit", "chinchilla", path, "--json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[:1], "a single run"),
        (lambda t: t.iloc[:60], "a single run"),
        (lambda t: t.groupby("run_id").head(1), "2 losses after the warm-up"),
        (lambda t: t.drop(columns="run_id"), "duplicate or unordered steps and no run id"),
        (lambda t: at_row(t, "loss", -1.0), "not a positive number"),
        (lambda t: at_row(t, "lr", np.inf), "not a number"),
        (lambda t: t.drop(columns="lr"), "no column lr"),
        (lambda t: t.drop(columns="loss"), "no column loss"),
        (lambda t: t.drop(columns="step"), "column step"),
    ],
)
def test_bad_curves(path, capsys, change, words):
    change(curves()).to_csv(path, index=False)
    assert words in refused(capsys, "fit", "opl", path, "--json")


def test_files_and_arguments(path, tmp_path, capsys):
    assert "does not exist" in refused(capsys, "fit", "opl", tmp_path / "absent.csv")
    path.touch()
    assert "is empty" in refused(capsys, "fit", "opl", path)
    grid().to_csv(path, index=False)
    assert "no column 'val/ce'" in refused(capsys, "fit", "chinchilla", path, "--map", "loss=val/ce")
    assert "did you mean 'params_total'" in refused(capsys, "fit", "chinchilla", path, "--map", "params_totl=tokens")
    assert "expected OURS=THEIRS" in refused(capsys, "fit", "chinchilla", path, "--map", "loss")
    assert "did you mean 'chinchilla'" in refused(capsys, "fit", "chincilla", path)
    assert "did you mean 'isoflop'" in refused(capsys, "fit", "chinchilla", path, "--format", "isoflops")
    assert "no run of" in refused(capsys, "fit", "chinchilla", path, "--where", "params_total>1e15")
    assert "is not a comparison" in refused(capsys, "fit", "chinchilla", path, "--where", "params_total")
    assert "no curves" in refused(capsys, "fit", "opl", path)


@pytest.mark.parametrize(
    "format", ["step_law", "multi_power_law", "isoflop", "isoflop_all", "lr_scheduling", "lr_scheduling_final"]
)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x81" * 99, b"a,b\n1,2\n", b"loss\nx\n", b'"a', b"[1, 2]", None]
)
def test_files_of_another_kind_are_refused_by_every_format(tmp_path, capsys, format, content):
    for source in (tmp_path / "some.csv", tmp_path):
        for name in ("some.csv", "runs.csv", "curves.csv"):
            if content is not None:
                (tmp_path / name).write_bytes(content)
        refused(capsys, "fit", "chinchilla", source, "--format", format)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x81" * 99, b"a,b\n1,2\n", b"loss\nx\n", b'"a', b"[1, 2]", b"\n\n"])
def test_files_of_another_kind_are_refused(path, capsys, content):
    path.write_bytes(content)
    refused(capsys, "fit", "chinchilla", path)
    refused(capsys, "fit", "chinchilla", path.rename(path.with_suffix(".parquet")))


@pytest.mark.parametrize("column", ["Model Size", "Training FLOP", "loss"])
@pytest.mark.parametrize("value", ["", "nan", "-3", "word"])
def test_a_bad_value_in_a_published_table_is_refused(path, capsys, column, value):
    rows = pd.DataFrame({"Model Size": 1e8, "Training FLOP": np.geomspace(1e18, 1e20, 9), "loss": 3.0}).astype(object)
    rows.loc[4, column] = value
    rows.to_csv(path, index=False)
    refused(capsys, "fit", "chinchilla", path, "--format", "isoflop_all")


def test_optimum_and_compare_refuse(path, tmp_path, capsys):
    assert "a number such as" in refused(capsys, "optimum", "chinchilla:epoch", "--flops", "much")
    assert "more than zero" in refused(capsys, "optimum", "chinchilla:epoch", "--flops=-1e21")
    assert "expected a law of N and D" in refused(capsys, "optimum", "multi_power:25M", "--flops", "1e21")
    assert "give --flops 1e21 or --loss 2.5" in refused(capsys, "optimum", "chinchilla:epoch")
    assert "reaches no loss below 1.817" in refused(capsys, "optimum", "chinchilla:epoch", "--loss", "1.5")
    assert "give --flops, and only that" in refused(capsys, "optimum", "x.csv", "--approach", "2", "--loss", "2")
    assert "approach 3 reads a fit" in refused(capsys, "optimum", "x.json", "--flops", "1e21", "--format", "isoflop")
    assert "did you mean 'epoch'" in refused(capsys, "optimum", "chinchilla:epok", "--flops", "1e21")
    (tmp_path / "x.json").write_text(json.dumps({"kind": "else"}))
    assert "is not a fit" in refused(capsys, "optimum", tmp_path / "x.json", "--flops", "1e21")
    assert "at least two" in refused(capsys, "compare", "chinchilla:epoch")
    assert "no held-out error" in refused(capsys, "compare", "chinchilla:epoch", "chinchilla:hoffmann")


def test_a_fit_that_is_not_trusted_answers_only_when_forced(tmp_path, capsys):
    from jaxlaws.fitting.predict import open_fit

    fit = open_fit("chinchilla:epoch")
    file = tmp_path / "fit.json"
    type(fit)(**{**fit.__dict__, "status": "not_converged"}).save(file)
    assert main(["optimum", str(file), "--flops", "1e21", "--json"]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert main(["optimum", str(file), "--flops", "1e21", "--json", "--force"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens_per_param"]["value"] > 1
