"""What a table of any tracker is understood as: columns, counts, how runs ended, selections, joins, formats."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.records.aliases import ALIASES, ALONG
from jaxlaws.records.naming import candidates
from jaxlaws.records.source import open_runs
from jaxlaws.schedules.of_runs import read_schedules

N, D = np.repeat([5e7, 1e8, 2e8, 4e8], 4), np.tile([1e9, 2e9, 4e9, 8e9], 4)
LOSS = 1.7 + 480 * N**-0.35 + 2100 * D**-0.37
STEP = np.arange(0, 1000, 20)


def table(**columns):
    rows = {"Name": [f"r{i}" for i in range(16)], "non_embedding_params": N, "tokens": D, "val/loss": LOSS}
    return pd.DataFrame(rows).assign(**columns)


def history(runs=4):
    lr = 1e-3 * (0.5 + 0.5 * np.cos(np.pi * STEP / 1000))
    one = pd.DataFrame({"_step": STEP, "lr": lr, "val/loss": 3 + 1 / (1 + STEP)})
    return pd.concat([one.assign(run=f"r{i}", **{"val/loss": one["val/loss"] + i / 100}) for i in range(runs)])


@pytest.mark.parametrize(
    ("name", "along", "ours"),
    [
        ("Learning Rate", False, "peak_lr"),
        ("config/optim/lr", False, "peak_lr"),
        ("params.LR", False, "peak_lr"),
        ("trainer.optimizer.lr", False, "peak_lr"),
        ("config.lr.value", False, "peak_lr"),
        ("train/learning_rate", True, "lr"),
        ("lr-AdamW/pg1", True, "lr"),
        ("GlobalBatchSize", False, "batch_sequences"),
        ("tokens_per_step", False, "batch_tokens"),
        ("Adam Beta2", False, "beta2"),
        ("WD", False, "weight_decay"),
        ("num_params", False, "params"),
        ("trainer/global_step", True, "step"),
        ("Eval Loss", False, "val_loss_nats"),
        ("metrics.val_loss", False, "val_loss_nats"),
        ("test loss", True, "loss"),
        ("State", False, "status"),
        ("context-length", False, "seq_len"),
        ("Tokens [B]", False, "tokens"),
    ],
)
def test_names_are_known_in_any_case_and_with_any_separators(name, along, ours):
    assert ours in [known for known, *_ in candidates(name, along)]


@pytest.mark.parametrize("name", ["lr_scheduler_gamma", "eval/batch_size", "grad_norm", "val/accuracy", "train/lr"])
def test_metrics_and_other_settings_are_no_columns_of_ours(name):
    assert not candidates(name, along=False)


def test_the_page_lists_every_name():
    page = (Path(__file__).resolve().parent.parent / "docs" / "tables.md").read_text().split("## Questions")[0]
    listed = re.findall(r"^\| `(\w+)` \| (`.*) \|$", page, re.M)
    rows = {ours: set(re.findall(r"`([^`]+)`", names)) for ours, names in listed}
    assert rows == {ours: set(" ".join(lines).split()) for ours, lines in {**ALIASES, **ALONG}.items()}


def test_no_name_means_two_things():
    for names, along in ((ALIASES, False), (ALONG, True)):
        for ours, lines in names.items():
            for name in " ".join(lines).split():
                found = {known for known, *_ in candidates(name, along)}
                assert ours in found
                assert len(found) == 1 or found <= {"run_id", "steps", "step"}, name


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        (table(bs=64, block_size=2048), {}, {"batch_tokens": 131072}),
        (table(bs=64), {"set": {"seq_len": "2k"}}, {"batch_tokens": 128000}),
        (table(batch_size=65536, max_steps=D / 65536), {}, {"batch_tokens": 65536}),
        (table(batch_size=32, max_steps=D / 65536), {}, {"batch_tokens": 65536}),
        (table(tokens_per_step=65536, max_steps=D / 65536).drop(columns="tokens"), {}, {"tokens": D}),
        (table(tokens=D / 1e9).rename(columns={"tokens": "Tokens (billions)"}), {}, {"tokens": D}),
        (table(warmup_ratio=0.1, max_steps=1000, bs=1, seq_len=D / 1000), {}, {"warmup_steps": 100}),
        (table(n_params=N + 1e6), {}, {"params_nonembedding": N, "params_total": N + 1e6}),
        (table().rename(columns={"non_embedding_params": "N"}), {}, {"params_nonembedding": N}),
        (
            table(total_params=N + 1024 * 512, vocab_size=1024, d_model=512).drop(columns="non_embedding_params"),
            {},
            {"params_nonembedding": N},
        ),
        (
            table(total_params=N + 2 * 1024 * 512).drop(columns="non_embedding_params"),
            {"set": {"vocab": 1024, "width": 512, "untied": "true"}},
            {"params_nonembedding": N},
        ),
        (
            table(Name=[f"{n / 1e6:g}M-{d / 1e9:g}B" for n, d in zip(N, D, strict=True)])[["Name", "val/loss"]],
            {"name": "{params}-{tokens}"},
            {"params_nonembedding": N, "tokens": D},
        ),
        (table(**{"eval/loss": LOSS + 0.1}), {"map": {"loss": "Eval/Loss"}}, {"loss_nats": LOSS + 0.1}),
        (table(**{"eval/loss": LOSS}), {}, {"val_loss_nats": LOSS}),
        (table(lr=1e-3), {"map": {"peak_lr": "lr"}}, {"peak_lr": 1e-3}),
        (table(LR=1e-3, learning_rate=1e-3), {}, {"peak_lr": 1e-3}),
    ],
)
def test_columns_are_read_and_made(rows, options, expected):
    found = open_runs(rows, **options).table
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)


def test_a_trackers_count_of_what_it_logged_is_no_batch():
    runs = open_runs(table(_step=100, batch_size=64, seq_len=1024))
    assert "steps" not in runs.table
    assert "no count of optimiser steps" in runs.notes[0]
    assert "batch_tokens" not in open_runs(table(_step=100)).table


def test_n_of_either_kind_is_said():
    notes = open_runs(table().rename(columns={"non_embedding_params": "n_params"})).notes
    assert "--map params_total=n_params" in notes[0]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (table(**{"eval/loss": LOSS + 0.1}), {}, "'val/loss' and 'eval/loss' could both be .* --map loss=val/loss"),
        (table(lr=1e-3, learning_rate=2e-3), {}, "'lr' and 'learning_rate' could both be peak_lr"),
        (table().rename(columns={"val/loss": "c4_entropy"}), {}, "may be c4_entropy, such as --map loss=c4_entropy"),
        (table(), {"map": {"loss": "val/los"}}, "no column 'val/los'; it has Name"),
        (table(), {"where": "group==a"}, "no column group; it has params_nonembedding"),
        (table(), {"set": {"seqlength": 1, "foo": 2}}, "unknown column in --set 'foo'"),
        (table(), {"name": "{params}M"}, "does not fit the run 'r0'"),
        (table(), {"join": table(Name="other")}, "join 1 has no run of the frame to join .* --map run_id=NAME"),
        (table(State="odd"), {}, "the status 'odd', expected ok, diverged, failed"),
        (history().drop(columns="run"), {}, "no run id, as several runs in one table have"),
        (history().drop(columns="lr"), {}, "no column lr; .* --schedules"),
    ],
)
def test_what_cannot_be_understood_names_columns_and_flags(rows, options, words):
    with pytest.raises(BadInput, match=words):
        open_runs(rows, **options)


def test_what_a_law_lacks_is_refused_with_the_flag_to_give(tmp_path, capsys):
    table(total_params=N, lr=1e-3, bs=8).drop(columns="non_embedding_params").to_csv(tmp_path / "runs.csv")
    assert main(["fit", "step_law", str(tmp_path / "runs.csv")]) == 2
    error = capsys.readouterr().err
    assert "--set vocab=… --set width=…" in error
    assert "--set seq_len=2048" in error


@pytest.mark.parametrize(
    ("state", "loss", "sentence"),
    [
        ("crashed", "", "1 crashed (r0)"),
        ("FAILED", "2.5", "1 failed (r0)"),
        ("killed", "2.5", "1 killed (r0)"),
        ("running", "2.5", "1 running (r0)"),
        ("finished", "NaN", "1 NaN (r0) taken as diverged"),
        ("finished", "Infinity", "1 NaN (r0) taken as diverged"),
        ("finished", "", "1 NaN (r0) taken as diverged"),
        ("diverged", "", "1 diverged (r0)"),
    ],
)
def test_how_runs_ended(tmp_path, state, loss, sentence):
    rows = table(State=[state, *["finished"] * 15])
    rows["val/loss"] = [loss, *map(str, LOSS[1:])]
    rows.to_csv(tmp_path / "runs.csv", index=False)
    runs = open_runs(tmp_path / "runs.csv")
    assert runs.usage.sentence().startswith(f"16 runs: 15 used, {sentence}")
    assert len(runs.finished().table) == 15


def test_an_empty_cell_beside_a_spelt_nan_is_no_loss_at_all(tmp_path):
    rows = table(State="finished")
    rows["val/loss"] = ["NaN", "", *map(str, LOSS[2:])]
    rows.to_csv(tmp_path / "runs.csv", index=False)
    sentence = open_runs(tmp_path / "runs.csv").usage.sentence()
    assert "1 finished without a loss (r1), 1 NaN (r0) taken as diverged" in sentence


def test_a_crashed_run_may_lack_what_the_others_state():
    rows = table(tokens=np.where(N == 5e7, np.nan, D), State=np.where(N == 5e7, "crashed", "finished"))
    assert len(open_runs(rows).table) == 12


@pytest.mark.parametrize(
    ("conditions", "kept"),
    [
        ("State==finished", 8),
        ("status==finished", 8),
        ("state==ok", 8),
        (["group==a", "tokens>=2B"], 4),
        ("group!='b b'", 4),
        ("learning_rate<=1e-3", 16),
        ("optimizer==AdamW", 16),
        ("optim==adamw_torch", 16),
        ("note>3", 12),
    ],
)
def test_selections_by_columns_of_the_file(conditions, kept):
    rows = table(State=["finished", "crashed"] * 8, group=["a", "b b", "b b", "b b"] * 4, lr=1e-3, note=range(16))
    rows["optim"] = "adamw_torch"
    rows.loc[[4, 8, 12], "group"] = ["a", "a", "a"]
    if conditions == ["group==a", "tokens>=2B"]:
        rows["group"] = np.where(rows.index % 4 == 2, "a", "b")
    runs = open_runs(rows, where=conditions)
    assert len(runs.table) == kept
    assert kept == 16 or f"{16 - kept} outside --where" in runs.usage.sentence()


def test_an_outlier_is_left_out_by_request_alone_and_named():
    rows = table(**{"val/loss": np.where(np.arange(16) == 7, 3 * LOSS, LOSS)})
    with pytest.raises(BadInput, match=r"run 'r7' has 8\.747, 3 times what they say.*--assume outliers=out"):
        open_runs(rows)
    assert "15 used, 1 outlier (r7, 8.747)" in open_runs(rows, assume=["outliers=out"]).usage.sentence()
    assert len(open_runs(rows, assume=["outliers"]).table) == 16


@pytest.mark.parametrize("swapped", [False, True])
def test_a_history_and_its_table_of_runs(swapped):
    states = ["finished", "finished", "crashed", "running", "finished"]
    about = pd.DataFrame(
        {"Name": [f"r{i}" for i in range(5)], "State": states, "non_embedding_params": 1e8, "lr": 1e-3}
    )
    source, other = (about, history()) if swapped else (history(), about)
    runs = open_runs(source, join=other)
    assert set(runs.curves) == {"r0", "r1"}
    assert (runs.table["params_nonembedding"] == 1e8).all()
    assert "1 crashed (r2), 1 running (r3)" in runs.usage.sentence()
    assert "1 runs of" in runs.notes[0]


def test_a_curve_that_ends_as_nan_diverged():
    rows = history().astype({"val/loss": object}).reset_index(drop=True)
    rows.loc[(rows["run"] == "r3") & (rows["_step"] > 900), "val/loss"] = "NaN"
    runs = open_runs(rows)
    assert set(runs.curves) == {"r0", "r1", "r2"}
    assert "1 NaN (r3) taken as diverged" in runs.usage.sentence()


def test_curves_without_a_learning_rate_take_it_from_specs(tmp_path):
    plan = {"run": [f"r{i}" for i in range(4)], "schedule": ["cosine", "constant", "wsd(cooldown=0.2)", "linear"]}
    pd.DataFrame({**plan, "steps": 1000, "peak_lr": 1e-3, "warmup_steps": 50}).to_csv(tmp_path / "plan.csv")
    history().drop(columns="lr").to_csv(tmp_path / "losses.csv", index=False)
    lrs = read_schedules(tmp_path / "plan.csv")
    runs = open_runs(tmp_path / "losses.csv", schedules=lrs)
    np.testing.assert_array_equal(runs.curves["r2"].lr, lrs["r2"])
    assert runs.curves["r2"].warmup_steps == 50
    (tmp_path / "bad.csv").write_text("run_id,schedule,steps,peak_lr\na,wsd(cooldwn=1),10,1e-3\n")
    with pytest.raises(BadInput, match="run 'a': unknown field of wsd"):
        read_schedules(tmp_path / "bad.csv")


def test_final_losses_of_curves_without_a_learning_rate():
    rows = history().drop(columns="lr").assign(tokens=lambda rows: (rows["_step"] + 1) * 1e5, n_params=1e8)
    runs = open_runs(rows)
    np.testing.assert_allclose(runs.table["loss_nats"], 3 + 1 / 981 + np.arange(4) / 100)
    assert set(runs.table["tokens"]) == {981e5}
    assert "the last row of each of 4 runs" in " ".join(runs.notes)


@pytest.mark.parametrize(
    ("column", "theirs", "ours"),
    [
        ("optim", "torch.optim.AdamW", "adamw"),
        ("optimizer", "Muon", "muon"),
        ("optimizer", "AdamWScheduleFree", "schedule_free_adamw"),
        ("optimizer", "sophia", "sophia"),
        ("lr_scheduler_type", "cosine_with_warmup", "cosine"),
        ("schedule", "wsd(cooldown=0.2)", "wsd(cooldown=0.2)"),
    ],
)
def test_words_of_trainers_mean_ours(column, theirs, ours):
    found = open_runs(table(**{column: theirs})).table
    assert set(found["optimizer" if column == "optim" else column.replace("lr_scheduler_type", "schedule")]) == {ours}


def _jsonl(rows, path):
    rows.to_json(path, orient="records", lines=True)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("runs.jsonl", _jsonl),
        ("runs.ndjson.gz", _jsonl),
        ("runs.json", lambda rows, path: rows.to_json(path, orient="records")),
        ("runs.tsv.bz2", lambda rows, path: rows.to_csv(path, sep="\t", index=False)),
        ("runs.csv.xz", lambda rows, path: rows.to_csv(path, sep=";", decimal=",", index=False)),
        ("runs.csv", lambda rows, path: path.write_text("sep=;\n" + rows.to_csv(sep=";", index=False) + ";;;\n")),
        ("runs.csv", lambda rows, path: path.write_text(rows.to_csv(index=True))),
    ],
)
def test_formats(tmp_path, name, write):
    write(table(), tmp_path / name)
    expected = open_runs(table()).table
    pd.testing.assert_frame_equal(open_runs(tmp_path / name).table, expected, check_dtype=False, check_index_type=False)


@pytest.mark.parametrize(
    "text",
    ["not json\n", "[1, 2]", "{}", "[" * 100_000, '{"a": [1]}', "", "[{}]", "[]", '{"kind": "hyper_law", "law": "x"}'],
)
def test_json_that_is_no_table_is_one_sentence(tmp_path, text):
    (tmp_path / "runs.jsonl").write_text(text)
    with pytest.raises(BadInput, match=r"runs\.jsonl"):
        open_runs(tmp_path / "runs.jsonl")


@pytest.mark.parametrize("change", [lambda rows: rows.set_index("Name"), lambda rows: rows.set_index(rows.pop("Name"))])
def test_a_frame_may_be_indexed_by_run(change):
    assert list(open_runs(change(table())).table.index) == [f"r{i}" for i in range(16)]


def test_nested_records_of_an_api(tmp_path):
    records = [
        {
            "id": f"id{i}",
            "name": "same",
            "config": {"lr": {"value": 1e-3, "desc": None}, "model": {"non_embedding_params": 1e8 * (i + 1)}},
            "summary": {"val": {"loss": 3 - i / 10}, "_wandb": {"runtime": 3}},
        }
        for i in range(5)
    ]
    (tmp_path / "runs.json").write_text(json.dumps({"runs": records}))
    runs = open_runs(tmp_path / "runs.json").table
    assert list(runs.index) == [f"id{i}" for i in range(5)]
    assert list(runs["params_nonembedding"]) == [1e8, 2e8, 3e8, 4e8, 5e8]


LADDER = ("--map", "loss=eval/c4_en-validation/CrossEntropyLoss")


def test_the_olmo_ladder_as_it_comes(published, capsys):
    folder = str(published("olmo_ladder"))
    runs = open_runs(folder, map={"loss": "eval/c4_en-validation/CrossEntropyLoss"})
    assert len(runs.curves) == 24
    np.testing.assert_allclose(runs.table.loc["190M-1xC", "loss_nats"], 3.60097, atol=1e-5)
    assert main(["fit", "multi_power", folder]) == 2
    assert "--target c4_en; it has c4_en, dolma_books," in capsys.readouterr().err
    flags = ("--name", "{params_nonembedding}-{}", "--bootstrap", "0", "--starts", "4", "--force", "--json")
    assert main(["fit", "chinchilla", folder, *LADDER, *flags]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["used"].startswith("24 runs: 24 used; ")


@pytest.mark.slow
def test_a_curve_law_of_one_size_of_the_olmo_ladder(published, capsys):
    flags = ("--where", "batch_size_in_tokens==524288", "--bootstrap", "0", "--starts", "2", "--force", "--json")
    assert main(["fit", "opl", str(published("olmo_ladder")), *LADDER, *flags]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["used"].startswith("24 runs: 6 used, 18 outside --where; ")
