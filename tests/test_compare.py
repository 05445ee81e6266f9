"""Ranking fits by held-out error, and only those whose errors are of the same losses."""

import json

import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.compare import compare
from jaxlaws.fitting.result import LossFit


def errors(mae):
    return {"r2": 1 - mae, "mae": mae, "rmse": 1.2 * mae, "pred_e": mae / 3, "worst_e": 2 * mae}


def fit_of(mae, curves=(), law="opl", digest="d", train=("a",), points=10, held_out=None, status="converged"):
    return LossFit(
        law=law,
        convention={},
        noise="huber",
        params={"L0": 3.0, "A": 0.5, "alpha": 0.5},
        status=status,
        held_out={"test": errors(mae)} if held_out is None else held_out,
        curves={f"c{i}": {"split": "test", **errors(value)} for i, value in enumerate(curves)},
        data={"digest": digest, "train": list(train), "points": points},
    )


def test_the_lowest_held_out_error_is_first_with_ratios():
    found = compare({"bad": fit_of(0.04), "good": fit_of(0.01), "fair": fit_of(0.02)})
    assert found.ranking == ("good", "fair", "bad")
    assert found.rows["bad"]["ratio_to_best"] == pytest.approx(4)


def test_curves_won_are_counted_curve_by_curve():
    found = compare({"x": fit_of(0.02, (0.01, 0.03, 0.02)), "y": fit_of(0.03, (0.02, 0.01, 0.06))})
    assert {name: row["curves_won"] for name, row in found.rows.items()} == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"digest": "e"}, "different data"),
        ({"train": ("b",)}, "hold out different runs"),
        ({"points": 20}, "different losses"),
    ],
)
def test_errors_of_other_losses_are_shown_and_not_ranked(other, message):
    found = compare({"x": fit_of(0.02), "y": fit_of(0.01, **other)})
    assert found.ranking == ()
    assert message in found.warnings[0]
    assert found.rows["y"]["ratio_to_best"] is None


def test_the_first_kind_that_all_have_is_used():
    both = {"extrapolation": errors(0.05), "leave_one_run_out": errors(0.02)}
    fits = {"x": fit_of(0, held_out=both), "y": fit_of(0, held_out={"leave_one_run_out": errors(0.01)})}
    found = compare(fits)
    assert found.kind == "leave_one_run_out"
    with pytest.raises(BadInput, match="y has no held-out error 'extrapolation', it has leave_one_run_out"):
        compare(
            {"x": fit_of(0, held_out=both), "y": fit_of(0, held_out={"leave_one_run_out": errors(0.01)})},
            kind="extrapolation",
        )


def test_fits_without_a_shared_held_out_error_are_refused():
    with pytest.raises(BadInput, match=r"share no held-out error \(x has none; y has test\)"):
        compare({"x": fit_of(0, held_out={}), "y": fit_of(0.01)})
    with pytest.raises(BadInput, match="at least two"):
        compare({"x": fit_of(0.01)})


def test_a_fit_that_cannot_be_trusted_is_named():
    assert compare({"x": fit_of(0.01, status="not_converged"), "y": fit_of(0.02)}).warnings == ("x is not converged.",)


def test_the_command_shows_a_table_and_prints_json(tmp_path, capsys):
    paths = []
    for name, mae in (("x", 0.02), ("y", 0.01)):
        paths.append(str(tmp_path / f"{name}.json"))
        fit_of(mae, (mae,)).save(paths[-1])
    assert main(["compare", *paths, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ranking"] == [paths[1], paths[0]]
    assert main(["compare", *paths]) == 0
    assert main(["compare", paths[0], paths[0]]) == 2
    assert "named twice" in capsys.readouterr().err
    assert main(["compare", paths[0], str(tmp_path / "absent.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
