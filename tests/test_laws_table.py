"""Published values of the laws, and what single laws have of their own; tests/test_every_law.py has what all have."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
import pytest
from law_samples import SAMPLES
from scipy.optimize import brentq

import jaxlaws
from jaxlaws.errors import BadInput
from jaxlaws.fitting import score
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import points
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.check import declared
from jaxlaws.laws.law import Law, Parameter, Preset
from jaxlaws.laws.table import LAWS
from jaxlaws.laws.variant import variant
from jaxlaws.records.source import open_runs

FARSEER = dict(open_fit("farseer:published").params)
TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
GRID = np.array([(n, d, b) for n in np.geomspace(2e8, 6e9, 6) for d in np.geomspace(1e9, 1e11, 6) for b in (1e5, 1e6)])


def test_the_implicit_law_solves_its_equation():
    p = SAMPLES["critical_batch"].constants("critical_batch")
    truth = LossFit(law="critical_batch", convention={}, noise="none", params=p)

    def excess(loss, n, d, b):
        least = d / b / (1 + p["B_star"] / loss ** (1 / p["alpha_B"]) / b)
        return (p["N_c"] / n) ** p["alpha_N"] + (p["S_c"] / least) ** p["alpha_S"] - loss

    for n, d, b in GRID[::7]:
        ours = predict(truth, params=n, tokens=d, batch_tokens=b).value
        assert ours == pytest.approx(brentq(excess, 0.1, 100, args=(n, d, b), xtol=1e-12), rel=1e-10)


def test_farseer_published_values():
    assert predict("farseer:published", params=1e9, tokens=20e9).value == pytest.approx(0.539408643928975, rel=1e-12)
    far = predict("farseer:published", params=25.1e9, tokens=500e9).value
    assert far == pytest.approx(0.40921073663088287, rel=1e-12)


def test_farseer_published_describes_the_rows_of_its_authors(published):
    rows = pd.read_csv(published("scalebench/farseer.csv"))
    inputs = {"N": rows["N"].to_numpy(), "D": rows["D"].to_numpy()}
    with jax.enable_x64(True):
        error = np.abs(np.asarray(LAWS["farseer"].predict(FARSEER, inputs)) / rows["loss"].to_numpy() - 1)
    assert np.mean(error) == pytest.approx(0.00226, abs=1e-4)
    seen = open_fit("farseer:published").ranges
    for axis, column in (("params", "N"), ("tokens", "D")):
        assert seen[axis] == pytest.approx((rows[column].min(), rows[column].max()), rel=5e-3)


def test_kaplan_published_has_the_constants_of_the_joint_fit():
    """With much data the law is (N_c/N)^α_N, with a large model (D_c/D)^α_D."""
    fit = open_fit("kaplan:published")
    assert predict(fit, params=1e9, tokens=1e30).value == pytest.approx((6.4e13 / 1e9) ** 0.076, rel=1e-3)
    assert predict(fit, params=1e30, tokens=1e10).value == pytest.approx((1.8e13 / 1e10) ** 0.103, rel=1e-3)


@pytest.mark.parametrize(
    ("size", "decay", "constants"),
    [(25, 0.995, (3.036, 0.522, 0.504, 1.91)), (100, 0.998, (2.670, 0.575, 0.481, 0.929))],
)
def test_annealing_constants_at_a_selected_decay(size, decay, constants, published):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    found = fit("annealing", runs, train=TRAIN, fixed={"lambda": decay}, bootstrap=0)
    assert found.params["lambda"] == pytest.approx(decay, rel=1e-12)
    for name, value, digits in zip(("L0", "A", "alpha", "C"), constants, (3, 3, 3, 2), strict=True):
        assert found.params[name] == pytest.approx(value, abs=0.5 * 10**-digits), name
    with pytest.raises(BadInput, match="depends on the units"):
        fit("annealing", runs, fixed={"A": 1.0})


@pytest.mark.parametrize("size", [25, 100])
def test_multi_power_fits_beat_the_published_constants(size, published):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    plain = fit("multi_power", runs, train=TRAIN, noise="huber", bootstrap=0)
    assert plain.starts_agreeing >= 0.9
    assert plain.objective_plain <= {25: 1.43e-4, 100: 2.2e-5}[size]
    default = fit("multi_power", runs, train=TRAIN, bootstrap=0)
    assert default.noise == "correlated"
    published_rmse, published_worst = TABLE[size][2], TABLE[size][4]
    assert default.held_out["test"]["rmse"] < published_rmse
    assert default.held_out["test"]["worst_e"] < published_worst


TABLE = {
    25: (0.9988, 0.00376, 0.00465, 0.00110, 0.00409),
    100: (0.9983, 0.00435, 0.00592, 0.00142, 0.00583),
}


@pytest.mark.parametrize("size", TABLE)
def test_published_multi_power_constants_reproduce_their_table(size, published):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    everything = points(LAWS["multi_power"], runs)
    predicted = np.concatenate(
        [
            predict(f"multi_power:{size}M", lr=runs.curves[name].lr, at=at, warmup_steps=2160).value
            for name in everything.names
            for at in [everything.at[everything.run == everything.names.index(name)]]
        ]
    )
    found = score.average(score.by_curve(everything, predicted, TRAIN), "test")
    for metric, value, digits in zip(score.METRICS, TABLE[size], (4, 5, 5, 5, 5), strict=True):
        assert round(found[metric], digits) == value, metric


def its_function(params, inputs):
    return params["E"] + params["A"] * inputs["N"] ** -params["alpha"]


def its_basis(params, inputs):
    return 1.0 + 0.0 * inputs["N"], inputs["N"] ** -params["alpha"]


def law_of_ones_own(**changes):
    constants = {
        "E": Parameter("E", "irreducible loss", (0.5, 3.0)),
        "A": Parameter("A", "size", units={"N": "alpha"}),
        "alpha": Parameter("alpha", "exponent", (0.1, 0.6), (0.01, 3.0)),
    }
    constants |= {key: value for key, value in changes.items() if isinstance(value, Parameter)}
    fields = {"inputs": ("N",), "function": its_function, "convention": {"loss": "nats"}}
    fields |= {key: value for key, value in changes.items() if key not in constants}
    return Law("own", "L = E + A/N^alpha", "a test", parameters=tuple(constants.values()), **fields)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"bootstrap": -1}, "bootstrap is -1, expected a whole number from 0 to 100,000"),
        ({"bootstrap": "x"}, "bootstrap is x, expected"),
        ({"bootstrap": 10**12}, "expected a whole number"),
        ({"starts": 0}, "starts is 0, expected a whole number from 1"),
        ({"starts": 1.5}, r"starts is 1\.5, expected"),
    ],
)
def test_numbers_of_starts_and_resamples_are_whole(option, words):
    n, d, _ = GRID.T
    with pytest.raises(BadInput, match=words):
        jaxlaws.fit("chinchilla", {"N": n, "D": d, "loss": 1.8 + 480 * n**-0.35 + 2100 * d**-0.37}, **option)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": ("heads",)}, "unknown input of the law own 'heads': give it a row"),
        ({"function": None}, "neither a basis nor a function"),
        ({"basis": its_basis, "linear": ("E", "A")}, "both a basis and a function"),
        (
            {"function": None, "basis": its_basis, "linear": ("E", "Z")},
            "linear constant Z, expected one of its parameters",
        ),
        ({"other": Parameter("E", "the same")}, "two constants of one name"),
        ({"E": Parameter("E", "loss", (-2.0, 3.0))}, "E with starts from -2 to 3, outside its bounds"),
        ({"E": Parameter("E", "loss", (-2.0, 3.0), (-9.0, 9.0))}, "link='real'"),
        ({"E": Parameter("E", "loss", (0.1, 0.9), (0.0, 2.0), "memory")}, "within 0 to 1 by its link 'memory'"),
        ({"E": Parameter("E", "loss", link="exp")}, "with the link 'exp', expected log, real, memory"),
        (
            {"A": Parameter("A", "size", units={"heads": "alpha"})},
            "with the unit 'heads', expected one of its inputs: N",
        ),
        ({"A": Parameter("A", "size", units={"N": "-beta"})}, "with the power '-beta' of a unit"),
        ({"presets": {"x": Preset({"E": 1.0}, "me", "any")}}, "a preset x of E, expected its constants E, A, alpha"),
    ],
)
def test_a_law_that_does_not_hold_together_is_refused_where_it_is_added(changes, words):
    assert declared(law_of_ones_own()).name == "own"
    with pytest.raises(BadInput, match=words) as refusal:
        declared(law_of_ones_own(**changes))
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"function": lambda p, x: p["E"] + x["D"]}, r"cannot be computed \(KeyError: 'D'\): its functions read N"),
        ({"function": lambda p, x: p["E"] if p["A"] > 1 else p["A"]}, "TracerBoolConversionError.*jax.numpy"),
        ({"function": lambda p, x: p["E"] + np.sum(x["N"])}, r"losses of shape \(\) at 36 points"),
        ({"function": None, "basis": its_basis, "linear": ("E",)}, "cannot be computed .*zip"),
    ],
)
@pytest.mark.usefixtures("own_tables")
def test_a_formula_that_cannot_be_computed_is_no_bug_of_ours(changes, words):
    n, d = GRID[::2, 0], GRID[::2, 1]
    with pytest.raises(BadInput, match=words) as refusal:
        jaxlaws.fit(law_of_ones_own(**changes), {"N": n, "D": d, "loss": 1.8 + 480 * n**-0.35})
    assert str(refusal.value).count("\n") == 0


def test_a_variant_reads_what_its_base_reads():
    with pytest.raises(BadInput, match="does not read S, V, which bound reads"):
        variant(LAWS["bound"], name="own", formula="L", reference="a test", inputs=("N",))
