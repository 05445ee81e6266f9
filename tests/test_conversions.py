"""The setting of an answer: named, converted as its source says, or refused with a sweep that runs."""

import contextlib
import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.recommender.answer import every_law, recommend
from jaxlaws.recommender.conversions import CONVERSIONS
from jaxlaws.recommender.convert import NoConversion
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.presets import DEFAULT, PRESETS
from jaxlaws.recommender.setting import NAMES, measured_under, sentence
from jaxlaws.recommender.timescales import best_timescale, beta2_at, exchange, timescale
from jaxlaws.records.table import Runs
from jaxlaws.request import checked

Q = {"params": 4e8, "tokens": 2e10}
LAW = PRESETS[DEFAULT]
T80 = 1.2815515655
ETA = LAW.optimum(4e8, 2e10)


def law(**convention):
    """The default preset with another convention, None for what it does not state."""
    stated = {name: value for name, value in {**LAW.convention, **convention}.items() if value is not None}
    return replace(LAW, convention=stated)


@pytest.mark.parametrize(
    ("asked", "factor", "sd"),
    [
        ({"optimizer": "muon"}, 1.0, math.log(2) / T80),
        ({"weight_decay": 0.05}, 1.0, math.log(2) / 2),
        ({"weight_decay": "0.4"}, 1.0, math.log(4) / 2),
        ({"beta2": 0.99}, 1.0, 0.1 * math.log2(math.log(0.95) / math.log(0.99))),
        ({"moe_active": 4e8, "moe_total": 6.4e9}, 16**-0.25, 0.25 * math.log(16)),
        ({"from_checkpoint": "40B"}, 2 ** LAW.params["lr_D"], math.log(2) / T80),
        ({"parameterisation": "mup", "base_width": 256, "width": 1024, "layers": 32}, 4.0, math.log(4) / 2),
        ({"parameterisation": "mup", "base_width": 1024, "width": 1024, "layers": 32}, 1.0, 0.0),
    ],
)
def test_each_conversion_is_its_source_s_formula(asked, factor, sd):
    plain = recommend(**Q)
    answer = recommend(**Q, **asked)
    assert answer.lr_factor == pytest.approx(factor)
    assert answer.peak_lr.value == pytest.approx(plain.peak_lr.value * factor)
    assert answer.batch_tokens == plain.batch_tokens
    half = math.hypot(math.log(plain.peak_lr.high / plain.peak_lr.value), T80 * sd)
    assert math.log(answer.peak_lr.high / answer.peak_lr.value) == pytest.approx(half, rel=1e-4)
    assert math.log(answer.peak_lr.value / answer.peak_lr.low) == pytest.approx(half, rel=1e-4)
    assert answer.safe_band["peak_lr"] == pytest.approx([edge * factor for edge in plain.safe_band["peak_lr"]])
    assert [row["sd"] for row in answer.conversions] == pytest.approx([sd])
    assert answer.expected_regret >= plain.expected_regret
    assert any("arXiv" in text for text in answer.warnings)


def test_formulas():
    assert [beta2_at(0.95, ratio) for ratio in (1.0, 0.5, 1 / 64)] == [0.95, 0.95**0.5, 0.95 ** (1 / 64)]
    assert [math.exp(exchange(math.log(kappa))[0]) for kappa in (4, 1 / 9)] == pytest.approx([2, 1 / 3])
    assert timescale(2**20, 1e-3, 0.1, 1e10) == pytest.approx(2**20 / (1e-3 * 0.1 * 1e10))
    assert best_timescale(2e10, 1e9) == pytest.approx(1.084 * 20**-0.527)


SHAPE = {"width": 1024, "layers": 32}
SAME = {
    "optimizer": "adamw",
    "parameterisation": "standard",
    "weight_decay": 0.1,
    "beta2": "0.95",
    "schedule": "cosine(floor_lr=1e-5)",
    "warmup": 2000,
}


@pytest.mark.parametrize(
    "asked", [*({name: value} for name, value in SAME.items()), SAME, {"moe_active": 4e8, "moe_total": 4e8}]
)
def test_the_measured_setting_changes_nothing_bit_for_bit(asked):
    plain, same = recommend(**Q).to_json(), recommend(**Q, **asked).to_json()
    assert same.pop("lr_factor") == 1.0
    assert plain.pop("lr_factor") is None
    assert same == plain


