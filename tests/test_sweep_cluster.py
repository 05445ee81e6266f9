"""A sweep sent to a cluster in shards gives the table of the same sweep trained here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.records.run import collect, run_dirs
from jaxlaws.sweep import cluster

pytest.importorskip("submitit", reason="needs submitit: pip install 'jaxlaws[slurm]'")
TINY = ["data=language", "data.vocab=16", "data.seq_len=16", "model=6k", "tokens=640", "eval.points=2"]
COMMAND = ["train", "-m", *TINY, "batch_sequences=2,4", "seed=0,1", "sweep.strategy=map"]


def table(sweep: Path) -> pd.DataFrame:
    return collect(sweep).table.drop(columns=["seconds", "tokens_per_second"])


def through(executor: str, *more: str) -> list[str]:
    preset = ["slurm"] if executor == "slurm" else ["lanes_submitit", f"hydra.launcher.executor={executor}"]
    launcher = [f"hydra/launcher={preset[0]}", *preset[1:], "hydra.launcher.shards=2"]
    return [*COMMAND, *launcher, "sweep.name=there", *more]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    assert main([*COMMAND, f"out={folder}"]) == 0
    return table(folder)


def compare(here: pd.DataFrame) -> None:
    there = Path("sweeps/there")
    pd.testing.assert_frame_equal(table(there), here)
    assert (there / "sweep.yaml").read_text().count("asked") == 1
    hosts = [path.name for path in (there / "submitit").glob("*_log.out")]
    assert len(hosts) == 2, "each half of the plan was a job of its own"


def test_jobs_of_submitit_on_this_machine(here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(through("local")) == 0
    compare(here)
    assert "4 trained" in capsys.readouterr().out
    assert main(through("local")) == 0
    assert "0 trained (0 diverged), 4 done before" in capsys.readouterr().out


def test_jobs_of_slurm(here, tmp_path, monkeypatch):
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        pytest.skip("no SLURM here: sinfo is missing or finds no cluster")
    monkeypatch.chdir(tmp_path)
    assert main(through("slurm", "hydra.launcher.cpus_per_task=1", "+hydra.launcher.slurm.comment=jaxlaws")) == 0
    compare(here)


def test_a_job_that_is_lost_leaves_its_runs_pending_and_is_said(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "python"
    broken.write_text(
        f'#!/bin/sh\ncase "$*" in *shard=1/2*) echo no node >&2; exit 9;; esac\nexec {sys.executable} "$@"\n'
    )
    broken.chmod(0o755)
    monkeypatch.setattr(cluster.sys, "executable", str(broken))
    assert main(through("local")) == 1
    assert "2 trained (0 diverged), 0 done before, 0 failed, 2 pending" in capsys.readouterr().out
    assert "ended before its runs: no node" in caplog.text
    assert sorted(run.state() for run in run_dirs("sweeps/there")) == ["ok", "ok", "pending", "pending"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("hydra.launcher.executor=nothing", "executor named nothing"),
        ("hydra.launcher.shards=0", "shards is 0"),
        ("+hydra.launcher.slurm.partitio=gpu", "partitio"),
        ("hydra.launcher.shard=2", "hydra.launcher.shard"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(tmp_path, monkeypatch, capsys, setting: str, says: str):
    monkeypatch.chdir(tmp_path)
    assert main([*through("local"), setting]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
