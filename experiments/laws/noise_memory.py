"""The noise-memory law beside every other law of one model's curves: on its table, by transfer, and its priors.

    python experiments/laws/noise_memory.py ../shared/data scores     # the errors on the Multi-Power curves
    python experiments/laws/noise_memory.py ../shared/data priors     # where the centres and widths come from
    python experiments/laws/noise_memory.py ../shared/data left_out   # a schedule, a peak LR, a horizon
    python experiments/laws/noise_memory.py ../shared/data transfer   # exponents of one source on another
    python experiments/laws/noise_memory.py ../shared/data forms      # what theory says of the exponents

Every law that reads a schedule and nothing else takes part, with its default noise. Sources are the two models of Luo
et al. (25M, 100M), the peak LRs of Schaipp et al., the sizes of OLMo's ladder (cosine only) and the widths of the MLP
of Qiu et al. The first 2,000 steps are left out, of the MLP the first fifth, and curves are thinned to 40 losses (12
where all 87 runs of Schaipp et al. are fitted at once), but not in `scores`. A third argument chooses the sources by
the start of their names.

The default law is the one with the lowest geometric mean of its error over the rows of `left_out` and the targets of
`transfer` (a target weighs as one row, with the median over the sources of its exponents). It has to be the best in the
error of gaps too, by the same mean over the rows that have gaps, or within 5% of the best. This was written before
either part was run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import points
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.fitting.score import METRICS
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.table import LAWS, get
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
RIVALS = tuple(
    name for name, law in LAWS.items() if law.kind == "curve" and all(INPUTS[key].of_schedule for key in law.inputs)
)
#: Laws that are not transferred, as they have no memory.
BASELINES = ("opl", "lldl")
#: Sources of which all pairs are taken.
PAIRED = ("luo 25M", "luo 100M", "schaipp 0.0005", "schaipp 0.002", "olmo 1B", "mlp 42M")
#: Exponents of the linear theory of SGD on a power-law spectrum (ζ 1, κ 0), each alone, and an exponential memory.
FIXED: tuple[dict[str, float], ...] = (
    *({}, {"zeta": 1.0, "kappa": 1e-3}, {"zeta": 1.0}, {"kappa": 1e-3}, {"zeta": 0.5}, {"beta": 10.0}),
)
FIRST, MOST = 2000, 40
BETAS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.45, 0.7)


class Source(NamedTuple):
    """Runs of one model, the group they are of, and the two runs that a fit with exponents from elsewhere sees."""

    group: str
    runs: Runs
    few: tuple[str, ...]


def thin(runs: Runs, first: Callable[[Curve], int], most: int = MOST) -> Runs:
    """The runs with at most `most` losses a curve, none before the step `first`."""
    curves = {}
    for name, curve in runs.curves.items():
        keep = np.flatnonzero(curve.at >= first(curve))
        keep = keep[np.unique(np.linspace(0, len(keep) - 1, min(most, len(keep))).round().astype(int))]
        if len(keep):
            curves[name] = replace(curve, at=curve.at[keep], loss=curve.loss[keep], logged={})
    return replace(runs, curves=curves).select([name for name in runs.table.index if name in curves])


def luo(folder: Path, size: int) -> Runs:
    return open_runs(folder / f"multi_power_law/csv_{size}", format="multi_power_law")


def schaipp(folder: Path, most: int = MOST) -> Runs:
    return thin(open_runs(folder / "lr_scheduling", format="lr_scheduling"), lambda curve: FIRST, most)


def sources(folder: Path) -> dict[str, Source]:
    """Every source by name."""
    out = {}
    for size in (25, 100):
        runs = thin(luo(folder, size), lambda curve: FIRST)
        out[f"luo {size}M"] = Source("luo", runs, ("cosine_24000", "constant_24000"))
    runs = schaipp(folder)
    for peak, rows in runs.table.groupby("peak_lr"):
        few = tuple(f"wsd_linear_{share}_lr{peak:g}_T25000" for share in ("0.1", "0.4"))
        out[f"schaipp {peak:g}"] = Source("schaipp", runs.select(rows.index), few)
    runs = thin(open_runs(folder / "olmo_ladder", format="olmo_ladder", target="c4_en"), lambda curve: FIRST)
    for params in ("190M", "370M", "760M", "1B"):
        names = [name for name in runs.table.index if name.startswith(f"{params}-")]
        out[f"olmo {params}"] = Source("olmo", runs.select(names), (f"{params}-0.5xC", f"{params}-2xC"))
    runs = open_runs(folder / "noise_law", format="noise_law", assume=("settings",))
    runs = thin(runs, lambda curve: len(curve.lr) // 5)
    for count in sorted(set(runs.table["params_total"])):
        rows = runs.table[runs.table["params_total"] == count]
        table = rows[rows["steps"] == rows["steps"].mode()[0]]
        few = tuple(table.index[table["schedule"] == shape][0] for shape in ("const", "linear"))
        out[f"mlp {count / 1e6:.3g}M"] = Source("mlp", runs.select(rows.index), few)
    return out


def shown(values: Iterable[float | None], digits: int = 5) -> str:
    return " ".join(" " * 8 if value is None else f"{value:8.{digits}f}" for value in values)


def coverage(result: LossFit, curves: Iterable[Curve]) -> float | None:
    """Mean over curves of the share of losses inside the 90% bands; None without bands."""
    shares = []
    for curve in curves:
        curve = replace(curve, at=curve.at[keep := curve.at >= curve.warmup_steps - 1], loss=curve.loss[keep])
        answer = predict(result, curve=curve)
        if answer.low is not None:
            shares.append(np.mean((curve.loss >= answer.low) & (curve.loss <= answer.high)))
    return float(np.mean(shares)) if shares else None


def scores(folder: Path, start: str = "") -> None:
    print(
        "law           noise       size ",
        *(f"{name:>8}" for name in METRICS),
        "    gaps  decay gaps: ratio (se)  inside",
    )
    for law in RIVALS:
        for size in (25, 100):
            if not f"luo {size}M".startswith(start):
                continue
            runs = luo(folder, size)
            result = fit(law, runs, train=TRAIN, bootstrap=100)
            row = [result.held_out["test"][name] for name in METRICS] + [result.held_out["gaps"]["mae"]]
            ratio = result.held_out.get("decay_gaps") or {"ratio": np.nan, "se": np.nan}
            inside = coverage(result, [curve for name, curve in runs.curves.items() if name not in TRAIN])
            print(f"{law:<13} {result.noise:<11} {size}M".ljust(30), shown(row), end=" ")
            print(f"{ratio['ratio']:12.3f} ({ratio['se']:.3f}) {inside:12.2f}  {result.status}", flush=True)


def priors(folder: Path, start: str = "") -> None:
    """Constants under the plain objective with β fixed, and how unlike each coordinate of C is between sources."""
    law, table = get("noise_memory"), {}
    print("source          ln(objective / best) · independent points / 2, by beta =", *BETAS)
    for name, source in sources(folder).items():
        if source.group == "olmo" or not name.startswith(start):
            continue
        data = points(law, source.runs)
        fits = [fit(law.name, source.runs, noise="huber", bootstrap=0, starts=2, fixed={"beta": b}) for b in BETAS]
        phi = fits[2].diagnostics["residual_correlation"]
        objective = np.log(np.array([one.objective_plain for one in fits], float))
        print(f"{name:<15}", shown(0.5 * len(data.loss) * (1 - phi) / (1 + phi) * (objective - objective.min()), 2))
        constants = fits[BETAS.index(0.25)].params
        lrs = [curve.lr for curve in source.runs.curves.values()]
        peak, steps = max(lr.max() for lr in lrs), np.exp(np.mean([np.log(len(lr)) for lr in lrs]))
        rate = np.log(constants["C"])
        table[name] = (source.group, constants, {
            "C S": rate + np.log(data.scale()["S"]),
            "C peak": rate + np.log(peak),
            "C peak sqrt(steps)": rate + np.log(peak) + 0.5 * np.log(steps),
            "C, in LR steps": rate,
        })  # fmt: skip
    coordinates = list(next(iter(table.values()))[2])
    print("\nbeta = .25     ", *(f"{f'ln({name})':>24}" for name in coordinates), "   kappa    zeta")
    for name, (_, constants, rate) in table.items():
        print(f"{name:<15}", *(f"{value:24.2f}" for value in rate.values()), f"{constants['kappa']:8.3f}", end="")
        print(f"{constants['zeta']:8.3f}")
    spread = [np.std([rate[name] for _, _, rate in table.values()], ddof=1) for name in coordinates]
    print("sd             ", *(f"{value:24.2f}" for value in spread))
    logs = {name: {"C": rate["C S"]} | {key: np.log(constants[key]) for key in ("kappa", "zeta")}
            for name, (_, constants, rate) in table.items()}  # fmt: skip
    print("\nsd from the prior's centre  ", *(f"{key:>8}" for key in ("C", "kappa", "zeta")))
    prior = {p.name: p.prior for p in law.parameters if p.prior}
    for name, values in logs.items():
        print(f"{name:<28}", shown(((values[key] - prior[key][0]) / prior[key][1] for key in values), 2))
    print("centres of schaipp and mlp, each group with one weight:")
    for key in ("C", "kappa", "zeta"):
        groups = [np.mean([logs[n][key] for n, row in table.items() if row[0] == g]) for g in ("schaipp", "mlp")]
        print(f"  {key:<6} {np.exp(np.mean(groups)):8.3g}   prior {np.exp(prior[key][0]):8.3g}, sd {prior[key][1]:g}")


def splits(folder: Path) -> Iterator[tuple[str, Runs, list[str]]]:
    """(what is left out, runs, names of the runs that are fitted)."""
    everything = sources(folder)
    for name in ("luo 25M", "luo 100M"):
        runs = everything[name].runs
        short = [run for run in runs.curves if not run.endswith("_72000")]
        yield f"{name}, horizon 72,000", runs, short
        yield f"{name}, schedules of two stages", runs, [run for run in runs.curves if not run.startswith("wsdcon")]
        yield f"{name}, wsd and wsdld", runs, [run for run in runs.curves if not run.endswith("20000_24000")]
    runs = schaipp(folder, 12)
    table = runs.table
    for peak in sorted(set(table["peak_lr"])):
        yield f"schaipp, peak LR {peak:g}", runs, list(table.index[table["peak_lr"] != peak])
    yield "schaipp, horizon 50,000", runs, list(table.index[table["steps"] < 50_000])
    yield "schaipp, cooldowns of .6 to .9", runs, list(table.index[table["cooldown_fraction"] < 0.5])
    for name in ("olmo 190M", "olmo 1B"):
        runs = everything[name].runs
        yield f"{name}, horizon of 200 tokens a parameter", runs, [run for run in runs.curves if "-10xC" not in run]
    runs = everything["mlp 10.5M"].runs
    longest = runs.table["steps"].max()
    yield "mlp 10.5M, longest horizon", runs, list(runs.table.index[runs.table["steps"] < longest])


def left_out(folder: Path, start: str = "") -> None:
    print("left out".ljust(44), "law          ", "     mae    gaps  decay gaps: ratio  inside")
    for what, runs, train in splits(folder):
        for law in RIVALS if what.startswith(start) else ():
            result = fit(law, runs, train=train, starts=4, bootstrap=25)
            errors = result.held_out
            rest = [curve for name, curve in runs.curves.items() if name not in train]
            row = (errors["test"]["mae"], (errors.get("gaps") or {}).get("mae"))
            ratio, inside = (errors.get("decay_gaps") or {}).get("ratio"), coverage(result, rest)
            print(
                f"{what:<44} {law:<13}", shown(row), shown((ratio,), 3), shown((inside,), 2), result.status, flush=True
            )


def transfer(folder: Path, start: str = "") -> None:
    """Constants without a unit from one source fixed, the others fitted to two runs of the target."""
    everything = {name: row for name, row in sources(folder).items() if name in PAIRED}
    print("law                      target           own exponents   median and worst of other sources   gaps likewise")
    for name, own in ways():
        given = {source: fit(name, row.runs, starts=3, bootstrap=0).params for source, row in everything.items()}
        for target, row in ((name, row) for name, row in everything.items() if name.startswith(start)):
            here = scored(name, row, {})
            pairs = {
                source: scored(name, row, {key: params[key] for key in own})
                for source, params in given.items()
                if source != target
            }
            there = np.array([pair for pair in pairs.values() if pair is not None])
            print(f"{name:<13}{'all' if len(own) != 3 else ','.join(own):<12}{target:<15}", end="")
            if here is not None:
                print(shown(here), "  ", end="")
            for column in there.T:
                print(shown((np.median(column), column.max())), end="    ")
            print(
                "  by source:", {s: None if p is None else round(float(p[0]), 5) for s, p in pairs.items()}, flush=True
            )


def ways() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(law, the constants that are carried over)."""
    for name in RIVALS:
        if name in BASELINES:
            continue
        yield name, tuple(key for key in get(name).unitless if key != "L0")
        if name == "noise_memory":
            yield name, ("kappa", "zeta", "beta")


