"""`jaxlaws status` and `jaxlaws collect`: what a sweep directory says about itself."""

import errno
import fcntl
import json
import os

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.config import RunConfig
from jaxlaws.records.run import RunDir, run_dirs


@pytest.fixture
def sweep(tmp_path):
    """Five runs: one done, one diverged, one failed, one running, one pending."""
    from dataclasses import asdict

    config = asdict(RunConfig(steps=10, batch_sequences=2))
    runs = [RunDir(tmp_path / name) for name in ("a", "b", "c", "d", "e")]
    for run in runs:
        run.ask(config, np.full(10, 1e-3))
    record = {"seconds": 2.0, "flops_exact": 1e9, "peak_lr": 1e-3, "warmup_steps": 0, "tokens": 2560}
    runs[0].start_curve()
    runs[0].add_point({"step": 10, "tokens": 2560, "lr": 1e-3, "train_loss": 3.0, "val_loss": 3.1})
    runs[0].finish({**record, "status": "ok", "val_loss_nats": 3.1})
    runs[1].finish({**record, "status": "diverged", "val_loss_nats": float("nan")})
    runs[2].fail("Traceback\nMemoryError: no room", {})
    assert runs[3].claim()
    return tmp_path


def test_status_counts_every_run_and_says_why_one_failed(sweep, capsys):
    assert main(["status", str(sweep)]) == 0
    out = capsys.readouterr().out
    assert "5 runs, 1 ok, 1 diverged, 1 failed, 1 running, 1 pending" in out
    assert "c failed: MemoryError: no room" in out
    assert "s left" in out


def test_status_as_json_and_retry(sweep, capsys):
    assert main(["status", str(sweep), "--json", "--retry-failed"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["failed"], answer["pending"], answer["failures"]) == (0, 2, {})
    assert not (sweep / "c" / "error.txt").exists()


def test_collect_writes_a_row_for_every_ended_run(sweep, tmp_path, capsys):
    assert main(["collect", str(sweep), "-o", str(tmp_path / "runs.csv")]) == 0
    table = pd.read_csv(tmp_path / "runs.csv", index_col="run_id")
    assert list(table.index) == ["a", "b", "c"]
    assert list(table["status"]) == ["ok", "diverged", "failed"]
    assert table.loc["a", "val_loss_nats"] == 3.1
    assert np.isnan(table.loc["b", "val_loss_nats"])


def test_runs_on_different_corpora_are_not_fitted_together(tmp_path, capsys):
    rows = [f"r{i},{10 ** (i + 3)},{10 ** (i + 3) * 20},{9 - i},{'ab'[i % 2]}" for i in range(6)]
    header = "run_id,params_nonembedding,tokens,val_loss_nats,corpus"
    (tmp_path / "runs.csv").write_text("\n".join([header, *rows]) + "\n")
    assert main(["fit", "chinchilla", str(tmp_path / "runs.csv")]) == 2
    assert "differ in corpus (a, b), which chinchilla cannot tell apart: select one" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "collect"])
def test_no_sweep_is_one_sentence(tmp_path, capsys, command: str):
    assert main([command, str(tmp_path / "none")]) == 2
    assert "is not a directory" in capsys.readouterr().err


def test_a_sweep_with_nothing_ended_cannot_be_collected(tmp_path, capsys):
    RunDir(tmp_path / "a").ask({}, np.ones(2))
    assert main(["collect", str(tmp_path)]) == 2
    assert "no run that has ended" in capsys.readouterr().err


def test_unknown_commands_and_options_are_exit_code_two(capsys):
    assert main(["recomend"]) == 2
    assert "did you mean 'recommend'" in capsys.readouterr().err
    assert main(["status"]) == 2
    assert "SWEEP" in capsys.readouterr().err


TINY = ["data=language", "data.vocab=16", "data.seq_len=16", "model=6k", "tokens=null", "steps=20", "eval.points=2"]
TWO = ["train", "-m", *TINY, "seed=0,1", "sweep.strategy=map", "sweep.name=two"]


def test_without_locks_a_sweep_is_trained_and_it_is_said(tmp_path, monkeypatch, capsys, caplog):
    def flock(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.chdir(tmp_path)
    assert main(TWO) == 0
    assert "2 trained (0 diverged), 0 done before, 0 failed" in " ".join(capsys.readouterr().out.split())
    assert caplog.text.count("is on a file system without locks (No locks available)") == 1


def test_runs_that_cannot_be_claimed_or_read_are_said_and_the_others_are_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*TWO, "seed=0"]) == 0
    (first,) = run_dirs("sweeps/two")
    capsys.readouterr()
    (first.path / "run.json").write_bytes(b"")
    first.path.rename(tmp_path / "elsewhere")
    first.path.symlink_to(tmp_path / "elsewhere")
    assert main([*TWO, "seed=0,1"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "1 trained (0 diverged), 0 done before, 1 failed" in out
    assert "run.json cannot be read (it is empty)" in out
    assert main(["status", "sweeps/two", "--retry-failed"]) == 1
    assert "is a symbolic link, through which nothing is written" in capsys.readouterr().err
    (first.path / "run.json").unlink()
    assert main([*TWO, "seed=0,1"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "0 trained (0 diverged), 1 done before, 1 failed, 1 pending" in out
    assert "is a symbolic link" in out
    assert not (tmp_path / "elsewhere" / "claim.json").exists()
