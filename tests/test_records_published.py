"""The importers of published tables against the files themselves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxlaws
from jaxlaws.errors import BadInput
from jaxlaws.records.cells import cell_of
from jaxlaws.records.published import load, table_of
from jaxlaws.records.published import lr_scheduling as lr_scheduling_format
from jaxlaws.records.published import multi_power_law as multi_power_law_format
from jaxlaws.records.published.olmo_ladder import SIZES
from jaxlaws.records.source import open_runs
from jaxlaws.records.where import where


def test_step_law_counts_tokens_not_sequences(published):
    runs = load(published("step_law/dense_lr_bs_loss.csv"), "step_law")
    table = runs.table
    assert len(table) == 1911
    assert table.groupby(["params_nonembedding", "tokens"]).ngroups == 17
    np.testing.assert_array_equal(table["batch_tokens"], 2048 * table["batch_sequences"])
    np.testing.assert_allclose(table["steps"] * table["batch_tokens"], table["tokens"], rtol=0.003)
    raw = pd.read_csv(published("step_law/dense_lr_bs_loss.csv"))
    np.testing.assert_array_equal(table["loss_nats"], raw["smooth loss"])


def test_step_law_runs_that_end_inside_the_warmup_are_counted(published):
    runs = load(published("step_law/dense_lr_bs_loss.csv"), "step_law")
    assert len(runs.warnings) == 1
    assert runs.warnings[0].startswith("48 of 1911 runs end inside their warm-up")
    short = runs.table[runs.table["steps"] < 2000]
    assert (short["final_lr"] < short["peak_lr"]).all()
    assert where(runs, "steps>=2000").warnings == ()


@pytest.mark.parametrize("size", ["25", "100"])
def test_multi_power_law_schedules_match_the_logged_lr(published, size):
    folder = published(f"multi_power_law/csv_{size}")
    runs = load(folder, "multi_power_law")
    assert len(runs.curves) == 9
    assert set(runs.table["model"]) == {f"{size}M"}
    for name, curve in runs.curves.items():
        raw = pd.read_csv(folder / f"{name}.csv").set_index("step")
        np.testing.assert_allclose(curve.lr[curve.at], raw["lr"].loc[curve.at], rtol=1e-12)
        np.testing.assert_array_equal(curve.loss, raw["loss"].loc[curve.at])
    assert len(runs.curves["wsdcon_9"].lr) == 16000
    assert runs.table.loc["cosine_72000", "steps"] == 72000


def test_multi_power_law_drops_rows_past_the_end(tmp_path):
    rows = pd.DataFrame({"step": [2200, 12000, 24000], "lr": [3e-4, 3e-4, 3e-4], "loss": [4.0, 3.5, 3.4]})
    rows.to_csv(tmp_path / "constant_24000.csv", index=False)
    curve = load(tmp_path, "multi_power_law").curves["constant_24000"]
    np.testing.assert_array_equal(curve.at, [2200, 12000])


@pytest.mark.parametrize(
    ("name", "message"),
    [("mystery_3", "names no published schedule"), ("wsd_20000_24000", "rename it"), ("wsd_9_8", "expected 2160")],
)
def test_multi_power_law_refuses_a_name_that_the_lr_contradicts(tmp_path, name, message):
    rows = pd.DataFrame({"step": [2200, 23000], "lr": [3e-4, 3e-4], "loss": [4.0, 3.5]})
    rows.to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(BadInput, match=message):
        load(tmp_path, "multi_power_law")


def test_multi_power_law_schedules_are_continuous_where_their_parts_meet():
    for name in ("cosine_24000", "wsd_20000_24000", "wsdld_20000_24000"):
        lr = multi_power_law_format.schedule(name)
        assert lr[0] == 0
        assert np.abs(np.diff(lr)).max() < 2e-7
        assert 3e-5 < lr[-1] < 3.04e-5


def test_isoflop_default_leaves_out_the_five_highest_losses(published):
    path = published("isoflops/chinchilla_figure4_epoch.csv")
    every, kept = load(path, "isoflop_all").table, load(path, "isoflop").table
    assert (len(every), len(kept)) == (245, 240)
    assert kept["loss_nats"].max() < every["loss_nats"].nlargest(5).min() == pytest.approx(3.44699543)
    raw = pd.read_csv(path)
    np.testing.assert_allclose(6 * every["params_total"] * every["tokens"], raw["Training FLOP"], rtol=1e-14)


def test_isoflop_of_the_other_group_uses_its_own_tokens(published):
    table = load(published("isoflops/ml_scalefit.csv"), "isoflop").table
    ratio = 6 * table["params_total"] * table["tokens"] / table["flops_budget"]
    assert len(table) == 124
    assert ratio.min() == pytest.approx(0.90, abs=0.005)
    assert ratio.max() == pytest.approx(1.10, abs=0.005)


def test_lr_scheduling_schedules_match_the_logged_lr(published):
    folder = published("lr_scheduling")
    runs = load(folder, "lr_scheduling")
    rows = pd.read_csv(folder / "curves.csv").dropna(subset=["lr"]).groupby("run_id")
    assert len(runs.table) == len(runs.curves) == 87
    assert set(runs.table["batch_tokens"]) == {51200}
    for run_id, curve in runs.curves.items():
        logged = rows.get_group(run_id)
        logged = logged[logged["step"] < len(curve.lr)]
        np.testing.assert_allclose(curve.lr[logged["step"]], logged["lr"], rtol=1e-9)
        assert curve.at[-1] == runs.table.loc[run_id, "steps"] - 200 - 1


def test_lr_scheduling_final_loss_is_one_offset_above_the_curve(published):
    folder = published("lr_scheduling")
    runs, final = load(folder, "lr_scheduling"), load(folder, "lr_scheduling_final")
    offset = [final.curves[name].loss[0] - runs.curves[name].loss[-1] for name in runs.table.index]
    assert np.median(offset) == pytest.approx(0.036, abs=0.001)
    assert all(len(curve.at) == 1 and curve.at[0] == len(curve.lr) - 1 for curve in final.curves.values())
    np.testing.assert_allclose(runs.table["final_lr"], [final.curves[name].lr[-1] for name in runs.table.index])


def test_lr_scheduling_schedule_has_the_stated_area():
    lr = lr_scheduling_format.schedule(peak_lr=1e-3, steps=50000, cooldown_fraction=0.2)
    assert lr.sum() == pytest.approx(1e-3 * (50000 * 0.9 + 0.5 - 0.99 * 301 / 2), rel=1e-12)


def test_unknown_format_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'step_law'"):
        load(Path(), "step_lw")


def test_over_training_has_a_loss_for_each_of_eight_targets(published):
    runs = open_runs(published("over_training/models.csv"), format="over_training", target="loss_3")
    raw = pd.read_csv(published("over_training/models.csv"))
    assert runs.targets == tuple(f"loss_{i}" for i in range(8))
    np.testing.assert_array_equal(runs.table[runs.loss_column], raw["loss_3"])
    np.testing.assert_allclose(runs.table["tokens"], 20 * raw["params"] * raw["mult"], rtol=0.01)


def test_gemstones_say_what_the_cooldown_gains(published):
    folder = published("gemstones")
    table = load(folder, "gemstones").table
    assert len(table) == 199
    gains = table["metric.cooldown_gain"].dropna()
    assert (len(gains), (gains > 0).sum()) == (180, 179)
    assert gains.median() == pytest.approx(0.0754, abs=1e-4)
    hot, cool = (pd.read_json(folder / f"{name}.jsonl", lines=True) for name in ("hot", "cool_end"))
    low, high = (hot[hot["run_name"] == "PyGemma-768x3_pretrain"].sort_values("tokens").iloc[i] for i in (0, 1))
    end = cool[cool["run_name"] == "PyGemma-768x3_pretrain"].sort_values("tokens").iloc[0]
    share = np.log(end["tokens"] / low["tokens"]) / np.log(high["tokens"] / low["tokens"])
    constant = low["final_loss"] + share * (high["final_loss"] - low["final_loss"])
    gain = table.loc["PyGemma-768x3_pretrain_11B", "metric.cooldown_gain"]
    assert gain == pytest.approx(constant - end["final_loss"], abs=1e-12)


def test_the_olmo_ladder_has_curves_of_each_validation_set(published):
    folder = published("olmo_ladder")
    sizes = [size for size in SIZES if (folder / f"{size}-1xC.csv").exists()]
    assert {"190M", "370M", "760M", "1B"} <= set(sizes)
    peaks = [pd.read_csv(folder / f"{size}-1xC.csv", nrows=1)["learning_rate_peak"].iloc[0] for size in sizes]
    assert [round(1.08e8 * (4 * peak / 0.0047) ** -3) for peak in peaks] == [SIZES[size] for size in sizes]
    runs = open_runs(folder, format="olmo_ladder", target="c4_en", where="params_nonembedding<2e8")
    assert runs.table.loc["190M-1xC", "val_loss.c4_en"] == pytest.approx(3.60097, abs=1e-5)
    curve = runs.curves["190M-0.5xC"]
    assert curve.loss[-1] == runs.table.loc["190M-0.5xC", "val_loss.c4_en"]
    assert curve.lr[50] == pytest.approx(curve.lr.max() * 51 / 364, rel=0.02)
    books = open_runs(folder, format="olmo_ladder", target="dolma_books", where="run_id=='190M-1xC'")
    assert books.table.loc["190M-1xC", "val_loss.dolma_books"] == books.curves["190M-1xC"].loss[-1]
    with pytest.raises(BadInput, match="choose a target, such as --target c4_en; it has c4_en, dolma_books"):
        open_runs(folder, format="olmo_ladder")


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_gemstones_are_read_from_the_files_of_the_authors_repository(tmp_path):
    row = {"run_name": "m", "params_active_precise": 1e8, "width": 512, "depth": 8}
    for name, losses in (("hot", {1e9: 3.0, 2e9: 2.9}), ("cool_end", {2e9: 2.8})):
        lines = [json.dumps({**row, "tokens": tokens, "final_loss": loss}) for tokens, loss in losses.items()]
        written(tmp_path / f"wandb_df_for_fitting_{name}.jsonl", "\n".join(lines))
    table = load(tmp_path, "gemstones").table
    np.testing.assert_allclose(table["metric.cooldown_gain"], [0.1])


def model_of_over_training(loss: float, tokens: float) -> dict:
    sizes = {"params": 2e7, "params_no_embed": 1e7, "tokens": tokens}
    hyperparameters = {**sizes, "lr": 3e-3, "cd": 3e-5, "wd": 0.03, "warmup": 100, "global_bs": 64}
    results = [
        {"loss": loss + 1, "val_data": ["training/eval_data/val_tok_mult/openlm/shard_0.tar"]},
        {"loss": loss, "val_data": ["training/eval_data/c4_val/shard-{0..1}.tar"]},
    ]
    return {"name": "x", "dataset_name": "c4_original", "hyperparameters": hyperparameters, "results": results}


def test_over_training_is_read_from_a_json_file_a_model(tmp_path):
    for i, loss in enumerate((4.0, 3.5)):
        written(tmp_path / f"c4_original-{i}.json", model_of_over_training(loss, 1e9 * (i + 1)))
    runs = open_runs(tmp_path, format="over_training", target="c4_val")
    assert list(runs.table["val_loss.c4_val"]) == [4.0, 3.5]
    assert runs.targets == ("openlm", "c4_val")
    assert list(runs.table["tokens"]) == [1e9, 2e9]
    written(tmp_path / "other.json", {"name": "x"})
    with pytest.raises(BadInput, match=r"other\.json is no model of the format over_training"):
        load(tmp_path, "over_training")


def routed(tmp_path: Path) -> Path:
    """A table of the layout of `moe_lr_bs_loss.csv`: grids at one total and three activated sizes."""
    rows = [
        {
            **{"h": 512, "ffnh": 1024, "numh": 8, "numl": 8, "seq_len": 1024, "topk": 1, "nume": 8, "moeh": 256},
            **{"lr": lr, "bs": batch, "ti": 20_000, "loss": 3.0, "D": 1024.0 * 20_000 * batch, "N": 2e9, "Na": active},
            "smooth loss": 2.5 + 1e4 / active**0.5 + 0.02 * np.log(lr / 1e-3) ** 2 + 1e-4 * batch,
            "exp_name": f"{active:g}_{lr:g}_{batch}",
        }
        for active in (2e8, 5e8, 1e9)
        for lr in (5e-4, 1e-3, 2e-3)
        for batch in (128, 256)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "moe.csv", index=False)
    return tmp_path / "moe.csv"


def test_step_law_keeps_activated_and_total_parameters_apart(tmp_path):
    runs = open_runs(routed(tmp_path), format="step_law")
    assert set(runs.table["params_nonembedding"]) == {2e9}
    assert set(runs.table["params_mean"]) == {2e8, 5e8, 1e9}
    assert len(set(cell_of(runs.table))) == 6
    assert "--format step_law_active" in runs.warnings[0]
    np.testing.assert_array_equal(runs.table["batch_tokens"], 1024 * runs.table["batch_sequences"])
    with pytest.raises(BadInput, match="the runs differ in params_mean"):
        jaxlaws.fit("step_law", runs)
    active = open_runs(routed(tmp_path), format="step_law_active")
    assert set(active.table["params_nonembedding"]) == {2e8, 5e8, 1e9}
    assert active.warnings == ("N is the activated parameters (Na); with every expert they are 2e+09 to 2e+09.",)
    assert len(set(cell_of(active.table))) == 6


def log_of_lr_scheduling(name: str, first: int, lr: np.ndarray, **config: object) -> dict:
    """A log of the layout of the authors' `data`, with a validation every 20 steps and an LR every 10."""
    steps = len(lr)
    on, at = np.arange(first + 10, steps + 1, 10), np.arange(first, steps, 20)
    settings = {
        **{"scheduler": "wsd", "decay_type": "linear", "wsd_fract_decay": 0.2, "lr": 1e-3, "iterations": steps},
        **{"warmup_steps": 30, "batch_size": 5, "acc_steps": 2, "sequence_length": 64, "weight_decay": 0.1},
        **{"beta1": 0.9, "beta2": 0.95, "grad_clip": 1, "dataset": "slimpajama", "resume_from": None, **config},
    }
    val = {"iter": at.tolist(), "val_loss": (4 - at / steps).tolist(), "val_acc": [0.1]}
    train = {"iter": on.tolist(), "train_lr": np.append(lr, 0.0)[on].tolist()}
    summary = {"parameters": 1e6, "final-val/loss": 3.05}
    return {"name": name, "config": settings, "summary": summary, "history": {"val": val, "train": train}}


