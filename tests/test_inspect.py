"""`jaxlaws inspect`: a table is shown with everything that a fit would refuse, its grid, and the laws it identifies."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from samples import RUN, schedules
from test_configs import compose
from test_traps_hyper import BUDGETS, SIZES, sweep

from jaxlaws.cli import main
from jaxlaws.config import OptimizerConfig
from jaxlaws.errors import BadInput
from jaxlaws.fitting.design_checks import on_a_line
from jaxlaws.model.shape import count_params
from jaxlaws.records.source import open_runs
from jaxlaws.schedules.spec import ScheduleConfig
from jaxlaws.sweep.plan import plan


def table(**columns) -> pd.DataFrame:
    rows = [
        {"params_nonembedding": n, "tokens": d, "peak_lr": lr, "batch_tokens": 65_536.0, "loss_nats": 3.0 + lr}
        for n in (1e7, 4e7)
        for d in (1e9, 4e9)
        for lr in (5e-4, 1e-3, 2e-3)
    ]
    return pd.DataFrame(rows).assign(**columns)


def saved(folder, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / "runs.csv", index=False)
    return str(folder / "runs.csv")


@pytest.mark.parametrize(
    ("columns", "questions"),
    [
        ({}, []),
        ({"peak_lr": lambda t: 1e3 * t["peak_lr"]}, ["lr-unit"]),
        (
            {"peak_lr": lambda t: 1e3 * t["peak_lr"], "batch_tokens": 32.0, "steps": 9.0},
            ["steps", "lr-unit"],
        ),
        ({"peak_lr": lambda t: t["peak_lr"].where(t.index > 1)}, [""]),
        ({"loss_nats": lambda t: t["loss_nats"].where(t.index > 0, -1.0), "seq_len": 0.0}, None),
    ],
)
def test_everything_that_a_fit_would_refuse_is_collected(columns, questions, tmp_path):
    path = saved(tmp_path, table(**columns))
    if questions is None:
        with pytest.raises(BadInput, match="seq_len"):
            open_runs(path, collect=True)
        return
    runs = open_runs(path, collect=True)
    assert [name for name, _ in runs.refusals] == questions
    if questions:
        with pytest.raises(BadInput) as error:
            open_runs(path)
        assert str(error.value) == runs.refusals[0][1]


def inspected(capsys, *arguments: str) -> dict:
    assert main(["inspect", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_a_fit_refuses_is_still_shown(tmp_path, capsys):
    path = saved(tmp_path, table(peak_lr=lambda t: 1e3 * t["peak_lr"]))
    answer = inspected(capsys, path)
    assert [entry["question"] for entry in answer["refused"]] == ["lr-unit"]
    assert "--assume lr-unit" in answer["refused"][0]["sentence"]
    assert answer["add"] == []
    assert main(["inspect", path]) == 0
    assert "--assume lr-unit" in capsys.readouterr().out
    assert main(["fit", "step_law", path]) == 2


#: Sweeps as people make them → (laws that they identify, weakly or not, edges of the first cell, batches to add there).
SWEEPS = {
    "grid": ({}, {"step_law": "yes", "chinchilla": "yes"}, {}, None),
    "one batch": (
        {"lrs": (-2, -1, 0, 1), "batches": (0,), "params": SIZES[:3], "tokens": (8e9,)},
        {"step_law": "weakly", "chinchilla": "no"},
        {"batch_tokens": "single"},
        2,
    ),
    "two batches": ({"batches": (0, 1)}, {"step_law": "weakly"}, {"batch_tokens": "low"}, 2),
    "one cell": (
        {"params": SIZES[:1], "tokens": (8e9,), "batches": (0,)},
        {"step_law": "no", "kaplan": "no"},
        {"batch_tokens": "single"},
        2,
    ),
    "one N": ({"params": SIZES[:1]}, {"step_law": "weakly", "chinchilla": "no"}, {}, None),
    "one D": ({"tokens": BUDGETS[:1]}, {"step_law": "weakly", "chinchilla": "no"}, {}, None),
    "one ray": ({"ray": 20}, {"step_law": "weakly", "chinchilla": "no", "farseer": "no"}, {}, None),
    "LRs too low": ({"lrs": (-5, -4, -3)}, {"step_law": "no"}, {"peak_lr": "high"}, None),
    "one LR": ({"lrs": (0,)}, {"step_law": "no"}, {"peak_lr": "single"}, None),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps_as_people_make_them(name, tmp_path, capsys):
    grid, laws, edges, batches = SWEEPS[name]
    runs = sweep(noise=3e-4, scatter=0.0, **grid).assign(seq_len=2048)
    runs["batch_tokens"] = 2048 * (runs["batch_tokens"] / 2048).round()
    answer = inspected(capsys, saved(tmp_path, runs))
    assert {law: answer["laws"][law]["identified"] for law in laws} == laws
    assert all(law["why"] for law in answer["laws"].values() if law["identified"] != "yes")
    cell = answer["cells"][0]
    assert {axis: about["edge"] for axis, about in cell["edges"].items() if about["edge"]} == edges
    assert len(answer["cells"]) == len(runs.groupby(["params_nonembedding", "tokens"]))
    best = runs.loc[runs[runs["params_nonembedding"] == cell["params"]]["loss_nats"].idxmin()]
    if len(answer["cells"]) == len(runs["params_nonembedding"].unique()):
        assert (cell["peak_lr"], cell["loss"]) == (pytest.approx(best["peak_lr"]), pytest.approx(best["loss_nats"]))
    for entry in answer["add"]:
        assert all(0 < lr < 1 for lr in entry["peak_lr"])
        assert all(batch >= 2048 and batch % 2048 == 0 for batch in entry["batch_tokens"])
        assert entry["command"] is None
    added = {(entry["params"], entry["tokens"]): entry for entry in answer["add"]}
    if batches:
        assert len(added[cell["params"], cell["tokens"]]["batch_tokens"]) == batches
        assert len(added[cell["params"], cell["tokens"]]["peak_lr"]) == 3
    both = [*answer["cells"], *answer["add"]]
    assert min(len({cell[name] for cell in both}) for name in ("params", "tokens")) >= 3
    assert not on_a_line(*(np.log([cell[name] for cell in both]) for name in ("params", "tokens")))


def test_diverged_runs_at_the_top_bound_the_lr(tmp_path, capsys):
    runs = sweep(lrs=(-2, -1, 0, 1, 2), batches=(0,), noise=0.0, scatter=0.0)
    top = runs["peak_lr"] >= 0.9 * runs.groupby(["params_nonembedding", "tokens"])["peak_lr"].transform("max")
    runs["status"] = np.where(top, "diverged", "ok")
    answer = inspected(capsys, saved(tmp_path, runs.assign(loss_nats=runs["loss_nats"].where(~top))))
    assert {cell["diverged"] for cell in answer["cells"]} == {1}
    assert all(cell["edges"]["peak_lr"]["edge"] is None for cell in answer["cells"])
    assert "12 diverged" in answer["used"]


def test_a_table_without_what_a_law_reads_says_what_is_missing(tmp_path, capsys):
    frame = table().drop(columns=["peak_lr", "batch_tokens"]).drop_duplicates(["params_nonembedding", "tokens"])
    answer = inspected(capsys, saved(tmp_path, frame))
    assert answer["cells"][0]["peak_lr"] is None
    assert [(entry["params"], entry["tokens"]) for entry in answer["add"]] == [(8e7, 1e9), (1e7, 1.6e10)]
    assert "no column peak_lr, batch_tokens" in answer["laws"]["step_law"]["why"][0]
    text = " ".join(answer["laws"]["multi_power"]["why"])
    assert "no curves" in text


def test_runs_of_unknown_sizes_share_no_grid(tmp_path, capsys):
    """LRs that fall with the size, as in a ladder of models, are no sweep."""
    frame = table().drop(columns="params_nonembedding")
    answer = inspected(capsys, saved(tmp_path, frame))
    assert all(cell["edges"] == {} for cell in answer["cells"])
    assert answer["add"] == []


def test_curves_are_shown_and_judged(tmp_path, capsys):
    rows = [
        {"run_id": name, "step": step, "lr": lr[step], "loss": 3 + 2 / (1 + step) ** 0.5}
        for name, lr in schedules(steps=400, warmup=20).items()
        for step in range(0, 400, 5)
    ]
    path = saved(tmp_path, pd.DataFrame(rows))
    answer = inspected(capsys, path)
    assert [curve["run"] for curve in answer["curves"]] == ["cosine", "constant", "drop", "wsd"]
    constant, wsd = answer["curves"][1], answer["curves"][3]
    assert (constant["decay_begins"], constant["peak_lr"], constant["largest_gap"]) == (None, pytest.approx(3e-3), 5)
    assert 270 < wsd["decay_begins"] < 310
    assert answer["laws"]["multi_power"]["identified"] == "yes"
    assert answer["laws"]["chinchilla"]["identified"] == "no"
    assert answer["laws"]["annealing_size"]["identified"] == "no"
    one = inspected(capsys, path, "--where", "run_id==constant")
    assert "single run" in one["laws"]["opl"]["why"][0]
    assert main(["inspect", path]) == 0
    assert "never" in capsys.readouterr().out


def test_of_our_own_sweep_what_to_add_is_a_command_that_composes(tmp_path, capsys):
    """Its runs are those of the best one in every setting but LR and batch, which are the values to add."""
    lrs, folder = (1e-3, 2e-3, 4e-3), tmp_path / "my sweep"
    schedule = ScheduleConfig(name="wsd", cooldown=0.4, shape="1-sqrt")
    runs = [replace(RUN, schedule=schedule, optimizer=OptimizerConfig(peak_lr=lr, clip=0.5)) for lr in lrs]
    for item, loss in zip(plan(runs, folder, lambda data: "digest"), (3.0, 2.9, 2.8), strict=True):
        assert item.directory.claim()
        about = {"params_nonembedding": 5000, "tokens": 20 * 64, "steps": 20, "seq_len": 16, "batch_tokens": 64}
        about |= {"peak_lr": item.run.optimizer.peak_lr, "val_loss_nats": loss, "seconds": 1.0, "flops_exact": 1e9}
        item.directory.finish({**about, "status": "ok"})
    answer = inspected(capsys, str(folder))
    known = [entry for entry in answer["add"] if (entry["params"], entry["tokens"]) == (5000, 1280)]
    assert [len(entry["peak_lr"]) for entry in known] == [2, 3]
    assert len({entry["params"] for entry in answer["add"]} - {5000}) == 2
    assert {entry["tokens"] for entry in answer["add"]} - {1280} == {4 * 1280, 16 * 1280}
    for entry in answer["add"]:
        words = shlex.split(entry["command"])
        assert words[:3] == ["jaxlaws", "train", "-m"]
        assert words[-1] == f"out='{folder}'"
        keys = dict(word.split("=", 1) for word in words[3:])
        composed = compose(*[f"{key}={value.split(',')[0]}" for key, value in keys.items()])
        wanted = replace(runs[-1], optimizer=replace(runs[-1].optimizer, peak_lr=entry["peak_lr"][0]))
        if entry["tokens"] != 1280:
            wanted = replace(wanted, steps=None, tokens=entry["tokens"])
        if entry["params"] != 5000:
            assert count_params(composed.model)[0] == entry["params"]
            wanted = replace(wanted, model=composed.model)
        assert composed == replace(wanted, batch_sequences=int(entry["batch_tokens"][0] / 16))


def test_nothing_that_is_shown_is_a_terminal_escape(tmp_path, capsys):
    path = saved(tmp_path, table(model="\x1b[31mred"))
    assert main(["inspect", path]) == 0
    assert "\x1b" not in capsys.readouterr().out
