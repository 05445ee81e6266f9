"""How far a question lies outside the data: one value for fits and presets, and nothing absurd without --force."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput, Untrusted
from jaxlaws.extrapolation import WORDS, Extrapolation, extrapolation, farthest, impossible_loss
from jaxlaws.fitting.isoflop import Frontier
from jaxlaws.fitting.optimum import frontier_optimum, optimum
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.inputs import INPUTS
from jaxlaws.laws.table import LAWS

PRESETS = [f"{law.name}:{variant}" for law in LAWS.values() for variant in law.presets]
CHINCHILLA = open_fit("chinchilla:epoch")


def answered(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def distrusted(capsys, *arguments):
    """The one sentence of an answer that is refused with exit code 3, nothing on stdout."""
    assert main([*arguments, "--json"]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("value", "grade", "factor"),
    [
        (1.0, "inside", 1),
        (10.05, "inside", 1.005),
        (29.0, "near", 2.9),
        (0.4, "near", 0.4),
        (50.0, "far", 5),
        (1e-3, "far", 1e-3),
        (1.1e5, "absurd", 1.1e4),
        (0.0, "absurd", 0.0),
    ],
)
def test_grades(value, grade, factor):
    found = extrapolation({"params": value, "tokens": 5.0}, {"params": [1, 10], "peak_lr": [1, 1]})
    assert found.grade == grade
    assert found.axes["params"].factor == pytest.approx(factor)
    assert set(found.axes) == {"params"}
    assert bool(found) is found.outside is (grade != "inside")
    assert len(found.sentences()) == (grade != "inside")
    json.dumps(found.to_json(), allow_nan=False)
    if grade == "absurd":
        with pytest.raises(Untrusted, match="--force"):
            found.refuse_absurd(False)
        assert found.refuse_absurd(True)[0].startswith("FORCED")
    else:
        assert found.refuse_absurd(False) == []


def test_the_farthest_of_several_questions():
    near, far = (extrapolation({"steps": value}, {"steps": [1, 10]}) for value in (20, 90))
    wrong = Extrapolation(impossible=("no loss is below 0.",))
    assert farthest([near, far]) is far
    assert farthest([far, wrong, near]) is wrong
    assert not farthest([])


@pytest.mark.parametrize(
    ("loss", "vocab", "unit", "wrong"),
    [
        (0.0, None, "nats a token", False),
        (-1e-9, None, "nats a token", True),
        (13.8, None, "nats a token", False),
        (13.9, None, "nats a token", True),
        (5.5, 256, "nats a token", False),
        (5.6, 256, "nats a token", True),
        (math.nan, None, "nats a token", True),
        (math.inf, None, "bits a character", True),
        (14.0, None, "bits a character", False),
        (20.0, None, "bits a character", True),
    ],
)
def test_losses_that_nothing_can_have(loss, vocab, unit, wrong):
    assert bool(impossible_loss(loss, vocab, unit)) is wrong


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_its_range_as_data(name, capsys):
    fit = open_fit(name)
    assert fit.ranges
    assert set(fit.ranges) <= {*WORDS, *(row.column for row in INPUTS.values())}
    assert all(0 < low <= high for low, high in fit.ranges.values())
    told = answered(capsys, "laws", fit.law)[fit.law]["presets"][name]
    assert told["ranges"] == {axis: list(pair) for axis, pair in fit.ranges.items()}


SPEC = ["--schedule", "wsd(cooldown=0.2)"]


@pytest.mark.parametrize(
    ("arguments", "grade"),
    [
        (["chinchilla:epoch", "--params", "1B", "--tokens", "20B"], "inside"),
        (["chinchilla:epoch", "--params", "30B", "--tokens", "600B"], "near"),
        (["chinchilla:epoch", "--params", "1T", "--tokens", "20T"], "far"),
        (["multi_power:25M", *SPEC, "--steps", "24000", "--peak-lr", "3e-4"], "inside"),
        (["multi_power:100M", *SPEC, "--steps", "10000", "--peak-lr", "3e-4"], "near"),
        (["annealing:25M", *SPEC, "--steps", "2000", "--peak-lr", "3e-4"], "far"),
        (["multi_power:25M", *SPEC, "--steps", "24000", "--peak-lr", "3e-3"], "far"),
        (["farseer:published", "--params", "1B", "--tokens", "20B"], "inside"),
    ],
)
def test_predictions_carry_their_grade(capsys, arguments, grade):
    found = answered(capsys, "predict", *arguments)
    assert found["extrapolation"]["grade"] == grade
    assert any("EXTRAPOLATION" in text for text in found["warnings"]) is (grade != "inside")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "multi_power:25M", "--schedule", "wsd", "--steps", "50", "--peak-lr", ".5"], "never below 0"),
        (["predict", "multi_power:25M", *SPEC, "--steps", "24000", "--peak-lr", ".04"], "the peak LR"),
        (["predict", "chinchilla:epoch", "--params", "7", "--tokens", "1.4T"], "guessing reaches 13.8"),
        (["predict", "chinchilla:epoch", "--params", "7B", "--tokens", "1e300"], "in D"),
        (["predict", "farseer:published", "--params", "1B", "--tokens", "1"], "in D"),
        (["optimum", "chinchilla:epoch", "--flops", "1e35"], "in N"),
        (["optimum", "chinchilla:epoch", "--flops", "1e-300"], "guessing reaches 13.8"),
        (["optimum", "kaplan:published", "--flops", "1e40"], "in D"),
        (["design", "cooldown", "multi_power:25M", "--steps", "50", "--peak-lr", "0.5"], "never below 0"),
        (["design", "extend", "multi_power:25M", *SPEC, "--steps", "50", "--peak-lr", "0.5", "--to", "90"], "below 0"),
        (
            ["design", "schedule", "multi_power:25M", "--family", "linear", "--steps", "50", "--peak-lr", "0.5"],
            "below 0",
        ),
    ],
)
def test_absurd_questions_are_refused_without_force_and_labelled_with_it(capsys, arguments, words):
    said = distrusted(capsys, *arguments)
    assert words in said
    assert "--force" in said
    found = answered(capsys, *arguments, "--force")
    assert found["extrapolation"]["grade"] == "absurd"
    assert found["warnings"][0].startswith("FORCED")


def test_an_absurd_design_writes_no_file(tmp_path, capsys):
    out = tmp_path / "s.csv"
    request = ["design", "schedule", "multi_power:25M", "--family", "linear", "--steps", "50", "--peak-lr", "0.5"]
    distrusted(capsys, *request, "-o", str(out))
    assert not out.exists()


@pytest.mark.parametrize("status", ["unidentified", "misfit", "not_converged"])
@pytest.mark.parametrize(
    "command",
    [
        ["predict", "FIT", "--params", "1B", "--tokens", "20B"],
        ["optimum", "FIT", "--flops", "1e21"],
        ["predict", "CURVE", *SPEC, "--steps", "24000", "--peak-lr", "3e-4"],
        ["design", "cooldown", "CURVE", "--steps", "24000", "--peak-lr", "3e-4"],
    ],
)
def test_a_fit_that_is_not_trusted_answers_only_when_forced(tmp_path, capsys, command, status):
    finding = {"status": status, "what": "the runs have one model size", "remedy": "add another"}
    files = {}
    for word, name in (("FIT", "chinchilla:epoch"), ("CURVE", "multi_power:25M")):
        files[word] = str(tmp_path / f"{word}.json")
        replace(open_fit(name), status=status, findings=[finding]).save(files[word])
    command = [files.get(word, word) for word in command]
    assert "one model size, add another" in distrusted(capsys, *command)
    assert answered(capsys, *command, "--force")["warnings"][0].startswith("FORCED: the fit is")


def test_predict_in_python_labels_a_fit_that_is_not_trusted():
    loose = replace(CHINCHILLA, status="unidentified")
    assert predict(loose, params=1e9, tokens=2e10).warnings[0].startswith("FORCED")
    assert predict(CHINCHILLA, params=1e9, tokens=2e10).warnings == ()


def test_a_shorter_horizon_than_the_data_is_outside_too():
    fit = replace(curve_fit(), ranges={"steps": [4000, 4000]})
    found = predict(fit, lr=np.full(40, 1e-3))
    assert found.extrapolation.axes["steps"].factor == pytest.approx(0.01)
    assert found.extrapolation.grade == "far"
    assert predict(fit, lr=np.full(4000, 1e-3)).extrapolation.grade == "inside"
    assert predict(fit, lr=np.full(8000, 1e-3), at=np.array([100, 3999])).extrapolation.grade == "inside"


def curve_fit(**fields):
    constants = {"L0": 1.5, "A": 0.4, "B": 4.0, "alpha": 0.5}
    return LossFit(
        law="bound",
        convention={"warmup_ld": "included", "loss": "nats"},
        noise="huber",
        params=constants,
        **fields,
    )


def test_a_law_without_a_finite_loss_says_so():
    fit = replace(curve_fit(), params={"L0": 1.5, "A": math.inf, "B": 4.0, "alpha": 0.5})
    with pytest.raises(BadInput, match="no finite loss"):
        predict(fit, lr=np.full(40, 1e-3))


def draws_of(fit, sd, count=200, seed=0):
    rng = np.random.default_rng(seed)
    return {name: (value * np.exp(sd * rng.standard_normal(count))).tolist() for name, value in fit.params.items()}


@pytest.mark.parametrize("sd", [0.0, 1e-4, 0.02])
@pytest.mark.parametrize("shift", [1.0, 1.2])
def test_intervals_hold_their_value_and_have_a_width(sd, shift):
    """`shift` moves the fit out of its own resamples, as a fit at a bound is."""
    noise = {"quantiles": [-1e-3, 0.0, 1e-3], "offset": 0.0, "sigma": 1e-3}
    fit = replace(CHINCHILLA, draws=draws_of(CHINCHILLA, sd), scatter=noise)
    fit = replace(fit, params={**fit.params, "A": fit.params["A"] * shift})
    found = optimum(fit, 1e22)
    alone = predict(fit, params=1e9, tokens=2e10)
    quantities = [found.params, found.tokens, found.tokens_per_param, found.loss, found.exponent, alone]
    for quantity in quantities:
        if quantity.low is not None:
            assert quantity.low <= quantity.value <= quantity.high
            assert quantity.low < quantity.high
    assert alone.low is not None
    assert (found.params.low is None) is (sd == 0.0 and shift == 1.0) or shift > 1


def test_resamples_without_a_finite_loss_do_not_spoil_the_interval():
    noise = {"quantiles": [0.0], "offset": 1e-3, "sigma": 1e-3}
    draws = {name: [*values, 1e308] for name, values in draws_of(CHINCHILLA, 0.01).items()}
    draws["alpha"][-1] = draws["beta"][-1] = 1e-9
    found = predict(replace(CHINCHILLA, draws=draws, scatter=noise), params=1e9, tokens=2e10)
    assert found.low < found.value < found.high < 4


@pytest.mark.parametrize(
    ("exponent", "flops", "grade"),
    [
        (0.5, 1e20, "inside"),
        (0.5, 2e21, "near"),
        (0.5, 1e24, "far"),
        (9.6, 1e20, "absurd"),
        (-0.1, 1e20, "absurd"),
        (0.5, 1e35, "absurd"),
    ],
)
def test_the_frontier_of_runs_is_judged_alike(exponent, flops, grade):
    """Approach 1 or 2 with N* = 1B at 1e20 FLOP."""
    budgets = np.geomspace(1e19, 1e21, 5)
    runs = Frontier(2, exponent, math.log(1e9) - exponent * math.log(1e20), budgets, np.full(5, 1e9))
    found = frontier_optimum(runs, flops)
    assert found.extrapolation.grade == grade
    assert found.extrapolation.axes["flops"].value == flops


@pytest.mark.parametrize("constants", [{"alpha": -0.3}, {"B": 0.0}, {"A": 0.0}, {"beta": math.nan}])
def test_constants_without_a_minimum_are_refused(constants):
    with pytest.raises(BadInput, match="has no minimum"):
        optimum(replace(CHINCHILLA, params={**CHINCHILLA.params, **constants}), 1e21)


@pytest.mark.parametrize(("constants", "words"), [({"E": -3.0}, "never below 0"), ({"A": 1e-30}, "tokens a parameter")])
def test_optima_that_nothing_can_have_are_absurd(constants, words):
    found = optimum(replace(CHINCHILLA, params={**CHINCHILLA.params, **constants}), 1e21)
    assert found.extrapolation.grade == "absurd"
    assert words in " ".join(found.warnings)


@pytest.mark.parametrize("request_", [["--steps", "9999999", "--every", "1"], ["--steps", "1e15"]])
def test_requests_are_sized_before_they_are_served(capsys, request_):
    assert main(["predict", "multi_power:25M", "--schedule", "constant", "--peak-lr", "3e-4", *request_]) == 2
    assert capsys.readouterr().err.count("\n") == 1