def test_lr_scheduling_is_read_from_the_logs_of_its_authors(tmp_path):
    share = np.arange(400) / 400
    warm = np.minimum(1.0, 0.01 + 0.99 * np.arange(600) / 30)
    lrs = {
        "trunk": lr_scheduling_format.schedule(1e-3, 600, 0.0, 30),
        "linear": lr_scheduling_format.schedule(1e-3, 400, 0.2, 30),
        "sqrt": lr_scheduling_format.schedule(1e-3, 400, 0.2, 30, "sqrt"),
        "cosine": 1e-3 * np.minimum(warm[:400], 0.5 * (1 + np.cos(np.pi * share))),
        "twostage": 1e-3 * np.r_[warm[:300], np.full(200, 0.7), 0.7 * (1 - np.arange(100) / 100)],
    }
    stable = {"wsd_fract_decay": 0.0}
    resumed = {"scheduler": "wsd_twostage", "resume_from": "/exps/trunk/ckpts/300"}
    logs = {
        "trunk": log_of_lr_scheduling("trunk", 0, lrs["trunk"], **stable),
        "linear": log_of_lr_scheduling("linear", 200, lrs["linear"], resume_from="/exps/trunk/ckpts/200"),
        "sqrt": log_of_lr_scheduling("sqrt", 200, lrs["sqrt"], decay_type="sqrt"),
        "cosine": log_of_lr_scheduling("cosine", 0, lrs["cosine"], scheduler="cos"),
        "twostage": log_of_lr_scheduling("twostage", 300, lrs["twostage"], **resumed),
        "orphan": log_of_lr_scheduling("orphan", 300, lrs["twostage"], scheduler="wsd_twostage"),
    }
    for name, log in logs.items():
        written(tmp_path / f"{name}.json", log)
    runs = load(tmp_path, "lr_scheduling")
    assert set(runs.curves) == set(lrs)
    assert "1 of 6 runs are left out" in runs.notes[0]
    assert "(first: orphan)" in runs.notes[0]
    for name, lr in lrs.items():
        np.testing.assert_allclose(runs.curves[name].lr, lr, atol=2e-5, err_msg=name)
        assert runs.curves[name].at[-1] == len(lr) - 20 - 1
    for name in ("trunk", "linear", "sqrt"):
        np.testing.assert_array_equal(runs.curves[name].lr, lrs[name])
    assert list(runs.table["schedule"]) == ["cos", "wsd_linear_0.2", "wsd_sqrt_0.2", "wsd_linear_0", "wsd_twostage"]
    assert set(runs.table["batch_tokens"]) == {640}
    final = load(tmp_path, "lr_scheduling_final")
    assert {float(curve.loss[0]) for curve in final.curves.values()} == {3.05}
    written(tmp_path / "broken.json", {"config": {}})
    with pytest.raises(BadInput, match=r"broken\.json is no log of the format lr_scheduling"):
        load(tmp_path, "lr_scheduling")


def test_other_models_in_the_folder_of_the_olmo_ladder_are_left_out(tmp_path):
    columns = {"_step": [1, 2], "optim/learning_rate_group0": 1e-3, "throughput/total_tokens": [1e6, 2e6]}
    columns |= {"batch_size_in_tokens": 1e6, "learning_rate_peak": 1e-3, "eval/c4_en-validation/CrossEntropyLoss": 4.0}
    for name in ("3B-1xC", "peteish7-other"):
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
    table = table_of(tmp_path, "olmo_ladder")
    assert set(table["run_id"]) == {"3B-1xC"}
    assert set(table["params_nonembedding"]) == {3_169_537_280}
