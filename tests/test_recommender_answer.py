"""Advice: the published numbers, honest ranges, loud extrapolation, and one sentence for a question without sense."""

import math
from dataclasses import replace

import numpy as np
import pytest

import jaxlaws
from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.errors import BadInput, Untrusted
from jaxlaws.recommender.answer import every_law, recommend
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.excess import Excess, band, linex
from jaxlaws.recommender.presets import DEFAULT, PRESETS
from jaxlaws.recommender.question import question
from jaxlaws.recommender.student import student

LARGE = {"params": 7e9, "tokens": 1.4e12}


def test_default_is_our_fit_of_the_public_runs():
    answer = jaxlaws.recommend(params="7B", tokens="1.4T")
    assert answer.law == DEFAULT == "step_law:refit"
    assert answer.peak_lr.value == pytest.approx(6.64e-4, rel=1e-3)
    assert answer.batch_sequences.value == pytest.approx(1371, abs=1)
    assert answer.batch_tokens.value == pytest.approx(2048 * answer.batch_sequences.value)
    assert answer.final_lr == 1e-5
    assert answer.warmup_steps == 2000
    assert answer.steps == round(1.4e12 / (1371 * 2048))


def test_published_constants_as_written():
    answer = recommend(law="step_law:published", **LARGE)
    assert answer.peak_lr.value == pytest.approx(1.79 * 7e9**-0.713 * 1.4e12**0.307, rel=1e-12)
    assert answer.batch_tokens.value == pytest.approx(0.58 * 1.4e12**0.571, rel=1e-12)


def test_extrapolation_is_counted_and_loud():
    answer = recommend(**LARGE)
    assert answer.extrapolation.axes["params"].factor == pytest.approx(6.52, abs=0.01)
    assert answer.extrapolation.axes["tokens"].factor == pytest.approx(14.0)
    assert answer.extrapolation.axes["tokens_per_param"].factor == 1.0
    assert answer.extrapolation.outside
    assert answer.extrapolation.grade == "far"
    assert any("6.5× in N" in text and "14× in D" in text for text in answer.warnings)
    inside = recommend(params=4e8, tokens=2e10)
    assert not inside.extrapolation.outside
    assert not any("EXTRAPOLATION" in text for text in inside.warnings)


def test_intervals_widen_away_from_the_data():
    fit = estimate(step_law_runs(half_lrs=4, half_batches=3), bootstrap=200)
    widths = [fit.half_width("lr", n, d) for n, d in ((4e8, 2e10), (2e9, 2e11), (2e10, 2e12), (2e11, 2e13))]
    assert widths == sorted(widths)
    assert widths[-1] > 1.5 * widths[0]


def test_safe_band_holds_what_it_says():
    answer = recommend(params=4e8, tokens=2e10)
    excess = PRESETS["step_law:bootstrap"].excess
    low, high = (math.log(value / answer.peak_lr.value) for value in answer.safe_band["peak_lr"])
    assert low < 0 < high
    assert -low > high, "missing downwards is cheaper, so the band reaches further down"
    spread = PRESETS["step_law:bootstrap"].spread("lr", 4e8, 2e10)
    rng = np.random.default_rng(0)
    optimum = spread * rng.standard_normal(4000)

    def expected(u):
        return np.mean([excess.of_lr(u - x) for x in optimum[:300]])

    best = min(expected(u) for u in np.linspace(-0.3, 0.2, 11))
    for edge in (low, high):
        assert expected(edge) - best == pytest.approx(0.0025, rel=0.35)


def test_the_excess_loss_is_larger_upwards():
    cost = recommend(**LARGE).excess_loss
    assert cost["peak_lr"]["x2"] > cost["peak_lr"]["x0.5"] > 0
    assert cost["batch_tokens"]["x2"] > 0


def test_a_fixed_batch_moves_the_lr_with_it():
    free = recommend(params=4e8, tokens=2e10)
    larger = recommend(params=4e8, tokens=2e10, batch_tokens=2 * free.batch_tokens.value)
    smaller = recommend(params=4e8, tokens=2e10, batch_tokens=0.5 * free.batch_tokens.value)
    assert smaller.peak_lr.value < free.peak_lr.value < larger.peak_lr.value
    assert larger.batch_tokens.low is None
    assert larger.safe_band["batch_tokens"] is None
    assert any("fixed" in text for text in larger.warnings)


def test_best_lr_of_a_batch_minimises_the_penalty():
    from scipy.optimize import minimize_scalar

    excess = Excess(a=0.016, b=0.015, c=-0.005, k_lr=1.4, k_batch=-0.2)
    for v in (-1.0, 0.3, 1.0):
        assert excess.best_lr(v) == pytest.approx(minimize_scalar(lambda u, v=v: excess.at(u, v)).x, abs=1e-4)
    low, high = band(excess.of_lr, 0.0025)
    assert excess.of_lr(low) == pytest.approx(0.0025, rel=1e-6)
    assert excess.of_lr(high) == pytest.approx(0.0025, rel=1e-6)


