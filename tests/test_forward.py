"""The error of a law's form outside its data: learned from forward folds, nothing inside, in every answer outside."""

from dataclasses import replace

import numpy as np
import pytest

import jaxlaws
from jaxlaws.extrapolation import extrapolation
from jaxlaws.fitting.axes import beyond
from jaxlaws.fitting.cross import cross
from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.forward import PRIOR
from jaxlaws.fitting.noise import NOISES
from jaxlaws.fitting.optimum import optimum
from jaxlaws.fitting.points import points
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.problem import Problem
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.table import get
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.records.table import Curve, Runs

NOISE = 1e-3


def of_the_law(n, d):
    return 1.8 + 480 / n**0.35 + 2000 / d**0.37


def of_another(n, d):
    """Terms of N and of D that are coupled, as Chinchilla's law has them apart."""
    return of_the_law(n, d) + 0.6 * (2e8 / n) ** 0.2 * (4e9 / d) ** 0.2


def fitted(truth, scale=(1.0, 1.0), seed=0, sizes=8):
    """Chinchilla's law fitted to a grid of runs of another law or of itself, in any units."""
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(5e7, 1e9, sizes), np.geomspace(1e9, 2e10, sizes)))
    loss = truth(n, d) * np.exp(NOISE * np.random.default_rng(seed).standard_normal(n.size))
    table = {"N": n * scale[0], "D": d * scale[1], "loss": loss}
    return jaxlaws.fit("chinchilla", table, bootstrap=60, starts=8)


@pytest.fixture(scope="module")
def wrong():
    return fitted(of_another)


@pytest.fixture(scope="module")
def right():
    return fitted(of_the_law)


#: N up to ×50 outside the data of `fitted`, along D = 20 N.
SIZES = np.geomspace(1.5e9, 5e10, 20)


def held(law, truth):
    """The share of new sizes whose loss lies in the interval, and its mean width."""
    answer = predict(law, params=SIZES, tokens=20 * SIZES)
    loss = truth(SIZES, 20 * SIZES)
    return np.mean((answer.low <= loss) & (loss <= answer.high)), np.mean(answer.high - answer.low)


def test_a_law_of_another_form_is_held_outside_its_data_with_the_error_of_its_form_only(wrong):
    without, _ = held(replace(wrong, form_error={}), of_another)
    covered, _ = held(wrong, of_another)
    assert without < 0.5
    assert covered > 0.8


def test_the_intervals_of_a_law_that_is_right_hardly_grow(right):
    without, narrow = held(replace(right, form_error={}), of_the_law)
    covered, wide = held(right, of_the_law)
    assert covered >= without > 0.8
    assert wide < 1.5 * narrow


def test_the_right_law_has_a_smaller_error_of_the_form_than_the_wrong_one(right, wrong):
    assert right.form_error["folds"] == wrong.form_error["folds"] > 2
    assert 2 * np.median(right.form_error["sd"]) < np.median(wrong.form_error["sd"])


def test_the_error_of_the_form_does_not_depend_on_units(wrong):
    again = fitted(of_another, scale=(1e-6, 1e3))
    assert again.form_error["sd"] == pytest.approx(wrong.form_error["sd"], rel=1e-3)


def test_inside_the_data_nothing_changes(wrong):
    """The same numbers as without the error of the form, for each of several points at once and for a budget."""
    plain = replace(wrong, form_error={})
    n = np.array([2e8, 1e9, 2e9, 1e11])
    ours, theirs = (predict(law, params=n, tokens=5e9) for law in (wrong, plain))
    assert np.array_equal(ours.low[:2], theirs.low[:2])
    assert np.array_equal(ours.high[:2], theirs.high[:2])
    assert np.all(ours.high[2:] - ours.low[2:] > theirs.high[2:] - theirs.low[2:])
    assert predict(wrong, params=2e8, tokens=5e9).extrapolation.form == 0.0
    assert optimum(wrong, 1e19)._replace(extrapolation=None) == optimum(plain, 1e19)._replace(extrapolation=None)


@pytest.mark.parametrize("question", [{"flops": 1e23}, {"loss": 2.0}, {"loss": 2.2, "params": 1e10}])
def test_an_optimum_outside_the_data_is_less_sure_of_all_that_it_answers(wrong, question):
    plain = optimum(replace(wrong, form_error={}), **question)
    answer = optimum(wrong, **question)
    assert 0 < answer.extrapolation.form < 1
    for name in ("params", "tokens", "flops", "loss"):
        ours, theirs = getattr(answer, name), getattr(plain, name)
        assert ours.value == theirs.value
        assert (ours.low is None) is (theirs.low is None)
        if ours.low is not None:
            assert ours.high / ours.low > theirs.high / theirs.low


def test_a_crossing_outside_the_data_is_less_sure(right):
    """Of laws whose constants are known ten times as well as these data say, so that their interval has both ends."""
    draws = {name: [value + 0.1 * (x - value) for x in right.draws[name]] for name, value in right.params.items()}
    law = replace(right, draws=draws)
    moved = {"E": -0.03, "B": 0.15 * law.params["B"]}
    other = replace(
        law,
        params={name: value + moved.get(name, 0.0) for name, value in law.params.items()},
        draws={name: [x + moved.get(name, 0.0) for x in draws[name]] for name in draws},
    )
    ours, theirs = cross(law, other), cross(*(replace(one, form_error={}) for one in (law, other)))
    assert ours.extrapolation.form > 0
    assert ours.at.value == theirs.at.value
    assert theirs.at.low is not None
    assert theirs.at.high is not None
    assert (ours.at.low or 0.0) < theirs.at.low
    assert (ours.at.high or np.inf) > theirs.at.high


