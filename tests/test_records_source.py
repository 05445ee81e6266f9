"""Opening tables of any kind: columns by name or by map, curves, and one clear sentence for what cannot be used."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.records.source import open_runs


def table(**columns):
    rows = pd.DataFrame(
        {
            "run_id": ["a", "b", "c"],
            "params_nonembedding": [1e8, 2e8, 4e8],
            "tokens": [2e9, 4e9, 8e9],
            "steps": [4000, 8000, 16000],
            "batch_tokens": [5e5, 5e5, 5e5],
            "peak_lr": [1e-3, 7e-4, 5e-4],
            "loss_nats": [3.2, 3.0, 2.8],
        }
    )
    return rows.assign(**columns)


def curve(**columns):
    step = np.arange(100)
    lr = 1e-3 * np.minimum((step + 1) / 10, 1) * np.where(step < 79, 1, (100 - step) / 21)
    return pd.DataFrame({"step": step, "lr": lr, "loss": 3 + 1 / (1 + step)}).assign(**columns)


@pytest.fixture
def opened(tmp_path):
    def write_and_open(rows, **options):
        path = tmp_path / "runs.csv"
        rows.to_csv(path, index=False)
        return open_runs(path, **options)

    return write_and_open


def test_a_table_of_runs_keeps_known_columns_and_order(opened):
    runs = opened(table(notes=["x", "y", "z"]))
    assert list(runs.table.index) == ["a", "b", "c"]
    assert "notes" not in runs.table
    assert runs.loss_column == "loss_nats"


def test_the_same_content_has_the_same_digest_and_other_content_another(opened):
    first = opened(table()).digest
    assert opened(table(notes=["x", "y", "z"])).digest == first
    assert opened(table(loss_nats=[3.2, 3.0, 2.8000001])).digest != first


def test_columns_by_map_as_a_tracker_exports_them(opened):
    export = table().rename(columns={"loss_nats": "val/ce", "params_nonembedding": "N", "run_id": "Name"})
    export["State"] = ["finished", "finished", "crashed"]
    export.loc[2, "val/ce"] = np.nan
    names = {"loss": "val/ce", "params_nonembedding": "N", "run_id": "Name", "status": "State"}
    runs = opened(export, map=names)
    assert list(runs.table["status"]) == ["ok", "ok", "failed"]
    assert list(runs.finished().table.index) == ["a", "b"]


def test_a_mapped_column_replaces_one_of_the_same_name(opened):
    runs = opened(table(other=[1.5, 1.4, 1.3]), map={"loss_nats": "other"})
    assert list(runs.table["loss_nats"]) == [1.5, 1.4, 1.3]


def test_counts_may_be_written_with_suffixes(opened):
    runs = opened(table(params_nonembedding=["100M", "200M", "0.4B"]))
    assert list(runs.table["params_nonembedding"]) == [1e8, 2e8, 4e8]


def test_where_selects_before_values_are_checked(opened):
    rows = table(loss_nats=[3.2, np.nan, 2.8])
    assert list(opened(rows, where="loss_nats>0 and params_nonembedding<=0.4B").table.index) == ["a", "c"]


def test_sequences_and_their_length_give_tokens_of_a_batch(opened):
    rows = table(batch_sequences=[250.0] * 3, seq_len=2000).drop(columns="batch_tokens")
    assert list(opened(rows).table["batch_tokens"]) == [5e5] * 3


def test_curves_from_rows_of_steps(opened):
    rows = pd.concat([curve(run_id="a", batch_tokens=65536), curve(run_id="b", batch_tokens=65536)])
    runs = opened(rows[rows["step"] % 5 == 4])
    np.testing.assert_allclose(runs.curves["a"].lr, curve()["lr"], rtol=1e-9)
    assert runs.curves["b"].warmup_steps == 10
    assert runs.table.loc["a", "batch_tokens"] == 65536
    assert runs.table.loc["a", "steps"] == 100
    assert runs.table.loc["a", "loss_nats"] == pytest.approx(3.01)


def test_a_curve_without_warmup_has_none(opened):
    assert opened(curve(lr=1e-3)).curves["curve"].warmup_steps == 0


def test_a_curve_that_begins_late_needs_its_warmup(opened):
    late = curve()[lambda rows: rows["step"] >= 30]
    with pytest.raises(BadInput, match="add the column warmup_steps"):
        opened(late)
    np.testing.assert_allclose(opened(late.assign(warmup_steps=10)).curves["curve"].lr, curve()["lr"], rtol=1e-9)


def test_a_published_curve_read_as_a_plain_table_has_the_same_schedule(published, opened):
    from jaxlaws.records.published.multi_power_law import schedule

    raw = pd.read_csv(published("multi_power_law/csv_25/cosine_24000.csv"))
    lr = opened(raw.assign(warmup_steps=2160)).curves["curve"].lr
    np.testing.assert_allclose(lr, schedule("cosine_24000")[: len(lr)], atol=2e-4 * 3e-4 + 3e-4 / 2160)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"loss_nats": [3.2, np.nan, 2.8]}, "loss_nats is missing or not a number in 1 of 3 runs"),
        ({"loss_nats": [3.2, -1.0, 2.8]}, "loss_nats is -1 in run 'b', expected a positive number"),
        ({"loss_nats": [3.2, np.inf, 2.8]}, "loss_nats is inf"),
        ({"loss_nats": [3.2, "oops", 2.8]}, "loss_nats in row 2 is 'oops', expected a number"),
        ({"tokens": [2e9, np.nan, 8e9]}, "tokens is missing"),
        ({"peak_lr": [1e-3, 0, 5e-4]}, "peak_lr is 0 in run 'b'"),
        ({"batch_tokens": [250.0] * 3}, "is batch_tokens in sequences"),
        ({"batch_tokens": [5e5, 5e5, 250.0]}, "in run 'c'"),
        ({"tokens": [2.0, 4.0, 8.0]}, "steps or tokens in another unit"),
        ({"run_id": ["a", "b", "b"]}, "has the run 'b' twice"),
        ({"status": ["ok", "ok", "great"]}, "status 'great', expected ok, diverged, failed"),
        ({"params_total": [9e7, 3e8, 5e8]}, "the two columns are swapped"),
        ({"seq_len": 2048, "batch_sequences": 100.0}, "batch_sequences"),
    ],
)
def test_bad_values_in_a_table(opened, columns, message):
    with pytest.raises(BadInput, match=message):
        opened(table(**columns))


@pytest.mark.parametrize("absent", [["steps"], ["steps", "tokens"]])
def test_a_batch_in_sequences_is_noticed_without_steps(opened, absent):
    with pytest.raises(BadInput, match="if it counts sequences"):
        opened(table(batch_tokens=[128.0, 256.0, 512.0]).drop(columns=absent))


def test_a_batch_below_one_sequence_is_noticed(opened):
    with pytest.raises(BadInput, match="less than one sequence"):
        opened(table(batch_tokens=1024.0, seq_len=2048).drop(columns=["steps"]))


def test_counts_in_billions_are_noticed(opened):
    with pytest.raises(BadInput, match="not millions or billions"):
        opened(table(tokens=[2.0, 4.0, 8.0]).drop(columns=["steps", "batch_tokens"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: pd.concat([rows, rows]), "duplicate or unordered steps and no run id"),
        (lambda rows: rows.assign(loss=-rows["loss"]), "not a positive number"),
        (lambda rows: rows.assign(lr=-rows["lr"]), "learning rate that is negative"),
        (lambda rows: rows.assign(step=rows["step"] + 0.5), "not a whole number"),
        (lambda rows: rows.drop(columns="lr"), "no column lr"),
        (lambda rows: rows.drop(columns="loss"), "no column loss"),
        (
            lambda rows: rows[(rows["step"] < 70) | (rows["step"] > 90)],
            "logs no LR for 22 steps after step 69, while it changes",
        ),
        (lambda rows: rows.assign(batch_tokens=rows["step"] + 1e5), "batch_tokens changes along the run"),
    ],
)
def test_bad_curves(opened, change, message):
    with pytest.raises(BadInput, match=message):
        opened(change(curve()))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.iloc[[*range(99), 98, 99, 99]],
        lambda rows: rows.iloc[::-1],
        lambda rows: rows.assign(lr=np.where(rows["step"] % 7 == 3, np.nan, rows["lr"])),
        lambda rows: pd.concat([rows.drop(columns="lr"), rows.drop(columns="loss")]),
    ],
)
def test_rows_repeated_unordered_and_with_gaps_are_the_same_curve(opened, change):
    expected, found = opened(curve()).curves["curve"], opened(change(curve())).curves["curve"]
    np.testing.assert_allclose(found.lr, expected.lr, rtol=1e-9)
    np.testing.assert_array_equal(found.loss, expected.loss)


def test_a_step_without_a_loss_is_a_gap(opened):
    rows = curve()
    found = opened(rows.assign(loss=rows["loss"].where(rows["step"] != 7))).curves["curve"]
    assert 7 not in found.at
    assert len(found.at) == 99


def test_a_missing_column_is_named_with_what_there_is(opened):
    with pytest.raises(BadInput, match=r"no column val_loss_nats or loss_nats .*--map loss=NAME"):
        opened(table().drop(columns="loss_nats"))
    with pytest.raises(BadInput, match=r"no column 'val/ce'; it has run_id"):
        opened(table(), map={"loss": "val/ce"})
    with pytest.raises(BadInput, match="did you mean 'peak_lr'"):
        opened(table(), map={"peak_lrs": "peak_lr"})


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        open_runs(tmp_path / "absent.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(BadInput, match="is empty"):
        open_runs(tmp_path / "empty.csv")
    with pytest.raises(BadInput, match="is empty"):
        open_runs(tmp_path / "empty.csv", format="step_law")
    (tmp_path / "header.csv").write_text("run_id,loss_nats\n")
    with pytest.raises(BadInput, match="has a header and no rows"):
        open_runs(tmp_path / "header.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01" * 40)
    with pytest.raises(BadInput, match="cannot be read"):
        open_runs(tmp_path / "binary.csv")
    with pytest.raises(BadInput, match=r"has no sweep\.yaml"):
        open_runs(tmp_path)


def test_a_published_format_and_a_map_exclude_each_other(published):
    with pytest.raises(BadInput, match="give one of them"):
        open_runs(published("step_law/dense_lr_bs_loss.csv"), format="step_law", map={"loss": "loss"})


def test_every_published_table_passes_its_own_check(published):
    step_law = published("step_law/dense_lr_bs_loss.csv")
    assert len(open_runs(step_law, "step_law", where="params_nonembedding<=4.3e8").table) == 1404
    assert len(open_runs(published("lr_scheduling"), "lr_scheduling").table) == 87
    assert len(open_runs(published("multi_power_law/csv_100"), "multi_power_law").curves) == 9
    assert len(open_runs(published("isoflops/ml_scalefit.csv"), "isoflop").table) == 124


def test_parquet_is_read_or_its_extra_is_named(tmp_path):
    path = tmp_path / "runs.parquet"
    if importlib.util.find_spec("pyarrow"):
        table().to_parquet(path)
        assert len(open_runs(path).table) == 3
    else:
        path.write_bytes(b"PAR1")
        with pytest.raises(BadInput, match=r"jaxlaws\[parquet\]"):
            open_runs(path)


def test_a_sweep_directory_opens_with_its_diverged_run(tmp_path):
    from jaxlaws.records.run import RunDir

    (tmp_path / "sweep.yaml").write_text("{}\n")
    lr = np.full(20, 1e-3)
    for name, status, loss in (("a", "ok", 3.0), ("b", "ok", 2.9), ("c", "diverged", None)):
        (tmp_path / name).mkdir()
        run = RunDir(tmp_path / name)
        run.ask({"peak_lr": 1e-3}, lr)
        run.start_curve()
        for step in (10, 20):
            run.add_point(
                {"step": step, "tokens": 64 * step, "lr": 1e-3, "train_loss": 3.2, "val_loss": 3.0 + 1 / step}
            )
        run.finish({"status": status, "peak_lr": 1e-3, "warmup_steps": 0, "steps": 20, "val_loss_nats": loss})
    runs = open_runs(tmp_path)
    assert len(runs.table) == 3
    assert list(runs.finished().table.index) == ["a", "b"]
    assert set(runs.curves) == {"a", "b"}
    np.testing.assert_array_equal(runs.curves["a"].at, [9, 19])
    assert list(open_runs(tmp_path, where="status==ok").table.index) == ["a", "b"]


def test_a_table_of_diverged_runs_has_no_finished_one(opened):
    runs = opened(table(loss_nats=None, status="diverged"))
    assert runs.finished().table.empty