def test_conversions_compose_in_the_order_of_the_table():
    asked = {"optimizer": "muon", "weight_decay": 0.2, "beta2": 0.98, "schedule": "wsd", "warmup": 0.02}
    asked |= {"moe_active": 4e8, "moe_total": 1.6e9}
    together = recommend(**Q, **asked)
    order = [row.name for row in CONVERSIONS]
    names = [row["name"] for row in together.conversions]
    assert names == sorted(names, key=order.index)
    assert names == ["mixture of experts", "optimizer", "weight decay", "beta2", "schedule"]
    single = [{"moe_active": 4e8, "moe_total": 1.6e9}, {"schedule": "wsd", "warmup": 0.02}]
    product = math.prod(recommend(**Q, **one).lr_factor for one in single)
    assert together.lr_factor == pytest.approx(product, rel=0.02)
    assert together.setting["weight_decay"] == 0.2
    assert together.convention["weight_decay"] == 0.1


def test_the_command_has_the_setting_that_is_asked_for():
    answer = recommend(**Q, optimizer="muon", weight_decay=0.05, beta2=0.98, schedule="wsd", warmup=300)
    pairs = dict(part.split("=", 1) for part in shlex.split(answer.override))
    assert (pairs["optimizer"], pairs["schedule"], pairs["schedule.warmup_steps"]) == ("muon", "wsd", "300")
    assert (pairs["optimizer.weight_decay"], pairs["optimizer.beta2"]) == ("0.05", "0.98")
    wide = recommend(**Q, parameterisation="mup", base_width=256, **SHAPE)
    assert "model.parameterisation=mup" in wide.override
    assert "model.base_width=256" in wide.override
    for asked in ({"moe_active": 4e8, "moe_total": 4e9}, {"from_checkpoint": "2e10"}):
        assert recommend(**Q, **asked).override == ""
    for parts in (answer.override, wide.override):
        checked(shlex.split(parts))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"optimizer": "lion"}, "3 to 10 times lower"),
        ({"optimizer": "sgd"}, "adamw to sgd"),
        ({"optimizer": "adafactor"}, "adamw to adafactor"),
        ({"optimizer": "adam"}, "adamw to adam"),
        ({"optimizer": "soap"}, "adamw to soap"),
        ({"optimizer": "schedule_free_adamw"}, "1 to 10 times higher"),
        ({"parameterisation": "mup"}, "give --base-width"),
        ({"weight_decay": 0}, "weight decay 0.1 to 0"),
        ({"weight_decay": 3, "schedule": "wsd(cooldown=0.4)"}, "weight decay 0.1 to 3"),
        ({"law": law(schedule=None), "schedule": "linear"}, "does not state its schedule"),
        ({"law": law(schedule="constant or cosine"), "schedule": "wsd", "optimizer": "adamw"}, "was measured with"),
        ({"law": law(parameterisation="mup"), "optimizer": "muon"}, "under μP"),
        ({"law": law(optimizer="muon"), "optimizer": "adamw"}, "muon to adamw"),
    ],
)
@pytest.mark.parametrize(("params", "ratio"), [(2e5, 20), (7e9, 0.1), (1e4, 1e9)])
def test_what_no_source_converts_is_refused_with_a_sweep_that_composes(asked, reason, params, ratio):
    with pytest.raises(NoConversion, match=re.escape(reason)) as caught:
        recommend(params=params, tokens=ratio * params, force=True, **asked)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.reason in text.replace("; the smallest", ".; the smallest")
    command = shlex.split(text.partition("jaxlaws train -m ")[2])
    swept = {item.key_or_group: item for item in checked(command).parsed}
    assert len(swept["optimizer.peak_lr"].value().list) == 5
    assert len(swept["batch_sequences"].value().list) == 3
    assert len(swept["model"].value().list) == len(swept["tokens"].value().list) == 3
    assert "optimizer.peak_lr" in swept
    if "optimizer" in asked and "law" not in asked:
        assert f"optimizer={asked['optimizer']}" in command
        assert not any(part.startswith("optimizer.weight_decay") for part in command)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"from_checkpoint": True}, "--from-checkpoint TOKENS"),
        ({"from_checkpoint": "20T"}, "fine-tuning"),
        ({"moe_active": 4e8, "moe_total": 4e11}, "up to 32"),
    ],
)
def test_what_the_trainer_cannot_train_is_refused_with_values_for_another(asked, match):
    with pytest.raises(NoConversion, match=match) as caught:
        recommend(**Q, **asked)
    assert "in your own trainer the LRs" in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"optimizer": "adamww"}, "did you mean 'adamw'"),
        ({"parameterisation": "mup2"}, "valid: mup, standard"),
        ({"beta2": 1.5}, "from 0 to 1"),
        ({"beta2": 1}, "between 0 and 1"),
        ({"weight_decay": -0.1}, "from 0 to 100"),
        ({"warmup": 1.5}, "whole number"),
        ({"warmup": 10**9}, "and the run has"),
        ({"warmup": 100, "schedule": "wsd(warmup_steps=5)"}, "leave one out"),
        ({"moe_active": 4e8}, "give both"),
        ({"moe_active": 4e9, "moe_total": 4e8}, "swap them"),
        ({"moe_active": 3e8, "moe_total": 4e9}, "its active parameters"),
        ({"optimizer": "sgd", "beta2": 0.9, "law": law(optimizer="sgd")}, "sgd has no β2"),
        ({"base_width": 2.5}, "whole number"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(asked, match):
    with pytest.raises(BadInput, match=match) as caught:
        recommend(**Q, **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_what_it_was_measured_under(name):
    answer = recommend(params=1e9, tokens=2e10, law=name, width=2048, layers=24, vocab=50_000, loss=2.5)
    assert set(answer.measured_under) == set(NAMES)
    assert answer.measured_under["architecture"] == "dense"
    assert sentence(answer.measured_under).startswith("measured under: dense, ")


def test_the_default_law_s_setting_in_words():
    assert sentence(recommend(**Q).measured_under) == (
        "measured under: dense, AdamW β 0.9/0.95, weight decay 0.1, clip 1, cosine to 1e-05, warm-up 2000 steps, "
        "sequences of 2048, standard parameterisation, from scratch; not stated: corpus"
    )


@pytest.mark.parametrize("written", ["AdamW", "ADAMW", "torch.optim.AdamW", "adam_w"])
def test_names_of_others_are_the_names_of_ours(written):
    theirs = law(optimizer=written, parameterisation="SP")
    answer = recommend(**Q, law=theirs, optimizer="adamw", parameterisation="standard")
    assert answer.lr_factor == 1.0
    assert answer.override == recommend(**Q, optimizer=written, parameterisation="sp").override
    assert recommend(**Q, law=theirs, optimizer="Muon").setting["optimizer"] == "muon"
    schedule_free = recommend(**Q, law=law(optimizer="AdamWScheduleFree"), optimizer="schedule_free_adamw")
    assert schedule_free.setting["optimizer"] == "schedule_free_adamw"
    for name in ("muP", "μP", "µP"):
        assert recommend(**Q, parameterisation=name, base_width=256, **SHAPE).setting["parameterisation"] == "mup"


@pytest.mark.parametrize(
    ("convention", "said"),
    [
        ({"schedule": "wsd(cooldown=0.2, warmup_fraction=0.05)"}, ("wsd(cooldown=0.2), warm-up 0.05 of the steps",)),
        ({"optimizer": "muon", "beta2": 0.95}, ("Muon β 0.95", "not stated: architecture")),
        ({"optimizer": "schedule_free_adamw"}, ("schedule-free AdamW", "not stated: architecture")),
        (
            {"parameterisation": "mup", "config": {"data.source": "stdlib", "model.base_width": 32}},
            ("dense, mup parameterisation, from scratch, corpus stdlib", "not stated: optimiser"),
        ),
    ],
)
def test_the_setting_of_a_fit_is_what_its_runs_state(convention, said):
    text = sentence(measured_under(convention))
    assert all(part in text for part in said), text


def test_the_base_width_is_that_of_the_sweep_whoever_says_it():
    unknown = recommend(**Q, law=law(parameterisation="mup"))
    assert any("give --base-width" in text for text in unknown.warnings)
    asked = recommend(**Q, law=law(parameterisation="mup"), base_width=128)
    stated = recommend(**Q, law=law(parameterisation="mup", config={"model.base_width": 128}))
    for answer in (asked, stated):
        assert answer.peak_lr == unknown.peak_lr
        assert "model.base_width=128" in answer.override
        assert not any("give --base-width" in text for text in answer.warnings)
    back = recommend(**Q, law=law(parameterisation="mup"), base_width=128, parameterisation="standard", **SHAPE)
    assert back.lr_factor == pytest.approx(1 / 8)
    assert "parameterisation" not in back.override


@pytest.mark.parametrize("value", ["x", -1.0, [1], None, True, {"a": 1}, math.inf, "$(id)\x1b"])
@pytest.mark.parametrize("asked", [{}, {"optimizer": "muon", "weight_decay": 0.2, "beta2": 0.9, "base_width": 64}])
def test_a_convention_that_no_law_would_have_is_not_stated(value, asked):
    convention = dict.fromkeys((*NAMES, "config"), value) | {"schedule": LAW.convention["schedule"]}
    with contextlib.suppress(BadInput):
        answer = recommend(**Q, law=replace(LAW, convention=convention), **asked)
        assert "\x1b" not in sentence(answer.measured_under)


def few_columns() -> Runs:
    """A table of four columns and a loss, and a fit of it."""
    rows = []
    for n in (1e8, 3e8, 9e8):
        for d in (4e9, 2e10):
            for lr in (5e-4, 1e-3, 2e-3, 4e-3):
                for batch in (2**18, 2**19, 2**20, 2**21):
                    miss = 0.01 * math.log(lr / 1.4e-3) ** 2 + 0.008 * math.log(batch / 6e5) ** 2
                    rows.append((n, d, lr, batch, (1.8 + 400 / n**0.34 + 400 / d**0.28) * (1 + miss)))
    names = ["params_nonembedding", "tokens", "peak_lr", "batch_tokens", "loss_nats"]
    return Runs(pd.DataFrame(rows, columns=names, index=[f"run-{i}" for i in range(len(rows))]))


def test_a_fit_of_a_table_with_few_columns_says_what_it_does_not_know():
    fit = estimate(few_columns(), bootstrap=20)
    answer = recommend(**Q, law=fit, force=True)
    assert set(answer.measured_under.values()) == {None}
    assert sentence(answer.measured_under) == "measured under: a setting that the law does not state"
    muon = recommend(**Q, law=fit, optimizer="muon", weight_decay=0.2, beta2=0.99, parameterisation="mup", force=True)
    assert muon.peak_lr == answer.peak_lr
    for what in ("optimiser", "weight decay", "β2", "parameterisation"):
        assert any(f"does not state its {what}" in text for text in muon.warnings)
    assert {"optimizer=muon", "optimizer.weight_decay=0.2"} <= set(muon.override.split())


def test_a_batch_far_from_the_measured_ones_moves_the_lr_as_its_root():
    """Up to ×4 as the fit measured it; beyond, an LR between the same and proportional."""
    free = recommend(**Q)
    low = LAW.ranges["batch_tokens"][0]
    at = {batch: recommend(**Q, batch_tokens=batch) for batch in (low, low / 2, low / 4)}
    for batch in (low / 2, low / 4):
        assert at[batch].peak_lr.value / at[low].peak_lr.value == pytest.approx((batch / low) ** 0.5)
        wider = math.log(at[batch].peak_lr.high / at[batch].peak_lr.low)
        wider -= math.log(at[low].peak_lr.high / at[low].peak_lr.low)
        assert wider == pytest.approx(2 * 0.5 * math.log(low / batch))
    assert at[low].peak_lr.value < free.peak_lr.value
    assert at[low / 4].peak_lr.value > free.peak_lr.value / 20
    assert any("√B" in text for text in at[low].warnings)
    kept = dict(part.split("=", 1) for part in at[low / 4].override.split())["optimizer.beta2"]
    assert float(kept) == pytest.approx(0.95**0.25, rel=1e-6)
    assert any("half-life" in text for text in at[low / 4].warnings)
    kappa = low / free.batch_tokens.value
    assert any(f"β2 {0.95**kappa:.5g} would keep" in text for text in at[low].warnings)
    decay = 0.1 * kappa * free.peak_lr.value / at[low].peak_lr.value
    assert any(f"weight decay {decay:.2g} would keep the timescale" in text for text in at[low].warnings)
    assert timescale(low, at[low].peak_lr.value, decay, 2e10) == pytest.approx(
        timescale(free.batch_tokens.value, free.peak_lr.value, 0.1, 2e10)
    )
    assert "optimizer.beta2=0.95" in at[low].override
    assert not at[low].conversions


def test_a_formula_moves_its_lr_to_the_batch_that_is_asked_for():
    asked = {"law": "deepseek", "params": 1e9, "tokens": 2e10, "width": 2048, "layers": 16}
    own = recommend(**asked)
    fixed = recommend(**asked, batch_tokens=2048 * 64)
    ratio = 2048 * 64 / own.batch_tokens.value
    assert fixed.batch_tokens.value == 2048 * 64
    assert fixed.peak_lr.value == pytest.approx(own.peak_lr.value * ratio**0.5)
    assert any("√B (arXiv 2205.10287)" in text for text in fixed.warnings)
    assert fixed.steps == round(2e10 / (2048 * 64))


LONG = {"params": 7e9, "tokens": 1.4e12, "width": 4096, "layers": 32, "vocab": 50_000, "loss": 2.2}


@pytest.mark.parametrize(
    "asked",
    [
        {"schedule": "wsd(cooldown=0.2)"},
        {"schedule": "linear", "warmup": 0.01},
        {"optimizer": "muon"},
        {"weight_decay": 0.05, "beta2": 0.98},
        {"weight_decay": 0.0},
        {"moe_active": 7e9, "moe_total": 7e10},
        {"from_checkpoint": "2T"},
        {"batch_tokens": 2**20, "schedule": "linear"},
        {},
    ],
)
def test_every_row_of_a_comparison_is_converted_or_says_why_not(asked):
    rows = every_law(**LONG, **asked)
    for name, row in rows.items():
        if isinstance(row, str):
            assert re.match(rf"{name} |no source ", row), row
            assert row.endswith(".")
            assert "jaxlaws train" not in row
            assert "expected NAME" not in row
            continue
        if row.peak_lr is not None and asked:
            assert row.batch_tokens.value == asked.get("batch_tokens", row.batch_tokens.value)
            assert row.lr_factor is not None
            assert row.conversions
    if isinstance(rows[DEFAULT], str):
        assert asked == {"weight_decay": 0.0}
        return
    note = next(text for text in recommend(**LONG, **asked).warnings if "from the same runs" in text)
    alone = recommend(law=next(name for name in PRESETS if f"{name}," in note), **LONG, **asked)
    assert f"LR {alone.peak_lr.value:.3g}" in note


def test_the_screen_ends_with_the_setting(capsys):
    asked = ["recommend", "--params", "7B", "--tokens", "1.4T", "--schedule", "linear", "--compare"]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert out.strip().splitlines()[-1].lstrip().startswith("measured under: ")
    assert out.count("measured under: ") >= 4
    assert "for schedule" in out
    assert main(["recommend", "--tokens", "1T", "--moe-active", "1B", "--moe-total", "8B", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["question"]["params"] == 1e9
    assert answer["conversions"][0]["name"] == "mixture of experts"
    for refused in (["--optimizer", "sgd"], ["--from-checkpoint"]):
        assert main([*asked[:5], *refused]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.strip().splitlines()) == 1


def test_the_page_has_the_table_of_the_code():
    page = (Path(__file__).resolve().parent.parent / "docs" / "advice.md").read_text()
    rows = [row.strip("|").split(" | ") for row in page.splitlines() if row.startswith("| ")][1:]
    assert [[cell.strip() for cell in row] for row in rows] == [
        [row.name, row.lr, row.batch, row.sd, row.source, row.holds] for row in CONVERSIONS
    ]
