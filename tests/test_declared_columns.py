"""Columns that laws declare, further losses and metrics, through every door of the records."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.compare import compare
from jaxlaws.fitting.keywords import keywords
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS, Input
from jaxlaws.laws.table import get
from jaxlaws.records.columns import declared, meaning_of
from jaxlaws.records.frame import finished
from jaxlaws.records.published import FORMATS
from jaxlaws.records.published.read import renamed
from jaxlaws.records.settings import comparable, tuned
from jaxlaws.records.source import open_runs
from jaxlaws.records.understood import Reading


@pytest.fixture
def parallel(tmp_path):
    """A published table: two families of runs with a declared input and a metric that is no cross-entropy."""
    rows = {"n": [1e8, 2e8, 1e8, 2e8], "streams": [1, 2, 2, 4], "set": ["a", "a", "b", "b"]}
    pd.DataFrame({**rows, "ce": [3.0, 2.9, 2.8, 2.7], "lift": [-0.5, 0.0, 0.1, 0.2]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    columns = {"params_total": "n", "parallel_streams": "streams", "group": "set", "metric.lift": "lift"}
    return lambda **more: renamed(tmp_path / "t.csv", "parallel", {**columns, "loss_nats": "ce"}, **more)


def test_an_importer_renames_columns_and_gives_values(parallel):
    runs = parallel(run_id="set", times={"params_total": 2.0}, optimizer="adamw")
    assert list(runs.table.index) == ["a", "a", "b", "b"]
    assert runs.table["params_total"].tolist() == [2e8, 4e8, 2e8, 4e8]
    assert set(runs.table["optimizer"]) == {"adamw"}
    assert runs.targets == ("lift",)


def test_families_of_a_published_table_are_fitted_apart(parallel):
    with pytest.raises(BadInput, match=r"differ in group.*--where group==a"):
        comparable(parallel(), "parscale", ("params_total",))
    kept = finished(parallel(), Reading(where=["group=='b' and parallel_streams>=4"]))
    assert kept.table["loss_nats"].tolist() == [2.7]
    assert comparable(kept, "parscale", ("params_total",)) is kept


def test_a_law_of_a_metric_reads_it(parallel):
    assert parallel().measuring("lift").loss_column == "metric.lift"
    assert parallel().measuring("nats").loss_column == "loss_nats"


def test_formats_are_the_files_of_the_importers():
    assert {"step_law", "isoflop_all", "lr_scheduling_final"} <= set(FORMATS)
    assert "read" not in FORMATS


def rows(**more):
    """Twelve runs of a law of N and D, with columns that laws declare."""
    n, d = np.repeat([1e8, 3e8, 1e9], 4), np.tile([2e9, 5e9, 1e10, 3e10], 3)
    loss = 1.7 + 480 * n**-0.35 + 2100 * d**-0.37
    return pd.DataFrame({"params_nonembedding": n, "tokens": d, "val_loss": loss, **more})


NAMES = [
    ("unique_tokens", "unique_tokens"),
    ("U", "unique_tokens"),
    ("config.num_unique_tokens", "unique_tokens"),
    ("unique_tokens (B)", "unique_tokens"),
    ("model.num_experts", "experts"),
    ("finetune_examples", "finetune_examples"),
    ("share.web", "share.web"),
    ("config/data.mixture.web", "share.web"),
    ("proportion/c4-en", "share.c4-en"),
    ("val_loss.code", "val_loss.code"),
    ("val_loss/code", "val_loss.code"),
    ("eval/code/CrossEntropyLoss", "val_loss.code"),
    ("eval/c4_en-validation/CrossEntropyLoss", "val_loss.c4_en"),
    ("metric.accuracy", "metric.accuracy"),
]


@pytest.mark.parametrize(("theirs", "ours"), NAMES, ids=[theirs for theirs, _ in NAMES])
def test_names_of_declared_columns_and_targets(theirs, ours):
    runs = open_runs(rows(**{theirs: 2.0}))
    assert ours in runs.table
    assert meaning_of(ours)
    assert runs.table[ours].iloc[0] == (2e9 if "(B)" in theirs else 2.0)
    assert (runs.usage.columns.get(ours) == theirs) is (theirs not in (ours, "unique_tokens (B)", "val_loss/code"))


REFUSED = [
    ({"unique_tokens": -1.0}, {}, "unique_tokens is -1 in run 'row_1', expected a positive number"),
    ({"finetune_examples": -1.0}, {}, "expected a number of at least 0"),
    ({}, {"target": "code"}, "no target code: it has no column val_loss.NAME or metric.NAME"),
    ({"val_loss.math": 2.0, "metric.acc": 0.5}, {"target": "code"}, "no target code: it has math, acc"),
    ({"val_loss.code": -2.0}, {"target": "code"}, "val_loss.code is -2 .*a cross-entropy is never below 0"),
    ({}, {"map": {"uniqe_tokens": "x"}}, "did you mean 'unique_tokens'"),
    ({}, {"set": {"share": "1"}}, "unknown column in --set 'share'"),
]


@pytest.mark.parametrize(("more", "options", "message"), REFUSED)
def test_what_is_refused_of_them(more, options, message):
    with pytest.raises(BadInput, match=message):
        open_runs(rows(**more), **options)


def test_zero_empty_and_set_values_are_read():
    runs = open_runs(
        rows(finetune_examples=0.0, unique_tokens=[np.nan, *[1e9] * 11]), set={"experts": "8", "share.web": "0.5"}
    )
    row = runs.table.iloc[0]
    assert row["finetune_examples"] == 0
    assert np.isnan(row["unique_tokens"])
    assert (row["experts"], row["share.web"]) == (8, 0.5)
    kept = open_runs(rows(unique_tokens=np.arange(1, 13) * 1e9), where="unique_tokens<=4B and val_loss>0")
    assert len(kept.table) == 4


@pytest.mark.parametrize("values", [[4e9] * 6 + [8e9] * 6, "proportional"])
def test_a_law_that_does_not_read_a_column_asks_about_it(values):
    unique = 0.5 * rows()["tokens"] if values == "proportional" else values
    runs = open_runs(rows(unique_tokens=unique))
    reads = ("params_nonembedding", "tokens")
    assert comparable(runs, "data_constrained", (*reads, "unique_tokens")) is runs
    if values == "proportional":
        assert comparable(runs, "chinchilla", reads) is runs
    else:
        with pytest.raises(BadInput, match=r"differ in unique_tokens \(4e\+09, 8e\+09\), which chinchilla"):
            comparable(runs, "chinchilla", reads)


def test_mixtures_that_differ_are_asked_about():
    with pytest.raises(BadInput, match=r"differ in share\.web"):
        comparable(open_runs(rows(**{"share.web": np.linspace(0, 1, 12)})), "chinchilla", ("tokens",))


def along():
    """Two curves with two validation sets, one of which is the main one."""
    step = np.arange(0, 100, 10)
    parts = [
        pd.DataFrame(
            {"run_id": name, "step": step, "lr": 1e-3, "loss": 4 - step / 100, "eval/code/loss": 3 - step / 100}
        ).assign(experts=count, mean_active_params=step * 1e3 + 1)
        for name, count in (("a", 1), ("b", 8))
    ]
    return pd.concat(parts)


def test_a_curve_for_each_target():
    main, code = open_runs(along()), open_runs(along(), target="code")
    assert main.curves["a"].loss[-1] == pytest.approx(3.1)
    assert main.loss_column == "loss_nats"
    assert code.curves["a"].loss[-1] == pytest.approx(2.1)
    assert code.loss_column == "val_loss.code"
    assert main.table["val_loss.code"].tolist() == code.table["val_loss.code"].tolist() == pytest.approx([2.1, 2.1])
    assert code.table["experts"].tolist() == [1, 8]
    assert code.table["params_mean"].tolist() == [90001, 90001]
    assert code.warnings == ("The loss is val_loss.code, as --target code says.",)
    with pytest.raises(BadInput, match="no main loss: choose a target, such as --target code; it has code"):
        open_runs(along().drop(columns="loss"))


def test_a_table_without_a_main_loss_opens_and_a_fit_asks_for_the_target(tmp_path, capsys):
    table = rows(**{"val_loss.code": 2.0, "val_loss.math": 3.0}).drop(columns="val_loss")
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert main(["fit", "chinchilla", str(tmp_path / "runs.csv")]) == 2
    assert "such as --target code; it has code, math." in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "runs.csv"), "--json"]) == 0
    columns = json.loads(capsys.readouterr().out)["columns"]
    assert columns["val_loss.code"]["unit"] == "validation on code, nats a token"


def test_a_fit_says_its_target(tmp_path, capsys):
    table = rows()
    table.assign(**{"val_loss.code": 0.5 * table["val_loss"]}).to_csv(tmp_path / "runs.csv", index=False)
    flags = ["--bootstrap", "0", "--starts", "4", "--force", "--json", "--target", "code"]
    assert main(["fit", "chinchilla", str(tmp_path / "runs.csv"), *flags]) == 0
    fit = json.loads(capsys.readouterr().out)
    assert fit["convention"]["loss"] == "val_loss.code"
    assert fit["params"]["E"] == pytest.approx(0.85, rel=1e-3)
    assert "The loss is val_loss.code, as --target code says." in fit["warnings"]


def test_a_new_input_goes_through_every_door(monkeypatch, tmp_path, capsys):
    """A row of INPUTS, as a plug-in adds one, is all that the records need."""
    monkeypatch.setitem(INPUTS, "h", Input("height above the sea, m", "altitude", zero=True, aliases=("elevation",)))
    path = tmp_path / "runs.csv"
    rows(Elevation=np.tile([0.0, 500.0], 6)).to_csv(path, index=False)
    assert main(["inspect", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["columns"]["altitude"] == {
        **{"from": "Elevation", "unit": "height above the sea, m", "distinct": 2},
        **{"low": 0.0, "high": 500.0},
    }
    assert "altitude (" in answer["laws"]["chinchilla"]["why"][0]
    for options, message in (
        ({"map": {"altitude": "Elevation"}, "where": "altitude>0"}, None),
        ({"set": {"altitude": "-3"}}, "altitude is -3 .*at least 0"),
    ):
        if message is None:
            assert open_runs(path, **options).table["altitude"].tolist() == [500.0] * 6
        else:
            with pytest.raises(BadInput, match=message):
                open_runs(path, **options)
    monkeypatch.delitem(INPUTS, "h")
    assert "altitude" not in open_runs(path).table


def test_the_page_lists_every_declared_column():
    page = (Path(__file__).resolve().parent.parent / "docs" / "tables.md").read_text()
    section = page.partition("## Columns that laws declare")[2].partition("\n## ")[0]
    listed = {
        name: (what, re.findall(r"`([^`]+)`", others))
        for name, what, others in re.findall(r"^\| `([\w.]+)` \| (.*) \| (.*) \|$", section, re.M)
    }
    zero = "; 0 is allowed"
    assert listed == {
        row.column + ".NAME" * row.many: (row.meaning + zero * (row.zero and not row.many), list(row.aliases))
        for row in declared()
    }


GIVEN = [
    ("chinchilla", {"params": 7e9, "tokens": 1e12}, {"N": 7e9, "D": 1e12}),
    ("chinchilla", {"params": 7e9, "batch_tokens": 4e6, "steps": 10}, {"N": 7e9, "D": 4e7}),
    ("critical_batch", {"params": 7e9, "batch_tokens": 4e6, "tokens": 4e7}, {"N": 7e9, "B": 4e6, "steps": 10}),
    ("critical_batch", {"params": 7e9, "steps": 10, "tokens": 4e7}, {"N": 7e9, "B": 4e6, "steps": 10}),
    (
        "chinchilla",
        {"params": 7e9, "tokens": 1e12, "batch_tokens": 4e6},
        "does not read batch_tokens: leave out --batch",
    ),
    (
        "chinchilla",
        {"params": 7e9, "tokens": 1e12, "share": {"web": 1.0}},
        "does not read share: .* params, tokens",
    ),
    ("multi_power", {"params": 7e9}, "does not read params: .* it reads a schedule only"),
    ("critical_batch", {"params": 7e9, "batch_tokens": 4e6}, r"needs tokens: give --tokens \(tokens= in Python\)"),
    ("chinchilla", {"params": 7e9, "tokens": 0.0}, r"tokens is 0.* expected a positive number"),
    ("chinchilla", {"params": 7e9, "token": 1e12}, "unknown input 'token': did you mean 'tokens'"),
]


@pytest.mark.parametrize(("law", "given", "expected"), GIVEN)
def test_what_a_law_reads_of_its_keywords(law, given, expected):
    if isinstance(expected, str):
        with pytest.raises(BadInput, match=expected):
            keywords(get(law), given, {})
    else:
        assert keywords(get(law), given, {}) == expected


FLAGS = [
    (["--tokens", "20xN", "--batch-tokens", "4M"], 2, "chinchilla does not read batch_tokens"),
    (["--tokens", "1.4T"], 0, ""),
    (["--tokens", "1.4T", "--every", "5"], 2, "--every is of a schedule: give --schedule too"),
    (["--tokens", "1.4T", "--unique-tokens", "x"], 2, "--unique-tokens is 'x', expected a number such as"),
    (["--tokens", "1.4T", "--share", "web=.7,code=-1"], 2, "--share is -1, expected at least 0"),
    (["--tokens", "1.4T", "--altitude", "0"], 2, "chinchilla does not read altitude"),
]


@pytest.mark.parametrize(("flags", "code", "said"), FLAGS)
def test_flags_of_inputs(monkeypatch, capsys, flags, code, said):
    monkeypatch.setitem(INPUTS, "h", Input("height above the sea, m", "altitude", zero=True))
    assert main(["predict", "chinchilla:epoch", "--params", "7B", *flags]) == code
    assert said in capsys.readouterr().err


def test_the_help_of_a_flag_is_the_meaning_of_its_input(capsys):
    assert main(["predict", "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    for row in declared():
        assert f"--{row.column.replace('_', '-')}" in text
        assert "".join(row.meaning.split()) in text


def test_a_mixture_of_many_domains_is_asked_about_in_one_sentence():
    shares = {f"share.d{i}": np.linspace(0, 1, 12) for i in range(17)}
    with pytest.raises(BadInput, match=r"share\.d5 \(.*\), 11 more, which chinchilla"):
        comparable(open_runs(rows(**shares)), "chinchilla", ("tokens",))
    runs = open_runs(rows(**shares))
    assert comparable(runs, "mixing", ("share.",)) is runs


def test_fits_of_different_targets_are_not_ranked():
    errors = {"leave_one_run_out": {"mae": 0.1}}
    fits = {
        name: LossFit(law="chinchilla", convention={"loss": loss}, params={}, noise="huber", held_out=errors)
        for name, loss in (("a", "val_loss.code"), ("b", "val_loss_nats"))
    }
    answer = compare(fits)
    assert answer.ranking == ()
    assert "of val_loss.code and val_loss_nats, their errors are not ranked" in answer.warnings[0]


def test_runs_of_a_metric_are_taken_as_they_are():
    table = rows(**{"metric.gain": np.linspace(-1, 1, 12), "peak_lr": np.tile([1e-3, 2e-3], 6)})
    runs = open_runs(table.assign(tokens=1e10), target="gain", assume=["repeats", "outliers"])
    assert tuned(runs, "law", ("tokens",)) is runs


def test_approaches_without_a_law_read_the_target(tmp_path, capsys):
    n, c = (part.ravel() for part in np.meshgrid(np.geomspace(1e8, 1e10, 7), [1e20, 1e21, 1e22]))
    d = c / (6 * n)
    loss = 1.7 + 480 * n**-0.35 + 2100 * d**-0.37
    table = pd.DataFrame({"params_total": n, "tokens": d, "flops_budget": c, "val_loss.code": loss})
    table.to_csv(tmp_path / "runs.csv", index=False)
    command = ["optimum", str(tmp_path / "runs.csv"), "--approach", "2", "--flops", "1e21", "--json", "--force"]
    assert main([*command, "--target", "code"]) == 0
    assert json.loads(capsys.readouterr().out)["convention"] == {"params": "params_total", "loss": "val_loss.code"}
    assert main([*command, "--target", "math"]) == 2
    assert "no target math: it has code." in capsys.readouterr().err


def test_the_page_lists_every_published_format_as_its_module_says():
    page = (Path(__file__).resolve().parent.parent / "docs" / "tables.md").read_text()
    section = page.partition("## Published tables")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.M))
    modules = {name: import_module(f"jaxlaws.records.published.{name}") for name in FORMATS}
    assert listed == {name: (module.__doc__ or "").splitlines()[0] for name, module in modules.items()}
