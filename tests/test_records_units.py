"""Tables whose units or rows cannot be right are questioned, each by its name; clean ones of every kind pass."""

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli.source import add_source
from jaxlaws.errors import BadInput
from jaxlaws.records.check import check
from jaxlaws.records.questions import QUESTIONS, parse_assume
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs


def chinchilla(n, d):
    return 1.7 + 480 * n**-0.35 + 2100 * d**-0.37


def grid(seed=0, noise=0.003):
    """Tuned runs over a grid of N and D, as a scaling study has them."""
    rng = np.random.default_rng(seed)
    n = np.repeat(np.geomspace(5e7, rng.uniform(1e9, 2e10), 6).round(), 5)
    d = np.round(np.tile(np.geomspace(1e9, rng.uniform(3e10, 3e11), 5), 6) / 2**19) * 2**19
    return pd.DataFrame(
        {
            "params_nonembedding": n,
            "tokens": d,
            "batch_tokens": 2.0**19,
            "steps": d / 2**19,
            "peak_lr": 3.0 * n**-0.35,
            "loss_nats": chinchilla(n, d) * np.exp(noise * rng.standard_normal(len(n))),
        },
        index=pd.Index([f"run{i}" for i in range(len(n))]),
    )


def isoflop(seed):
    rng = np.random.default_rng(seed)
    budget = np.repeat(np.geomspace(1e18, 1e21, 5), 7)
    n = 0.1 * budget**0.49 * np.tile(np.geomspace(0.2, 5, 7), 5) * np.exp(0.05 * rng.standard_normal(35))
    d = budget / (6 * n)
    loss = chinchilla(n, d) * np.exp(0.005 * rng.standard_normal(35))
    return pd.DataFrame({"params_total": n, "tokens": d, "flops_budget": budget, "loss_nats": loss})


def ladder(seed):
    """Multiples of 20 tokens a parameter, two seeds each."""
    rng = np.random.default_rng(seed)
    n = np.repeat([1.9e8, 3.7e8, 7.6e8, 1.3e9, 3.2e9], 10)
    d = 20 * n * np.tile(np.repeat([0.5, 1, 2, 5, 10], 2), 5)
    loss = chinchilla(n, d) * np.exp(0.004 * rng.standard_normal(50))
    return pd.DataFrame({"params_total": n, "tokens": d, "seed": np.tile([0, 1], 25), "loss_nats": loss})


def replicates(seed):
    """Runs of one config whose seed is not stated, as noisy as small models are."""
    rng = np.random.default_rng(seed)
    table = pd.concat([grid(seed, 0)] * 3, ignore_index=True)
    return table.assign(loss_nats=table["loss_nats"] * np.exp(0.01 * rng.standard_normal(len(table))))


