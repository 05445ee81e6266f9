"""Where two laws cross: known crossings, coverage of the interval, and what cannot be compared."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.cross import cross
from jaxlaws.fitting.optimum import optimum
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit

FIRST = {"E": 1.8, "A": 400.0, "B": 1500.0, "alpha": 0.34, "beta": 0.36}
#: A lower floor for twice the coefficients: worse for small budgets, better for large ones.
SECOND = {**FIRST, "E": 1.7, "A": 800.0, "B": 3000.0}
RANGES = {"params": (1e8, 1e10), "tokens": (2e9, 2e11)}


def fit_of(params, draws=(), loss="loss_nats", **fields):
    return LossFit(
        law="chinchilla",
        convention={"params": "params_nonembedding", "loss": loss},
        noise="huber",
        params=params,
        draws=dict(zip(params, np.transpose(draws).tolist(), strict=False)),
        scatter={"quantiles": [-0.001, 0.0, 0.001], "offset": 0.0, "sigma": 0.001, "size": 1.0},
        **{"ranges": RANGES, **fields},
    )


def resamples(params, rng, spread, count=200):
    return [[value * np.exp(spread * rng.standard_normal()) for value in params.values()] for _ in range(count)]


def test_a_crossing_along_compute_has_one_loss_at_both_optima():
    answer = cross(fit_of(FIRST), fit_of(SECOND))
    losses = [optimum(fit_of(params), answer.at.value).loss.value for params in (FIRST, SECOND)]
    assert losses == pytest.approx([answer.loss] * 2, rel=1e-8)
    # the excess of both falls as C^-g and the second's is twice the first's: E1 + k C^-g = E2 + 2k C^-g
    g = FIRST["alpha"] * FIRST["beta"] / (FIRST["alpha"] + FIRST["beta"])
    k = (optimum(fit_of(FIRST), 1e20).loss.value - FIRST["E"]) * 1e20**g
    assert answer.at.value == pytest.approx((k / 0.1) ** (1 / g), rel=1e-6)
    assert (answer.better_below, answer.better_above, answer.others) == (0, 1, ())
    turned = cross(fit_of(SECOND), fit_of(FIRST))
    assert (turned.better_below, turned.better_above) == (1, 0)
    assert turned.at.value == pytest.approx(answer.at.value)


@pytest.mark.parametrize("path", [{"params": 1e12}, {"tokens": 1e14}])
def test_a_crossing_along_tokens_or_sizes_has_one_loss(path):
    (fixed, value), other = next(iter(path.items())), {"params": "tokens", "tokens": "params"}
    a, b = fit_of(FIRST), fit_of({**FIRST, "E": 1.79, "A": 450.0, "B": 1600.0})
    answer = cross(a, b, **path)
    assert answer.along == other[fixed]
    at = {fixed: value, other[fixed]: answer.at.value}
    assert predict(a, **at).value == pytest.approx(predict(b, **at).value, rel=1e-8)


def test_laws_that_do_not_cross_say_which_is_better():
    answer = cross(fit_of(FIRST), fit_of({**FIRST, "E": 1.9}), before=1e24)
    assert answer.at is None
    assert (answer.better_below, answer.better_above) == (0, 0)
    assert answer.probability is None
    rng = np.random.default_rng(0)
    drawn = cross(fit_of(FIRST, resamples(FIRST, rng, 1e-4)), fit_of({**FIRST, "E": 1.9}), params=1e9, before=1e12)
    assert (drawn.probability, drawn.probability_before) == (0.0, 0.0)


def test_an_interval_without_an_end_and_the_probability_of_a_crossing():
    """Resamples of which a quarter never cross: the second law's floor is not below the first's."""
    draws = [[1.7 if i % 4 else 1.85, *list(SECOND.values())[1:]] for i in range(200)]
    sure = cross(fit_of(FIRST), fit_of(SECOND), params=1e12).at.value
    answer = cross(fit_of(FIRST), fit_of(SECOND, draws), params=1e12, before=3 * sure)
    assert answer.probability == pytest.approx(0.75, abs=0.01)
    assert answer.probability_before == pytest.approx(0.75, abs=0.01)
    assert answer.at.low == pytest.approx(sure, rel=1e-3)
    assert answer.at.high is None
    assert cross(fit_of(FIRST), fit_of(SECOND, draws), params=1e12, before=0.5 * sure).probability_before == 0


def test_coverage_of_the_interval():
    """Fits that are off by what their resamples spread: 90% of the intervals hold the true crossing."""
    rng, hits = np.random.default_rng(1), 0
    second = {**FIRST, "E": 1.7, "A": 450.0, "B": 2900.0}
    truth = cross(fit_of(FIRST), fit_of(second), params=5e9).at.value
    for _ in range(40):
        fits = []
        for params in (FIRST, second):
            off = dict(zip(params, resamples(params, rng, 3e-3, 1)[0], strict=True))
            fits.append(fit_of(off, resamples(off, rng, 3e-3)))
        at = cross(*fits, params=5e9).at
        hits += at is not None and (at.low or 0) <= truth <= (at.high or np.inf)
    assert 32 <= hits <= 39  # of 40 at 90%: 36 ± 1.9


@pytest.mark.parametrize(
    ("other", "given", "words"),
    [
        (fit_of(SECOND, loss="val_loss.code"), {}, "is fitted to loss_nats and chinchilla to val_loss.code"),
        ("farseer:published", {}, "only losses of one unit"),
        (fit_of(FIRST), {}, "both laws are one chinchilla of the same constants"),
        ("multi_power:25M", {}, "expected a law of N and D"),
        (fit_of(SECOND), {"params": 1e9, "tokens": 1e9}, "no path"),
        (fit_of(SECOND), {"before": -1.0}, "before is -1.0, expected a positive number"),
        (fit_of(SECOND), {"batch_tokens": 1e6}, "batch_tokens changes nothing"),
        (fit_of({**SECOND, "A": 0.0}), {}, "no optimum"),
    ],
)
def test_what_cannot_be_compared_is_refused(other, given, words):
    with pytest.raises(BadInput, match=words):
        cross(fit_of(FIRST), other, **given)


def test_what_differs_without_making_a_crossing_wrong_is_said():
    told = cross(fit_of(FIRST), "chinchilla:epoch").warnings
    assert any("N and C differ by the embeddings" in text for text in told)
    far = cross(fit_of(FIRST), fit_of({**SECOND, "E": 1.75}))
    assert far.extrapolation.grade == "far"
    assert any(text.startswith("EXTRAPOLATION, far") for text in far.warnings)


def test_the_command(tmp_path, capsys):
    rng = np.random.default_rng(0)
    names = [str(tmp_path / name) for name in ("a.json", "b.json")]
    for name, params in zip(names, (FIRST, SECOND), strict=True):
        fit_of(params, resamples(params, rng, 1e-3)).save(name)
    assert main(["cross", *names, "--params", "1T", "--before", "1e13", "--json", "--force"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["at"]["low"] < found["at"]["value"] < found["at"]["high"]
    assert (found["better_below"], found["better_above"]) == tuple(names)
    assert main(["cross", *names, "--params", "1T", "--before", "1e13", "--force"]) == 0
    shown = capsys.readouterr().out
    assert "better above    " + names[1] in shown
    assert "before 10T      100%" in shown
    assert main(["cross", names[0], names[0]]) == 2
    assert "expected two different ones" in capsys.readouterr().err
    replace(fit_of(FIRST), status="misfit").save(names[0])
    assert main(["cross", *names]) == 3
