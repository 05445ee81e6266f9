"""Trunks and branches: every prefix of a learning-rate curve is trained once, and only by runs that it is common to."""

from dataclasses import replace

import numpy as np
import pytest

from jaxlaws import config
from jaxlaws.config import DataConfig, EvalConfig, OptimizerConfig, RunConfig, ScheduleConfig
from jaxlaws.model.shape import ModelConfig
from jaxlaws.sweep.branch import branches, points, summary
from jaxlaws.sweep.plan import lay_out

WSD = ScheduleConfig(name="wsd", cooldown=0.2, warmup_steps=10)
RUN = RunConfig(
    model=ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=16),
    data=DataConfig(source="language", vocab=16, seq_len=16),
    eval=EvalConfig(points=4, sequences=32),
    schedule=WSD,
    steps=200,
    batch_sequences=4,
)


def laid(folder, *runs):
    return lay_out(runs, folder, lambda data: "digest")


def prefixes(planned) -> int:
    """Different prefixes of the LR curves: the steps that have to be trained, counted one by one."""
    return len({item.lr[: k + 1].astype(np.float32).tobytes() for item in planned for k in range(len(item.lr))})


def test_a_wsd_sweep_over_horizons_has_one_trunk(tmp_path):
    planned = laid(tmp_path, *[replace(RUN, steps=steps) for steps in (50, 100, 200)])
    found = branches(planned)
    assert [(b.run.run.steps, b.trunk.run.steps, b.step) for b in found] == [(100, 200, 80), (50, 200, 40)]
    assert [b.saved for b in found] == pytest.approx([0.8 * planned[1].work, 0.8 * planned[0].work])
    assert "2 of 3 runs branch off 1 trunk: 120 steps" in summary(planned, found)
    assert "34% of all" in summary(planned, found)


@pytest.mark.parametrize("seed", range(4))
def test_every_prefix_is_trained_once_whatever_the_curves(tmp_path, seed: int, monkeypatch):
    monkeypatch.setattr("jaxlaws.sweep.branch.LEAST_SHARE", 0.0)
    rng = np.random.default_rng(seed)
    curves = []
    for i in range(12):
        start = curves[rng.integers(len(curves))][: rng.integers(1, 30)] if curves else []
        curves.append(np.concatenate([start, rng.choice([1.0, 2.0, 3.0], rng.integers(3, 25))]))
        rows = "".join(f"{t},{lr!r}\n" for t, lr in enumerate(curves[-1].tolist()))
        (tmp_path / f"{i}.csv").write_text("step,lr\n" + rows)
    runs = [
        replace(
            RUN,
            steps=len(curve),
            schedule=ScheduleConfig(name="table", file=str(tmp_path / f"{i}.csv")),
            optimizer=OptimizerConfig(peak_lr=float(curve.max())),
        )
        for i, curve in enumerate(curves)
    ]
    planned = laid(tmp_path, *runs)
    found = branches(planned)
    whole = sum(config.steps(item.run) for item in planned)
    contained = sum(
        b.step == config.steps(b.run.run) - 1 and b.trunk.lr.astype(np.float32)[b.step] == np.float32(b.run.lr[b.step])
        for b in found
        if len(b.trunk.lr) > b.step
    )
    assert whole - sum(b.step for b in found) == prefixes(planned) + contained
    own = {b.run.directory.name: b.step for b in found}
    order = [b.run.directory.name for b in found]
    for b in found:
        np.testing.assert_array_equal(b.run.lr[: b.step], b.trunk.lr[: b.step])
        assert b.step > own.get(b.trunk.directory.name, 0), "a branch leaves the part that its trunk trains itself"
        if b.trunk.directory.name in own:
            assert order.index(b.trunk.directory.name) < order.index(b.run.directory.name)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"batch_sequences": 8},
        {"optimizer": OptimizerConfig(weight_decay=0.2)},
        {"optimizer": OptimizerConfig(peak_lr=1e-3)},
        {"model": replace(RUN.model, width=32)},
        {"data": replace(RUN.data, seed=3)},
        {"schedule": replace(WSD, warmup_steps=20)},
        {"schedule": ScheduleConfig(name="cosine", warmup_steps=10)},
    ],
)
def test_what_differs_from_the_start_shares_nothing(tmp_path, change: dict):
    assert branches(laid(tmp_path, RUN, replace(RUN, **{"steps": 100, **change}))) == []


def test_a_constant_run_contained_in_a_longer_one_still_ends_with_a_step_of_its_own(tmp_path):
    constant = replace(RUN, schedule=ScheduleConfig(name="constant", warmup_steps=10))
    (only,) = branches(laid(tmp_path, constant, replace(constant, steps=100)))
    assert (only.run.run.steps, only.step) == (100, 99)


def test_a_trunk_is_validated_where_its_branches_look(tmp_path):
    late = replace(RUN, schedule=replace(WSD, cooldown=0.5), eval=EvalConfig(every=30, sequences=32))
    planned = laid(tmp_path, RUN, late, replace(late, steps=150, eval=EvalConfig(every=7, sequences=32)))
    found = branches(planned)
    assert [(b.step, b.trunk.directory.name) for b in found] == [
        (100, planned[0].directory.name), (75, planned[0].directory.name),
    ]  # fmt: skip
    assert points(found) == {planned[0].directory.name: {30, 60, 90, *range(7, 76, 7)}}


def test_what_a_branch_of_a_branch_looks_at_is_asked_of_its_trunk(tmp_path):
    steps = np.ones(100)
    tables = {"a": steps, "b": np.where(np.arange(100) < 50, 1.0, 0.5)[:90], "c": [*[1.0] * 50, *[0.5] * 20, 0.25]}
    runs = []
    for name, curve in tables.items():
        rows = "".join(f"{t},{lr}\n" for t, lr in enumerate(curve))
        (tmp_path / name).write_text("step,lr\n" + rows)
        table = ScheduleConfig(name="table", file=str(tmp_path / name))
        runs.append(replace(RUN, steps=len(curve), schedule=table, eval=EvalConfig(every=20, sequences=32)))
    a, b, c = laid(tmp_path, *runs)
    found = branches([c, b, a])
    assert [(x.run, x.trunk, x.step) for x in found] == [(b, a, 50), (c, b, 70)]
    assert points(found) == {a.directory.name: {20, 40}, b.directory.name: {20, 40, 60}}