def sweep(seed, small=False):
    """LR × batch in cells, runs above an LR diverged: of billions of tokens, or of tiny models on one CPU."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in (5e3, 2e4, 6e4) if small else (1e8, 4e8, 1.6e9):
        for d in np.array([20, 60, 200]) * n:
            best, usual = (3e-3, 0.002 * d) if small else (0.5 * n**-0.3, 5e5)
            for lr in best * 4.0 ** np.arange(-2, 3):
                for batch in usual * 4.0 ** np.arange(-1, 2):
                    batch = max(round(batch / 64), 1) * 64.0
                    miss = 0.02 * np.log(lr / best) ** 2 + 0.01 * np.log(batch / usual) ** 2
                    loss = (1.8 + 8 * n**-0.2 if small else chinchilla(n, d)) * np.exp(miss + 0.01 * rng.normal())
                    lost = lr > 8 * best
                    steps = max(round(d / batch), 1)
                    rows.append(
                        (n, steps * batch, steps, batch, lr, np.nan if lost else loss, "diverged" if lost else "ok")
                    )
    names = ["params_nonembedding", "tokens", "steps", "batch_tokens", "peak_lr", "val_loss_nats", "status"]
    return pd.DataFrame(rows, columns=names)


CLEAN = {
    "grid": grid,
    "isoflop": isoflop,
    "ladder": ladder,
    "replicates": replicates,
    "sweep": sweep,
    "tiny sweep": lambda seed: sweep(seed, small=True),
    "N, D and loss": lambda seed: grid(seed)[["params_nonembedding", "tokens", "loss_nats"]],
    "noisy": lambda seed: grid(seed, 0.03),
}


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_tables_pass(kind):
    refused = []
    for seed in range(40):
        try:
            assert check(Runs(CLEAN[kind](seed))).warnings == ()
        except BadInput as error:
            refused.append(str(error))
    assert len(refused) <= 2, refused


def some(table, column, factor, rows):
    """The table with a column multiplied in some rows."""
    place = np.isin(np.arange(len(table)), np.random.default_rng(1).choice(len(table), rows, replace=False))
    return table.assign(**{column: np.where(place, table[column] * factor, table[column])})


def along_runs(table, names=None):
    """Every run replaced by its ten checkpoints, which are evenly spaced."""
    last = table.groupby("params_nonembedding").tail(1)
    rows = pd.concat([last] * 10, ignore_index=True)
    share = np.repeat(np.arange(1, 11) / 10, len(last))
    rows = rows.assign(
        tokens=rows["tokens"] * share,
        steps=rows["steps"] * share,
        loss_nats=chinchilla(rows["params_nonembedding"], rows["tokens"] * share) * (1.03 - 0.03 * share),
    )
    return rows if names is None else rows.set_index(pd.Index([names(i, row) for i, row in rows.iterrows()]))


def uneven(table):
    """Checkpoints at doubling steps, named by them."""
    rows = along_runs(table)
    step = np.repeat(2 ** np.arange(10), 6) * 100
    rows = rows.assign(steps=step, tokens=step * 2.0**19, loss_nats=3.0 - 0.1 * np.log(step / 100) / 7)
    return rows.set_index(pd.Index([f"m{i % 6}_step{row.steps:.0f}" for i, row in enumerate(rows.itertuples())]))


#: name → (how the table is spoiled, the question that it meets, words of the sentence).
TRAPS = {
    "perplexity": (lambda t: t.assign(loss_nats=np.exp(t["loss_nats"])), "loss-unit", "perplexity"),
    "small perplexity": (
        lambda t: t.assign(loss_nats=np.exp(t["loss_nats"].clip(upper=2.4))),
        "loss-unit",
        "perplexity",
    ),
    "losses × 1e6": (lambda t: t.assign(loss_nats=t["loss_nats"] * 1e6), "loss-unit", "power of ten"),
    "10 of 30 losses × 10": (lambda t: some(t, "loss_nats", 10, 10), "loss-unit", "in 10 of 30 runs above ln V"),
    "10 of 30 in bits": (lambda t: some(t, "loss_nats", 1 / np.log(2) * 1.05, 10), "outliers", "10 of 30 losses"),
    "2 of 30 losses × 10": (lambda t: some(t, "loss_nats", 10, 2), "loss-unit", "in 2 of 30 runs above ln V"),
    "2 of 30 losses × 4": (lambda t: some(t, "loss_nats", 4, 2), "outliers", "2 of 30 losses"),
    "a loss typed wrongly": (lambda t: some(t, "loss_nats", 0.1, 1), "outliers", "1 of 30 losses"),
    "above ln V": (lambda t: t.assign(vocab=8), "loss-unit", "ln V = 2.08"),
    "N and D in millions": (
        lambda t: t.assign(params_nonembedding=t["params_nonembedding"] / 1e6, tokens=t["tokens"] / 1e6).drop(
            columns=["steps", "batch_tokens"]
        ),
        "counts",
        "plain counts",
    ),
    "D in thousands": (
        lambda t: t.assign(tokens=t["tokens"] / 1e3).drop(columns=["steps", "batch_tokens"]),
        "counts",
        "a parameter",
    ),
    "D in thousands, batch": (
        lambda t: t.assign(tokens=t["tokens"] / 1e3).drop(columns="steps"),
        "counts",
        "a parameter",
    ),
    "D in millions, steps": (lambda t: t.assign(tokens=t["tokens"] / 1e6), "steps", "tokens in another unit"),
    "N in millions": (lambda t: t.assign(params_nonembedding=t["params_nonembedding"] / 1e6), "counts", "millions"),
    "steps of accumulation": (lambda t: t.assign(steps=t["steps"] * 2), "steps", "accumulation step"),
    "batch of one device": (lambda t: t.assign(batch_tokens=t["batch_tokens"] / 8), "steps", "one device"),
    "steps in kilotokens": (
        lambda t: t.assign(steps=t["tokens"] / 1e3).drop(columns=["tokens", "batch_tokens"]),
        "steps",
        "thousands of tokens",
    ),
    "batch larger than D": (
        lambda t: t.assign(batch_tokens=t["tokens"] * 2).drop(columns="steps"),
        "batch-unit",
        "more than the tokens of the whole run",
    ),
    "batch in thousands of sequences": (
        lambda t: t.assign(batch_tokens=t["batch_tokens"] / 2048).drop(columns="steps"),
        "batch-unit",
        "counts sequences",
    ),
    "LR × 1000": (lambda t: t.assign(peak_lr=t["peak_lr"] * 1e3), "lr-unit", "thousandths"),
    "LR in per cent": (lambda t: t.assign(peak_lr=t["peak_lr"] * 1e2), "lr-unit", "per cent"),
    "another budget": (lambda t: t.assign(flops_6nd=t["params_nonembedding"] * t["tokens"] * 60), "flops", "6·N·D"),
    "no column of the LR": (
        lambda t: pd.concat([t, t.assign(loss_nats=t["loss_nats"] * 1.3)], ignore_index=True).drop(columns="peak_lr"),
        "repeats",
        "is not among the columns",
    ),
    "one seed, two losses": (
        lambda t: pd.concat([t.assign(seed=0), t.assign(seed=0, loss_nats=t["loss_nats"] * 1.04)], ignore_index=True),
        "repeats",
        "of one config and seed",
    ),
    "checkpoints": (along_runs, "checkpoints", "evenly spaced tokens"),
    "checkpoints by name": (uneven, "checkpoints", "whose names count steps (m0_step100, m0_step200"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_questioned_and_an_answer_is_noted(trap):
    spoil, question, words = TRAPS[trap]
    table = spoil(grid())
    with pytest.raises(BadInput) as refused:
        check(Runs(table))
    assert words in str(refused.value)
    assert str(refused.value).endswith(f"if it is as it should be, add --assume {question}.")
    taken = check(Runs(table, assume=dict.fromkeys(QUESTIONS, "")))
    assert question in taken.doubts
    assert any(text.startswith(f"--assume {question}: ") for text in taken.warnings)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"loss_nats": -2.0}, "a cross-entropy is never below 0"),
        ({"peak_lr": -6.9}, "is it the logarithm of the learning rate"),
        ({"params_total": 1e7}, "the two columns are swapped"),
    ],
)
def test_what_is_impossible_has_no_answer(columns, words):
    with pytest.raises(BadInput, match=words):
        check(Runs(grid().assign(**columns), assume=dict.fromkeys(QUESTIONS, "")))


def test_losses_above_ln_v_at_high_learning_rates_are_divergence():
    table = sweep(0)
    lost = table["status"] == "diverged"
    table = table.assign(status="ok", val_loss_nats=np.where(lost, 20.0, table["val_loss_nats"]))
    runs = check(Runs(table))
    assert ((runs.table["status"] == "diverged") == lost).all()
    assert f"{lost.sum()} of {len(table)} runs end above ln V" in runs.warnings[0]


@pytest.mark.parametrize("spoil", [along_runs, uneven], ids=["even", "named"])
def test_the_last_checkpoint_of_each_run_can_be_taken(spoil):
    table = spoil(grid())
    runs = check(Runs(table, assume=parse_assume(["checkpoints=last"])))
    assert len(runs.table) == 6
    assert set(runs.table["tokens"]) == set(table.groupby("params_nonembedding")["tokens"].max())
    assert "the last of each is taken" in runs.warnings[0]


def test_rows_of_one_run_id_are_checkpoints_too():
    table = along_runs(grid(), lambda i, row: f"m{row.params_nonembedding:.0f}").sample(frac=1, random_state=0)
    with pytest.raises(BadInput, match="--assume checkpoints=last"):
        check(Runs(table))
    runs = check(Runs(table, assume={"checkpoints": "last"}))
    assert len(runs.table) == 6
    assert runs.table["tokens"].min() == table.groupby("params_nonembedding")["tokens"].max().min()


def wsd(seed, shift=0, shape="wsd", noise=0.003):
    """A curve that follows its LR; `shift` steps are wrong between the LR and the loss."""
    rng = np.random.default_rng(seed)
    steps, step = 20_000, np.arange(20_000)
    lr = {
        "wsd": np.minimum(1, (steps - step) / 4000),
        "cosine": 0.55 + 0.45 * np.cos(np.pi * step / steps),
        "drop": np.where(step < 12_000, 1.0, 0.1),
        "constant": np.ones(steps),
    }[shape] * np.minimum((step + 1) / 500, 1)
    area = np.cumsum(lr)
    loss = 2.5 + 6 * area**-0.4 + 0.15 * lr**0.7
    at = np.arange(100, steps, 100)
    seen = loss[np.minimum(at + shift, steps - 1)]
    return Curve(3e-4 * lr, at, seen + noise * rng.standard_normal(len(at)), 500)


def of_curves(**curves):
    rows = {name: {"steps": len(c.lr), "peak_lr": c.lr.max(), "loss_nats": c.loss[-1]} for name, c in curves.items()}
    return Runs(pd.DataFrame.from_dict(rows, orient="index"), curves)


@pytest.mark.parametrize("shape", ["wsd", "drop"])
@pytest.mark.parametrize("noise", [0.001, 0.004])
def test_a_loss_that_falls_before_the_learning_rate_is_questioned(shape, noise):
    with pytest.raises(BadInput, match=r"falls while the learning rate is still constant .*--assume alignment"):
        check(of_curves(a=wsd(0, shift=1500, shape=shape, noise=noise)))


@pytest.mark.parametrize("shape", ["wsd", "cosine", "drop", "constant"])
def test_clean_curves_pass(shape):
    alarms = 0
    for seed in range(40):
        noise = (0.0, 0.001, 0.003, 0.01)[seed % 4]
        try:
            check(of_curves(a=wsd(seed, shape=shape, noise=noise), b=wsd(seed + 100, shape=shape, noise=noise)))
        except BadInput:
            alarms += 1
    assert alarms <= 2


def test_a_column_that_is_named_otherwise_is_questioned(tmp_path):
    grid().rename(columns={"loss_nats": "val/ppl"}).to_csv(tmp_path / "runs.csv", index_label="run_id")
    with pytest.raises(BadInput, match="whose name is not that of nats a token"):
        open_runs(tmp_path / "runs.csv", map={"loss": "val/ppl"})
    assert "loss-unit" in open_runs(tmp_path / "runs.csv", map={"loss": "val/ppl"}, assume=["loss-unit"]).doubts


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("loss-units", "did you mean 'loss-unit'"),
        ("loss-unit=bits", "expected loss-unit without a value"),
        ("checkpoints=first", "expected checkpoints or checkpoints=last"),
        ("settings=", "expected settings or settings=COLUMN,COLUMN"),
        ("", "unknown question"),
    ],
)
def test_an_assumption_that_there_is_not_is_refused(entry, words):
    with pytest.raises(BadInput, match=words):
        parse_assume([entry])


PUBLISHED = {
    "step_law": ("step_law/dense_lr_bs_loss.csv", 1911),
    "multi_power_law": ("multi_power_law/csv_25", 9),
    "isoflop": ("isoflops/chinchilla_figure4_epoch.csv", 240),
    "isoflop_all": ("isoflops/chinchilla_figure4_epoch.csv", 245),
    "lr_scheduling": ("lr_scheduling", 87),
    "lr_scheduling_final": ("lr_scheduling", 87),
}


@pytest.mark.parametrize("format", PUBLISHED)
def test_public_tables_pass_unchanged(published, format):
    path, count = PUBLISHED[format]
    runs = open_runs(published(path), format)
    assert len(runs.table) == count
    assert not runs.doubts
    assert not runs.notes


def test_other_public_tables_pass_by_map(published):
    sizes = {"params_total": "N", "tokens": "D", "loss": "loss"}
    assert len(open_runs(published("scalebench/farseer.csv"), map=sizes).table) == 404


def test_every_question_is_on_the_page_and_in_the_help():
    page = (Path(__file__).resolve().parent.parent / "docs" / "tables.md").read_text()
    section = page.partition("## Questions")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.M) == list(QUESTIONS)
    parser = argparse.ArgumentParser()
    add_source(parser)
    assert set(QUESTIONS) <= set(re.findall(r"[\w-]+", re.sub(r"-\n\s*", "-", parser.format_help())))
