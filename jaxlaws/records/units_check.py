"""Checks of the units of a table against what is physically possible, a function for each question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from jaxlaws.records.cells import PARAMS, cell_of
from jaxlaws.records.doubts import ask, refuse
from jaxlaws.records.table import MAX_STEPS, Runs
from jaxlaws.text import printable

#: V of a table that does not state it: no vocabulary is larger.
MAX_VOCAB = 1e6
#: Nats that half of the runs stay below: a model that has only learned how frequent each token is does.
MAX_MEDIAN_LOSS = 8.0
#: Steps after which a model has learned that.
TRAINED = 100
#: Fewer tokens a step than models from 50M parameters are trained with, and yet a usual number of sequences.
MIN_BATCH_TOKENS, LARGE_MODEL = 8192, 5e7
#: Fewest steps that a model of a million parameters and more is trained for.
MIN_STEPS, SMALL_MODEL = 20, 1e6
#: Parameters below which a count is in thousands, millions or billions.
MIN_PARAMS = 1e3
#: Parameters below which a fraction is in such a unit; a larger fraction is read off a figure.
MAX_FRACTION = 1e6
#: Tokens per parameter beyond which one of the two is not a plain count: of any run, and of half of the runs.
TOKENS_PER_PARAM = (1e-3, 1e6)
TYPICAL_TOKENS_PER_PARAM = (0.1, 2e4)
#: Largest learning rate, and the largest that half of the runs stay below, of optimisers whose step the LR bounds.
MAX_LR, TYPICAL_LR = 1.0, 0.1
#: Optimisers whose steps scale with the gradient take larger ones.
SGD, SGD_LR = ("sgd", "nesterov"), 1e3
#: Ratio by which steps · batch may miss the tokens (a batch that grows, rounding), and 6ND the stated FLOPs (which N).
STEPS_RATIO, FLOPS_RATIO = 1.25, 4.0


def _ok(table: pd.DataFrame) -> np.ndarray:
    return (table["status"] == "ok").to_numpy() if "status" in table else np.ones(len(table), bool)


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(float, na_value=np.nan)


def _first(runs: Runs, bad: np.ndarray) -> str:
    return printable(runs.table.index[int(np.argmax(bad))])


def loss_unit(runs: Runs) -> Runs:
    """A final loss above ln V is worse than a guess: another unit, or a run that diverged.

    Where the best run of the same (N, D) has a lower LR, they are taken as diverged.
    """
    table = runs.table
    if not runs.in_nats or not _ok(table).any():
        return runs
    column = runs.loss_column
    loss = np.where(_ok(table), _numbers(table, column), np.nan)
    vocab = _numbers(table, "vocab") if "vocab" in table else np.full(len(table), np.nan)
    ceiling = np.log(np.where(vocab > 1, vocab, MAX_VOCAB))
    above, median = loss > ceiling, float(np.nanmedian(loss))
    unit = "a perplexity (its ln is the loss)" if median < 1e4 else "a sum over tokens, or a loss times a power of ten"
    if above.any():
        if _at_high_lr(table, loss, above).all():
            status = np.where(above, "diverged", table.get("status", "ok"))
            note = (
                f"{above.sum()} of {len(table)} runs end above ln V, at higher learning rates than the best run of "
                f"their (N, D): taken as diverged (first: '{_first(runs, above)}', loss {loss[above][0]:.4g})."
            )
            return replace(runs, table=table.assign(status=status), notes=(*runs.notes, note))
        place = int(np.argmax(above))
        return ask(
            runs,
            "loss-unit",
            f"{column} is {loss[place]:.4g} in run '{_first(runs, above)}', and in {above.sum()} of {len(table)} "
            f"runs above ln V = {ceiling[place]:.3g} (V = {np.exp(ceiling[place]):.3g}), which a guess reaches: "
            f"it may be {unit}, or the run diverged",
            "give nats a token, or set the status of those runs to diverged",
        )
    late = _numbers(table, "steps") >= TRAINED if "steps" in table else np.ones(len(table), bool)
    if np.nanmedian(np.where(late, loss, 0.0)) > MAX_MEDIAN_LOSS:
        return ask(
            runs,
            "loss-unit",
            f"half of the runs end above {median:.3g} nats, where a model has learned next to nothing: "
            f"{column} may be {unit}",
            "give nats a token",
        )
    return runs


def _at_high_lr(table: pd.DataFrame, loss: np.ndarray, above: np.ndarray) -> np.ndarray:
    """[above] whether the best run of the (N, D) is not itself above, and has a lower LR."""
    if "peak_lr" not in table:
        return np.zeros(int(above.sum()), bool)
    rows = pd.DataFrame(
        {"cell": cell_of(table), "loss": np.where(above, np.nan, loss), "lr": _numbers(table, "peak_lr")}
    )
    best = rows.dropna(subset="loss").sort_values("loss").groupby("cell")["lr"].first()
    return (rows["lr"] > rows["cell"].map(best)).to_numpy(bool)[above]


def steps_unit(runs: Runs) -> Runs:
    """steps · batch = tokens, batch_sequences · seq_len = batch_tokens, and no run has more than `MAX_STEPS`."""
    table, have = runs.table, set(runs.table.columns)
    if {"batch_tokens", "batch_sequences", "seq_len"} <= have:
        ratio = table["batch_tokens"] / (table["batch_sequences"] * table["seq_len"])
        runs = _ratio(runs, "steps", ratio, 1.01, "batch_tokens", "batch_sequences · seq_len")
    if {"tokens", "steps", "batch_tokens"} <= have:
        ratio = table["steps"] * table["batch_tokens"] / table["tokens"]
        runs = _ratio(runs, "steps", ratio, STEPS_RATIO, "steps · batch_tokens", "tokens")
    if "steps" in have and (long := (table["steps"] > MAX_STEPS).to_numpy(bool)).any():
        return ask(
            runs,
            "steps",
            f"run '{_first(runs, long)}' has {table['steps'].max():.3g} steps, more than {MAX_STEPS:.0e}: they may "
            "count tokens, thousands of tokens or sequences",
            "divide them by what one optimiser step takes",
        )
    return runs


def _ratio(runs: Runs, question: str, ratio: pd.Series, most: float, left: str, right: str) -> Runs:
    bad = ((ratio > most) | (ratio < 1 / most)).to_numpy(bool)
    if not bad.any():
        return runs
    return ask(
        runs,
        question,
        f"{left} is {ratio.iloc[int(np.argmax(bad))]:.3g} times {right} in run '{_first(runs, bad)}', expected the "
        "same: is batch_tokens in sequences, or of one device or accumulation step, or are steps or tokens in another "
        "unit",
        "give plain counts",
    )


def batch_unit(runs: Runs) -> Runs:
    """A batch holds at least a sequence, at most the run, and as much as models of its size are trained with."""
    table, have = runs.table, set(runs.table.columns)
    if "batch_tokens" not in have:
        return runs
    batch, params = _numbers(table, "batch_tokens"), _params(table)
    steps = _numbers(table, "tokens") / batch if "tokens" in have else np.full(len(table), np.nan)
    few = (batch < MIN_BATCH_TOKENS) & (params > LARGE_MODEL) & (not {"seq_len", "steps"} & have)
    sequence = _numbers(table, "seq_len") if "seq_len" in have else np.zeros(len(table))
    cases = [
        (steps < 1, "more than the tokens of the whole run"),
        ((steps < MIN_STEPS) & (params > SMALL_MODEL), f"so that the run has fewer than {MIN_STEPS} steps"),
        ((steps > MAX_STEPS) & ("steps" not in have), f"which makes {np.nanmax(steps, initial=0):.3g} steps"),
        (few, "few for a model of its size"),
        (batch < sequence, "less than one sequence"),
    ]
    for bad, why in cases:
        if bad.any():
            return ask(
                runs,
                "batch-unit",
                f"batch_tokens is {batch[int(np.argmax(bad))]:g} in run '{_first(runs, bad)}', {why}",
                "if it counts sequences, name it with --map batch_sequences=NAME and give seq_len, or multiply it by "
                "seq_len; if tokens are in thousands or more, give plain counts",
            )
    return runs


def _params(table: pd.DataFrame) -> np.ndarray:
    name = next((name for name in PARAMS if name in table), None)
    return np.full(len(table), np.nan) if name is None else _numbers(table, name)


def lr_unit(runs: Runs) -> Runs:
    """A learning rate above 1, or a table whose typical one is above .1, is in another unit (sgd excepted)."""
    table = runs.table
    if "peak_lr" not in table or not _ok(table).any():
        return runs
    lr = np.where(_ok(table), _numbers(table, "peak_lr"), np.nan)
    sgd = table["optimizer"].astype(str).str.lower().isin(SGD).to_numpy(bool) if "optimizer" in table else None
    relative = lr if sgd is None else np.where(sgd, lr / SGD_LR, lr)
    high = relative > MAX_LR
    if not high.any() and not np.nanmedian(relative) > TYPICAL_LR:
        return runs
    place = int(np.nanargmax(relative))
    return ask(
        runs,
        "lr-unit",
        f"peak_lr is {lr[place]:.4g} in run '{printable(table.index[place])}', where training takes at most "
        f"{MAX_LR:g} and typically less than {TYPICAL_LR:g}: it may be in thousandths or per cent",
        "give the plain learning rate",
    )


def counts(runs: Runs) -> Runs:
    """N and D are plain counts: whole, at least a thousand parameters, with a ratio that is trained at all."""
    table = runs.table
    if set(PARAMS) <= set(table.columns) and (table[PARAMS[0]] > table[PARAMS[1]]).any():
        runs = refuse(runs, "params_nonembedding exceeds params_total in a run: the two columns are swapped.")
    for name in (name for name in PARAMS if name in table):
        params = _numbers(table, name)
        if (small := params < MIN_PARAMS).any():
            return _count(runs, small, f"{name} {params[small][0]:g}", "thousands, millions or billions of parameters")
        if (part := (params < MAX_FRACTION) & (params != np.round(params))).any():
            return _count(runs, part, f"{name} {params[part][0]:g}", "thousands, millions or billions of parameters")
        if "tokens" not in table:
            continue
        tokens = _numbers(table, "tokens")
        ratio, typical = tokens / params, float(np.median(tokens / params))
        bad = (ratio < TOKENS_PER_PARAM[0]) | (ratio > TOKENS_PER_PARAM[1])
        low, high = TYPICAL_TOKENS_PER_PARAM
        if not bad.any() and not low <= typical <= high:
            bad = np.isclose(ratio, ratio[np.argmin(np.abs(ratio - typical))])
        if bad.any():
            place = int(np.argmax(bad))
            what = f"{tokens[place]:g} tokens for {name} {params[place]:g} ({ratio[place]:.3g} a parameter)"
            return _count(runs, bad, what, "thousands, millions or billions of one of them")
    return runs


def _count(runs: Runs, bad: np.ndarray, what: str, unit: str) -> Runs:
    return ask(
        runs,
        "counts",
        f"run '{_first(runs, bad)}' has {what}, which looks like {unit}",
        "expected plain counts of both, not millions or billions (1.5e9 or 1.5B)",
    )


def flops(runs: Runs) -> Runs:
    """Stated FLOPs are 6·N·D to within what embeddings and a nominal budget explain."""
    table = runs.table
    sizes = [_numbers(table, name) for name in PARAMS if name in table]
    if not sizes or "tokens" not in table:
        return runs
    for name in (name for name in ("flops_6nd", "flops_budget") if name in table):
        ratios = np.stack([_numbers(table, name) / (6 * params * _numbers(table, "tokens")) for params in sizes])
        miss = np.min(np.abs(np.log(ratios)), 0)
        if (bad := miss > np.log(FLOPS_RATIO)).any():
            return ask(
                runs,
                "flops",
                f"{name} is {ratios[0, int(np.argmax(bad))]:.3g} times 6·N·D in run '{_first(runs, bad)}': one of the "
                "three may be in another unit, or the budget another run's",
                f"correct it, or leave {name} out",
            )
    return runs


#: The checks of every table in order, relations that name a cause first.
UNITS: tuple[Callable[[Runs], Runs], ...] = (loss_unit, steps_unit, counts, batch_unit, lr_unit, flops)
