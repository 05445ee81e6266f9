"""The screen of what is being trained is read from the runs' own files."""

import io
import json

from rich.console import Console

from jaxlaws.cli.live import live_table, read_curve, sparkline
from jaxlaws.config import EvalConfig, RunConfig
from jaxlaws.sweep.plan import plan


def test_a_sparkline_spans_its_values():
    assert sparkline([3.0, 2.0, 1.0]) == "█▅▁"
    assert sparkline([]) == ""
    assert set(sparkline([1.0, 1.0])) == {"▁"}


def test_a_curve_that_is_being_written_is_read_as_far_as_it_goes(tmp_path):
    file = tmp_path / "curve.csv"
    assert read_curve(file) == []
    file.write_text("step,train_loss,val_loss\n5,3.0,\n10,2.0,2.5\n15,1.")
    assert read_curve(file) == [{"step": 5.0, "train_loss": 3.0}, {"step": 10.0, "train_loss": 2.0, "val_loss": 2.5},
                                {"step": 15.0, "train_loss": 1.0}]  # fmt: skip


def test_the_screen_has_the_runs_that_are_held(tmp_path):
    runs = [RunConfig(steps=40, batch_sequences=2, eval=EvalConfig(points=2), seed=seed) for seed in range(20)]
    planned = plan(runs, tmp_path, lambda data: "0")
    for item in planned[:14]:
        item.directory.claim()
        item.directory.start_curve()
        item.directory.add_point({"step": 20, "tokens": 1, "lr": 1.0, "train_loss": 3.25, "val_loss": 3.125})
    screen = io.StringIO()
    Console(file=screen, width=160).print(live_table(planned))
    text = screen.getvalue()
    assert planned[0].directory.name in text
    assert "20/40" in text
    assert "3.125" in text
    assert "and 2 more" in text
    assert planned[15].directory.name not in text
    assert json.loads((planned[0].directory.path / "claim.json").read_text())["pid"]