def test_linex_and_student_against_scipy():
    from scipy.stats import t

    assert linex(0.3, 1e-9) == pytest.approx(0.045, rel=1e-6)
    assert linex(0.3, 1.0001e-4) == pytest.approx(linex(0.3, 0.9999e-4), rel=1e-5)
    for dof in (3, 5, 14, 100):
        assert student(0.8, dof) == pytest.approx(t.ppf(0.9, dof), rel=5e-3)
    assert student(0.8, math.inf) == pytest.approx(1.2815515655, rel=1e-8)


def test_override_is_a_config_of_the_trainer():
    answer = recommend(params=4e8, tokens="20B")
    pairs = dict(part.split("=", 1) for part in answer.override.split())
    from jaxlaws.config import keys

    assert set(pairs) - {"schedule"} <= set(keys())
    assert pairs["schedule"] == "cosine"
    assert float(pairs["schedule.floor_lr"]) == 1e-5
    assert int(pairs["batch_sequences"]) == round(answer.batch_sequences.value)
    assert float(pairs["optimizer.peak_lr"]) == pytest.approx(answer.peak_lr.value, rel=1e-3)


def test_schedule_conversion_shows_its_factor():
    plain = recommend(params=4e8, tokens=2e10)
    wsd = recommend(params=4e8, tokens=2e10, schedule="wsd(cooldown=0.2, floor=0)")
    assert wsd.lr_factor == pytest.approx(0.53, abs=0.03)
    assert wsd.peak_lr.value == pytest.approx(plain.peak_lr.value * wsd.lr_factor)
    assert "schedule=wsd" in wsd.override
    assert f"×{wsd.lr_factor:.3f}" in wsd.warnings[-1]
    same = recommend(params=4e8, tokens=2e10, schedule="cosine(floor_lr=1e-05, warmup_steps=2000)")
    assert same.lr_factor == pytest.approx(1.0)


def test_compare_answers_or_says_why_not():
    answers = every_law(**LARGE, width=4096, layers=32, vocab=50_000)
    assert set(answers) == set(PRESETS)
    assert "give --loss" in answers["minicpm:published"]
    per_token = 72 * 32 * 4096**2 + 12 * 32 * 4096 * 2048
    deepseek = answers["deepseek:published"]
    assert deepseek.peak_lr.value == pytest.approx(0.3118 * (per_token * 1.4e12) ** -0.125)
    assert deepseek.batch_tokens.value == pytest.approx(0.2920 * (per_token * 1.4e12) ** 0.3271)
    porian = answers["porian:published"]
    assert porian.peak_lr.value == pytest.approx(3.7 * (7e9 + 50_000 * 4096) ** -0.36)
    bare = every_law(**LARGE)
    assert "--layers" in bare["deepseek:published"]
    assert "--vocab" in bare["porian:published"]
    lines = bare["power_lines:published"]
    assert lines.peak_lr is None
    assert lines.batch_sequences.value == pytest.approx(0.0306 * 1.4e12**0.383)


def test_power_lines_timescale():
    answer = recommend(law="power_lines", batch_tokens=2e6, **LARGE)
    product = 2e6 / (1.4e12 * 1.084 * 200**-0.527)
    assert any(f"{product:.3g}" in text for text in answer.warnings)


def test_kaplan_is_refused_where_its_lr_is_negative():
    with pytest.raises(BadInput, match="no positive LR"):
        recommend(law="kaplan", params=1e12, tokens=1e13)
    answer = recommend(law="kaplan", params=1e9, tokens=2e10, loss=2.5)
    assert answer.batch_tokens.value == pytest.approx(2.1e8 / 2.5**4.76)


def test_total_params_lose_their_embeddings():
    one = question(params_total=1e9, vocab=50_000, width=2048, tokens=1e10)
    assert one.params == 1e9 - 50_000 * 2048
    assert question(params_total=1e9, vocab=50_000, width=2048, tokens=1e10, untied=True).params == 1e9 - 1e5 * 2048


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"params": 0, "tokens": 1e12}, "params is 0, expected more than zero"),
        ({"params": 7, "tokens": 1e12}, "did you mean 7B"),
        ({"params": -7e9, "tokens": 1e12}, "more than zero"),
        ({"params": "7 apples", "tokens": 1e12}, "expected a number such as 7e9"),
        ({"params": 7e9, "tokens": 100}, "less than one batch"),
        ({"params": 7e9, "tokens": 1e6, "batch_tokens": 4e6}, "less than one batch"),
        ({"params": 7e9, "tokens": 1e12, "seq_len": 0}, "seq-len is 0"),
        ({"params": 7e9, "tokens": 1e12, "seq_len": 2.5}, "whole number"),
        ({"params": 7e9, "tokens": 1e12, "batch_tokens": 8}, "not sequences"),
        ({"params": 7e9, "tokens": 1e12, "law": "step_lav"}, "unknown law 'step_lav'"),
        ({"params": 7e9, "tokens": 1e12, "law": "none.json"}, "none.json is not a file"),
        ({"tokens": 1e12}, "--params"),
        ({"params": 7e9, "params_total": 8e9, "tokens": 1e12}, "one of --params"),
        ({"params_total": 8e9, "tokens": 1e12}, "needs --vocab and --width"),
        ({"params_total": 1e6, "vocab": 50_000, "width": 512, "tokens": 1e12}, "no more than its embeddings"),
        ({"params": 7e9, "tokens": 1e12, "schedule": "wsdd"}, "unknown schedule"),
        ({"params": 7e9, "tokens": 1e12, "schedule": "wsd(speed=2)"}, "unknown field of wsd 'speed'"),
    ],
)
def test_bad_questions_are_one_sentence(asked, match):
    with pytest.raises(BadInput, match=match) as caught:
        recommend(**asked)
    assert "\n" not in str(caught.value)


