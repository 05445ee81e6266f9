"""Forward coverage of the intervals of forecasts: fitted to the smaller runs or the first steps, judged on the rest.

    python experiments/forecasts.py ../shared/data            # everything, half an hour on two busy cores
    python experiments/forecasts.py ../shared/data point      # laws of points, of curves (curve), of LR and batch (lr)
    python experiments/forecasts.py ../shared/data optimum    # whether the best N of all runs lies in its interval

Every row is a law on a table: the share of runs outside the fitted range in the nominal 90% intervals without the error
of the form (`before`) and with it (`after`), and the ratio of the mean widths. `chosen` marks tables on which the prior
of `jaxlaws.fitting.forward` and its kernel were chosen, `judged` the others, scored once. The pooled lines are means
over tables, one number a table whatever its laws and splits, with a two-sided 95% band of the tables (Student's t), and
the share of all points.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from jaxlaws.errors import BadInput
from jaxlaws.fitting.axes import axes, beyond
from jaxlaws.fitting.columns import columns_of
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.forward import sizes
from jaxlaws.fitting.intervals import edges, new_runs
from jaxlaws.fitting.optimum import optimum
from jaxlaws.fitting.points import Points, points
from jaxlaws.fitting.predict import evaluate
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.table import get
from jaxlaws.recommender.cells import cells_of
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.score import without
from jaxlaws.recommender.surface import Surface
from jaxlaws.records.repeats import CLUSTER
from jaxlaws.records.settings import comparable
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Runs
from jaxlaws.records.where import where

LEVEL = 0.9
#: Shares of the runs, or of the cells, that are fitted: those with the least compute.
SHARES, CELLS = (0.5, 0.7), (0.35, 0.5, 0.65, 0.8)
#: Points of a curve that are fitted and judged.
A_CURVE = 100


class Table(NamedTuple):
    """A table of runs and what is done with it.

    Attributes:
      name: of the table: rows of one name are one cluster.
      judged: whether it was opened after everything had been chosen.
      path, format: of the file.
      laws: that are fitted to it.
      group, target: which of its families and losses.
    """

    name: str
    judged: bool
    path: str
    format: str
    laws: tuple[str, ...]
    group: str = ""
    target: str = ""


class Row(NamedTuple):
    """What one fit says of points outside its data: [points] whether an interval holds, and its width."""

    name: str
    judged: bool
    what: str
    before: np.ndarray
    after: np.ndarray
    ratio: float


_RECTIFIED = "rectified/rectified_scaling_law_{}.csv"
_MODELS = ("gpt2", "facebook/opt-1.3b")
POINT_TABLES = (
    Table("figure 4", False, "isoflops/chinchilla_figure4_epoch.csv", "isoflop", ("chinchilla", "power_of_flops")),
    Table("figure 4", False, "isoflops/ml_scalefit.csv", "isoflop", ("chinchilla",)),
    Table("repeated", False, "scalebench/data_constrained.csv", "data_constrained", ("chinchilla", "data_constrained")),
    *(Table("flan", False, _RECTIFIED.format("flan"), "rectified", ("rectified",), model) for model in _MODELS),
    Table("over", False, "over_training/models.csv", "over_training", ("chinchilla",), "c4_original", "loss_1"),
    Table("routed", False, "scalebench/moe.csv", "moe", ("routed",)),
    Table("farseer", True, "scalebench/farseer.csv", "farseer", ("farseer", "chinchilla"), "", "bits_per_character"),
    *(Table("gigaword", True, _RECTIFIED.format("gigaword"), "rectified", ("rectified",), model) for model in _MODELS),
    Table("olmo", True, "olmo_ladder", "olmo_ladder", ("chinchilla",), "", "c4_en"),
    Table("gemstones", True, "gemstones", "gemstones", ("chinchilla",)),
    *(Table("parallel", True, "scalebench/parallel.csv", "parallel", ("parallel",), g) for g in ("stack", "pile")),
    Table("step law", True, "step_law/dense_lr_bs_loss.csv", "step_law", ("chinchilla",)),
    Table("vocabulary", True, "scalebench/vocab.csv", "vocabulary", ("vocabulary",)),
    Table("domains", True, "scalebench/sparsity.csv", "sparsity", ("chinchilla",)),
)
_CURVE_LAWS = ("bound", "annealing", "noise_memory", "multi_power")
CURVE_TABLES = (
    Table("25M", False, "multi_power_law/csv_25", "multi_power_law", _CURVE_LAWS),
    Table("100M", True, "multi_power_law/csv_100", "multi_power_law", _CURVE_LAWS),
    Table("124M", True, "lr_scheduling", "lr_scheduling", ("bound", "noise_memory")),
    Table("olmo", True, "olmo_ladder", "olmo_ladder", ("bound", "noise_memory"), "", "c4_en"),
)


def main(data: Path, kinds: list[str]) -> None:
    warnings.simplefilter("ignore")
    for kind in kinds or KINDS:
        print(f"\n{kind}: {'table':<16}{'law, fitted part':<34}{'points':>7}  before  after  width")
        rows = []
        for row in KINDS[kind](data):
            rows.append(row)
            print(
                f"  {'judged' if row.judged else 'chosen'} {row.name:<16}{row.what:<34}{len(row.before):>7}  "
                f"{row.before.mean():.2f}    {row.after.mean():.2f}   ×{row.ratio:.2f}",
                flush=True,
            )
        for name, some in (
            ("chosen on", [row for row in rows if not row.judged]),
            ("judged on", [row for row in rows if row.judged]),
            ("all", rows),
        ):
            if some:
                print(f"  {name:<10} {pooled(some)}")


def pooled(rows: list[Row]) -> str:
    """Coverage before and after, as means over tables with the band of them, and the share of all points."""
    names = sorted({row.name for row in rows})
    answer = []
    for key in ("before", "after"):
        of_table = [np.mean([getattr(row, key).mean() for row in rows if row.name == name]) for name in names]
        share = np.mean(np.concatenate([getattr(row, key) for row in rows]))
        band = ""
        if len(of_table) > 1:
            half = student.ppf(0.975, len(of_table) - 1) * np.std(of_table, ddof=1) / np.sqrt(len(of_table))
            band = f" [{np.mean(of_table) - half:.2f}, {min(np.mean(of_table) + half, 1):.2f}]"
        answer.append(f"{key} {np.mean(of_table):.3f}{band}, of all points {share:.3f}")
    width = np.exp(np.mean(np.log([row.ratio for row in rows])))
    return f"{'; '.join(answer)}; width ×{width:.2f}; {len(names)} tables, {len(rows)} fits"


def of_points(data: Path) -> Iterator[Row]:
    for table in POINT_TABLES:
        for law in table.laws:
            runs = opened(data, table, law)
            everything = points(get(law), runs)
            size = sizes(get(law), everything)
            assert size is not None
            largest = np.array([size[everything.run == i].max() for i in range(len(everything.names))])
            of_row = runs.table.get(CLUSTER, runs.table.index.to_series()).astype(str)
            for share in SHARES:
                names = np.array(everything.names)[largest <= np.quantile(largest, share)]
                train = runs.at(of_row.isin(names).to_numpy())
                yield from judged(table, law, f"{share:.0%} of the runs", train, everything)


def of_curves(data: Path) -> Iterator[Row]:
    for table in CURVE_TABLES:
        for law in table.laws:
            runs = thinned(opened(data, table, law))
            for what, train, test in splits(table, runs):
                yield from judged(table, law, what, train, points(get(law), test))


def splits(table: Table, runs: Runs) -> Iterator[tuple[str, Runs, Runs]]:
    """What is fitted and what is judged: short runs and long ones of a table, or the first part and all of a curve."""
    if table.format == "multi_power_law":
        long = [name for name in runs.curves if name.endswith("72000")]
        three = ["cosine_24000", "constant_24000", "wsdcon_9"]
        yield "three short curves", runs.select(three), runs.select(long)
        yield "all short curves", runs.select([n for n in runs.curves if n not in long]), runs.select(long)
        some = [(f"first {share:.0%} of three", share, three) for share in (0.4, 0.6, 0.8)]
    elif table.format == "olmo_ladder":
        some = []
        for size in ("190M", "370M", "760M", "1B"):
            of_size = [name for name in runs.curves if name.startswith(f"{size}-") and "rerun" not in name]
            short = [name for name in of_size if name.split("-")[1] in ("0.5xC", "1xC", "2xC")]
            yield f"{size}, up to 2xC", runs.select(short), runs.select([n for n in of_size if n not in short])
    else:
        at = runs.select([name for name in runs.curves if runs.table["peak_lr"][name] == 0.001])
        steps = {name: len(curve.lr) for name, curve in at.curves.items()}
        for edge in np.unique(np.quantile(list(steps.values()), (0.3, 0.6))):
            short = [name for name, count in steps.items() if count <= edge]
            yield f"up to {edge:,.0f} steps", at.select(short), at.select([n for n in steps if n not in short])
        some = []
    for what, share, names in some:
        yield what, thinned(runs.select(names), share), runs.select(names)


def of_cells(data: Path) -> Iterator[Row]:
    """Cells of the Step Law table that have more compute, larger N or larger D than those fitted."""
    runs = open_runs(data / "step_law/dense_lr_bs_loss.csv", format="step_law")
    cells, _ = cells_of(runs)
    minimum = np.array([Surface(cell).minimum for cell in cells])
    n, d = (np.array([getattr(cell, name) for cell in cells]) for name in ("params", "tokens"))
    for name, size in (("C", n * d), ("N", n), ("D", d)):
        for share in CELLS:
            keep = size <= 1.05 * np.quantile(size, share)
            law = estimate(without(runs, [cell for cell, kept in zip(cells, keep, strict=True) if not kept]))
            rest = np.flatnonzero(~keep)
            off = np.array([minimum[i] - law.optimum(n[i], d[i]) for i in rest])
            inside = replace(law, drift={})
            half = [
                np.array([[one.half_width(axis, n[i], d[i], LEVEL) for axis in ("lr", "batch")] for i in rest])
                for one in (inside, law)
            ]
            before, after = (np.abs(off) <= one for one in half)
            what = f"{keep.sum()} cells of smaller {name}"
            yield Row(f"by {name}", True, what, before.ravel(), after.ravel(), float(half[1].mean() / half[0].mean()))


def of_optima(data: Path) -> Iterator[Row]:
    """The best N at the largest compute of a table, by Chinchilla's law of its smaller runs and of all."""
    for table in POINT_TABLES:
        if "chinchilla" not in table.laws or table.name not in ("figure 4", "repeated", "farseer"):
            continue
        runs = opened(data, table, "chinchilla")
        size = sizes(get("chinchilla"), points(get("chinchilla"), runs))
        assert size is not None
        flops = float(np.exp(size.max()))
        best = optimum(fit("chinchilla", runs, starts=16, bootstrap=0), flops).params.value
        for share in (0.3, 0.4, *SHARES, 0.8):
            found = fit("chinchilla", runs.at(size <= np.quantile(size, share)), starts=16, bootstrap=200)
            plain, whole = (optimum(law, flops).params for law in (replace(found, form_error={}), found))
            edge = np.log([[n.low or np.nan, n.high or np.nan] for n in (plain, whole)])
            held = (edge[:, :1] <= np.log(best)) & (np.log(best) <= edge[:, 1:])
            off = f"{share:.0%} of the runs, N ×{plain.value / best:.2f}"
            yield Row(table.name, False, off, held[0], held[1], float(np.ptp(edge[1]) / np.ptp(edge[0])))


