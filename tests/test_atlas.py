"""The atlas: which law a table is for, what is left out of it, and rows that one command adds to a CSV and a page."""

import math

import numpy as np
import pandas as pd
import pytest

from experiments.atlas import main
from jaxlaws.atlas import page, rows
from jaxlaws.atlas.applies import hyper_obstacle, obstacle
from jaxlaws.atlas.build import fill, plan
from jaxlaws.atlas.folds import evenly, forward_fold, names_of, random_folds
from jaxlaws.atlas.score import EFFORTS, Effort, score
from jaxlaws.atlas.tables import Table, tables
from jaxlaws.errors import BadInput
from jaxlaws.fitting.points import points
from jaxlaws.laws.table import LAWS, get
from jaxlaws.records.repeats import CLUSTER
from jaxlaws.records.table import Curve, Runs

SMALL = {"point": Effort(4, 30), "curve": Effort(4, 0), "lr_batch": Effort(0, 30)}
LIST = "name,format,path,where,target,metric,columns\n"
#: A law of users, in a unit of N that its one scale takes away.
PLUGIN = """
from jaxlaws.laws.law import Law, Parameter
OURS = Law(
    name="inverse_params", formula="L = E + A/N", reference="", inputs=("N",),
    parameters=(Parameter("E", "loss"), Parameter("A", "size", units={"N": 1})),
    basis=lambda params, inputs: (1.0 + 0 * inputs["N"], 1 / inputs["N"]), linear=("E", "A"),
    convention={"loss": "nats"},
)
"""


def runs_of_sizes(count: int = 12, noise: float = 0.0, **columns) -> pd.DataFrame:
    n = np.geomspace(1e7, 1e9, count)
    loss = (1.8 + 300 / n**0.3) * np.exp(noise * np.random.default_rng(0).standard_normal(count))
    return pd.DataFrame({"params_total": n, **columns, "loss_nats": loss}).rename(index=lambda i: f"run{i}")


@pytest.fixture
def folder(tmp_path):
    """Two tables: one of sizes, which `power_of_params` reads, and one that lacks the file of its line."""
    runs_of_sizes(10, noise=1e-3).to_csv(tmp_path / "sizes.csv", index_label="run_id")
    (tmp_path / "tables.csv").write_text(LIST + "sizes,,sizes.csv,,,,\nabsent,,absent.csv,,,,\n")
    return tmp_path


@pytest.mark.parametrize(
    ("law", "metric", "why"),
    [
        ("power_of_params", "nats", ""),
        ("chinchilla", "nats", "no column tokens"),
        ("data_constrained", "nats", "no column tokens"),
        ("parallel", "nats", "reads parallel_streams, which is the same in all runs"),
        ("task_bits", "nats", "predicts bits_per_byte, the table has nats"),
        ("power_of_params", "accuracy", "predicts nats, the table has accuracy"),
        ("bound", "nats", "reads losses along runs"),
        ("mixing", "nats", "no columns share.NAME"),
    ],
)
def test_the_laws_of_a_table_follow_from_what_they_read(law, metric, why):
    reason = obstacle(LAWS[law], Runs(runs_of_sizes(parallel_streams=2.0)), metric)
    assert (why in reason) if why else not reason


def test_laws_of_curves_need_curves_that_they_can_tell_apart():
    curve = Curve(np.full(50, 1e-3), np.arange(9, 50, 10), np.linspace(3, 2, 5), 0)
    table = runs_of_sizes(3, tokens=[1e9, 2e9, 4e9])
    runs = Runs(table, dict.fromkeys(table.index, curve), assume={"settings": ""})
    assert "cannot tell apart" in obstacle(LAWS["bound"], runs, "nats")
    assert not obstacle(LAWS["annealing_size"], runs, "nats")
    assert "noise_trace" in obstacle(LAWS["noise_law"], runs, "unit_of_reference")
    one_size = Runs(table.assign(params_total=1e8), runs.curves)
    assert not obstacle(LAWS["bound"], one_size, "nats")
    assert not obstacle(LAWS["power_of_tokens"], one_size, "nats")


def test_laws_of_settings_need_cells():
    table = pd.DataFrame({"params_nonembedding": 1e8, "tokens": 1e9, "peak_lr": [1e-3, 2e-3], "batch_tokens": 1e5})
    assert not hyper_obstacle(Runs(table))
    assert "do not differ" in hyper_obstacle(Runs(table.iloc[:1]))
    assert "batch_tokens" in hyper_obstacle(Runs(table.drop(columns="batch_tokens")))


@pytest.mark.parametrize(("count", "parts", "size"), [(4, 4, 1), (9, 9, 1), (12, 5, 2), (20, 5, 4), (24, 5, 4)])
def test_parts_are_equal_and_leave_out_no_run_twice(count, parts, size):
    read = points(get("power_of_params"), Runs(runs_of_sizes(count)))
    folds = random_folds(read)
    held = [name for fold in folds for name in fold.test]
    assert [len(fold.test) for fold in folds] == [size] * parts
    assert len(set(held)) == len(held)
    assert all(set(fold.train) | set(fold.test) == set(read.names) for fold in folds)