def test_a_fit_file_answers_like_the_fit(tmp_path):
    fit = estimate(step_law_runs(half_lrs=3, half_batches=3), bootstrap=50)
    fit.save(tmp_path / "fit.json")
    a = recommend(params=4e8, tokens=2e10, law=fit)
    b = recommend(params=4e8, tokens=2e10, law=tmp_path / "fit.json")
    assert a.peak_lr == b.peak_lr
    assert a.batch_tokens == b.batch_tokens


def test_an_unidentified_fit_needs_force():
    fit = estimate(step_law_runs(half_lrs=3, half_batches=3), bootstrap=50)
    doubtful = replace(fit, status="unidentified", warnings=["no minimum."])
    with pytest.raises(Untrusted, match="unidentified"):
        recommend(params=4e8, tokens=2e10, law=doubtful)
    assert recommend(params=4e8, tokens=2e10, law=doubtful, force=True).peak_lr.value > 0


@pytest.mark.parametrize("asked", [(7e9, 1.4e12), (7e10, 1.4e13), (1e9, 2e10), (3e10, 1e12), (1e8, 1e12)])
@pytest.mark.parametrize("name", ["step_law:bootstrap", "step_law:published", "step_law:refit"])
def test_the_interval_of_a_form_holds_what_the_other_form_says(name, asked):
    n, d = asked
    answer = recommend(params=n, tokens=d, law=name)
    for other in ("step_law:bootstrap", "step_law:published", "step_law:refit"):
        theirs = recommend(params=n, tokens=d, law=other)
        for quantity in ("peak_lr", "batch_tokens"):
            ours = getattr(answer, quantity)
            assert ours.low <= getattr(theirs, quantity).value <= ours.high


def test_the_other_form_answers_the_same_question():
    """At the schedule and the batch that are asked for, as asking it says."""
    asked = {"params": 7e9, "tokens": 1.4e12, "schedule": "wsd(cooldown=0.2)", "batch_tokens": 2**21}
    for question_ in (asked, {**asked, "schedule": None}, {**asked, "batch_tokens": None}):
        note = next(text for text in recommend(**question_).warnings if "step_law:bootstrap" in text)
        theirs = recommend(law="step_law:bootstrap", **question_)
        assert f"LR {theirs.peak_lr.value:.3g}" in note


@pytest.mark.parametrize(
    "asked",
    [{"params": 7e9, "tokens": 1e17}, {"params": 7e13, "tokens": 1e15}, {"params": 2000, "tokens": 1e9}],
)
def test_absurd_questions_need_force(asked):
    with pytest.raises(Untrusted, match="--force"):
        recommend(**asked)
    answer = recommend(**asked, force=True)
    assert answer.extrapolation.grade == "absurd"
    assert math.isfinite(answer.peak_lr.high)
    assert math.isfinite(answer.batch_tokens.high)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"params": 7e9, "tokens": 1e300}, "tokens is "),
        ({"params": 1e200, "tokens": 1e12}, "expected at most"),
        ({"params": 7e9, "tokens": 1e15, "seq_len": 10**12}, "seq-len is 1e.12, expected at most"),
        ({"params": 7e9, "tokens": 1e12, "width": 10**12, "layers": 2}, "expected at most"),
        ({"params": 7e9, "tokens": 1e12, "loss": 1e9}, "expected at most"),
    ],
)
def test_numbers_that_nobody_means_are_refused(asked, match):
    with pytest.raises(BadInput, match=match):
        recommend(**asked)


def test_a_long_run_at_a_tiny_batch_makes_no_array_of_its_steps():
    answer = recommend(params=7e9, tokens=1e14, batch_tokens=65536, schedule="wsd(cooldown=0.2)", force=True)
    assert answer.steps > 1e9
    assert answer.final_lr == pytest.approx(0, abs=1e-6)


def test_a_forced_answer_says_so_first():
    fit = estimate(step_law_runs(half_lrs=3, half_batches=3), bootstrap=50)
    answer = recommend(params=4e8, tokens=2e10, law=replace(fit, status="misfit"), force=True)
    assert answer.warnings[0].startswith("FORCED")
