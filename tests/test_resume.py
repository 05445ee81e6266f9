"""A run that is killed or told to stop, in a process of its own, ends as the one that was left alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxlaws.records.run import run_dirs
from jaxlaws.training.checkpoint import Checkpoints

ROOT = Path(__file__).resolve().parent.parent
TRAIN = """
import json, os, signal, sys, threading
from pathlib import Path
from jaxlaws.cli import main
from jaxlaws.training.checkpoint import Checkpoints
how, step = sys.argv[1], int(sys.argv[2])
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
save, due = Checkpoints.save, Checkpoints.due
def saves(self, at, state, trace):
    if how == "committing" and at >= step:
        self._manager.wait_until_finished()
        from orbax.checkpoint._src.path.atomicity import AtomicRenameTemporaryPath
        AtomicRenameTemporaryPath.finalize = die
    save(self, at, state, trace)
    if how == "writing" and at >= step:
        die()
def dues(self, at):
    global how
    if how == "between" and at >= step:
        self.close()
        die()
    if how in ("SIGTERM", "SIGINT") and at >= step:
        number, how = getattr(signal, how), ""
        os.kill(os.getpid(), number)
    return due(self, at)
Checkpoints.save, Checkpoints.due = saves, dues
Checkpoints.remove = Checkpoints.close  # the last one is compared as well
sys.exit(main(["train", "data=language", "data.vocab=16", "data.seq_len=16", "model=6k", "tokens=null", "steps=120",
    "batch_sequences=4", "eval.points=5", "eval.sequences=32", "optimizer.peak_lr=1e-2",
    "engine.checkpoint_steps=16", "engine.checkpoint_seconds=1e9", "out=" + sys.argv[3], *sys.argv[4:]]))
"""


def train(folder: Path, how: str = "", step: int = 0, *more: str) -> tuple[int, str]:
    """(exit code, stderr) of `jaxlaws train` in a process of its own that something happens to."""
    command = [sys.executable, "-c", TRAIN, how, str(step), str(folder), *more]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    return answer.returncode, answer.stderr


def latest(folder: Path) -> int:
    return max((Checkpoints(path, 1).latest() for path in folder.glob("*/checkpoints")), default=0)


def left(folder: Path) -> tuple[dict, str, list[bytes]]:
    """What a finished run leaves: its record but for times, its curve, and the bits of its last checkpoint."""
    (run,) = run_dirs(folder)
    timing = ("seconds", "compile_seconds", "step_seconds", "tokens_per_second", "mfu")
    record = {name: value for name, value in run.record().items() if name not in timing}
    from orbax.checkpoint import StandardCheckpointer

    with StandardCheckpointer() as reader:
        kept = reader.restore(run.path / "checkpoints" / str(latest(folder)) / "run")
    bits = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(kept["state"])]
    return record, (run.path / "curve.csv").read_text(), bits


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    code, err = train(folder)
    assert code == 0, err
    return left(folder)


def check_resumed(tmp_path, whole, happenings):
    for how, step, code, floor in happenings:
        got, err = train(tmp_path, how, step)
        assert got == code, err
        assert "Traceback" not in err
        assert latest(tmp_path) >= floor
    code, err = train(tmp_path)
    assert code == 0, err
    record, curve, bits = left(tmp_path)
    assert json.dumps(record) == json.dumps(whole[0])
    assert curve == whole[1]
    assert bits == whole[2]
    assert not list(tmp_path.glob("*/claim.json"))


def test_killed_during_a_save_and_preempted_it_is_the_run_that_was_never_stopped(tmp_path, whole):
    check_resumed(tmp_path, whole, [("committing", 48, -9, 32), ("SIGTERM", 70, 130, 70)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["soap", "schedule_free_adamw"])
def test_an_optimiser_with_more_state_resumes_as_well(tmp_path, name):
    assert train(tmp_path / "whole", "", 0, f"optimizer={name}")[0] == 0
    assert train(tmp_path / "part", "SIGTERM", 50, f"optimizer={name}")[0] == 130
    assert train(tmp_path / "part", "", 0, f"optimizer={name}")[0] == 0
    whole, part = left(tmp_path / "whole"), left(tmp_path / "part")
    assert json.dumps(part[0]) == json.dumps(whole[0])
    assert part[1:] == whole[1:]


@pytest.mark.slow
def test_killed_at_many_steps_it_is_the_run_that_was_never_stopped(tmp_path, whole):
    happenings = [("between", 1, -9, 0), ("writing", 16, -9, 0), ("committing", 16, -9, 0), ("between", 41, -9, 40)]
    happenings += [
        ("SIGINT", 50, 130, 50),
        ("writing", 80, -9, 50),
        ("between", 97, -9, 80),
        ("committing", 112, -9, 80),
    ]
    check_resumed(tmp_path, whole, happenings)


def job(folder: Path, *happens: tuple[str, int]) -> list[tuple[int, str]]:
    """`train` of one run as a job of processes, to each of which something happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []
    for index, (how, step) in enumerate(happens):
        command = [sys.executable, "-c", TRAIN, how, str(step), str(folder), "engine.distributed=true"]
        about = {"COORDINATOR_ADDRESS": address, "NUM_PROCESSES": str(len(happens)), "PROCESS_ID": str(index)}
        environment = os.environ | {f"JAX_{name}": value for name, value in about.items()}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate(timeout=300)[1] for process in started]
    return [(process.returncode, error) for process, error in zip(started, errors, strict=True)]


@pytest.mark.slow
def test_a_signal_to_one_process_of_a_job_saves_and_stops_all_and_any_number_goes_on(tmp_path, whole):
    stopped = job(tmp_path, ("", 0), ("SIGTERM", 50))
    assert [code for code, _ in stopped] == [130, 130], stopped
    assert latest(tmp_path) >= 50
    code, err = train(tmp_path)
    assert code == 0, err
    assert "is continued not bit for bit: devices.count was 2, is 1" in err
    record, _, _ = left(tmp_path)
    assert record["val_loss_nats"] == pytest.approx(whole[0]["val_loss_nats"], rel=2e-5)
    assert not list(tmp_path.glob("*/claim.json"))