@pytest.mark.parametrize("cluster", [{}, {CLUSTER: [f"c{i // 2}" for i in range(20)]}], ids=["cells", "training runs"])
def test_rows_that_belong_together_are_left_out_together(cluster):
    table = runs_of_sizes(20, **cluster)
    if not cluster:
        table["params_total"] = table["params_total"].to_numpy()[np.arange(20) // 2 * 2]
    runs = Runs(table)
    for fold in random_folds(points(get("power_of_params"), runs)):
        held = np.isin(names_of(runs), fold.test)
        assert np.array_equal(held[::2], held[1::2])
        assert 0 < held.sum() < 20


def test_forward_leaves_out_the_largest():
    runs = Runs(runs_of_sizes(10, tokens=np.r_[np.full(9, 1e9), 1e5]))
    fold = forward_fold(points(get("chinchilla"), runs), runs)
    assert fold is not None
    assert set(fold.test) == {"run7", "run8"}
    of_one_run = Runs(runs.table.assign(**{CLUSTER: [f"c{i % 5}" for i in range(10)]}))
    fold = forward_fold(points(get("chinchilla"), of_one_run), of_one_run)
    assert fold is not None
    assert fold.test == ("c3",)
    same = Runs(runs_of_sizes(10).assign(params_total=1e8, x=np.arange(1.0, 11.0)))
    assert forward_fold(points(get("broken_power"), same), same) is None


def test_losses_of_a_curve_are_thinned_evenly_after_the_warmup():
    curve = Curve(np.full(1000, 1e-3), np.arange(1000), np.linspace(3, 2, 1000), 100)
    thin = evenly(curve, 10)
    assert len(thin.at) == 10
    assert thin.at[0] == 99
    assert thin.at[-1] == 999
    assert np.array_equal(thin.loss, curve.loss[thin.at])


def test_a_law_that_is_true_has_no_error_and_the_rows_say_what_a_wrong_one_costs():
    row = score("power_of_params", Runs(runs_of_sizes(20)), SMALL["point"])
    assert row["error"] < 1e-5
    assert row["forward_error"] < 1e-5
    assert row["left_out"] == 20
    assert row["forward_left_out"] == 4
    assert row["note"] == ""
    assert "no intervals" in score("power_of_params", Runs(runs_of_sizes(20)), Effort(4, 0))["note"]
    loss = runs_of_sizes(20)["loss_nats"]
    assert 0.5 * loss.std() / loss.mean() < row["constant_error"] < 2 * loss.std() / loss.mean()


def test_a_row_is_cut_at_its_time_and_says_so():
    row = score("power_of_params", Runs(runs_of_sizes(20)), SMALL["point"]._replace(seconds=0.0))
    assert "cut after 0 of 6 parts" in row["note"]
    assert "error" not in row
    assert row["status"]


def command(folder, *more: str) -> int:
    return main(["--data", str(folder), "--out", str(folder / "out" / "atlas.md"), "--jobs", "1", *more])


@pytest.mark.usefixtures("own_tables")
def test_one_command_makes_the_rows_that_are_missing(folder, capsys, monkeypatch):
    for name in ("OMP_NUM_THREADS", "XLA_FLAGS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setitem(EFFORTS, "point", SMALL["point"])
    csv = folder / "out" / "atlas.csv"
    csv.parent.mkdir()
    assert command(folder) == 0
    assert "1/1 sizes power_of_params" in capsys.readouterr().out
    first = {row["law"]: row for row in rows.read(csv)}
    assert set(first) == {"power_of_params"}
    assert first["power_of_params"]["inside"] > 0.5
    text = (folder / "out" / "atlas.md").read_text()
    assert "### sizes" in text
    assert "| power_of_params |" in text
    assert "chinchilla" in text.split("## Laws without a table")[1]
    for picture in ("curve", "point", "coverage"):
        assert (folder / "out" / "atlas" / f"{picture}.svg").read_text().startswith("<?xml")

    before = csv.read_bytes()
    assert command(folder) == 0
    assert csv.read_bytes() == before
    assert "1/1" not in capsys.readouterr().out

    (folder / "ours.py").write_text(PLUGIN)
    assert command(folder, "--page", "--plugin", str(folder / "ours.py")) == 0
    assert csv.read_bytes() == before
    assert "- sizes: inverse_params" in (folder / "out" / "atlas.md").read_text()
    assert command(folder, "--law", "inverse_params", "--plugin", str(folder / "ours.py")) == 0
    second = {row["law"]: row for row in rows.read(csv)}
    assert set(second) == {"power_of_params", "inverse_params"}
    assert second["power_of_params"] == pytest.approx(first["power_of_params"], nan_ok=True)
    assert second["inverse_params"]["error"] > 2 * second["power_of_params"]["error"]
    assert "| inverse_params |" in (folder / "out" / "atlas.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"), [(("--law", "chinchila"), "did you mean 'chinchilla'"), (("--table", "size"), "sizes")]
)
def test_names_that_are_none_are_refused(folder, capsys, arguments, told):
    assert command(folder, *arguments) == 2
    assert told in capsys.readouterr().err


def test_rows_that_are_refused_or_fail_stay_with_the_reason(tmp_path, monkeypatch):
    runs_of_sizes(2).to_csv(tmp_path / "two.csv", index_label="run_id")
    listed = [Table("two", "two.csv"), Table("gone", "gone.csv")]
    tasks, reasons = plan(listed, tmp_path, SMALL)
    assert [task.key for task in tasks] == [("two", "power_of_params")]
    assert "does not exist" in reasons["gone", ""]

    def rows_of():
        return fill(tmp_path / "a.csv", tasks, True, ["two"], 1, {"commit": "c", "command": "x"})

    (row,) = rows_of()
    assert row["status"] == "refused"
    assert "3" in row["note"]
    monkeypatch.setattr("jaxlaws.atlas.build.score", lambda *arguments: 1 / 0)
    (row,) = rows_of()
    assert row["status"] == "failed"
    assert "ZeroDivisionError" in row["note"]
    assert "ZeroDivisionError" in page.text([row], list(LAWS), [], "a")


def test_the_list_of_a_folder(folder, tmp_path):
    usual = tmp_path / "usual.csv"
    assert [table.name for table in tables(folder, usual)] == ["sizes"]
    for text, told in (
        ("name,format\nsizes,step_law\n", "path"),
        (LIST + "sizes,,sizes.csv,,,,\nsizes,,sizes.csv,,,,\n", "two tables"),
        ("name,format,path,wher\nsizes,,sizes.csv,\n", "wher"),
        (LIST + "absent,,absent.csv,,,,\n", "none of the 1 tables"),
    ):
        (folder / "tables.csv").write_text(text)
        with pytest.raises(BadInput, match=told):
            tables(folder, usual)


def test_a_column_is_read_under_another_name_too(folder):
    table = Table("sizes", "sizes.csv", where="params_total<5e8", columns="x=params_total")
    runs = table.open(folder)
    assert np.array_equal(runs.table["x"], runs.table["params_total"])
    assert runs.table["x"].max() < 5e8


def test_new_rows_replace_old_ones_by_law_and_table(tmp_path):
    old = [{"law": "b", "table": "t", "error": 0.5}, {"law": "a", "table": "t"}, {"law": "a", "table": "s"}]
    new = [{"law": "b", "table": "t", "error": 0.25}]
    rows.write(tmp_path / "a.csv", rows.merged(old, new, ["t", "s"]))
    back = rows.read(tmp_path / "a.csv")
    assert [(row["table"], row["law"]) for row in back] == [("t", "a"), ("t", "b"), ("s", "a")]
    assert back[1]["error"] == 0.25
    assert math.isnan(back[0]["error"])
    (tmp_path / "a.csv").write_text("law,table\n")
    with pytest.raises(BadInput, match="--fresh"):
        rows.read(tmp_path / "a.csv")


def test_the_page_pools_coverage_by_runs_and_ranks_laws_by_error():
    empty = dict.fromkeys(rows.COLUMNS, math.nan) | dict.fromkeys(("note", "source"), "")
    both = {"kind": "point", "table": "t", "commit": "c", "date": "d", "status": "weak", "level": 0.9}
    lines = [
        {**empty, **both, "law": "worse", "error": 0.02, "inside": 1.0, "left_out": 30.0},
        {**empty, **both, "law": "better", "error": 0.01, "inside": 0.8, "left_out": 10.0},
    ]
    text = page.text(lines, ["worse", "better", "other", "late"], [("t", "better"), ("u", "late")], "atlas")
    assert "| Laws of final losses | 0.90 | 0.95 | 40 | 2 |" in text
    assert "| worse | 1 | 2.00 | 0 |" in text
    assert "| better | 1 | 1.00 | 1 |" in text
    assert text.index("| better | 1.00%") < text.index("| worse | 2.00%")
    assert "No table has what they read: other." in text
    assert text.split("## Rows that are missing")[1].split("## ")[0].count("- ") == 1
    assert "- u: late" in text


@pytest.mark.slow
def test_rows_on_published_tables(published):
    """A law of curves has gaps, and the regret of published constants is that of `experiments/step_law_regret.py`."""
    from jaxlaws.atlas import hyper

    folder = published("multi_power_law").parent
    runs = Table("m", "multi_power_law/csv_25", "multi_power_law").open(folder)
    row = score("bound", runs, SMALL["curve"])
    assert row["gap_pairs"] > 20
    assert row["gap_error"] < row["gap_size"]
    assert row["forward_left_out"] == 2
    runs = Table("s", "step_law/dense_lr_bs_loss.csv", "step_law").open(folder)
    assert hyper.score("step_law:published", runs, SMALL["lr_batch"])["regret"] == pytest.approx(0.00111, abs=2e-5)
    row = hyper.score("step_law", runs, SMALL["lr_batch"])
    assert row["regret"] < 0.001
    assert row["forward_left_out"] < 17 / 4
