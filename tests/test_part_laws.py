"""Laws of routed models, mixtures, batch and steps, broken powers, fine-tuning, tasks and joint penalties.

Each is compared with a second implementation in its published form, fitted to a public table by scipy from many starts.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest
from law_samples import SAMPLES
from scipy.optimize import least_squares

from jaxlaws.fitting.columns import columns_of
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.noise import DELTA
from jaxlaws.fitting.points import points
from jaxlaws.laws.points.routed import effective_experts
from jaxlaws.laws.points.three_term import best_batch
from jaxlaws.laws.table import get
from jaxlaws.records.published import load
from jaxlaws.records.settings import comparable
from jaxlaws.records.table import Runs
from jaxlaws.records.where import where


def routed(p, inputs):
    experts = inputs["experts"] - 1 + 1 / (1 / p["E_s"] - 1 / p["E_m"])
    log_n, log_e = np.log10(inputs["N"]), -np.log10(1 / experts + 1 / p["E_m"])
    return 10 ** (p["a"] * log_n + p["b"] * log_e + p["c"] * log_n * log_e + p["d"])


def mixing(p, inputs):
    rates = np.array([value for name, value in p.items() if name.startswith("t_")])
    return p["c"] + p.get("k", 1.0) * np.exp(inputs["r"] @ rates)


def three_term(p, inputs):
    terms = (("A", "N", "alpha"), ("B", "B", "beta"), ("C", "steps", "gamma"))
    return p["E"] + sum(p[a] / inputs[x] ** p[power] for a, x, power in terms)


def broken_power(p, inputs):
    x = inputs["x"]
    breaks = [(1 + (x / p[f"d{i}"]) ** (1 / p[f"f{i}"])) ** (-p[f"c{i}"] * p[f"f{i}"]) for i in (1, 2) if f"d{i}" in p]
    return p["a"] + p["b"] * x ** -p["c0"] * np.prod(breaks, axis=0)


def rectified(p, inputs):
    return p["B"] / (p["D_l"] + inputs["examples"] ** p["beta"]) + p["E"]


def chinchilla(p, inputs):
    return p["E"] + p["A"] / inputs["N"] ** p["alpha"] + p["B"] / inputs["D"] ** p["beta"]


def accuracy(p, inputs):
    return p["a"] / (1 + np.exp(-p["k"] * (inputs["bpb"] - p["x_0"]))) + p["b"]


def error(p, inputs):
    return p["epsilon"] - p["k"] * np.exp(-p["gamma"] * inputs["L"])


def joint(p, inputs):
    loss = chinchilla(p, inputs)
    for name in ("eta", "B", "decay", "aspect"):
        if f"{name}_q" in p:
            best = p[f"{name}_0"] * inputs["N"] ** p[f"{name}_N"] * inputs["D"] ** p[f"{name}_D"]
            loss = loss * np.exp(p[f"{name}_q"] * np.log(inputs[name] / best) ** 2)
    return loss


OURS = {
    "routed": routed,
    "mixing": mixing,
    "three_term": three_term,
    "broken_power": broken_power,
    "broken_power_2": broken_power,
    "rectified": rectified,
    "task_bits": chinchilla,
    "task_accuracy": accuracy,
    "task_error": error,
    "mist": joint,
    "mist_lr_batch": joint,
}


@pytest.mark.parametrize("name", OURS)
def test_a_law_is_its_published_formula(name):
    sample = SAMPLES[name]
    inputs = sample.inputs(name, 50)
    with jax.enable_x64(True):
        ours = np.asarray(sample.law(name).predict(sample.constants(name), inputs))
    np.testing.assert_allclose(ours, OURS[name](sample.constants(name), inputs), rtol=1e-12)


@pytest.mark.parametrize(
    ("path", "format", "groups", "column", "ends"),
    [
        ("routing/curves.csv.gz", "routing", {"Hash": 56, "RL-R": 59, "S-Base": 58}, "experts", (1, 512)),
        ("scalebench/moe.csv", "moe", {"all_data": 193}, "experts", (1, 512)),
        (
            "scalebench/domain_mixture.csv",
            "domain_mixture",
            dict.fromkeys(("70M", "160M", "305M", "410M"), 20),
            "share.domain_1",
            (0, 0.5),
        ),
        ("regmix", "regmix", {"1m": 512, "60m": 256}, "share.pile_cc", (0, 0.995)),
    ],
)
def test_importers_keep_families_apart(published, path, format, groups, column, ends):
    table = load(published(path), format).table
    assert table.groupby("group").size().to_dict() == groups
    assert (table[column].min(), table[column].max()) == pytest.approx(ends, abs=5e-3)
    shares = [name for name in table if name.startswith("share.")]
    if shares:
        np.testing.assert_allclose(table[shares].sum(axis=1), 1, rtol=1e-12)


def test_wide_tables_of_fine_tuning_are_a_run_a_cell(published):
    table = load(published("rectified/rectified_scaling_law_flan.csv"), "rectified").table
    assert table.groupby("group").size().eq(14).all()
    assert table.loc["gpt2@819200", "finetune_examples"] == 819200
    assert table.groupby("group")["finetune_examples"].min().eq(0).all()
    assert (table.loc["gpt2@0", "loss_nats"], len(table)) == (pytest.approx(4.5, abs=1), 196)


def of_group(path, format, group, target=""):
    return lambda published: replace(where(load(published(path), format), f"group=={group}"), target=target)


def step_law(published):
    return replace(load(published("step_law/dense_lr_bs_loss.csv"), "step_law"), assume={"tuning": "best"})


#: Runs of one N of the step-law table, by conditions.
ONE_SIZE = ("params_nonembedding>4.2e8", "params_nonembedding<4.4e8")


def over_lr(cell):
    """The lowest loss at each LR of one (N, D) of the step-law table, by its number in the order of the file: a U."""

    def runs_of(published):
        cells = step_law(published).table.groupby(["params_nonembedding", "tokens"], sort=False)
        table = list(cells)[cell][1]
        return Runs(table.groupby("peak_lr")["loss_nats"].min().reset_index().rename(columns={"peak_lr": "x"}))

    return runs_of


def along_a_cosine(published):
    """The loss of a run of the OLMo ladder after 3B tokens: a power of the tokens, bent by the decay of the LR."""
    columns = {"throughput/total_tokens": "x", "eval/c4_en-validation/CrossEntropyLoss": "loss_nats"}
    curve = pd.read_csv(published("olmo_ladder/1B-10xC.csv"), usecols=list(columns)).dropna().rename(columns=columns)
    return Runs(curve[curve["x"] > 3e9].reset_index(drop=True))


def ladder(published):
    """The last evaluations of the OLMo ladder: loss, bits a byte and accuracy of ARC Easy."""
    columns = {
        "eval/c4_en-validation/CrossEntropyLoss": "val_loss_nats",
        "eval/downstream_bpb/arc_easy_test_rc_5shot_bpb": "task_bpb",
        "eval/downstream/arc_easy_test_rc_5shot_len_norm": "metric.accuracy",
        "throughput/total_tokens": "tokens",
    }
    sizes = {"190M": 190354176, "370M": 371262464, "760M": 758220288, "1B": 1279395840}
    rows = []
    for path in sorted(published("olmo_ladder").glob("*.csv")):
        last = pd.read_csv(path, usecols=list(columns)).dropna().iloc[-1].rename(columns)
        rows.append({**last, "params_nonembedding": sizes[path.stem.split("-")[0]]})
    table = pd.DataFrame(rows)
    table["metric.bits_per_byte"], table["metric.error"] = table["task_bpb"], 1 - table["metric.accuracy"]
    return Runs(table)


#: Law, runs, and where scipy starts: (low, high) of a constant, of its logarithm where both are positive.
TABLES = {
    **{
        f"routed {router}": (
            "routed",
            of_group("routing/curves.csv.gz", "routing", router),
            {"a": (-0.2, 0), "b": (-0.3, 0), "c": (-0.02, 0.05), "d": (0.5, 2), "E_s": (1, 6), "E_m": (50, 2000)},
        )
        for router in ("S-Base", "RL-R", "Hash")
    },
    **{
        f"mixing {size}": (
            "mixing",
            of_group("scalebench/domain_mixture.csv", "domain_mixture", size, "domain_2"),
            {"c": (1, 3), "k": (0.1, 2)} | {f"t_domain_{i}": (-3, 1.5) for i in range(1, 6)},
        )
        for size in ("70M", "410M")
    },
    "rectified gpt2": (
        "rectified",
        of_group("rectified/rectified_scaling_law_gigaword.csv", "rectified", "gpt2"),
        {"B": (10, 1e4), "D_l": (10, 1e3), "beta": (0.2, 1), "E": (0.1, 1)},
    ),
    "three_term": (
        "three_term",
        step_law,
        {"E": (0.1, 2), "A": (10, 1e3), "B": (1, 10), "C": (1, 10)}
        | {"alpha": (0.1, 0.5), "beta": (0.05, 0.5), "gamma": (0.05, 0.5)},
    ),
    **{
        f"broken_power {cell}": (
            "broken_power",
            over_lr(cell),
            {"a": (0.1, 2), "b": (0.1, 2), "c0": (-0.2, 0.3), "c1": (-1, 0.5), "d1": (5e-4, 1e-2), "f1": (0.1, 2)},
        )
        for cell in (0, 8, 16)
    },
    "broken_power_2": (
        "broken_power_2",
        along_a_cosine,
        {"a": (1, 2.8), "b": (1e2, 1e5), "c0": (0.2, 0.6)}
        | {"c1": (0, 2), "d1": (1e11, 3e11), "f1": (0.05, 1), "c2": (0, 2), "d2": (2e11, 4e11), "f2": (0.05, 1)},
    ),
    "mixing regmix": (
        "mixing",
        of_group("regmix", "regmix", "1m", "pile_cc"),
        {"c": (1, 5), "k": (0.1, 2)} | {f"t_{i}": (-3, 1.5) for i in range(17)},
    ),
    "mist_lr_batch": (
        "mist_lr_batch",
        lambda published: where(step_law(published), "loss_nats<4"),
        {"E": (1, 2), "A": (100, 1e3), "B": (50, 500), "alpha": (0.3, 0.4), "beta": (0.2, 0.3), "eta_q": (0.01, 0.02)}
        | {"eta_0": (0.1, 2), "eta_N": (-0.5, -0.3), "eta_D": (0, 0.2), "B_q": (5e-3, 0.02), "B_0": (0.5, 2)}
        | {"B_N": (-0.1, 0.1), "B_D": (0.4, 0.6)},
    ),
    "task_bits": (
        "task_bits",
        ladder,
        {"E": (0.05, 0.6), "A": (10, 1e3), "B": (100, 5e3), "alpha": (0.2, 0.5), "beta": (0.2, 0.5)},
    ),
    "task_accuracy": (
        "task_accuracy",
        ladder,
        {"a": (0.3, 1), "k": (-15, -3), "x_0": (0.5, 1), "b": (0.1, 0.3)},
    ),
    "task_error": ("task_error", ladder, {"epsilon": (0.6, 1), "k": (1, 100), "gamma": (0.5, 3)}),
}


def best_of_scipy(law, inputs, loss, around, log, starts):
    """The lowest objective of least squares from random starts, in the constants of the published form."""
    names = list(around)
    positive = np.array([low > 0 for low, _ in around.values()])
    low, high = (np.array([edge[i] for edge in around.values()], float) for i in (0, 1))
    low, high = (np.where(positive, np.log(np.abs(edge) + (edge == 0)), edge) for edge in (low, high))

    def residual(x):
        constants = dict(zip(names, np.where(positive, np.exp(np.clip(x, -60, 60)), x), strict=True))
        with np.errstate(all="ignore"):
            predicted = OURS[law](constants, inputs)
            off = np.log(np.maximum(predicted, 1e-9)) - np.log(loss) if log else predicted - loss
        return np.nan_to_num(off, nan=1e3, posinf=1e3, neginf=-1e3)

    rng, best = np.random.default_rng(0), np.inf
    huber = {"loss": "huber", "f_scale": DELTA} if get(law).noise == "huber" else {}
    for _ in range(starts):
        start = low + (high - low) * rng.random(len(names))
        best = min(best, least_squares(residual, start, x_scale="jac", max_nfev=2000, **huber).cost)
    return best


SLOW = ("broken_power_2", "mixing regmix", "mist_lr_batch")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case in SLOW else ()) for case in TABLES]
)
def test_a_fit_is_as_good_as_the_best_of_scipy(published, case):
    name, runs_of, around = TABLES[case]
    runs = runs_of(published)
    found = fit(name, runs, bootstrap=0)
    law = get(name, found.convention)
    read = points(law, comparable(runs.measuring(law.convention["loss"]), name, columns_of(law)))
    starts = 3 if case in SLOW else 12
    theirs = best_of_scipy(name, read.inputs, read.loss, around, law.noise != "squared_loss", starts)
    assert found.objective is not None
    assert found.objective <= theirs * 1.001


def test_the_best_batch_of_the_three_terms_is_the_minimum_at_fixed_tokens():
    p = SAMPLES["three_term"].constants("three_term")
    batches = np.geomspace(1e4, 1e8, 20001)
    losses = three_term(p, {"N": 1e9, "B": batches, "steps": 2e10 / batches})
    assert best_batch(p, 2e10) == pytest.approx(batches[np.argmin(losses)], rel=1e-3)


def test_three_terms_are_not_told_from_the_irreducible_loss_at_one_model_size(published):
    found = fit("three_term", where(step_law(published), ONE_SIZE), bootstrap=0)
    assert found.status == "unidentified"
    what = [finding["what"] for finding in found.findings]
    assert "every run has one value of params" in what[0]
    assert any("E up" in words or "E down" in words for words in what), what


def test_dense_and_endless_experts_are_the_ends_of_the_saturation():
    p = SAMPLES["routed"].constants("routed")
    with jax.enable_x64(True):
        ends = [float(effective_experts(p, {"experts": np.float64(count)})) for count in (1, 1e12)]
    assert ends == pytest.approx([p["E_s"], p["E_m"]], rel=1e-6)
