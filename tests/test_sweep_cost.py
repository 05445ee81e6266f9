"""What a plan costs is said before it starts, and nothing is written for it but a picture."""

import re
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml
from samples import RUN

from jaxlaws import config
from jaxlaws.cli import main
from jaxlaws.compose import conf_dir
from jaxlaws.config import DataConfig, OptimizerConfig
from jaxlaws.errors import BadInput
from jaxlaws.model.shape import ModelConfig, count_params
from jaxlaws.records.units import parse_number
from jaxlaws.sweep.cost import LEAST_REMEMBERED, costs, is_remembered, remember, remembered, run_memory
from jaxlaws.sweep.plan import groups, lay_out, shard

RECIPES = sorted((conf_dir() / "sweep").glob("*.yaml"))


def a_plan(folder: Path, batches=(2, 4, 8), lrs=(1e-3, 2e-3, 3e-3, 4e-3), steps=(20, 60)):
    runs = [
        replace(RUN, batch_sequences=batch, optimizer=OptimizerConfig(peak_lr=lr), steps=count)
        for batch in batches
        for lr in lrs
        for count in steps
    ]
    return lay_out(runs, folder, lambda data: "digest")


def test_the_cost_counts_what_is_left(tmp_path):
    planned = a_plan(tmp_path)
    found = costs(planned, "cpu", lambda device, step: 1e6)
    assert [group.runs for group in found] == [8, 8, 8]
    assert sum(group.flops for group in found) == pytest.approx(sum(item.work for item in planned))
    assert sum(group.tokens for group in found) == sum(steps * b * 16 for b in (2, 4, 8) for steps in [20, 60] * 4)
    assert found[0].first.batch_sequences == 8
    assert found[0].steps == (20, 60)
    assert found[0].seconds == pytest.approx(found[0].flops / 1e6, abs=10)
    done = planned[0].directory
    done.ask({}, planned[0].lr)
    done.finish({"status": "ok"})
    left = costs(planned, "cpu", lambda device, step: 1e6)
    assert sum(group.runs for group in left) == len(planned) - 1
    assert sum(g.flops for g in found) - sum(g.flops for g in left) == pytest.approx(planned[0].work)


def test_speed_is_remembered_by_device_and_size(tmp_path):
    cache = tmp_path / "cache" / "speed.json"
    planned = a_plan(tmp_path / "sweep", steps=(20_000,))
    assert 4 * planned[0].work > LEAST_REMEMBERED
    guess = remembered(cache)("cpu", 1e6)
    assert not is_remembered("cpu", cache)
    for item in planned:
        item.directory.ask({}, np.ones(1))
        item.directory.finish({"status": "ok", "step_seconds": item.work / 20_000 / (1e9 * item.run.batch_sequences)})
    remember(planned, [item.directory.name for item in planned], "cpu", cache)
    speed = remembered(cache)
    for batch in (4, 8):
        step = next(item.work for item in planned if item.run.batch_sequences == batch) / 20_000
        assert speed("cpu", step) == pytest.approx(1e9 * batch)
        assert speed("cpu", 1.2 * step) == pytest.approx(1e9 * batch)
    assert speed("some card", 1e6) != speed("cpu", 1e6)
    assert guess > 0
    cache.write_text("not json")
    assert remembered(cache)("cpu", 1e6) == guess


@pytest.mark.parametrize(("width", "depth", "batch", "seq_len"), [(64, 2, 8, 128), (64, 6, 2, 64), (32, 2, 16, 32)])
def test_the_memory_of_a_run_is_about_what_the_compiler_says(width: int, depth: int, batch: int, seq_len: int):
    import optax

    from jaxlaws.model.transformer import build

    model = ModelConfig(width=width, depth=depth, heads=width // 16, mlp_width=3 * width, vocab=256)
    run = replace(RUN, model=model, batch_sequences=batch, data=DataConfig(seq_len=seq_len))
    network = build(model)

    def loss(params, tokens):
        logits = network.apply(params, tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    params = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    tokens = jax.ShapeDtypeStruct((batch, seq_len + 1), np.int32)
    compiled = jax.jit(jax.value_and_grad(loss)).lower(params, tokens).compile().memory_analysis()
    weights = 4 * count_params(model)[1]
    kept = run_memory(run) - 4 * weights
    assert kept == pytest.approx(compiled.temp_size_in_bytes, rel=0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shards_are_a_partition_of_about_equal_work_in_few_groups(tmp_path, count: int):
    planned = a_plan(tmp_path)
    parts = [shard(planned, f"{i + 1}/{count}") for i in range(count)]
    names = [item.directory.name for part in parts for item in part]
    assert sorted(names) == sorted(item.directory.name for item in planned)
    work = [sum(item.work for item in part) for part in parts]
    largest = max(item.work for item in planned)
    assert max(work) - min(work) <= 2 * largest
    assert sum(len(groups(part)) for part in parts) <= len(groups(planned)) + count - 1


@pytest.mark.parametrize("part", ["0/2", "3/2", "a", "1", "1/0"])
def test_a_shard_is_one_of_n(tmp_path, part: str):
    with pytest.raises(BadInput, match="expected i/n"):
        shard(a_plan(tmp_path), part)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_has_a_dry_run_that_writes_a_picture_only(path: Path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"sweep={path.stem}", "data=language", "--dry-run", "-o", "lr.png"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    asked = re.search(r"# (\d+) runs", path.read_text())
    assert asked, "the recipe says how many runs it has"
    assert f"{asked[1]} runs, 0 of them ended before; {asked[1]} to train in" in out
    assert "LR curves: lr.png" in out
    assert [item.name for item in tmp_path.rglob("*")] == ["lr.png"]
    assert (tmp_path / "lr.png").read_bytes()[:4] == b"\x89PNG"


def test_a_dry_run_by_default_draws_into_the_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "seed=0,1", "data=language", "sweep.name=some", "--dry-run"]) == 0
    assert [str(item.relative_to(tmp_path)) for item in tmp_path.rglob("*.*")] == ["sweeps/some/dry_run.png"]
    assert main(["train", "-m", "seed=0,1", "-o", "x.png"]) == 2
    assert "--dry-run" in capsys.readouterr().err


def test_isoflop_cells_have_the_budgets_that_they_say():
    text = (conf_dir() / "sweep" / "isoflop.yaml").read_text()
    said = [float(value) for value in re.findall(r"# 6ND = (\S+)", text)]
    recipe = yaml.safe_load(text)
    for cell, flops in zip(recipe["hydra"]["sweeper"]["cells"], said, strict=True):
        fields = yaml.safe_load((conf_dir() / "model" / f"{cell['model']}.yaml").read_text()) | {"vocab": 256}
        run = replace(
            RUN, model=ModelConfig(**fields), data=DataConfig(), batch_sequences=recipe["batch_sequences"],
            steps=None, tokens=parse_number(cell["tokens"]),
        )  # fmt: skip
        tokens = config.steps(run) * config.batch_sequences(run) * 128
        assert 6 * count_params(run.model)[0] * tokens == pytest.approx(flops, rel=0.01)
