"""The comparison of recipes: what it counts, and the whole of it in small."""

import json

import numpy as np
import pytest

from experiments import recipes
from jaxlaws.model.shape import ModelConfig, flops_per_token
from jaxlaws.records.table import Curve


def test_every_recipe_has_the_same_declared_budget():
    grids = {name: recipe.peak_lrs for name, recipe in recipes.RECIPES.items()}
    assert {len(grid) for grid in grids.values()} == {5}
    assert all(np.allclose(np.diff(np.log2(grid)), 1) for grid in grids.values())


def test_a_target_is_reached_between_two_evaluations():
    curve = Curve(np.ones(40), np.array([9, 19, 29, 39]), np.array([3.0, 2.0, 1.0, 1.5]), 0)
    assert recipes.reached(curve, 1.25) == pytest.approx(27.5)
    assert recipes.reached(curve, 3.5) == 10
    assert recipes.reached(curve, 0.9) == np.inf


def test_the_cost_of_a_step_counts_the_products_of_the_optimiser():
    model = ModelConfig(width=16, depth=1, heads=1, mlp_width=8)
    plain = flops_per_token(model, recipes.SEQ_LEN)[1] * recipes.BATCH * recipes.SEQ_LEN
    assert recipes.flops("adamw", model) == plain
    shapes = [(16, 48), (16, 16), (16, 16), (8, 16)]
    assert recipes.flops("muon", model) - plain == sum(5 * (4 * m * m * n + 2 * m**3) for m, n in shapes)
    soap = sum(8 * m * n * (m + n) + 14 / 3 * (m**3 + n**3) / 10 for m, n in shapes)
    assert recipes.flops("soap", model) - plain == pytest.approx(soap)


@pytest.mark.slow
def test_the_stages_in_small(tmp_path, monkeypatch, capsys):
    kept = ("adamw", "lion", "schedule_free_adamw")
    monkeypatch.setattr(recipes, "RECIPES", {name: recipes.RECIPES[name] for name in kept})
    scale = recipes.TINY
    for stage in recipes.STAGES.values():
        stage(scale, tmp_path)
    answer = json.loads((tmp_path / "recipes.json").read_text())
    assert [set(answer["order"][steps]) for steps in ("80", "160")] == [set(kept)] * 2
    own = [row for row in answer["to_target"] if row["recipe"] == "adamw"]
    assert [row["step_share"] for row in own] == pytest.approx([1.0, 1.0], abs=0.02)
    assert len(answer["ranks"]["recipes and LRs"]) == 45
    assert "schedule_free_adamw" in capsys.readouterr().out
