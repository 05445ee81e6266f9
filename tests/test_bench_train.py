"""The training benchmark compares loops that do the same work; what needs an accelerator is tried in small."""

import numpy as np
import pytest

from jaxlaws.bench import train, utilisation
from jaxlaws.config import EvalConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.model.shape import ModelConfig
from jaxlaws.training.lane import Lane, Watch
from jaxlaws.training.program import program
from jaxlaws.training.run import train_lanes


@pytest.mark.slow
def test_the_bare_loop_is_the_same_training():
    run = RunConfig(
        model=ModelConfig(width=16, depth=1, heads=2, mlp_width=24),
        data=DataConfig(seq_len=16),
        eval=EvalConfig(points=1, sequences=1),
        steps=30,
        batch_sequences=2,
    )
    data, lane = open_data(run.data), Lane(run)
    traces: list[np.ndarray] = []
    ours = Lane(run, snapshots=frozenset({29}))
    watch = Watch(snapshot=lambda lane, step, state, trace: traces.append(trace[0].copy()))
    train_lanes(program(run, data, "map"), data, [ours], 1, watch)
    loop, losses = train._bare_loop(lane, data)
    loop()
    np.testing.assert_allclose(losses[:29], traces[0], rtol=2e-5)


@pytest.mark.slow
def test_utilisation_is_the_share_of_the_measured_peak():
    peak = utilisation.matmul_flops(128, 2)
    model = ModelConfig(width=16, depth=1, heads=2, mlp_width=24, vocab=64)
    row = utilisation.row("tiny", model, 2, 16, peak).to_json()
    assert row["speedup"] == pytest.approx(row["baseline_s"] / row["ours_s"])
    assert 0 < row["speedup"] < 1
    assert "estimated" in row["note"]
