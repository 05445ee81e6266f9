"""Columns that laws declare, further losses and metrics, through every door of the records."""

from __future__ import annotations

import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.records.frame import finished
from jaxlaws.records.published import FORMATS
from jaxlaws.records.published.read import renamed
from jaxlaws.records.settings import comparable
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
