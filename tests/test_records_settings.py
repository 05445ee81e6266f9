"""Settings that a law cannot see are one in what it is fitted to, and selections that the sentences name work."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.columns import columns_of
from jaxlaws.laws.table import get
from jaxlaws.records.settings import comparable, one_setting
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs
from jaxlaws.records.where import where

SIZES = ("params_nonembedding", "params_total", "tokens")


def points():
    n, d = (part.ravel() for part in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 2e11, 5)))
    return pd.DataFrame({"params_nonembedding": n, "tokens": d, "loss_nats": 1.7 + 480 * n**-0.35 + 2100 * d**-0.37})


def sweep():
    """LR × batch in each of four (N, D)."""
    rows = [
        (
            n,
            20 * n,
            lr,
            b,
            (1.7 + 480 * n**-0.35) * np.exp(0.05 * np.log(lr / 1e-3) ** 2 + 0.02 * np.log(b / 2**19) ** 2),
        )
        for n in (1e8, 3e8, 1e9, 3e9)
        for lr in (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
        for b in (2.0**18, 2.0**19, 2.0**20)
    ]
    return pd.DataFrame(rows, columns=["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "loss_nats"])


def third(table, value, other):
    return np.where(np.arange(len(table)) % 3 == 0, value, other)


MIXED = {
    "optimizer": ("lion", "adamw"),
    "weight_decay": (0.0, 0.1),
    "beta1": (0.8, 0.9),
    "beta2": (0.99, 0.95),
    "clip": (0.5, 1.0),
    "parameterisation": ("mup", "standard"),
    "seq_len": (512, 2048),
    "vocab": (32000, 50257),
    "corpus": ("a b", "it's; $(c)"),
    "schedule": ("linear(floor=0.0)", "cosine(floor=0.1)"),
    "cooldown_fraction": (0.4, 0.2),
}


@pytest.mark.parametrize("column", MIXED)
@pytest.mark.parametrize("law", ["step_law", "chinchilla"])
def test_a_setting_that_differs_is_refused_with_the_split_that_works(column, law):
    reads = (*SIZES, "peak_lr", "batch_tokens") if law == "step_law" else columns_of(get(law))
    table = points().assign(**{column: third(points(), *MIXED[column])})
    runs = Runs(table)
    with pytest.raises(BadInput, match=f"differ in {column} .* which {law} cannot tell apart") as refused:
        one_setting(runs, law, reads)
    words = shlex.split(re.search(r"--where .*(?= \(20 of 30 runs\))", str(refused.value))[0])
    split = where(runs, [words[i + 1] for i, word in enumerate(words) if word == "--where"])
    assert len(split.table) == 20
    assert one_setting(split, law, reads) is split


def test_settings_that_differ_together_need_one_selection():
    table = points()
    table = table.assign(optimizer=third(table, "lion", "adamw"), weight_decay=third(table, 1.0, 0.1))
    with pytest.raises(BadInput, match=r"differ in optimizer .*, weight_decay .*") as refused:
        one_setting(Runs(table), "chinchilla", SIZES)
    assert str(refused.value).count("--where") == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"weight_decay": 0.1, "optimizer": "adamw"},
        {"beta2": 0.95 + 1e-9 * np.arange(30)},
        {"optimizer": third(points(), "", "adamw")},
        {"clip": third(points(), np.nan, 1.0)},
        {"seed": np.arange(30), "model": [f"m{i}" for i in range(30)], "peak_lr": 1e-3 * np.arange(1, 31)},
        {"status": third(points(), "failed", "ok"), "optimizer": third(points(), "lion", "adamw")},
    ],
)
def test_what_agrees_passes(columns):
    runs = Runs(points().assign(**columns))
    assert comparable(runs, "chinchilla", SIZES) is runs


def curves(**columns):
    lr = 1e-3 * np.minimum(1, (200 - np.arange(200)) / 50)
    curve = Curve(lr, np.arange(10, 200, 10), 3 + 1 / np.arange(10, 200, 10), 0)
    table = pd.DataFrame({"loss_nats": 3.0, **columns}, index=["a", "b", "c"])
    return Runs(table, dict.fromkeys("abc", curve))


@pytest.mark.parametrize(
    ("columns", "differs"),
    [
        ({"schedule": ["wsd", "cosine", "cosine"], "peak_lr": [1e-3, 2e-3, 3e-3], "cooldown_fraction": 0.1}, None),
        ({"params_nonembedding": [1e8, 1e8, 2e8]}, "params_nonembedding"),
        ({"batch_tokens": [65536, 131072, 65536]}, "batch_tokens"),
        ({"beta2": [0.95, 0.95, 0.99]}, "beta2"),
    ],
)
def test_a_curve_law_explains_schedules_and_not_sizes(columns, differs):
    runs, law = curves(**columns), get("multi_power")
    if differs is None:
        assert comparable(runs, law.name, columns_of(law), curves=True) is runs
    else:
        with pytest.raises(BadInput, match=f"differ in {differs}"):
            comparable(runs, law.name, columns_of(law), curves=True)
    sized = get("annealing_size")
    if differs == "params_nonembedding":
        assert comparable(runs, sized.name, columns_of(sized), curves=True) is runs


def test_an_answer_covers_the_columns_that_it_names():
    table = points().assign(beta2=third(points(), 0.99, 0.95), optimizer=third(points(), "lion", "adamw"))
    with pytest.raises(BadInput, match=r"differ in optimizer .*--where optimizer==adamw \(20"):
        one_setting(Runs(table, assume={"settings": "beta2"}), "chinchilla", SIZES)
    named = one_setting(Runs(table, assume={"settings": "beta2,optimizer"}), "chinchilla", SIZES)
    assert "differ in optimizer" in named.doubts["settings"]
    assert (
        "differ in optimizer"
        in one_setting(Runs(table, assume={"settings": ""}), "chinchilla", SIZES).doubts["settings"]
    )


def test_a_sweep_of_lr_and_batch_is_no_table_of_losses():
    with pytest.raises(BadInput, match=r"badly tuned .*--assume tuning=best"):
        comparable(Runs(sweep()), "chinchilla", SIZES)
    best = comparable(Runs(sweep(), assume={"tuning": "best"}), "chinchilla", SIZES)
    assert set(best.table["peak_lr"]) == {1e-3}
    assert set(best.table["batch_tokens"]) == {2.0**19}
    assert best.doubts["tuning"].startswith("of 60 runs the lowest loss of each of 4")
    with pytest.raises(BadInput, match=r"of one \(N, D, batch\) differ in learning rate: three_term .*--where"):
        comparable(Runs(sweep()), "three_term", (*SIZES, "batch_tokens"))
    by_batch = comparable(Runs(sweep(), assume={"tuning": "best"}), "three_term", (*SIZES, "batch_tokens"))
    assert set(by_batch.table["peak_lr"]) == {1e-3}
    assert set(by_batch.table["batch_tokens"]) == set(sweep()["batch_tokens"])
    assert len(one_setting(Runs(sweep()), "step_law", (*SIZES, "peak_lr", "batch_tokens")).table) == 60


def test_the_answer_is_stored_in_the_fit(tmp_path, capsys):
    table = points().assign(optimizer=third(points(), "lion", "adamw"))
    table.to_csv(tmp_path / "runs.csv", index_label="run_id")
    arguments = [
        "fit",
        "chinchilla",
        str(tmp_path / "runs.csv"),
        "--json",
        "--bootstrap",
        "0",
        "--starts",
        "8",
        "--force",
    ]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert re.search(r"--where optimizer==adamw \(20 of 30 runs\); .*--assume settings\.", said)
    assert main([*arguments, "--assume", "settings=optimizer"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "differ in optimizer" in answer["data"]["assumed"]["settings"]
    assert any(text.startswith("--assume settings: ") for text in answer["warnings"])
    assert main([*arguments, "--where", "optimizer==adamw", "--where", "params_nonembedding>3e8"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["runs"] < 20


@pytest.mark.parametrize(
    ("conditions", "kept"),
    [
        ("status==finished", 2),
        ("status!=crashed and tokens>=1", 2),
        (["tokens>1.5e9", "tokens<=4B"], 1),
        ("tokens == 2B", 1),
        ("peak_lr==0.001", 1),
        ("run_id!=ü", 2),
        ("schedule=='wsd(cooldown=0.2, shape=1-sqrt)'", 1),
        ('schedule=="a and b"', 1),
        ("tokens<1e300", 3),
        ((), 3),
    ],
)
def test_conditions(tmp_path, conditions, kept):
    table = pd.DataFrame(
        {
            "run_id": ["a", "ü", "c"],
            "status": ["finished", "COMPLETED", "crashed"],
            "tokens": [1e9, 2e9, 5e9],
            "peak_lr": [0.1 * 0.01, 2e-3, 3e-3],
            "schedule": ["wsd(cooldown=0.2, shape=1-sqrt)", "a and b", "=1+1"],
            "loss_nats": [3.0, 2.9, 2.8],
        }
    )
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert len(open_runs(tmp_path / "runs.csv", where=conditions).table) == kept


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("tokens=1", "is not a comparison"),
        ("tokens<>1", "is not a comparison"),
        ("tokens<=", "is not a comparison"),
        ("<=3", "is not a comparison"),
        ("tokens<=1 or tokens>3", "expected a number such as"),
        ("tokens<1e999", "not a finite number"),
        (f"tokens<{'9' * 5000}", "not a finite number"),
        ("schedule<wsd", "compares words"),
        ("nothing==1", "no column nothing"),
        ("tokens<0", "no run of"),
        ("", "is not a comparison"),
    ],
)
def test_conditions_that_are_none(condition, words):
    with pytest.raises(BadInput, match=words):
        where(Runs(points().assign(schedule="wsd")), [condition])