def scored(law: str, source: Source, fixed: Mapping[str, float]) -> tuple[float, float] | None:
    """(error, error of gaps) of a fit to the few runs of a source; None where the fixed constants are refused."""
    try:
        result = fit(law, source.runs, train=source.few, starts=2, bootstrap=0, fixed=dict(fixed))
    except BadInput as error:
        print(f"{law}: {error}")
        return None
    errors = result.held_out
    return errors["test"]["mae"], (errors.get("gaps") or {"mae": float("nan")})["mae"]


def forms(folder: Path, start: str = "") -> None:
    """Exponents that theory would fix, on training sides only: the objective, and the error of each run left out."""
    ends = open_runs(folder / "lr_scheduling", format="lr_scheduling_final")
    sides = {f"luo {size}M": thin(luo(folder, size), lambda curve: FIRST, 80).select(list(TRAIN)) for size in (25, 100)}
    short = [name for name in ends.curves if name.split("_")[2] in ("0.1", "0.2", "0.4")]
    rows: list[tuple[str, dict[str, float]]] = [
        *(("noise_memory", fixed) for fixed in FIXED),
        *(("noise_memory_reduced", {}), ("bound", {})),
    ]
    for name, runs in {**sides, "schaipp, ends of cooldowns up to .4": ends.select(short)}.items():
        for law, fixed in rows if name.startswith(start) else ():
            result = fit(law, runs, noise="huber", starts=4, bootstrap=0, fixed=fixed)
            values = {key: float(f"{value:.3g}") for key, value in result.params.items()}
            error = result.held_out["leave_one_run_out"]["mae"]
            print(f"{name:<36} {law:<21} {result.objective_plain:.3e} {error:.5f} fixed {fixed}: {values}", flush=True)


PARTS: dict[str, Callable[..., None]] = {
    **{"scores": scores, "priors": priors, "left_out": left_out, "transfer": transfer, "forms": forms}
}


if __name__ == "__main__":
    PARTS[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
