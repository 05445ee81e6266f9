"""What a table of runs has to satisfy before anything is computed from it: values present, positive, in one unit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.table import Runs

#: Columns that laws compute with: where one is stated, every run states it, as a positive number.
POSITIVE = (
    "params_nonembedding",
    "params_total",
    "tokens",
    "steps",
    "seq_len",
    "batch_tokens",
    "batch_sequences",
    "peak_lr",
    "flops_6nd",
    "flops_budget",
)
STATUS = ("ok", "diverged", "failed")
#: More optimiser steps than any run has had: a batch that implies more is in another unit.
MAX_STEPS = 1e7
#: Fewer tokens a step than models from 50M parameters are trained with, and yet a usual number of sequences.
MIN_BATCH_TOKENS, LARGE_MODEL = 8192, 5e7
#: Tokens per parameter beyond which one of the two is not a plain count.
TOKENS_PER_PARAM = (1e-3, 1e6)


def check(runs: Runs) -> Runs:
    """The same runs, if every value can be computed with; `BadInput` with the first thing that is wrong otherwise.

    A run with status diverged or failed may lack its loss. Units are checked against each other: steps · batch_tokens
    is tokens to within a factor of two, batch_sequences · seq_len is batch_tokens, N without embeddings is at most N.
    """
    table = runs.table
    if table.empty:
        raise BadInput(f"{runs.source} holds no runs, expected at least one.")
    if table.index.has_duplicates:
        raise BadInput(
            f"{runs.source} has the run '{table.index[table.index.duplicated()][0]}' twice, expected it once."
        )
    if "status" in table:
        strange = sorted(set(table["status"]) - set(STATUS))
        if strange:
            raise BadInput(f"{runs.source} has the status '{strange[0]}', expected {', '.join(STATUS)}.")
    for name in POSITIVE:
        if name in table:
            _positive(runs, name, table[name])
    ended = table["status"] == "ok" if "status" in table else pd.Series(True, table.index)
    for name in ("val_loss_nats", "loss_nats"):
        if name in table:
            _positive(runs, name, table.loc[ended, name])
    _units(runs)
    corpora = sorted(table["corpus"].dropna().unique()) if "corpus" in table else []
    if len(corpora) > 1:
        raise BadInput(
            f"{runs.source} mixes runs on the corpora {', '.join(corpora)}, whose losses cannot be compared: "
            f"select one with --where 'corpus=={corpora[0]}'."
        )
    for name, curve in runs.curves.items():
        curve.check(name)
    return runs


def _positive(runs: Runs, name: str, values: pd.Series) -> None:
    missing = values.isna()
    if missing.any():
        raise BadInput(
            f"{runs.source}: {name} is missing or not a number in {int(missing.sum())} of {len(values)} runs (first: "
            f"'{values.index[int(missing.argmax())]}'): fill it in, set status to diverged or failed, or leave "
            f"those runs out with --where '{name}>0'."
        )
    bad = ~np.isfinite(values.astype(float)) | (values <= 0)
    if bad.any():
        first = values.index[int(bad.argmax())]
        raise BadInput(f"{runs.source}: {name} is {values[first]:g} in run '{first}', expected a positive number.")


def _units(runs: Runs) -> None:
    table = runs.table
    have = set(table.columns)
    if {"batch_tokens", "batch_sequences", "seq_len"} <= have:
        ratio = table["batch_tokens"] / (table["batch_sequences"] * table["seq_len"])
        _ratio(runs, ratio, 0.01, "batch_tokens", "batch_sequences · seq_len")
    if {"tokens", "steps", "batch_tokens"} <= have:
        _ratio(runs, table["steps"] * table["batch_tokens"] / table["tokens"], 1.0, "steps · batch_tokens", "tokens")
    elif {"tokens", "batch_tokens"} <= have:
        steps = table["tokens"] / table["batch_tokens"]
        _batch(runs, steps > MAX_STEPS, f"which makes {steps.max():.3g} steps")
    if "batch_tokens" in have and not {"seq_len", "steps"} & have and {"params_nonembedding", "params_total"} & have:
        params = table["params_nonembedding" if "params_nonembedding" in have else "params_total"]
        _batch(runs, (table["batch_tokens"] < MIN_BATCH_TOKENS) & (params > LARGE_MODEL), "few for a model of its size")
    if {"batch_tokens", "seq_len"} <= have:
        _batch(runs, table["batch_tokens"] < table["seq_len"], "less than one sequence")
    if {"params_nonembedding", "params_total"} <= have and (table["params_nonembedding"] > table["params_total"]).any():
        raise BadInput(
            f"{runs.source}: params_nonembedding exceeds params_total in a run: the two columns are swapped."
        )
    for name in {"params_nonembedding", "params_total"} & have if "tokens" in have else ():
        ratio = table["tokens"] / table[name]
        bad = (ratio < TOKENS_PER_PARAM[0]) | (ratio > TOKENS_PER_PARAM[1])
        if bad.any():
            first = bad.index[int(bad.argmax())]
            raise BadInput(
                f"{runs.source}: run '{first}' has {table.loc[first, 'tokens']:g} tokens for {name} "
                f"{table.loc[first, name]:g}: expected plain counts of both, not millions or billions."
            )


def _batch(runs: Runs, bad: pd.Series, why: str) -> None:
    if bad.any():
        first = bad.index[int(bad.argmax())]
        raise BadInput(
            f"{runs.source}: batch_tokens is {runs.table.loc[first, 'batch_tokens']:g} in run '{first}', {why}: if it "
            "counts sequences, name it with --map batch_sequences=NAME and give seq_len, or multiply it by seq_len."
        )


def _ratio(runs: Runs, ratio: pd.Series, tolerance: float, left: str, right: str) -> None:
    bad = (ratio > 1 + tolerance) | (ratio < 1 / (1 + tolerance))
    if bad.any():
        first = ratio.index[int(bad.argmax())]
        raise BadInput(
            f"{runs.source}: {left} is {ratio[first]:.3g} times {right} in run '{first}', expected the same: is "
            "batch_tokens in sequences, or tokens in another unit?"
        )
