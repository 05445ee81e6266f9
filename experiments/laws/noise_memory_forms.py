"""What the further forms of the noise-memory law are worth: five constants, several sizes, several batches.

    python experiments/laws/noise_memory_forms.py ../shared/data reduced   # two minutes on two cores
    python experiments/laws/noise_memory_forms.py ../shared/data size      # four minutes
    python experiments/laws/noise_memory_forms.py ../shared/data batch     # a minute

`reduced`: eight and five constants on the public Multi-Power curves, fitted to three curves of each size and scored on
the other six. `size`: both sizes of them in one fit, and one size that has a single curve; OLMo's ladder, each size
left out in turn. `batch`: how the noise depends on the batch, by the final losses of the Step Law's runs, whose LR and
batch vary at every model size and number of tokens; a part of the batches or one size is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.curves.noise_memory_forms import SIZED
from jaxlaws.laws.law import Law, Parameter
from jaxlaws.laws.table import LAWS, add
from jaxlaws.records.source import open_runs
from jaxlaws.records.table import Curve, Runs
from jaxlaws.schedules.families import cosine

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
COLUMNS = ("r2", "mae", "rmse", "pred_e", "worst_e")
#: Losses of a curve in a fit of several sizes, and random starts of it.
LOSSES, STARTS = 60, 4


def reduced(folder: Path) -> None:
    print("law                   noise       size ", *(f"{name:>8}" for name in COLUMNS))
    for law, noise in (
        ("noise_memory", "correlated"),
        ("noise_memory_reduced", "correlated"),
        ("noise_memory_reduced", "huber"),
    ):
        for size in (25, 100):
            runs = open_runs(folder / f"multi_power_law/csv_{size}", format="multi_power_law")
            result = fit(law, runs, train=TRAIN, noise=noise, bootstrap=0)
            row = [result.held_out["test"][name] for name in COLUMNS]
            print(f"{law:<21} {noise:<11} {size}M".ljust(38), *(f"{x:8.5f}" for x in row), short(result), flush=True)


def short(result: LossFit) -> str:
    """The constants to three digits, and the status."""
    return f"{ {name: float(f'{value:.3g}') for name, value in result.params.items()} } {result.status}"


def with_fixed(fixed: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in fixed.items())


def thin(curve: Curve, count: int, warmups: float = 1.0) -> Curve:
    """`count` losses of a curve, evenly spaced from `warmups` times its warm-up on."""
    after = np.flatnonzero(curve.at >= warmups * curve.warmup_steps - 1)
    keep = after[np.unique(np.linspace(0, len(after) - 1, count).astype(int))]
    return replace(curve, at=curve.at[keep], loss=curve.loss[keep])


def progress_by_size() -> Law:
    """The law of several sizes whose power of the LR sum depends on the size too: A·N^-a·S^-α."""
    assert SIZED.basis is not None

    def basis(params, inputs):
        assert SIZED.basis is not None
        one, lr_sum_term, *rest = SIZED.basis(params, inputs)
        return one, lr_sum_term * inputs["N"] ** -params["a"], *rest

    parameters = [replace(p, units={**p.units, "N": "a"}) if p.name == "A" else p for p in SIZED.parameters]
    own = Parameter(
        "a", "exponent of parameters in the LR sum's term", (-0.1, 0.1), (-2.0, 2.0), "real", prior=(0.0, 0.2)
    )
    return replace(SIZED, name="progress_by_size", parameters=(*parameters, own), basis=basis)


SIZE_FORMS: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("noise_memory_size", {"gamma": 0.0}),
    ("noise_memory_size", {}),
    ("progress_by_size", {}),
)


def size(folder: Path) -> None:
    add(progress_by_size())
    two_sizes(folder)
    ladder(folder)


def two_sizes(folder: Path) -> None:
    tables: list[pd.DataFrame] = []
    curves: dict[str, Curve] = {}
    for count in (25, 100):
        runs = open_runs(folder / f"multi_power_law/csv_{count}", format="multi_power_law")
        names = [f"{count}M {name}" for name in runs.table.index]
        tables.append(runs.table.drop(columns="model").set_axis(names).assign(params_nonembedding=1e6 * count))
        curves |= dict(zip(names, runs.curves.values(), strict=True))
    table = pd.concat(tables)
    test = [name for name in table.index if not name.endswith(TRAIN)]
    small, large = ([f"{count}M {name}" for name in TRAIN] for count in (25, 100))
    print("25M and 100M in one fit: mean absolute error of the test curves of 25M and of 100M")
    for what, train in (
        ("three curves of both", [*small, *large]),
        ("100M: cosine only", [*small, "100M cosine_24000"]),
        ("100M: constant only", [*small, "100M constant_24000"]),
    ):
        for law, fixed in SIZE_FORMS:
            runs = Runs(table.loc[train], {name: thin(curves[name], LOSSES) for name in train})
            result = fit(law, runs, bootstrap=0, starts=STARTS, fixed=fixed)
            errors = off(result, table.loc[test], curves)
            row = [np.mean([abs(errors[name]).mean() for name in test if name.startswith(f"{n}M")]) for n in (25, 100)]
            print(
                f"{what:<21} {law:<18} {with_fixed(fixed):<12}", *(f"{x:8.5f}" for x in row), short(result), flush=True
            )


def off(result: LossFit, table: pd.DataFrame, curves: Mapping[str, Curve]) -> dict[str, np.ndarray]:
    """Run → prediction minus loss along its curve."""
    columns = {"N": ("params", "params_nonembedding"), "B": ("batch_tokens", "batch_tokens")}
    read = [columns[key] for key in LAWS[result.law].inputs if key in columns]
    return {
        str(name): np.asarray(
            predict(result, curve=curves[str(name)], **{key: row[column] for key, column in read}).value
        )
        - curves[str(name)].loss
        for name, row in table.iterrows()
    }


def ladder(folder: Path) -> None:
    runs = open_runs(folder / "olmo_ladder", format="olmo_ladder", target="c4_en", assume=("settings",))
    table = runs.table[~runs.table.index.str.endswith("rerun")]
    curves = {name: thin(runs.curves[name], 10, warmups=2.0) for name in table.index}
    runs = replace(runs, table=table, curves=curves)
    params = table["params_nonembedding"]
    sizes = sorted(set(params))
    print("OLMo's ladder, c4_en: mean absolute error and mean error of the size left out, then of all in one fit")
    print(" ".join(f"{n:.3g}" for n in sizes))
    both = [("noise_memory_size_batch", {"gamma": 0.0}), ("noise_memory_size_batch", {}), ("annealing_size", {})]
    for law, fixed in (*SIZE_FORMS, *both):
        row = []
        for left in (*sizes, None):
            chosen = runs.select(table.index[params != left])
            result = fit(law, chosen, bootstrap=0, starts=STARTS, fixed=fixed)
            errors = np.concatenate(
                list(off(result, table if left is None else table[params == left], curves).values())
            )
            row.append((abs(errors).mean(), errors.mean()))
        print(f"{law:<24} {with_fixed(fixed):<12}", *(f"{a:.4f} ({b:+.4f})" for a, b in row), end=" ")
        print(f"mean left out {np.mean([a for a, _ in row[:-1]]):.4f}", short(result), flush=True)


#: Constants of `batch` → their start; logarithms of the coefficients, and exponents.
BATCH = {
    **{"E": 0.3, "A": -1.0, "F": 0.0, "B": -1.5, "alpha": 0.5, "kappa": 0.2, "zeta": 0.5, "phi": 0.35, "gamma": 0.2},
    **{"p": 0.5, "q": 0.5},
}
#: Form → the constants of the batch that are fixed, of S·M^p in place of S and m·M^-q in place of m.
BATCH_FORMS = {
    "no batch": {"p": 0.0, "q": 0.0},
    "m/M": {"p": 0.0, "q": 1.0},
    "m/sqrt M, S sqrt M": {"p": 0.5, "q": 0.5},
    "m/M^q": {"p": 0.0},
    "m/M^q, S M^p": {},
}


def batch(folder: Path) -> None:
    for share in (1.015, 1.03):
        runs = open_runs(folder / "step_law/dense_lr_bs_loss.csv", format="step_law").table.query("steps > 2200")
        best = runs.groupby(["params_nonembedding", "tokens"])["loss_nats"].transform("min")
        table = runs[runs["loss_nats"] < share * best]
        print(f"{len(table)} runs within {share - 1:.1%} of the best of their (N, D); mean absolute error of the fit,")
        print("of the quarter of largest batches and of smallest ones left out, and of sizes left out")
        batches(table)


def batches(table: pd.DataFrame) -> None:
    params, tokens, peak, steps, loss = (
        table[name].to_numpy(float) for name in ("params_nonembedding", "batch_tokens", "peak_lr", "steps", "loss_nats")
    )
    clock, memory = remembered(peak, steps.astype(int))
    log = [jnp.asarray(np.log(x) - np.log(x).mean()) for x in (params, tokens, clock, memory)]

    def predicted(c):
        size, batch, lr_sum, m = log
        progress = lr_sum + c["p"] * batch
        noise = c["B"] + c["gamma"] * size - c["kappa"] * progress + c["zeta"] * (m - c["q"] * batch)
        return (
            jnp.exp(c["E"])
            + jnp.exp(c["F"] - c["phi"] * size)
            + jnp.exp(c["A"] - c["alpha"] * progress)
            + jnp.exp(noise)
        )

    def solve(
        fixed: Mapping[str, float], rows: np.ndarray, start: Mapping[str, float]
    ) -> tuple[dict[str, float], np.ndarray]:
        names = [name for name in start if name not in fixed]

        @jax.jit
        def residual(x):
            return jnp.log(predicted({**dict(zip(names, x, strict=True)), **fixed})) - jnp.log(loss)

        slope = jax.jit(jax.jacfwd(residual))
        found = least_squares(
            lambda x: np.asarray(residual(x))[rows],
            [start[name] for name in names],
            lambda x: np.asarray(slope(x))[rows],
            loss="huber",
            f_scale=1e-3,
            x_scale="jac",
            max_nfev=500,
        )
        c = {**dict(zip(names, found.x.tolist(), strict=True)), **fixed}
        return c, np.asarray(predicted(c)) - loss

    quarter = np.quantile(tokens, (0.25, 0.75))
    parts: Sequence[Sequence[np.ndarray]] = (
        *([tokens > quarter[1]], [tokens < quarter[0]]),
        [params == n for n in np.unique(params)],
    )
    everything = np.ones(len(loss), bool)
    with jax.enable_x64(True):
        for name, fixed in BATCH_FORMS.items():
            constants, errors = solve(fixed, everything, BATCH)
            row = [abs(errors).mean()]
            row += [np.mean([abs(solve(fixed, ~out, constants)[1][out]).mean() for out in part]) for part in parts]
            print(
                f"{name:<20}", *(f"{x:7.4f}" for x in row), {k: round(v, 3) for k, v in constants.items()}, flush=True
            )


def remembered(peak: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S and m at the end of the Step Law's schedules, with C = 1000 and β = .2, which one shape does not show."""
    out = []
    for eta, count in zip(peak, steps, strict=True):
        lr = eta * cosine(count, 2000, 1e-5 / eta)
        total = np.cumsum(lr[::-1])[::-1]
        out.append((total[0], np.sum(np.diff(lr, prepend=0.0) * (1 - (1 + 1000 * total) ** -0.2))))
    return tuple(np.array(out).T)


PARTS: dict[str, Callable[[Path], None]] = {"reduced": reduced, "size": size, "batch": batch}


if __name__ == "__main__":
    PARTS[sys.argv[2]](Path(sys.argv[1]))
