"""docs/json.md lists exactly the keys that the commands print."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "json.md").read_text()


def documented(command: str) -> set[str]:
    """The keys before the colon of every item below a heading."""
    section = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert section, command
    heads = [item.split("\n")[0].split(":")[0] for item in re.findall(r"^- (.*)$", section[1], re.M)]
    return {key for head in heads for key in re.findall(r"`(\w+)`", head)}


def printed(capsys, *arguments: str) -> set[str]:
    main([*arguments, "--json"])
    return set(json.loads(capsys.readouterr().out))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of cells with an LR × batch grid, and a table of losses over (N, D), both from known laws."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    rows, points = [], []
    for n in (1e7, 4e7, 1.6e8):
        for d in (1e9, 4e9, 1.6e10):
            loss = 1.8 + 400 / n**0.34 + 400 / d**0.28
            points.append((n, d, loss * np.exp(rng.normal(0, 1e-3))))
            for lr in (5e-4, 1e-3, 2e-3, 4e-3):
                for batch in (65_536, 262_144, 1_048_576):
                    miss = 0.01 * np.log(lr / 1.4e-3) ** 2 + 0.005 * np.log(batch / 2.5e5) ** 2
                    rows.append((n, d, lr, batch, loss * (1 + miss)))
    names = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "loss_nats"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "grid.csv", index_label="run_id")
    pd.DataFrame(points, columns=[*names[:2], "loss_nats"]).to_csv(folder / "points.csv", index_label="run_id")
    return folder


def test_recommend(capsys):
    assert printed(capsys, "recommend", "--params", "7B", "--tokens", "1.4T") == documented("recommend")


def test_status(tmp_path, capsys):
    assert printed(capsys, "status", str(tmp_path)) == documented("status")


def test_data(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a text")
    keys = printed(capsys, "data", str(tmp_path / "a.txt"), "-o", str(tmp_path / "shards"))
    assert keys == documented("data")


def test_schedule(capsys):
    assert printed(capsys, "schedule", "wsd", "--steps", "100", "--peak-lr", "1e-3") == documented("schedule")


def test_loss_laws(folder, capsys):
    files = [str(folder / name) for name in ("fit.json", "other.json")]
    for file in files:
        keys = printed(
            capsys, "fit", "chinchilla", str(folder / "points.csv"), "-o", file, "--bootstrap", "30", "--force"
        )
        assert keys == documented("fit")
    assert printed(capsys, "predict", files[0], "--params", "1e8", "--tokens", "2e9", "--force") == documented(
        "predict"
    )
    assert printed(capsys, "optimum", files[0], "--flops", "1e18", "--force") == documented("optimum")
    assert printed(capsys, "cross", files[0], "chinchilla:epoch", "--force") == documented("cross")
    assert printed(capsys, "compare", *files) == documented("compare")


def test_inspect(folder, capsys):
    assert printed(capsys, "inspect", str(folder / "grid.csv")) == documented("inspect")


def test_ranks(folder, capsys):
    columns = ["--recipe", "peak_lr,batch_tokens", "--size", "params_nonembedding,tokens"]
    assert printed(capsys, "ranks", str(folder / "grid.csv"), *columns) == documented("ranks")


def test_step_law(folder, capsys):
    keys = printed(capsys, "fit", "step_law", str(folder / "grid.csv"), "--bootstrap", "30", "--force")
    assert keys == documented("fit step_law")


def test_design_and_bound(capsys):
    common = ["multi_power:25M", "--peak-lr", "3e-4"]
    for what, extra in (
        ("schedule", ["--steps", "2000", "--family", "wsd(shape=linear)"]),
        ("cooldown", ["--horizons", "2000"]),
        ("extend", ["--schedule", "wsd", "--steps", "2000", "--to", "4000"]),
    ):
        assert printed(capsys, "design", what, *common, *extra) == documented(f"design {what}")
    assert printed(capsys, "bound", "wsd", "--steps", "2000") == documented("bound")


def test_laws(capsys):
    main(["laws", "--json"])
    answer = json.loads(capsys.readouterr().out)
    described = set(re.findall(r"`(\w+)`", re.search(r"^## laws\n(.*?)(?=^## )", PAGE, re.M | re.S)[1]))
    assert all(set(law) == described for law in answer.values())
