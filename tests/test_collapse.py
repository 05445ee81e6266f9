"""Scaling collapse: normalised curves of simulated sizes agree, and the run that was mis-tuned is named."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.collapse import collapse
from jaxlaws.records.table import Curve, Runs

FLOOR = 1.8
PAGE = (Path(__file__).resolve().parent.parent / "docs" / "json.md").read_text()


def runs_of(sizes=(1, 2, 4, 8), seeds=(0,), noise=0.0, luck=0.0, scatter=0.0, bad=None):
    """Curves L̂ + (1 + wobble)·size^-.3·(x + .02)^-.4 under one schedule, t* ∝ size; a bad run slows down halfway."""
    rng, curves, rows = np.random.default_rng(0), {}, {}
    for size in sizes:
        for seed in seeds:
            steps = 1000 * size
            at = np.arange(9, steps, 10)
            x, name = (at + 1) / steps, f"{size}-{seed}"
            shape = (x + 0.02) ** -0.4 * (1 + 0.2 * np.maximum(x - 0.5, 0) * (name == bad))
            wobble = (
                1
                + luck * rng.standard_normal()
                + noise * np.sin(2 * np.pi * 3 * x + rng.uniform(0, 6))
                + scatter * np.log(size) * (x - 1)
            )
            lr = 1e-3 * (1 - np.arange(steps) / steps)
            curves[name] = Curve(lr, at, FLOOR + size**-0.3 * shape * wobble, 0).check(name)
            rows[name] = {"params_total": 1e6 * size, "steps": steps, "seed": seed, "peak_lr": 1e-3, "loss_nats": 2.0}
    return Runs(pd.DataFrame.from_dict(rows, orient="index").rename_axis("run_id"), curves)


def test_curves_of_one_form_collapse_and_a_wrong_floor_or_rate_does_not():
    good = collapse(runs_of(), FLOOR)
    assert good.table["deviation"].max() < 1e-3
    assert not good.runs["leaves"].any()
    assert collapse(runs_of(), FLOOR - 0.5).table["deviation"].max() > 0.02


def test_the_run_that_leaves_is_named_with_where_it_does():
    answer = collapse(runs_of(noise=2e-3, bad="4-0"), FLOOR)
    assert list(answer.runs.index[answer.runs["leaves"]]) == ["4-0"]
    assert answer.runs.loc["4-0", "leaves_at"] < 0.9


@pytest.mark.parametrize(("scatter", "super_"), [(0.0, True), (0.05, False)])
def test_sizes_that_differ_less_than_seeds_are_a_supercollapse(scatter, super_):
    answer = collapse(runs_of(seeds=(0, 1, 2), luck=5e-3, scatter=scatter), FLOOR)
    assert 0.002 < answer.table["seed_noise"].median() < 0.01
    assert (answer.share > 0.5) == super_


def test_unfinished_runs_are_compared_as_far_as_all_of_them_have_come():
    runs = runs_of()
    whole = runs.curves["8-0"]
    half = len(whole.at) // 2
    runs.curves["8-0"] = Curve(whole.lr, whole.at[:half], whole.loss[:half], 0)
    answer = collapse(runs, FLOOR)
    assert answer.reached == pytest.approx(0.5)
    assert answer.table["x"].max() == answer.reached


def test_what_cannot_collapse_is_a_sentence_and_several_schedules_are_a_warning():
    with pytest.raises(BadInput, match="below every loss"):
        collapse(runs_of(), 3.0)
    with pytest.raises(BadInput, match="expected at least 0"):
        collapse(runs_of(), -5.0)
    with pytest.raises(BadInput, match="at least 3"):
        collapse(runs_of(sizes=(1, 2)), FLOOR)
    assert collapse(runs_of(), FLOOR).warnings == ()
    runs = runs_of()
    curve = runs.curves["2-0"]
    runs.curves["2-0"] = Curve(np.full_like(curve.lr, 1e-3), curve.at, curve.loss, 0)
    assert "several schedules" in collapse(runs, FLOOR).warnings[0]


def test_the_command_names_the_run_and_its_json_is_documented(tmp_path, capsys):
    runs = runs_of(noise=2e-3, bad="4-0")
    rows = [
        pd.DataFrame({"run_id": name, "step": c.at, "lr": c.lr[c.at], "loss": c.loss})
        for name, c in runs.curves.items()
    ]
    pd.concat(rows).to_csv(tmp_path / "curves.csv", index=False)
    arguments = ["collapse", str(tmp_path / "curves.csv"), "--irreducible-loss", str(FLOOR)]
    assert main(arguments) == 0
    assert re.search(r"4-0 .* leaves the curve of the others at \d+%", capsys.readouterr().out)
    assert main([*arguments, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    section = re.search(r"^## collapse\n(.*?)(?=^## )", PAGE, re.M | re.S)
    heads = [item.split(":")[0] for item in re.findall(r"^- (.*)$", section[1], re.M)]
    assert set(body) == {key for head in heads for key in re.findall(r"`(\w+)`", head)}
    assert [row["run_id"] for row in body["runs"] if row["leaves"]] == ["4-0"]
