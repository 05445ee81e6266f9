"""A sweep trains each run once, records it on its own, and survives what happens to it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import RUN

from jaxlaws.config import DataConfig, EngineConfig, EvalConfig, OptimizerConfig, RunConfig, ScheduleConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.errors import BadInput
from jaxlaws.model.shape import ModelConfig
from jaxlaws.records.run import RunDir, collect, run_dirs
from jaxlaws.records.source import open_runs
from jaxlaws.sweep import pack, packing
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.plan import Planned, groups, plan
from jaxlaws.training import run as training

ROOT = Path(__file__).resolve().parent.parent


def digest(config: DataConfig) -> str:
    return open_data(config).digest


def lr_runs(*values: float) -> list[RunConfig]:
    return [replace(RUN, optimizer=OptimizerConfig(peak_lr=value)) for value in values]


def results(sweep: Path) -> dict[str, dict]:
    drop = ("seconds", "compile_seconds", "step_seconds", "tokens_per_second", "lanes", "strategy")
    return {run.name: {k: v for k, v in run.record().items() if k not in drop} for run in run_dirs(sweep)}


def test_equal_runs_become_one_and_paths_are_no_part_of_a_run(tmp_path):
    twice = plan([RUN, replace(RUN)], tmp_path, digest)
    assert len(twice) == 1
    (tmp_path / "a.txt").write_text("some text " * 2000)
    (tmp_path / "b.txt").write_text("some text " * 2000)
    byte_model = replace(RUN.model, vocab=256)
    texts = [
        replace(RUN, model=byte_model, data=DataConfig(source="text", path=str(tmp_path / name), seq_len=16))
        for name in ("a.txt", "b.txt")
    ]
    assert len(plan(texts, tmp_path / "texts", digest)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"steps": 21},
        {"batch_sequences": 8},
        {"optimizer": OptimizerConfig(beta2=0.9)},
        {"schedule": ScheduleConfig(floor=0.2)},
        {"eval": EvalConfig(points=3, sequences=32)},
        {"data": DataConfig(source="language", vocab=16, seq_len=16, seed=1)},
    ],
)
def test_what_decides_a_result_is_part_of_a_run(tmp_path, change):
    assert len(plan([RUN, replace(RUN, **change)], tmp_path, digest)) == 2


def test_tokens_and_steps_name_the_same_run(tmp_path):
    by_tokens = replace(RUN, steps=None, tokens="1280", batch_sequences=None, batch_tokens=64)
    assert len(plan([RUN, by_tokens], tmp_path, digest)) == 1


def test_nothing_is_written_unless_every_run_is_possible(tmp_path):
    with pytest.raises(BadInput, match="warm-up"):
        plan([RUN, replace(RUN, schedule=ScheduleConfig(warmup_steps=99))], tmp_path / "sweep", digest)
    assert not (tmp_path / "sweep").exists()


def test_groups_share_a_shape_and_start_with_the_most_work(tmp_path):
    runs = [*lr_runs(1e-3, 2e-3), replace(RUN, steps=9), replace(RUN, batch_sequences=8, steps=500)]
    shapes = groups(plan(runs, tmp_path, digest))
    assert [len(group) for group in shapes] == [1, 3]
    assert [item.run.steps for item in shapes[1]] == [20, 20, 9]


def test_what_is_compiled_in_keeps_runs_apart(tmp_path):
    rules = [OptimizerConfig(), OptimizerConfig(name="lion"), OptimizerConfig(ema=0.9), OptimizerConfig(ema=0.99)]
    shapes = groups(plan([replace(RUN, optimizer=rule) for rule in rules], tmp_path, digest))
    assert sorted(len(group) for group in shapes) == [1, 1, 2]


def test_a_sweep_is_trained_once_and_becomes_a_table(tmp_path):
    planned = plan(lr_runs(1e-3, 1e-2), tmp_path, digest)
    first = train_sweep(planned)
    assert len(first.trained) == 2
    before = results(tmp_path)
    again = train_sweep(plan(lr_runs(1e-3, 1e-2), tmp_path, digest))
    assert (again.trained, len(again.skipped)) == ([], 2)
    assert results(tmp_path) == before
    runs = collect(tmp_path)
    assert sorted(runs.table["peak_lr"]) == [1e-3, 1e-2]
    assert set(runs.table["status"]) == {"ok"}
    for name, curve in runs.curves.items():
        assert len(curve.lr) == 20
        assert list(curve.at) == [9, 19]
        assert curve.loss[-1] == pytest.approx(runs.table.loc[name, "val_loss_nats"], rel=1e-8)
        assert curve.lr.max() == runs.table.loc[name, "peak_lr"]


def test_an_interrupted_sweep_trains_only_what_is_missing(tmp_path):
    runs = lr_runs(1e-3, 2e-3, 3e-3, 4e-3)
    train_sweep(plan(runs, tmp_path / "whole", digest), "map")
    ended: list[str] = []

    def stop_after_two(flops, names):
        ended.extend(names)
        if len(ended) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sweep(plan(runs, tmp_path / "cut", digest), "map", stop_after_two)
    rest = train_sweep(plan(runs, tmp_path / "cut", digest), "map")
    assert len(rest.skipped) == len(rest.trained) == 2
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


def test_a_run_continues_from_its_checkpoint_bit_for_bit(tmp_path, monkeypatch):
    long = replace(RUN, steps=100, eval=EvalConfig(points=5, sequences=32))
    train_sweep(plan([long], tmp_path / "whole", digest))
    often = EngineConfig(checkpoint_seconds=0.0)
    planned = plan([long], tmp_path / "cut", digest)
    calls = 0

    def stop_late(flops, names):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sweep(planned, "auto", stop_late, often)
    folder = planned[0].directory.path
    assert (folder / "checkpoints").is_dir()
    curve = (folder / "curve.csv").read_text()
    (folder / "curve.csv").write_text(curve + "99,1,1,1,1\n")
    trained: list[float] = []
    train_sweep(planned, "auto", lambda flops, names: trained.append(flops))
    assert sum(trained) < 0.8 * planned[0].work
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    curves = [path.read_text() for path in tmp_path.glob("*/*/curve.csv")]
    assert curves[0] == curves[1]
    assert not (folder / "checkpoints").exists()


def test_a_failing_run_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    real = training.train_lanes

    def raises(program, data, some, *rest):
        some = list(some)
        if any(lane.run.optimizer.peak_lr == 2e-3 for lane in some):
            raise ValueError("no luck\nfor this run")
        return real(program, data, some, *rest)

    monkeypatch.setattr(training, "train_lanes", raises)
    summary = train_sweep(plan(lr_runs(1e-3, 2e-3, 3e-3), tmp_path, digest), "vmap")
    assert len(summary.trained) == 2
    assert list(summary.failed.values()) == ["for this run"]
    table = open_runs(tmp_path).table
    assert sorted(table["status"]) == ["failed", "ok", "ok"]
    assert sorted(table["peak_lr"]) == [1e-3, 2e-3, 3e-3]
    monkeypatch.undo()
    kept = train_sweep(plan(lr_runs(1e-3, 2e-3, 3e-3), tmp_path, digest))
    assert (kept.trained, len(kept.failed)) == ([], 1)
    RunDir(tmp_path / next(iter(summary.failed))).reset()
    assert len(train_sweep(plan(lr_runs(1e-3, 2e-3, 3e-3), tmp_path, digest)).trained) == 1


def test_the_claim_of_a_process_that_is_gone_is_void(tmp_path):
    run = RunDir(tmp_path / "run")
    run.ask({}, np.ones(3))
    code = f"from jaxlaws.records.run import RunDir; from pathlib import Path; RunDir(Path({str(run.path)!r})).claim()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (run.path / "claim.json").exists()
    assert run.state() == "pending"


def test_a_claim_is_renewed_while_its_run_is_trained_and_its_loss_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "_BEAT_EVERY", 0.01)
    run = RunDir(tmp_path / "run")
    run.ask({}, np.ones(3))
    assert run.claim()
    claim = run.path / "claim.json"
    os.utime(claim, (1000, 1000))
    with pack._heartbeat({0: Planned(RUN, run)}) as lost:
        while claim.stat().st_mtime == 1000:
            time.sleep(0.01)
        assert run.state() == "running"
        assert not lost
        run.release()
        while not lost:
            time.sleep(0.01)
    assert not claim.exists()


def test_of_several_processes_one_gets_the_claim(tmp_path):
    run = RunDir(tmp_path / "run")
    run.ask({}, np.ones(3))
    code = (
        "from jaxlaws.records.run import RunDir; from pathlib import Path; import time\n"
        f"print(RunDir(Path({str(run.path)!r})).claim(), flush=True); time.sleep(3)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate()[0].strip() for process in processes]
    assert sorted(answers) == ["False", "False", "False", "True"]


def test_auto_packing_is_by_size_and_device(tmp_path):
    item = plan([RUN], tmp_path, digest)[0]
    engine = EngineConfig()
    assert packing.packing(item, 1, "auto", engine) == ("map", 1)
    assert packing.packing(item, 5, "vmap", engine) == ("vmap", 5)
    large = replace(RUN, model=ModelConfig(width=1024, depth=12, heads=8, mlp_width=2736, vocab=256))
    assert packing.packing(plan([large], tmp_path, digest)[0], 8, "auto", engine) == ("map", 1)
    assert packing.packing(item, 5, "auto", EngineConfig(fsdp=-1)) == ("mesh", 1)


def test_packing_takes_the_fastest_of_a_trial_and_remembers_it(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(packing.WORTH_A_TRIAL, "cpu", 0.0)
    item = plan([RUN], tmp_path, digest)[0]
    speeds = {"map": 1.0, "shard": 2.0, "vmap": 3.0}
    tried: list[tuple[str, int]] = []

    def measure(item, how, size, engine):
        tried.append((how, size))
        return speeds[how] * (1 if how != "vmap" or size < 16 else 0.5)

    monkeypatch.setattr(packing, "measure", measure)
    assert packing.packing(item, 20, "auto", EngineConfig()) == ("vmap", 4)
    assert ("vmap", 16) in tried
    assert ("vmap", 20) not in tried
    tried.clear()
    assert packing.packing(item, 20, "auto", EngineConfig()) == ("vmap", 4)
    assert not tried
    speeds["map"] = 9.0
    assert packing.packing(item, 4, "auto", EngineConfig()) == ("map", 1)


def test_a_trial_measures_and_passes_over_what_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))
    item = plan([RUN], tmp_path, digest)[0]
    assert packing.measure(item, "vmap", 2, EngineConfig()) > 0
    monkeypatch.setattr(packing, "free_memory", lambda: 1)
    with pytest.raises(MemoryError):
        packing.measure(item, "map", 1, EngineConfig())


def test_a_pack_that_does_not_fit_into_memory_is_halved(tmp_path, monkeypatch):
    real, sizes = training.train_lanes, []

    def tight(program, data, some, size, *rest):
        sizes.append(size)
        if size > 1:
            next(iter(some))
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")
        return real(program, data, some, size, *rest)

    monkeypatch.setattr(training, "train_lanes", tight)
    summary = train_sweep(plan(lr_runs(1e-3, 2e-3, 3e-3, 4e-3), tmp_path, digest), "vmap")
    assert sizes == [4, 2, 1, 1, 1, 1]
    assert len(summary.trained) == 4
    assert not summary.failed
    assert not summary.busy


def test_a_single_run_that_does_not_fit_says_what_to_do(tmp_path, monkeypatch):
    def never(*_):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")

    monkeypatch.setattr(training, "train_lanes", never)
    (reason,) = train_sweep(plan([RUN], tmp_path, digest)).failed.values()
    assert reason.startswith("out of memory with ")
    assert "engine.accumulate" in reason


def experiment(folder: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "experiments" / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)


TINY = ("data=language", "data.vocab=16", "data.seq_len=16", "model=6k", "tokens=null", "steps=20", "eval.points=2")


def test_the_experiment_makes_four_runs_and_a_second_start_none(tmp_path):
    grid = ("-m", "optimizer.peak_lr=1e-3,3e-3", "seed=0,1", *TINY)
    first = experiment(tmp_path, *grid)
    assert first.returncode == 0, first.stderr
    sweep = tmp_path / "sweeps" / "peak_lr-seed"
    assert len(list(sweep.glob("*/run.json"))) == 4
    assert "4 trained" in first.stdout
    second = experiment(tmp_path, *grid)
    assert "0 trained (0 diverged), 4 done before" in second.stdout


@pytest.mark.slow
def test_killed_half_way_and_started_again_it_trains_only_what_is_missing(tmp_path):
    grid = ("-m", "optimizer.peak_lr=1e-3,2e-3,3e-3,4e-3", "seed=0,1", *TINY, "steps=1500", "sweep.strategy=map")
    command = [sys.executable, str(ROOT / "experiments" / "train.py"), *grid]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sweep = tmp_path / "sweeps" / "peak_lr-seed"
    while len(list(sweep.glob("*/run.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in sweep.glob("*/run.json")}
    assert 3 <= len(done) < 8
    rest = experiment(tmp_path, *grid)
    assert f"{8 - len(done)} trained (0 diverged), {len(done)} done before" in rest.stdout
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_hydra_shows_the_config_that_it_would_run(tmp_path):
    answer = experiment(tmp_path, "--cfg", "job", "seed=3", "--package", "optimizer")
    assert answer.returncode == 0, answer.stderr
    assert "peak_lr: 0.003" in answer.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", [(), ("-m",)])
def test_an_unknown_key_is_one_sentence_with_the_valid_ones(tmp_path, flag):
    answer = experiment(tmp_path, *flag, "model.widht=64")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert "'model.widht': did you mean 'model.width'? valid: model.architecture, model.base_width, " in answer.stderr


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("optimiser.peak_lr=1", "unknown config key 'optimiser.peak_lr'"),
        ("model=big", "unknown choice of model 'big'"),
        ("model.width=wide", "does not compose"),
        ("tokens=-5", "tokens is -5"),
        ("seed=-1", "seed is -1"),
        ("tokens=1M steps=3", "exactly one of steps and tokens"),
        ("seed=0,1", "add -m"),
        ("model.width=50", "expected a multiple of"),
        ("sweep=nothing", "unknown choice of sweep"),
        ("=3", "is not an override"),
    ],
)
def test_bad_input_is_exit_code_two_and_one_sentence(tmp_path, monkeypatch, capsys, argument: str, says: str):
    from jaxlaws.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["train", *argument.split()]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("**/run.json"))


@pytest.mark.slow
def test_the_script_that_the_bench_compares_with_does_the_same_work(tmp_path):
    folder = f"out={tmp_path}"
    quiet = [
        "hydra/hydra_logging=none",
        "hydra/job_logging=none",
        "hydra.output_subdir=null",
        f"hydra.run.dir={tmp_path}",
    ]
    script = [sys.executable, "-m", "jaxlaws.bench.plain_run", *quiet, folder, "model=25k", "peak_lr=0.004", "seed=1"]
    subprocess.run(script, check=True)
    plain = json.loads((tmp_path / "25k-0.004-1.json").read_text())["val_loss_nats"]
    sizes = ["data=language", "data.vocab=64", "data.seq_len=64", "tokens=null", "steps=100", "eval.points=1"]
    ours = experiment(tmp_path, "model=25k", "optimizer.peak_lr=4e-3", "seed=1", "eval.sequences=64", *sizes)
    assert ours.returncode == 0, ours.stderr
    assert run_dirs(tmp_path / "runs")[0].record()["val_loss_nats"] == pytest.approx(plain, rel=1e-5)
