"""How well the ranking of recipes at a small size, or by a fitted law, predicts that at a larger size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.fitting.agreement import FOR_INTERVAL, LEAST, Agreement, agreement
from jaxlaws.inputs import INPUTS
from jaxlaws.records.cells import SAME_LABEL
from jaxlaws.records.units import parse_number, short
from jaxlaws.text import figure

if TYPE_CHECKING:
    from jaxlaws.fitting.result import LossFit
    from jaxlaws.records.table import Runs

LEVEL = 0.9
#: Column → its letter in the name of a size.
_LETTER = {"params_nonembedding": "N", "params_total": "N", "tokens": "D"}


class Pair(NamedTuple):
    """Two sizes, or a law and a size, and how well the first ranks the recipes of the second.

    Attributes:
      score, size: name of the smaller size or of the law, and of the size whose losses are ranked.
      agreement: None where they share fewer than `LEAST` recipes.
      shared: how many.
      chosen, best: the recipe that is best by the first, and by the second.
    """

    score: str
    size: str
    agreement: Agreement | None
    shared: int
    chosen: str | None
    best: str | None


class Ranks(NamedTuple):
    """Rank agreement of recipes.

    Attributes:
      recipe, by: columns that tell recipes apart, and sizes.
      recipes: how many there are.
      pairs: of a smaller and a larger size, or of the law and every size.
      level: of the intervals.
      warnings: sentences for people.
    """

    recipe: tuple[str, ...]
    by: tuple[str, ...]
    recipes: int
    pairs: tuple[Pair, ...]
    level: float
    warnings: tuple[str, ...]


def ranks(runs: Runs, recipe: Sequence[str], size: Sequence[str]) -> Ranks:
    """How well the losses of recipes at every size rank those of the same recipes at every larger one.

    Args:
      runs: of several recipes and sizes; runs that diverged rank last, those that failed are left out.
      recipe: columns that tell recipes apart, such as ("peak_lr", "batch_tokens"); `share` for all of share.NAME.
      size: columns that tell sizes apart, such as ("params_nonembedding", "tokens"), in the order of their product; of
        words such as 70M that of the number in them.

    Raises:
      BadInput: a column is missing, or no two sizes share `LEAST` recipes.
    """
    table, sentences = _table(runs)
    names, recipe_of = _groups(runs, table, recipe)
    sizes, size_of = _groups(runs, table, size)
    loss = _means(table, recipe_of, size_of, len(names), len(sizes))
    order = sorted(range(len(sizes)), key=lambda i: _order(sizes[i], i))
    pairs = [
        _pair(_words(sizes[a], size), _words(sizes[b], size), loss[:, a], loss[:, b], names, recipe)
        for a, b in combinations(order, 2)
    ]
    if all(pair.agreement is None for pair in pairs):
        raise BadInput(
            f"{runs.source} has no two sizes by {', '.join(size)} (of {len(sizes)}) that share {LEAST} recipes by "
            f"{', '.join(recipe)}: give other columns, or rank by a law with --fit FILE."
        )
    return _result(runs, recipe, size, len(names), pairs, sentences)


def ranks_of_fit(fit: LossFit, runs: Runs, size: Sequence[str] = ()) -> Ranks:
    """How well the losses that a fit of a law of points predicts rank those of runs, of the fit or others.

    Args:
      fit: whose law reads columns of the table.
      runs: each a recipe of its own.
      size: columns; runs are ranked apart for each of their values, and all together without any.

    Raises:
      BadInput: the law reads a schedule, a column is missing, or there are fewer than `LEAST` runs.
    """
    from jaxlaws.fitting.points import points
    from jaxlaws.fitting.predict import evaluate

    law = fit.model
    if law.kind != "point":
        raise BadInput(f"the law {law.name} reads a schedule, expected a law of points such as chinchilla.")
    runs = _in_order(fit, runs.finished())
    sentences: list[str] = []
    data = points(law, runs, fit.convention.get("params"))
    prediction = evaluate(fit, data.inputs)[0]
    sizes, size_of = _groups(runs, runs.table, size) if size else ([()], np.zeros(len(data.loss), int))
    names = [(str(name),) for name in runs.table.index]
    pairs = []
    for i in sorted(range(len(sizes)), key=lambda i: _order(sizes[i], i)):
        of_size = np.where(size_of == i, 1.0, np.nan)
        label = _words(sizes[i], size) if size else runs.source
        pairs.append(_pair(fit.law, label, prediction * of_size, data.loss * of_size, names, ("run",)))
    if all(pair.agreement is None for pair in pairs):
        raise BadInput(f"{runs.source} has fewer than {LEAST} runs of one size that ended, expected more to rank.")
    return _result(runs, ("run",), size, len(names), pairs, sentences)


def _table(runs: Runs) -> tuple[pd.DataFrame, list[str]]:
    """The runs that ended or diverged, with `loss` infinite for the latter, and sentences on both."""
    loss = runs.table[runs.loss_column].to_numpy(float)
    status = runs.table["status"].to_numpy(str) if "status" in runs.table else np.full(len(loss), "ok")
    loss = np.where(status == "diverged", np.inf, loss)
    keep = (status != "failed") & ~np.isnan(loss)
    sentences = []
    if (count := int(np.isinf(loss[keep]).sum())) > 0:
        sentences.append(f"{count} runs diverged: they rank last.")
    if (count := int((~keep).sum())) > 0:
        sentences.append(f"{count} runs without a loss are left out.")
    return runs.table.assign(loss=loss)[keep], sentences


def _groups(runs: Runs, table: pd.DataFrame, columns: Sequence[str]) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """The distinct values of some columns, and which of them each run has; numbers within `SAME_LABEL` are one."""
    several = {row.column for row in INPUTS.values() if row.many}
    names: list[str] = []
    for column in columns:
        parts = [str(name) for name in table if str(name).startswith(f"{column}.")]
        names += parts if column in several else [column]
    if not names:
        raise BadInput(f"{runs.source} has no columns {', '.join(f'{column}.NAME' for column in columns)}.")
    runs.need(*names)
    labels = pd.DataFrame({name: _label(table[name]) for name in names})
    number, distinct = pd.factorize(pd.MultiIndex.from_frame(labels))
    return [tuple(value) for value in distinct], number


def _label(column: pd.Series) -> np.ndarray:
    """The values of a column, and for numbers that differ by rounding the smallest of them."""
    if not pd.api.types.is_numeric_dtype(column):
        return column.astype(str).to_numpy()
    values = column.to_numpy(float)
    distinct = np.unique(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        begins = ~(np.diff(np.log(distinct), prepend=np.nan) <= SAME_LABEL)
    return distinct[begins][np.cumsum(begins)[np.searchsorted(distinct, values)] - 1]


def _means(table: pd.DataFrame, recipe_of: np.ndarray, size_of: np.ndarray, recipes: int, sizes: int) -> np.ndarray:
    """[recipes, sizes] mean loss of the runs of each, NaN where there is none."""
    place = recipe_of * sizes + size_of
    total = np.bincount(place, table["loss"].to_numpy(float), recipes * sizes)
    count = np.bincount(place, minlength=recipes * sizes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(recipes, sizes)


def _pair(
    score_name: str,
    size: str,
    score: np.ndarray,
    loss: np.ndarray,
    names: Sequence[tuple[Any, ...]],
    columns: Sequence[str],
) -> Pair:
    """The agreement of a score and losses [recipes], NaN where there is none."""
    shared = np.flatnonzero(~np.isnan(score) & ~np.isnan(loss))
    if len(shared) < LEAST:
        return Pair(score_name, size, None, len(shared), None, None)
    result = agreement(score[shared], loss[shared], LEVEL)
    choice, best = (_words(names[shared[i]], columns) for i in (result.chosen, result.best))
    return Pair(score_name, size, result, len(shared), choice, best)


def _order(size: tuple[Any, ...], place: int) -> tuple[float, int]:
    """Sort key of sizes."""
    product = 1.0
    for value in size:
        try:
            product *= value if isinstance(value, float) else parse_number(value)
        except BadInput:
            return float(place), place
    return product, place


def _words(values: tuple[Any, ...], columns: Sequence[str]) -> str:
    """A recipe or a size for people; of a mixture only its shares."""
    if len(values) != len(columns):
        return " ".join(figure(value, 2) for value in values)
    texts = (
        (short(value) if value >= 1 else figure(value, 3)) if isinstance(value, float) else value for value in values
    )
    return ", ".join(
        value if isinstance(raw, str) else f"{_LETTER.get(column, column)} {value}"
        for raw, value, column in zip(values, texts, columns, strict=True)
    )


def _in_order(fit: LossFit, runs: Runs) -> Runs:
    """The runs with the columns of an input of several in the order of the fit's constants."""
    several: Mapping[str, str] = {
        row.column: fit.convention[row.column] for row in INPUTS.values() if row.many and row.column in fit.convention
    }
    parts = [f"{name}.{part}" for name, text in several.items() for part in text.split(",")]
    runs.need(*parts)
    others = [name for name in runs.table if not str(name).startswith(tuple(f"{name}." for name in several))]
    return replace(runs, table=runs.table[[*others, *parts]]) if parts else runs


def _result(
    runs: Runs, recipe: Sequence[str], size: Sequence[str], recipes: int, pairs: Sequence[Pair], sentences: list[str]
) -> Ranks:
    if few := sum(pair.agreement is None for pair in pairs):
        sentences = [
            *sentences,
            f"{few} of {len(pairs)} pairs share fewer than {LEAST} recipes: they have no agreement.",
        ]
    if any(LEAST <= pair.shared < FOR_INTERVAL for pair in pairs):
        sentences = [*sentences, f"pairs that share fewer than {FOR_INTERVAL} recipes have no interval."]
    if not runs.in_nats:
        sentences = [*sentences, f"the regret takes the lower {runs.loss_label} for the better one."]
    return Ranks(tuple(recipe), tuple(size), recipes, tuple(pairs), LEVEL, (*runs.warnings, *sentences))
