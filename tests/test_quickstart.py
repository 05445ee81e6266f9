"""What the quickstart trains, and, at its tiny scale, that it runs to its end and resumes."""

import json
from pathlib import Path

import pytest

from jaxlaws import quickstart
from jaxlaws.cli import main
from jaxlaws.config import batch_sequences, check, steps
from jaxlaws.model.shape import count_params


@pytest.mark.parametrize("scale", [quickstart.FULL, quickstart.TINY], ids=["full", "tiny"])
def test_at_least_six_cells_each_with_a_grid_and_one_left_out(scale: quickstart.Scale):
    cells: dict[tuple[int, int], set[tuple[int, float]]] = {}
    for run in quickstart.cell_runs(scale):
        check(run)
        tokens = steps(run) * batch_sequences(run) * run.data.seq_len
        cells.setdefault((count_params(run.model)[0], tokens), set()).add((run.batch_sequences, run.optimizer.peak_lr))
    assert len(cells) >= 6
    assert {len(grid) for grid in cells.values()} == {9}
    unseen = (count_params(scale.models[-1])[0], scale.tokens[-1])
    assert unseen not in cells
    assert any(n == unseen[0] for n, _ in cells)
    assert any(d == unseen[1] for _, d in cells)


def test_the_unseen_schedule_is_none_of_the_trained():
    assert len(quickstart.TRAINED) >= 4
    assert quickstart.UNSEEN not in quickstart.TRAINED.values()


def test_neighbours_differ_by_two_and_a_batch_of_one_has_none_below():
    points = quickstart.neighbours(4e-3, 3)
    assert points["LR ÷ 2"] == (2e-3, 3)
    assert points["batch ÷ 2"] == (4e-3, 2)
    assert "batch ÷ 2" not in quickstart.neighbours(4e-3, 1)


@pytest.mark.slow
def test_it_ends_with_predictions_beside_measurements_and_resumes(tmp_path: Path, capsys):
    out = tmp_path / "quickstart"
    assert main(["quickstart", "--tiny", "--json", "--out", str(out)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == json.loads((out / "quickstart.json").read_text())
    for part in ("schedule", "cell"):
        predicted = answer[part]["predicted"]
        assert predicted["low"] < predicted["value"] < predicted["high"]
        assert abs(predicted["value"] / answer[part]["measured"] - 1) < 0.1
    assert answer["recommended"]["peak_lr"]["low"] < answer["recommended"]["peak_lr"]["high"]
    assert 0 <= answer["regret"]["value"] < 0.5
    for name in ("runs.csv", "step_law.json", "chinchilla.json", "schedule_law.json", "figures/prediction.png"):
        assert (out / name).stat().st_size > 0
    ended = {path: path.stat().st_mtime_ns for path in out.glob("*/*/run.json")}
    assert main(["quickstart", "--tiny", "--json", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out) == answer
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*/run.json")} == ended
