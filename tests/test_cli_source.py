"""The arguments that name a source of runs."""

import argparse

import pytest

from jaxlaws.cli.source import add_source, open_source, parse_map
from jaxlaws.errors import BadInput


def test_columns_by_several_maps_and_by_commas():
    assert parse_map(["loss=val/ce", "tokens=D,params_total=N"]) == {
        "loss": "val/ce",
        "tokens": "D",
        "params_total": "N",
    }
    assert parse_map(["loss=val/ce, smoothed"]) == {"loss": "val/ce, smoothed"}


@pytest.mark.parametrize("entry", ["loss", "loss=", "=val"])
def test_a_map_without_two_names_is_refused(entry):
    with pytest.raises(BadInput, match="expected OURS=THEIRS"):
        parse_map([entry])


def test_the_arguments_open_runs(tmp_path):
    (tmp_path / "runs.csv").write_text("Name,ce,N\na,3.0,1e8\nb,2.9,2e8\n")
    parser = argparse.ArgumentParser()
    add_source(parser)
    arguments = [str(tmp_path / "runs.csv"), "--map", "loss=ce,run_id=Name", "--map", "params_total=N"]
    runs = open_source(parser.parse_args([*arguments, "--where", "params_total>=2e8"]))
    assert list(runs.table.index) == ["b"]
