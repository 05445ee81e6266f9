"""One run spread over several devices, or several processes, is the run that it is on one device."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jaxlaws.config import EngineConfig
from jaxlaws.errors import BadInput
from jaxlaws.training.mesh import check_batch, make_mesh

ROOT = Path(__file__).resolve().parent.parent
CODE = """
import json, sys
import jax
from jaxlaws.training.devices import join_processes
if {processes} > 1: join_processes()
from dataclasses import replace
from jaxlaws.config import EngineConfig, EvalConfig, OptimizerConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig
from jaxlaws.training.optimizer import hyper
from jaxlaws.training.program import program
from jaxlaws.training.lane import Lane, Watch
from jaxlaws.training.run import train_lanes
run = RunConfig(
    model=ModelConfig(width=32, depth=2, heads=2, mlp_width=48, vocab=16),
    data=DataConfig(source="language", vocab=16, seq_len=16),
    optimizer=OptimizerConfig(peak_lr=1e-2, weight_decay=0.1),
    eval=EvalConfig(points=2, sequences=32), steps=24, batch_sequences=8,
)
found = {{}}
for name, engine in {engines}.items():
    engine, curve = EngineConfig(**engine), []
    data = open_data(run.data)
    how = "map" if name == "one" else "mesh"
    made = program(run, data, how, engine)
    train_lanes(made, data, [Lane(run)], 1, Watch(point=lambda lane, row: curve.append(row)))
    found[name] = [[row["train_loss"], row["val_loss"], row["gradient_norm"], row["update_norm"]] for row in curve]
    if how == "mesh":
        state = made.init(jax.numpy.zeros(1, "uint32"), jax.tree.map(lambda x: x[None], hyper(run.optimizer)))
        held = sum(x.addressable_shards[0].data.size for x in jax.tree.leaves(state.params))
        found[name].append(held / sum(x.size for x in jax.tree.leaves(state.params)))
if jax.process_index() == 0: print(json.dumps(found))
"""


def curves(engines: dict, devices: int, processes: int = 1) -> dict:
    """What training under each engine reports, in fresh processes with so many simulated devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = CODE.format(engines=repr(engines), processes=processes)
    started = []
    for index in range(processes):
        job = {
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(index),
        }
        environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        environment |= job if processes > 1 else {}
        command = [sys.executable, "-c", code]
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    answers = [process.communicate(timeout=300) for process in started]
    assert all(process.returncode == 0 for process in started), answers
    return json.loads(answers[0][0].splitlines()[-1])


def test_data_parallel_sharded_and_tensor_parallel_runs_equal_one_device():
    found = curves(
        {
            "one": {},
            "data 2": {"data": 2},
            "fsdp 2": {"fsdp": 2},
            "data 2 fsdp 2": {"data": 2, "fsdp": 2},
            "fsdp 4": {"fsdp": 4},
            "tensor 2": {"tensor": 2, "fsdp": 2},
            "accumulate": {"data": 2, "accumulate": 2},
        },
        devices=4,
    )
    one = found.pop("one")
    for name, (*curve, share) in found.items():
        for mine, other in zip(curve, one, strict=True):
            assert mine == pytest.approx(other, rel=2e-5), name
        parts = 4 if name in ("fsdp 4", "tensor 2") else 2 if "fsdp" in name else 1
        assert 1 / parts <= share < 1 / parts + 0.05, name


def test_two_processes_equal_one():
    one = curves({"one": {}}, devices=1)["one"]
    two = curves({"two": {}, "two sharded": {"data": 1, "fsdp": -1}}, devices=1, processes=2)
    for *curve, _ in two.values():
        for mine, other in zip(curve, one, strict=True):
            assert mine == pytest.approx(other, rel=2e-5)


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"data": 64}, "there are"),
        ({"data": -1, "fsdp": -1}, "at most one -1"),
        ({"tensor": 0}, "expected sizes"),
    ],
)
def test_a_mesh_that_cannot_be_is_one_sentence(engine, says):
    with pytest.raises(BadInput, match=says):
        make_mesh(EngineConfig(**engine))


def test_a_batch_that_the_mesh_does_not_divide_is_one_sentence():
    mesh = make_mesh(EngineConfig())
    check_batch(6, 3, mesh)
    with pytest.raises(BadInput, match="make batch_sequences a multiple of 4"):
        check_batch(6, 4, mesh)
    with pytest.raises(BadInput, match="expected at least 1"):
        check_batch(6, 0, None)