def test_a_saved_fit_answers_as_the_fit(wrong, tmp_path):
    wrong.save(tmp_path / "fit.json")
    assert predict(LossFit.load(tmp_path / "fit.json"), params=1e11, tokens=2e12) == predict(
        wrong, params=1e11, tokens=2e12
    )


def test_few_runs_take_the_error_of_the_form_from_other_tables_and_say_so():
    few = fitted(of_the_law, sizes=3)
    assert few.form_error["folds"] == 0
    assert np.median(few.form_error["sd"]) == pytest.approx(PRIOR[0] * few.scatter["sigma"], rel=0.05)
    assert "other tables" in predict(few, params=1e10, tokens=1e11).warnings[-1]


def test_fits_without_an_error_of_the_form_say_what_their_interval_lacks(wrong):
    plain = replace(wrong, form_error={})
    answer = predict(plain, params=1e11, tokens=2e12)
    assert "sampling alone" in answer.warnings[-1]
    assert answer.extrapolation.form is None
    assert answer.extrapolation.to_json()["variance"] is None
    assert predict(open_fit("chinchilla:epoch"), params=1e12, tokens=2e13).extrapolation.form is None


def test_distances_are_those_of_the_warning():
    rng = np.random.default_rng(0)
    ranges = {"params": [1e8, 1e9], "tokens": [1e9, 1e10], "finetune_examples": [10.0, 100.0]}
    values = {name: np.exp(rng.uniform(0, 30, 50)) for name in ranges}
    values["finetune_examples"][:5] = 0
    for i, distance in enumerate(beyond(values, ranges)):
        found = extrapolation({name: float(value[i]) for name, value in values.items()}, ranges)
        assert distance == pytest.approx(np.log(found.factor) if found.outside else 0.0)


def curves(loss_of, steps, names=("constant", "wsd", "cosine"), scale=1.0):
    """Curves of several schedules, with losses of `loss_of(lr, at)`."""
    out = {}
    for seed, name in enumerate(names):
        lr = scale * jaxlaws.schedule(name, steps=steps, peak_lr=1e-3, warmup_steps=20)
        at = np.arange(29, steps, 10)
        noise = np.random.default_rng(seed).standard_normal(len(at))
        out[name] = Curve(lr, at, loss_of(lr / scale, at) * np.exp(3e-4 * noise), 20)
    return out


def bent(lr, at):
    """Progress that slows down beyond what a power of the LR sum allows, and the noise of the last LR."""
    s = np.cumsum(lr)[at] / 0.1
    return 2.0 + np.exp(-0.5 * np.log(s) + 0.06 * np.log(s) ** 2) + 100 * lr[at]


def table_of(some):
    import pandas as pd

    return Runs(pd.DataFrame({"steps": [len(c.lr) for c in some.values()]}, index=list(some)), some)


@pytest.fixture(scope="module")
def short():
    """Three curves of 400 steps, and the law of curves that is fitted to them."""
    whole = table_of(curves(bent, 400))
    return whole, fit("bound", whole, bootstrap=40, starts=4)


def test_a_curve_law_is_held_beyond_its_horizon(short):
    law = short[1]
    curve = curves(bent, 3200, ("constant",))["constant"]
    plain = predict(replace(law, form_error={}), curve=curve)
    answer = predict(law, curve=curve)
    inside = curve.at < 390
    assert np.array_equal(answer.low[inside], plain.low[inside])
    assert np.array_equal(answer.high[inside], plain.high[inside])
    loss = bent(curve.lr, curve.at)
    covered, without = (np.mean((one.low <= loss) & (loss <= one.high)) for one in (answer, plain))
    assert without < 0.5
    assert covered > 0.8


@pytest.mark.slow
def test_the_error_of_the_form_of_curves_does_not_depend_on_the_unit_of_the_lr(short):
    again = fit("bound", table_of(curves(bent, 400, scale=50.0)), bootstrap=40, starts=4)
    assert again.form_error["sd"] == pytest.approx(short[1].form_error["sd"], rel=1e-3)


def test_points_of_weight_zero_are_points_left_out(short):
    """A fit to the first half of every curve, by weights and by the curves themselves."""
    whole, fitted_law = short
    half = {name: replace(c, at=c.at[c.at < 200], loss=c.loss[c.at < 200]) for name, c in whole.curves.items()}
    law = get("bound")
    everything, first = points(law, whole), points(law, table_of(half))
    problem, alone = (Problem(law, NOISES[law.noise], some, 4) for some in (everything, first))
    start = np.array([fitted_law.params[name] for name in law.names])
    weight = (everything.at < 200)[None].astype(float)
    masked = problem.from_best(problem.coordinates(start), "mask", weight=weight, tolerance=1e-12)
    own = alone.from_best(alone.coordinates(start), "own", tolerance=1e-12)
    assert problem.constants(masked.theta) == pytest.approx(alone.constants(own.theta), rel=1e-4)


def test_the_shares_of_a_law_of_lr_and_batch():
    law = PRESETS["step_law:refit"]
    far, farther = (law.form_share("lr", n, 20 * n) for n in (1e10, 1e12))
    assert 0 < far < farther < 1
    sd = law.spread("lr", 1e12, 2e13)
    inside = replace(law, drift={}, rivals={})
    assert inside.form_share("lr", 1e12, 2e13) is None
    assert sd**2 * (1 - farther) == pytest.approx(inside.spread("lr", 1e12, 2e13) ** 2)
