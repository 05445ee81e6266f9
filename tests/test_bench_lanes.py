"""The benches of sweeps count what they claim to have trained."""

import pytest

from jaxlaws.bench import lanes
from jaxlaws.model.shape import ModelConfig

pytestmark = pytest.mark.slow


def test_packs_beside_one_run_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path))
    (row,) = lanes.packs({"tiny": ModelConfig(width=16, depth=1, heads=2, mlp_width=24)}, sizes=(2,))
    assert row.ours_s > 0
    assert row.baseline_s is not None
    assert "tokens/s by lanes: 1: " in row.note
    assert "the chooser takes" in row.note


def test_both_sides_of_a_sweep_end_with_a_result_a_job(monkeypatch):
    assert lanes._ours("model=6k", "optimizer.peak_lr=1e-3,2e-3") == 2
    assert lanes._plain("basic", "model=6k", "peak_lr=1e-3,2e-3") == 2