KINDS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "point": of_points,
    "curve": of_curves,
    "lr": of_cells,
    "optimum": of_optima,
}


def opened(data: Path, table: Table, law: str) -> Runs:
    """The runs of a table that a law reads, at the best LR where it reads none."""
    runs = open_runs(
        data / table.path, format=table.format, target=table.target, collect=True, assume=["settings", "tuning=best"]
    )
    if table.group:
        runs = where(runs, f"{'corpus' if table.format == 'over_training' else 'group'}=={table.group}")
    runs = replace(runs, assume={"settings": "", "tuning": "best", "checkpoints": ""})
    return comparable(runs, law, columns_of(get(law)), get(law).kind == "curve")


def thinned(runs: Runs, share: float = 1.0) -> Runs:
    """The runs with at most `A_CURVE` losses of every curve, of a first share of its steps."""
    curves = {}
    for name, curve in runs.curves.items():
        some = np.flatnonzero(curve.at <= share * curve.at[-1])
        some = some[np.unique(np.linspace(0, len(some) - 1, A_CURVE).round().astype(int))]
        logged = {key: value[some] for key, value in curve.logged.items()}
        curves[name] = replace(curve, at=curve.at[some], loss=curve.loss[some], logged=logged)
    return replace(runs, curves=curves)


def judged(table: Table, law: str, what: str, train: Runs, test: Points) -> Iterator[Row]:
    """The row of one fit, nothing where no point of `test` lies outside its data."""
    try:
        found = fit(law, train, starts=16, bootstrap=200)
    except BadInput as error:
        print(f"  {table.name} {law}, {what}: {error}")
        return
    keys = (*found.model.inputs, "S", "peak") if found.model.kind == "curve" else found.model.inputs
    steps = test.at if found.model.kind == "curve" else None
    values = axes(found.model, test.inputs, steps)
    if steps is not None:
        values["steps"] = np.maximum(values["steps"], found.ranges["steps"][0])
    distance = beyond(values, found.ranges)
    outside = distance > 0
    if not outside.any():
        return
    losses = evaluate(found, {key: test.inputs[key][outside] for key in keys})
    loss, distance = test.loss[outside], distance[outside]
    low, high = zip(*(interval(found, losses, some) for some in (0 * distance, distance)), strict=True)
    before, after = ((low[i] <= loss) & (loss <= high[i]) for i in (0, 1))
    ratio = float(np.mean(high[1] - low[1]) / np.mean(high[0] - low[0]))
    yield Row(table.name, table.judged, f"{law}, {what}", before, after, ratio)


def interval(found: LossFit, losses: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = edges(losses[0], new_runs(found, losses[1:], distance), LEVEL)
    assert low is not None
    assert high is not None
    return low, high


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"), sys.argv[2:])
