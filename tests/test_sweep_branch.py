"""Trunks and branches: every prefix of a learning-rate curve is trained once, and only by runs that it is common to."""

from dataclasses import replace

import numpy as np
import pytest

from jaxlaws import config
from jaxlaws.config import DataConfig, EngineConfig, EvalConfig, OptimizerConfig, RunConfig, ScheduleConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig
from jaxlaws.records.run import run_dirs
from jaxlaws.sweep.branch import branches, points, summary
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.packed import kept_packing
from jaxlaws.sweep.plan import lay_out, plan

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


#: What differs between a branch's record and that of its full run: times, and that it is a branch.
OWN = (
    "seconds",
    "compile_seconds",
    "step_seconds",
    "tokens_per_second",
    "mfu",
    "lanes",
    "strategy",
    "trunk",
    "trunk_steps",
)


def asked(folder, *runs):
    return plan(runs, folder, lambda data: open_data(data).digest)


def results(folder) -> dict[str, tuple[dict, str]]:
    return {
        run.name: ({k: v for k, v in run.record().items() if k not in OWN}, (run.path / "curve.csv").read_text())
        for run in run_dirs(folder)
    }


HORIZONS = [
    *[replace(RUN, steps=steps) for steps in (50, 100, 200)],
    replace(RUN, steps=100, eval=EvalConfig(every=9, sequences=32)),
    replace(RUN, steps=100, schedule=replace(WSD, cooldown=0.5, shape="1-sqrt")),
    replace(RUN, steps=60, seed=1),
]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Every run of the horizons trained from its own beginning."""
    folder = tmp_path_factory.mktemp("full")
    train_sweep(asked(folder, *HORIZONS), "map")
    return results(folder)


def test_branches_equal_full_runs_bit_for_bit_and_repeat_nothing(tmp_path, full):
    planned = asked(tmp_path, *HORIZONS)
    flops: list[float] = []
    summary = train_sweep(planned, "map", lambda count, names: flops.append(count), branch="auto")
    assert len(summary.trained) == 6
    assert results(tmp_path) == full
    found = branches(planned)
    assert len(found) == 4
    record = {run.name: run.record() for run in run_dirs(tmp_path)}
    told = {name: (r["trunk"], r["trunk_steps"]) for name, r in record.items() if "trunk" in r}
    assert told == {b.run.directory.name: (b.trunk.directory.name, b.step) for b in found}
    assert sum(flops) == pytest.approx(sum(item.work for item in planned))
    assert not list(tmp_path.glob("*/snapshots"))


@pytest.mark.parametrize("how", ["vmap", "shard"])
def test_packed_branches_wait_for_their_trunk_and_agree(tmp_path, full, how: str):
    train_sweep(asked(tmp_path, *HORIZONS), how, branch="auto")
    found = results(tmp_path)
    for name, (record, curve) in full.items():
        assert found[name][0]["val_loss_nats"] == pytest.approx(record["val_loss_nats"], rel=2e-5)
        steps = [row.split(",")[0] for row in curve.splitlines()]
        assert [row.split(",")[0] for row in found[name][1].splitlines()] == steps
    assert sum("trunk" in run.record() for run in run_dirs(tmp_path)) == 4


def test_an_interrupted_sweep_branches_off_the_snapshots_that_it_left(tmp_path, full):
    planned = asked(tmp_path, *HORIZONS)

    def stop(flops, names):
        if names:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sweep(planned, "map", stop, branch="auto")
    assert sum(item.directory.state() == "ok" for item in planned) == 1
    assert len(list(tmp_path.glob("*/snapshots/*.npz"))) == 3
    train_sweep(planned, "map", branch="auto")
    assert results(tmp_path) == full
    assert sum("trunk" in run.record() for run in run_dirs(tmp_path)) == 4
    assert not list(tmp_path.glob("*/snapshots"))


def packed(monkeypatch, how: str, size: int) -> None:
    """What a trial on this machine would find from now on."""
    monkeypatch.setattr("jaxlaws.sweep.packed.packing", lambda item, runs, strategy, engine: (how, size))


def interrupted_after(ended: int):
    """Called with the progress of a sweep, ends it as a kill does once so many runs have ended."""
    count = 0

    def stop(flops, names):
        nonlocal count
        count += len(names)
        if count >= ended:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize(("how", "size"), [("vmap", 3), ("map", 1)])
def test_resumed_where_another_packing_would_be_chosen_a_sweep_ends_as_if_never_stopped(
    tmp_path, monkeypatch, how: str, size: int
):
    packed(monkeypatch, how, size)
    train_sweep(asked(tmp_path / "whole", *HORIZONS), branch="auto")
    planned = asked(tmp_path / "stopped", *HORIZONS)
    with pytest.raises(KeyboardInterrupt):
        train_sweep(planned, "auto", interrupted_after(1), branch="auto")
    packed(monkeypatch, *{"vmap": ("map", 1), "map": ("vmap", 5)}[how])
    train_sweep(planned, branch="auto")
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")
    for run in run_dirs(tmp_path / "stopped"):
        assert (run.record()["strategy"], run.record()["lanes"]) == (how, size)
        assert "trunk_made_with" not in run.record()


def test_a_packing_that_is_asked_for_when_resumed_is_taken_and_said(tmp_path, monkeypatch, caplog):
    packed(monkeypatch, "vmap", 3)
    longer = replace(RUN, schedule=replace(WSD, cooldown=0.01))
    planned = asked(tmp_path, replace(longer, steps=100), replace(longer, steps=101))
    with pytest.raises(KeyboardInterrupt):
        train_sweep(planned, "auto", interrupted_after(1), branch="auto")
    packed(monkeypatch, "map", 1)
    train_sweep(planned, "map", branch="auto")
    assert "were begun under vmap of 3 lanes and are continued under map" in caplog.text
    assert "branches off a trunk that was trained with vmap of 3 lanes on" in caplog.text
    records = [run.record() for run in run_dirs(tmp_path)]
    mixed = [record for record in records if record.get("trunk_made_with", "").startswith("vmap of 3 lanes")]
    assert mixed
    assert {record["strategy"] for record in mixed} == {"map"}


def test_more_runs_are_packed_anew_and_a_foreign_record_is_ignored(tmp_path, monkeypatch, caplog):
    planned = asked(tmp_path, *HORIZONS)
    packed(monkeypatch, "vmap", 2)
    assert kept_packing(planned[0], 3, "auto", EngineConfig()) == ("vmap", 2)
    packed(monkeypatch, "vmap", 4)
    assert kept_packing(planned[0], 1, "auto", EngineConfig()) == ("vmap", 2)
    assert kept_packing(planned[0], 6, "auto", EngineConfig()) == ("vmap", 4)
    for foreign in ("[1]", "{", '{"a": 1}', '{"a": {"strategy": "x", "lanes": 1, "runs": 1}}', "[" * 100_000):
        (tmp_path / "packing.json").write_text(foreign)
        packed(monkeypatch, "map", 1)
        caplog.clear()
        assert kept_packing(planned[0], 6, "auto", EngineConfig()) == ("map", 1)
        assert "packing.json holds no packing" in caplog.text


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_a_damaged_snapshot_is_said_and_its_branches_train_from_their_beginning(tmp_path, full, caplog, damage):
    planned = asked(tmp_path, *HORIZONS)
    with pytest.raises(KeyboardInterrupt):
        train_sweep(planned, "map", interrupted_after(1), branch="auto")
    path = max(tmp_path.glob("*/snapshots/*.npz"), key=lambda path: int(path.stem))
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 3] ^= 16
    changed = {"flip": bytes(content), "cut": bytes(content[:200]), "empty": b"", "foreign": b"PK\x03\x04 no"}
    path.write_bytes(changed[damage])
    train_sweep(planned, "map", branch="auto")
    assert f"{path.name} is damaged" in caplog.text
    assert results(tmp_path) == full
    assert not list(tmp_path.glob("*/snapshots"))


def test_a_trunk_that_goes_on_from_a_checkpoint_still_has_its_branches(tmp_path, full):
    planned = asked(tmp_path, *HORIZONS)
    often, calls = EngineConfig(checkpoint_seconds=0.0), 0

    def stop(flops, names):
        nonlocal calls
        calls += 1
        if calls == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sweep(planned, "map", stop, often, branch="auto")
    trunk = planned[2].directory
    assert trunk.state() == "pending"
    assert (trunk.path / "checkpoints").is_dir()
    points_file = trunk.path / "snapshots" / "points.csv"
    assert "9," in points_file.read_text(), "the branch's point is kept"
    points_file.write_text(points_file.read_text() + "50,2.4")  # as a kill leaves it
    train_sweep(planned, "map", None, often, branch="auto")
    assert results(tmp_path) == full
    assert sum("trunk" in run.record() for run in run_dirs(tmp_path)) == 4
    assert not list(tmp_path.glob("*/snapshots"))


def test_runs_that_diverge_on_their_trunk_diverge_as_full_runs_do(tmp_path):
    wild = [replace(run, optimizer=OptimizerConfig(peak_lr=1e30)) for run in HORIZONS[:3]]
    train_sweep(asked(tmp_path / "full", *wild), "map")
    train_sweep(asked(tmp_path / "branched", *wild), "map", branch="auto")
    assert results(tmp_path / "branched") == results(tmp_path / "full")
    assert {record["status"] for record, _ in results(tmp_path / "full").values()} == {"diverged"}


@pytest.mark.slow
def test_another_packing_changes_a_loss_about_as_another_seed_does(tmp_path, capsys):
    """Figures of docs/reliability.md: pytest -m slow -s -k another_packing tests/test_sweep_branch.py"""
    model = replace(RUN.model, width=32, depth=2, heads=2, mlp_width=88)
    lrs = np.geomspace(1e-3, 3e-2, 8)
    base = replace(RUN, model=model, steps=2000, eval=EvalConfig(points=1, sequences=256))
    runs = [replace(base, optimizer=OptimizerConfig(peak_lr=float(lr))) for lr in lrs]
    ways = {"map": (runs, "map"), "packing": (runs, "vmap"), "seed": ([replace(run, seed=1) for run in runs], "map")}
    losses = {}
    for name, (some, how) in ways.items():
        train_sweep(asked(tmp_path / name, *some), how)
        records = sorted((run.record() for run in run_dirs(tmp_path / name)), key=lambda record: record["peak_lr"])
        losses[name] = np.array([record["val_loss_nats"] for record in records])
    packing, seed = (np.abs(losses[name] - losses["map"]) for name in ("packing", "seed"))
    with capsys.disabled():
        print(f"\nanother packing: median {np.median(packing):.1e}, most {packing.max():.1e} nats")
        print(f"another seed:    median {np.median(seed):.1e}, most {seed.max():.1e} nats")
    assert np.median(packing) < 4 * np.median(seed)
    assert packing.max() < 4 * seed.max()
