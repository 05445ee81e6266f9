"""What holds for every law of the table: coordinates, gradients, programs, units, files, and a known truth back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from law_samples import SAMPLES

import jaxlaws
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.points import Points, metric_of, points
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS, PARAMS
from jaxlaws.laws.law import Law
from jaxlaws.laws.table import LAWS
from jaxlaws.records.table import METRIC, Curve, Runs
from jaxlaws.schedules.families import constant, cosine, step, wsd

LR = 3e-4 * wsd(4000, 200, 0.3)
#: Units, and inputs that none is given for, that a change of the unit of the LR multiplies; `log_lr` is shifted.
_OF_LR = ("S", "V", "lr", "drop", "lr_sum", "sum_at", "sum_after")
#: Law → units that belong to its formula: D^(-exp(a1 N^alpha + b1)) has another form in other tokens.
_OF_FORMULA = {"farseer": ("D",)}


def test_every_law_has_a_truth_and_its_own_name():
    assert set(SAMPLES) == set(LAWS)
    assert all(law.name == name for name, law in LAWS.items())


@dataclasses.dataclass(frozen=True)
class Case:
    """A law at its truth, with inputs of a few points, and the coordinates of the truth."""

    law: Law
    truth: Mapping[str, float]
    inputs: Mapping[str, np.ndarray]
    scale: Mapping[str, float]
    theta: np.ndarray
    fit: LossFit

    def loss(self, theta: Any, inputs: Any) -> Any:
        """[points]"""
        return self.law.predict(self.law.constrain(theta, self.scale), inputs)


@lru_cache(maxsize=64)
def case(name: str) -> Case:
    sample = SAMPLES[name]
    law, truth, inputs = sample.law(name), sample.constants(name), sample.inputs(name, 6, seed=3)
    everything = np.arange(6)
    scale = Points(inputs, np.ones(6), everything, ("",) * 6, everything, everything, {}).scale()
    scale = {"lr": 3e-4, **scale} if law.kind == "curve" else scale
    shares = {INPUTS[key].column: ",".join(sample.parts) for key in law.inputs if INPUTS[key].many}
    with jax.enable_x64(True):
        theta = np.asarray(law.unconstrain(truth, scale))
    published = LossFit(law=name, convention={**law.convention, **shares}, noise="none", params=truth)
    return Case(law, truth, inputs, scale, theta, published)


def keywords(of: Case, point: int) -> dict[str, Any]:
    """The inputs of one point as `predict` takes them, of what is logged one value for each of one points."""
    rows = {key: (INPUTS[key], value[point]) for key, value in of.inputs.items() if not INPUTS[key].of_schedule}
    parts = of.fit.convention.get("share", "").split(",")
    return {
        row.column: dict(zip(parts, value, strict=True)) if row.many else np.atleast_1d(value) if row.logged else value
        for row, value in rows.values()
    }


@pytest.mark.parametrize("name", LAWS)
def test_coordinates_invert(name):
    of = case(name)
    with jax.enable_x64(True):
        back = of.law.constrain(of.theta, of.scale)
        np.testing.assert_allclose([back[key] for key in of.law.names], [of.truth[key] for key in of.law.names], 1e-9)
        np.testing.assert_allclose(of.law.unconstrain(back, of.scale), of.theta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_gradients_match_differences(name):
    """In every constant and in every input, and one program gives what the operations one by one and point by point."""
    of = case(name)
    step = 1e-5

    def moved(inputs: Any, key: str, by: Any) -> Any:
        """An input in logarithms, or where it is 0 or negative as it is, in units of its largest value."""
        value, known = inputs[key], of.inputs[key]
        return {**inputs, key: value * jnp.exp(by) if np.all(known > 0) else value + by * known.max()}

    with jax.enable_x64(True):
        loss = jax.jit(of.loss)
        value = loss(of.theta, of.inputs)
        assert np.all(np.isfinite(value))
        np.testing.assert_allclose(value, of.loss(of.theta, of.inputs), rtol=1e-12)
        one_by_one = jax.vmap(lambda x: of.loss(of.theta, x))(of.inputs)
        np.testing.assert_allclose(value, one_by_one, rtol=1e-12)
        slopes, by_input = jax.jit(
            lambda theta, inputs: (
                jax.jacfwd(of.loss)(theta, inputs),
                {
                    key: jax.jvp(lambda by: of.loss(theta, moved(inputs, key, by)), (0.0,), (1.0,))[1]  # noqa: B023
                    for key in inputs
                },
            )
        )(of.theta, of.inputs)
        for i in range(len(of.theta)):
            by = step * (np.arange(len(of.theta)) == i)
            numeric = (loss(of.theta + by, of.inputs) - loss(of.theta - by, of.inputs)) / (2 * step)
            close(slopes[:, i], numeric, f"d/d {of.law.names[i]}")
        for key, slope in by_input.items():
            high, low = (loss(of.theta, moved(of.inputs, key, by)) for by in (step, -step))
            close(slope, (high - low) / (2 * step), f"d/d {key}")


def close(slope: Any, numeric: Any, what: str) -> None:
    """Central differences of a step of 1e-5 are right to about 1e-10 of the loss, and to 1e-9 of the slope."""
    np.testing.assert_allclose(slope, numeric, rtol=2e-6, atol=1e-9 + 2e-6 * np.abs(slope).max(), err_msg=what)


@pytest.mark.parametrize("name", LAWS)
def test_units_of_inputs_change_the_constants_only(name):
    """The same coordinates on inputs in other units predict the same, so that every fit does: it sees no units."""
    of = case(name)
    with jax.enable_x64(True):
        expected = of.loss(of.theta, of.inputs)
        for unit in {INPUTS[key].unit for key in of.inputs} - {"", *_OF_LR, *_OF_FORMULA.get(name, ())}:
            other = {key: value * (7.0 if INPUTS[key].unit == unit else 1.0) for key, value in of.inputs.items()}
            same_elsewhere(of, other, {**of.scale, unit: 7 * of.scale[unit]}, expected)
        if of.law.kind == "curve":
            factor = {key: 7.0 if {key, INPUTS[key].unit} & {*_OF_LR} else 1.0 for key in of.inputs}
            other = {key: value * factor[key] for key, value in of.inputs.items()}
            other |= {"log_lr": other["log_lr"] + np.log(7)} if "log_lr" in other else {}
            scale = {unit: size * (7 if unit in _OF_LR else 1) for unit, size in of.scale.items()}
            same_elsewhere(of, other, scale, expected)


def same_elsewhere(of: Case, inputs: Any, scale: Any, expected: Any) -> None:
    params = of.law.constrain(of.theta, scale)
    np.testing.assert_allclose(of.law.predict(params, inputs), expected, rtol=1e-9)
    if of.law.coordinates is None:
        ratio = {unit: size / of.scale[unit] for unit, size in scale.items()}
        for parameter in of.law.parameters:
            change = parameter.unit(of.truth, ratio)
            assert params[parameter.name] == pytest.approx(of.truth[parameter.name] * change, rel=1e-9), parameter.name


@pytest.mark.parametrize("name", LAWS)
def test_a_fit_in_a_file_and_the_law_as_a_function_predict_the_same(name, tmp_path):
    of = case(name)
    of.fit.save(tmp_path / "fit.json")
    loaded = LossFit.load(tmp_path / "fit.json")
    assert (loaded.params, loaded.convention) == (of.truth, of.fit.convention)
    more = {"lr": LR, "warmup_steps": 200} if of.law.kind == "curve" else {}
    answers = [predict(fit, **keywords(of, 2), **more).value for fit in (of.fit, loaded, tmp_path / "fit.json")]
    assert answers[0] == answers[1] == answers[2]
    symbols = {key: value[2] for key, value in of.inputs.items() if not INPUTS[key].of_schedule}
    with jax.enable_x64(True):
        # Along a schedule `predict` reads changes that are grouped (jaxlaws.laws.events), the function every change.
        tolerance = 1e-7 if of.law.kind == "curve" else 1e-12
        assert jaxlaws.law(loaded)(**symbols, **more) == pytest.approx(answers[0], rel=tolerance)
        if of.law.kind == "point":
            assert answers[0] == pytest.approx(float(of.law.predict(of.truth, of.inputs)[2]), rel=1e-12)


#: Schedules that tell the constants of laws along a schedule apart.
_SCHEDULES = {
    "cosine": 3e-4 * cosine(3000, 150, 0.1),
    "constant": 3e-4 * constant(3000, 150),
    "wsd": 3e-4 * wsd(3000, 150, 0.3),
    "steps": 3e-4 * step(3000, 150, (0.4, 0.7), (0.5, 0.1)),
    "lower": 1.5e-4 * wsd(2400, 150, 0.2, "1-sqrt"),
    "long": 2e-4 * cosine(6000, 300, 0.0),
}


def exact_runs(of: Case, name: str, times: Mapping[str, float]) -> Runs:
    """Runs whose losses are those of the truth, their inputs `times` as large in some units."""
    sample = SAMPLES[name]
    count = len(_SCHEDULES) if of.law.kind == "curve" else 200
    values = {key: value for key, value in sample.inputs(name, count, seed=1).items() if INPUTS[key].of_run}
    frame = {}
    for key, value in values.items():
        column = "params_nonembedding" if key == "N" else INPUTS[key].column
        parts = [f"{column}.{part}" for part in sample.parts] if INPUTS[key].many else [column]
        frame |= dict(zip(parts, value.T if INPUTS[key].many else [value], strict=True))
    metric = metric_of(of.law)
    column = "loss_nats" if metric == "nats" else METRIC + metric
    names = list(_SCHEDULES) if of.law.kind == "curve" else [str(i) for i in range(count)]
    table = pd.DataFrame(frame, index=names).assign(**{column: 1.0})
    curves = {}
    if of.law.kind == "curve":
        along = sample.inputs(name, 30, seed=2)
        logged = {INPUTS[key].column: value for key, value in along.items() if INPUTS[key].logged}
        for run, lr in _SCHEDULES.items():
            at = np.linspace(299, len(lr) - 1, 30).astype(int)
            curves[run] = Curve(lr, at, np.ones(30), 150 if len(lr) < 5000 else 300, logged)
    everything = points(of.law, Runs(table, curves))
    with jax.enable_x64(True):
        loss = np.asarray(of.law.predict(of.truth, {key: everything.inputs[key] for key in of.law.inputs}))
    if curves:
        curves = {
            run: dataclasses.replace(curve, loss=loss[everything.run == i])
            for i, (run, curve) in enumerate(curves.items())
        }
    else:
        table[column] = loss
    for key in values:
        for part in [part for part in table if str(part).startswith(PARAMS if key == "N" else INPUTS[key].column)]:
            table[part] = table[part] * times.get(INPUTS[key].unit, 1.0)
    return Runs(table, curves)


#: The laws that every run of the tests recovers; the others are slow together.
_QUICK = ("chinchilla", "kaplan", "critical_batch", "farseer")
_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in LAWS if name not in _QUICK]


@pytest.mark.parametrize("name", [*_QUICK, *_SLOW])
def test_a_known_truth_is_recovered_in_any_units(name):
    of = case(name)
    found = fit(name, exact_runs(of, name, {}), bootstrap=0)
    scale = {"lr": 3e-4, **of.scale}
    with jax.enable_x64(True):
        truth, ours = (of.law.nondimensional(params, scale) for params in (of.truth, found.params))
    for key in of.law.names:
        assert float(ours[key]) == pytest.approx(float(truth[key]), rel=SAMPLES[name].recover), key
    assert found.objective_plain < 1e-8
    if name in _QUICK:
        assert found.status == "converged"
        assert found.starts_agreeing >= 0.6
        assert dict(found.params) == pytest.approx(of.truth, rel=1e-5)
    times = dict.fromkeys({INPUTS[key].unit for key in of.inputs if INPUTS[key].of_run} - {""}, 3.0)
    if not times or name in _OF_FORMULA:
        return
    other = fit(name, exact_runs(of, name, times), bootstrap=0)
    if of.law.coordinates is None:
        for parameter in of.law.parameters:
            change = parameter.unit(found.params, {**dict.fromkeys(of.scale, 1.0), **times})
            assert other.params[parameter.name] == pytest.approx(found.params[parameter.name] * change, rel=1e-3)
    assert other.objective == pytest.approx(found.objective, rel=1e-3, abs=1e-12)
