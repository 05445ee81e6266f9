"""Forms of the noise-memory law: each is the law at constants that follow from its own; public curves."""

import jax
import numpy as np
import pytest
from law_samples import SAMPLES

from jaxlaws.errors import BadInput
from jaxlaws.fitting.fit import fit
from jaxlaws.laws.curves.noise_memory import LAW
from jaxlaws.laws.schedule import at_end
from jaxlaws.laws.table import get
from jaxlaws.laws.variant import tied
from jaxlaws.records.source import open_runs
from jaxlaws.schedules.families import wsd

TRUTHS = {name: sample.constants(name) for name, sample in SAMPLES.items() if name.startswith("noise_memory_")}
#: Form → (its constants, model size, batch) → the constants of the law at which it has the same loss.
WHOLE = {
    "noise_memory_reduced": lambda p, size, batch: {
        **{**p, "zeta": p["alpha"], "kappa": p["alpha"] / 4, "beta": 0.2},
    },
    "noise_memory_size": lambda p, size, batch: {
        **{**p, "L0": p["L0"] + p["F"] * size ** -p["phi"], "B": p["B"] * size ** p["gamma"]},
    },
    "noise_memory_batch": lambda p, size, batch: {**p, "B": p["B"] * batch ** -p["zeta"]},
    "noise_memory_size_batch": lambda p, size, batch: {
        **{**p, "L0": p["L0"] + p["F"] * size ** -p["phi"]},
        "B": p["B"] * size ** p["gamma"] * batch ** -p["zeta"],
    },
}


def test_every_form_is_here():
    assert set(WHOLE) == set(TRUTHS)


@pytest.mark.parametrize("name", WHOLE)
def test_a_form_is_the_law_at_constants_that_follow(name):
    truth, given = TRUTHS[name], {"N": 3e8, "B": 5e5}
    whole = {key: value for key, value in WHOLE[name](truth, *given.values()).items() if key in LAW.names}
    with jax.enable_x64(True):
        lr = at_end(2e-4 * wsd(900, 100, 0.3))
        np.testing.assert_allclose(get(name).predict(truth, {**lr, **given}), LAW.predict(whole, lr), rtol=1e-13)


def test_constants_of_a_tied_law_have_the_units_of_the_law():
    reduced, truth, scale = get("noise_memory_reduced"), TRUTHS["noise_memory_reduced"], {"S": 0.7, "lr": 2e-4}
    whole = LAW.nondimensional(WHOLE["noise_memory_reduced"](truth, 1.0, 1.0), scale)
    unitless = reduced.nondimensional(truth, scale)
    assert unitless == {name: pytest.approx(whole[name], rel=1e-14) for name in truth}
    assert reduced.dimensional(unitless, scale) == {name: pytest.approx(value) for name, value in truth.items()}


@pytest.mark.parametrize("wrong", ["B", "C", "gamma"])
def test_only_constants_without_a_unit_are_tied(wrong):
    with pytest.raises(BadInput, match=f"ties {wrong}, expected one of alpha, kappa, zeta, beta of noise_memory"):
        tied(LAW, name="mine", formula="", reference="", ties={wrong: lambda p: 1.0})


@pytest.mark.slow
@pytest.mark.parametrize(("size", "mae"), [(25, 0.00199), (100, 0.00221)])
def test_five_constants_predict_public_curves_about_as_well_as_eight(published, size, mae):
    runs = open_runs(published(f"multi_power_law/csv_{size}"), format="multi_power_law")
    train = ("cosine_24000", "constant_24000", "wsdcon_9")
    for noise, within in (("huber", 0.02), ("correlated", 0.05)):
        result = fit("noise_memory_reduced", runs, train=train, noise=noise, bootstrap=0)
        assert result.held_out["test"]["mae"] == pytest.approx(mae, rel=within)
