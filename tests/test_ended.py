"""The end of a sweep on the screen: runs are ranked within their (N, D), under names that a person tells apart."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxlaws.cli.status import print_ended
from jaxlaws.schedules.apart import names_apart

WSD = "wsd(cooldown={}, floor=0.0, shape=linear, warmup_fraction=0.05)"


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        ([WSD.format(0.2), WSD.format(0.4)], ["wsd(cooldown=0.2)", "wsd(cooldown=0.4)"]),
        ([WSD.format(0.2), "cosine(floor=0.1)"], ["wsd", "cosine"]),
        (["cosine(floor=0.1)", "cosine(floor_lr=1e-05)"], ["cosine(floor=0.1)", "cosine(floor_lr=1e-05)"]),
        (
            ["step(milestones=[0.5], values=[0.1])", "step(milestones=[0.8], values=[0.1])"],
            ["step(milestones=[0.5])", "step(milestones=[0.8])"],
        ),
        (["constant_24000", "", "mine(a=1)"], ["constant_24000", "", "mine(a=1)"]),
    ],
)
def test_schedules_have_names_that_tell_them_apart(specs, names):
    assert [names_apart(specs)[spec] for spec in specs] == names


class Ended:
    def __init__(self, name: str, params: int, tokens: int, loss: float, cooldown: float) -> None:
        self.name = name
        self.record = {"status": "ok", "params_nonembedding": params, "tokens": tokens, "val_loss_nats": loss}
        self.record |= {"model": "2x32", "schedule": WSD.format(cooldown), "peak_lr": 1e-3, "seed": 0}

    def look(self) -> SimpleNamespace:
        return SimpleNamespace(state="ok", record=self.record)


def test_runs_are_ranked_within_each_cell(capsys):
    """A larger budget has the lower losses: over all runs its worst would stand before the best of the smaller one."""
    runs = [
        *(Ended("small-bad", 25_000, 1_000_000, 2.4, 0.2), Ended("large-best", 25_000, 4_000_000, 2.0, 0.4)),
        *(Ended("small-best", 25_000, 1_003_000, 2.3, 0.4), Ended("large-bad", 25_000, 4_000_000, 2.1, 0.2)),
    ]
    print_ended(Path("sweep"), runs, SimpleNamespace(trained=[], skipped=[], failed={}, busy=[]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line[0] for line in lines[1:5]] == ["small-best", "small-bad", "large-best", "large-bad"]
    assert lines[1][1:4] == ["25k", "2x32", "1M"]
    assert lines[1][-1] == "wsd(cooldown=0.4)"


def test_many_runs_of_many_cells_are_cut_in_each(capsys):
    runs = [Ended(f"r{i}-{j}", 1000 * (i + 1), 1_000_000, 3.0 + j / 100, 0.2) for i in range(10) for j in range(20)]
    print_ended(Path("a sweep"), runs, SimpleNamespace(trained=[], skipped=[], failed={}, busy=[]))
    out = capsys.readouterr().out
    assert all(f"r{i}-0 " in out for i in range(10))
    assert "and 170 more: jaxlaws collect 'a sweep'" in out
