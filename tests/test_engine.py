"""What an engine may be asked for besides training: logs, a profile, other processes; what cannot be is said first."""

import json
import os
import socket
import struct
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import samples

from jaxlaws.config import EngineConfig, RunConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.errors import BadInput
from jaxlaws.records.run import run_dirs
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.plan import plan
from jaxlaws.training import measure
from jaxlaws.training.devices import join_processes

RUN = replace(samples.RUN, steps=100)


def train(sweep: Path, *runs: RunConfig, **engine):
    planned = plan(runs or (RUN,), sweep, lambda config: open_data(config).digest)
    train_sweep(planned, engine=EngineConfig(**engine))
    return planned[0].directory


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag, from TensorBoard's record files: length, its checksum, an event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    (file,) = folder.glob("events.*")
    content, at = file.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        at += length + 16
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_has_the_points_of_the_curve(tmp_path):
    pytest.importorskip("tensorboardX")
    run = train(tmp_path, tensorboard=True)
    logged = events(run.path / "tensorboard")
    curve = [row.split(",") for row in (run.path / "curve.csv").read_text().splitlines()]
    at = curve[0].index("val_loss")
    assert [step for step, _ in logged["val_loss"]] == [50, 100]
    assert [value for _, value in logged["val_loss"]] == pytest.approx([float(row[at]) for row in curve[1:]], rel=1e-6)
    assert {"train_loss", "lr", "gradient_norm", "update_norm"} <= set(logged)


def test_wandb_is_given_every_point_and_closed(tmp_path, monkeypatch):
    """Against a stand-in of wandb's interface: nothing here can reach the real service."""
    told: list = []
    run = types.SimpleNamespace(log=lambda row, step: told.append((step, row)), finish=lambda: told.append("end"))
    started: list[dict] = []
    fake = types.SimpleNamespace(init=lambda **settings: started.append(settings) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    directory = train(tmp_path, wandb=True)
    assert started[0]["name"] == directory.name
    assert started[0]["config"]["seed"] == 0
    assert [entry if entry == "end" else entry[0] for entry in told] == [50, 100, "end"]


def test_a_missing_package_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BadInput, match=r"pip install 'jaxlaws\[log\]'"):
        train(tmp_path, wandb=True)
    assert not list(tmp_path.glob("*/claim.json"))


def test_a_profile_is_written_where_it_is_asked_for(tmp_path):
    runs = (RUN, replace(RUN, seed=1))
    train(tmp_path, *runs, profile=True)
    assert len(list(tmp_path.glob("*/profile/**/*.xplane.pb"))) == 1


def test_a_record_says_how_fast_it_was_trained(tmp_path):
    record = train(tmp_path).record()
    assert record["tokens_per_second"] == pytest.approx(64 / record["step_seconds"])
    assert 0 < record["step_seconds"] * 50 < record["seconds"]
    assert record["mfu"] is None or record["mfu"] > 0


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("TPU v5 lite", 197e12),
        ("TPU v4", 275e12),
        ("cpu", None),
    ],
)
def test_peaks_by_the_names_that_jax_gives_devices(kind, peak):
    assert measure.peak_flops(kind) == peak


@pytest.mark.parametrize(
    ("engine", "says"),
    [({"accumulate": 3}, "make batch_sequences a multiple of 3"), ({"fsdp": 99}, "there are")],
)
def test_what_an_engine_cannot_do_is_said_before_anything_is_trained(tmp_path, engine, says):
    with pytest.raises(BadInput, match=says):
        train(tmp_path, **engine)
    assert not list(tmp_path.glob("*/run.json"))


def test_half_a_job_is_one_sentence(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    with pytest.raises(BadInput, match="JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID is not"):
        join_processes()


@pytest.mark.slow
def test_two_processes_train_one_sweep_as_one_process_does(tmp_path):
    """The whole command: the first process keeps the records, and what has ended is not trained again."""
    data = ["data=language", "data.vocab=16", "data.seq_len=16"]
    asked = ["train", "-m", "optimizer.peak_lr=1e-3,3e-3", *data, "model=6k", "tokens=null"]
    command = [sys.executable, "-m", "jaxlaws", *asked, "steps=40", "eval.points=2", "batch_sequences=4"]

    def start(out: str, processes: int) -> list[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        started = []
        for index in range(processes):
            job = {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(index),
            }
            more = ["engine.distributed=true"] if processes > 1 else ["sweep.strategy=map"]
            own = {"JAXLAWS_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}
            environment = {**os.environ, **own, **(job if processes > 1 else {})}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            arguments = [*command, *more, f"out={tmp_path / out}"]
            started.append(subprocess.Popen(arguments, env=environment, cwd=tmp_path, **pipes))
        answers = [process.communicate(timeout=300) for process in started]
        assert all(process.returncode == 0 for process in started), answers
        return [answer[0] for answer in answers]

    start("one", 1)
    said = start("two", 2)
    assert "2 trained" in said[0]
    assert "trained" not in said[1]
    one, two = (
        {json.dumps(run.record()["identity"], sort_keys=True): run.record() for run in run_dirs(tmp_path / out)}
        for out in ("one", "two")
    )
    assert set(one) == set(two)
    for name, record in one.items():
        assert two[name]["val_loss_nats"] == pytest.approx(record["val_loss_nats"], rel=2e-5)
        assert two[name]["strategy"] == "mesh"
    assert "0 trained (0 diverged), 2 done before" in start("two", 2)[0]
