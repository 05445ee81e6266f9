"""The ledger of a sweep: what has changed since it was asked, what failed at once, who waits for whom."""

import json
import threading
import time
from dataclasses import asdict, replace

import pytest
from samples import RUN

from jaxlaws.cli import main
from jaxlaws.cli.progress import FailFast, progress
from jaxlaws.cli.status import status
from jaxlaws.config import OptimizerConfig
from jaxlaws.records.run import run_dirs
from jaxlaws.sweep import complete as completing
from jaxlaws.sweep.complete import complete, so_far
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.ledger import drift, mixed, notes
from jaxlaws.sweep.plan import plan
from jaxlaws.training import run as training


def planned(folder, *lrs, **changes):
    runs = [replace(RUN, optimizer=OptimizerConfig(peak_lr=lr), **changes) for lr in lrs]
    return plan(runs, folder, lambda data: "digest")


def test_drift_is_where_nothing_is_in_common():
    before = [{"a": {"x": 1, "y": 5}, "s": 0}, {"a": {"x": 2, "y": 6}, "s": 0}]
    now = [{"a": {"x": 3, "y": 6}, "s": 0}]
    assert drift(before, now) == {"a.x": ([1, 2], [3])}


def test_another_model_in_the_same_directory_is_said_and_a_larger_grid_is_not(tmp_path):
    planned(tmp_path, 1e-3, 2e-3)
    assert notes(tmp_path, planned(tmp_path, 1e-3, 2e-3, 3e-3)) == []
    (said,) = notes(tmp_path, planned(tmp_path, 1e-3, model=replace(RUN.model, width=32)))
    assert "also holds 3 runs" in said
    assert said.endswith("model.width was 16, is 32.")
    assert notes(tmp_path / "nowhere", []) == []


def test_versions_that_differ_are_said(tmp_path):
    runs = [item.directory for item in planned(tmp_path, 1e-3, 2e-3, 3e-3)]
    made = {"versions": {"jax": "0.1", "jaxlaws": "9"}, "corpus": "abc", "devices": {"kind": "cpu"}}
    for run in runs[:2]:
        run.finish({"status": "ok", "seconds": 1.0, "flops_exact": 1.0, **made})
    assert mixed(runs) == []
    assert [text.split(":")[0] for text in mixed(runs, now=True)] == [
        "jax differs between runs", "jaxlaws differs between runs",
    ]  # fmt: skip
    runs[2].finish({"status": "ok", "seconds": 1.0, "flops_exact": 1.0, **made, "versions": {"jax": "0.2"}})
    assert mixed(runs) == ["jax differs between runs: 0.1 (2 runs), 0.2 (1 runs)"]
    assert status(runs)["mixed"] == mixed(runs)


def test_a_failure_is_on_the_screen_at_once_and_can_end_the_sweep(tmp_path, monkeypatch, capsys):
    real = training.train_lanes

    def raises(program, data, lanes, *rest):
        lanes = list(lanes)
        if lanes[0].run.optimizer.peak_lr == 2e-3:
            raise ValueError("no luck")
        return real(program, data, lanes, *rest)

    monkeypatch.setattr(training, "train_lanes", raises)
    runs = planned(tmp_path, 1e-3, 2e-3, 3e-3)
    pending = {item.directory.name for item in runs}
    with pytest.raises(FailFast), progress(runs, fail_fast=True) as tell:
        train_sweep(runs, "map", tell)
    assert "failed: ValueError: no luck" in capsys.readouterr().err
    summary = so_far(runs, pending)
    assert (len(summary.trained), list(summary.failed.values())) == (1, ["ValueError: no luck"])
    assert [item.directory.state() for item in runs] == ["ok", "failed", "pending"]
    with progress(runs) as tell:
        rest = train_sweep(runs, "map", tell)
    assert (len(rest.trained), len(rest.failed)) == (1, 1)


def test_a_launcher_waits_for_what_another_holds_and_takes_over_what_it_loses(tmp_path, monkeypatch):
    monkeypatch.setattr(completing, "POLL_SECONDS", 0.02)
    runs = planned(tmp_path, 1e-3, 2e-3, 3e-3)
    others = [item.directory for item in runs[:2]]
    for directory in others:
        assert directory.claim()
        claim = directory.path / "claim.json"
        claim.write_text(json.dumps({**json.loads(claim.read_text()), "host": "elsewhere"}))

    def elsewhere():
        time.sleep(0.1)
        others[0].finish({"status": "ok"})
        others[1].release()

    thread = threading.Thread(target=elsewhere)
    left = complete(runs, train_sweep, wait=False)
    assert (len(left.trained), len(left.busy)) == (1, 2)
    thread.start()
    summary = complete(runs, train_sweep)
    thread.join()
    assert summary.trained == [others[1].name]
    assert sorted(summary.skipped) == sorted([others[0].name, runs[2].directory.name])
    assert summary.busy == []


def test_the_parts_of_a_sweep_are_trained_apart_and_asked_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["data=language", "data.vocab=16", "data.seq_len=16", "model=6k", "tokens=640", "eval.points=1"]
    command = ["train", "-m", *asked, "batch_sequences=2,4", "seed=0,1", "sweep.name=s"]
    sweep = tmp_path / "sweeps" / "s"
    assert main([*command, "sweep.shard=1/2"]) == 0
    assert sorted(status(run_dirs(sweep))[name] for name in ("ok", "pending")) == [2, 2]
    first = {run.config()["batch_sequences"] for run in run_dirs(sweep) if run.state() == "ok"}
    assert len(first) == 1
    assert main([*command, "sweep.shard=2/2"]) == 0
    assert status(run_dirs(sweep))["ok"] == 4
    assert (sweep / "sweep.yaml").read_text().count("asked") == 1
    assert "2 trained" in capsys.readouterr().out


def test_time_left_counts_workers_and_what_running_runs_have_done(tmp_path):
    runs = planned(tmp_path, 1e-3, 2e-3, 3e-3)
    work = runs[0].work
    runs[0].directory.finish({"status": "ok", "seconds": 10.0, "flops_exact": work})
    directories = [item.directory for item in runs]
    assert status(directories)["eta_s"] == pytest.approx(20)
    for i, item in enumerate(runs[1:]):
        item.directory.ask(asdict(item.run), item.lr)
        assert item.directory.claim()
        claim = item.directory.path / "claim.json"
        claim.write_text(json.dumps({"host": f"host{i}", "pid": 1, "since": 0}))
    assert status(directories)["workers"] == ["host0:1", "host1:1"]
    assert status(directories)["eta_s"] == pytest.approx(10)
    runs[1].directory.start_curve()
    runs[1].directory.add_point({"step": 10, "tokens": 1, "lr": 1.0, "train_loss": 1.0, "val_loss": 1.0})
    assert status(directories)["eta_s"] == pytest.approx(7.5)
