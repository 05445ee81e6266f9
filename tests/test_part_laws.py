"""Laws of routed models, mixtures, batch and steps, broken powers, fine-tuning, tasks and joint penalties.

Each is compared with a second implementation in its published form, fitted to a public table by scipy from many starts.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
from law_samples import SAMPLES

from jaxlaws.records.published import load


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
