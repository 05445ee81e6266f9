"""The command that a recommendation prints trains what it recommends: model, budget, batch, LR array, optimiser."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_configs import compose

from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.cli import main
from jaxlaws.config import RunConfig, batch_sequences, check, steps
from jaxlaws.hyper import READS
from jaxlaws.model.ladder import ladder
from jaxlaws.model.shape import count_params
from jaxlaws.recommender.answer import recommend
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.override import OPTIMIZERS, SHARED
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.recommender.question import Question
from jaxlaws.recommender.shapes import LADDER, model
from jaxlaws.schedules.config import FAMILIES
from jaxlaws.schedules.names import FROM_FILE, NAMES, OF_THE_RUN
from jaxlaws.schedules.spec import ScheduleConfig, parse, reads, schedule_array, spec_string

SPECS = {
    "constant": "constant(warmup_fraction=0.1)",
    "cosine": "cosine(floor=0.05, warmup_steps=40)",
    "linear": "linear(warmup_fraction=0.02, warmup_shape=sqrt)",
    "rex": "rex(floor=0.1)",
    "uba": "uba(phi=0.5)",
    "wsd": "wsd(cooldown=0.3, shape=1-sqrt)",
    "inverse_sqrt": "inverse_sqrt(cooldown=0.1, warmup_steps=100)",
    "wsd_cycles": "wsd_cycles(cycles=3)",
    "cosine_restarts": "cosine_restarts(cycles=2, growth=1.5)",
    "step": "step(milestones=[0.5, 0.9], values=[0.3, 0.1])",
    "infinite": "infinite(level=0.4)",
}


def fitted(schedule: str = "cosine(floor_lr=1e-05, warmup_steps=20)", **convention):
    """A law of small models with these conventions."""
    law = PRESETS["step_law:bootstrap"]
    ranges = {"params": [5e3, 1e6], "tokens": [2e5, 1e8], "tokens_per_param": [10, 1000]}
    settings = {"schedule": schedule, "seq_len": 128, "optimizer": "adamw", "weight_decay": 0.05, **convention}
    shifted = {**law.params, "lr_intercept": -3.2, "batch_intercept": -0.5}
    return replace(law, method="two_stage", ranges=ranges, convention=settings, params=shifted, rivals={})


def arguments(q: Question) -> list[str]:
    return [f"{key}={value}" for key, value in model(q).items()]


def trained(answer):
    run = compose(*shlex.split(answer.override))
    check(run)
    return run


@pytest.mark.parametrize("family", SPECS)
@pytest.mark.parametrize("law", ["preset", "fit", "converted"])
def test_the_command_trains_the_recommended_array(family, law):
    """Every family, as what the law was measured with and as what it is converted to."""
    if law == "preset":
        answer = recommend(params=4e8, tokens=2e10, schedule=SPECS[family])
    elif law == "fit":
        answer = recommend(params="55k", tokens="20M", law=fitted(SPECS[family]))
    else:
        answer = recommend(params="55k", tokens="20M", law=fitted(), schedule=SPECS[family])
    run = trained(answer)
    assert batch_sequences(run) == round(answer.batch_sequences.value)
    assert steps(run) == answer.steps
    wanted = ScheduleConfig(**parse(answer.schedule))
    ours = schedule_array(run.schedule, answer.steps, run.optimizer.peak_lr)
    np.testing.assert_allclose(ours, schedule_array(wanted, answer.steps, answer.peak_lr.value), rtol=1e-5)


def test_the_power_law_takes_batch_and_length_from_the_run():
    spec = "power(a=4.6, b=-0.51, batch_sequences=7, seq_len=99)"
    run = trained(recommend(params="55k", tokens="20M", law=fitted(spec)))
    assert (run.schedule.batch_sequences, run.schedule.seq_len) == (batch_sequences(run), 128)


def test_the_command_has_the_size_the_length_of_sequences_and_the_settings_of_the_law():
    run = trained(recommend(params="55k", tokens="20M", law=fitted(beta2=0.99, clip=0.5)))
    assert count_params(run.model)[0] == 55_536
    assert run.data.seq_len == 128
    assert (run.optimizer.weight_decay, run.optimizer.beta2, run.optimizer.clip) == (0.05, 0.99, 0.5)
    assert trained(recommend(params="55k", tokens="20M", law=fitted(), seq_len=256)).data.seq_len == 256
    lion = trained(recommend(params="55k", tokens="20M", law=fitted(optimizer="lion", parameterisation="mup")))
    assert (lion.optimizer.name, lion.model.parameterisation) == ("lion", "mup")


@pytest.mark.parametrize("params", [1500, 7e3, 3e4, 3e5, 1.5e6, 1.7e7, 4e8, 7e9, 1e12])
def test_a_size_between_the_named_ones_gets_a_shape(params):
    q = Question(params=params, tokens=20 * params)
    run = compose(*arguments(q))
    run.model.check()
    assert count_params(run.model)[0] == pytest.approx(params, rel=0.02)
    assert 4 < run.model.width / run.model.depth < 150


def test_a_shape_that_is_given_is_kept():
    run = compose(*arguments(Question(params=7e9, tokens=1e12, width=4096, layers=32)))
    assert (run.model.width, run.model.depth) == (4096, 32)
    assert count_params(run.model)[0] == pytest.approx(7e9, rel=0.01)


def test_the_tables_without_training_code_say_what_the_training_code_says():
    folder = Path(__file__).resolve().parent.parent / "conf" / "model"
    assert {name: count_params(shape)[0] for name, shape in ladder(folder).items()} == LADDER
    known = {name: reads(name) - {"name", *OF_THE_RUN} for name in FAMILIES}
    assert {name: set(fields) for name, fields in NAMES.items()} == known
    for name, fields in OPTIMIZERS.items():
        assert set(fields) == set(READS[name])
    run = RunConfig()
    assert {key: getattr(getattr(run, key.split(".")[0]), key.split(".")[1]) for key in SHARED} == SHARED


@pytest.mark.parametrize(
    "schedule",
    [
        "$(touch pwned)",
        "cosine(floor=$(id))",
        "wsd(cooldown=0.2); rm -rf ~",
        "table(file=/etc/passwd)",
        "cosine(floor=0.1, speed=3)",
        "`id`",
    ],
)
def test_a_schedule_that_has_no_name_gives_no_command(schedule):
    answer = recommend(params="55k", tokens="20M", law=fitted(schedule))
    assert answer.override == ""
    assert any("cannot be asked for by name" in text for text in answer.warnings)


def test_the_screen_quotes_what_is_to_be_pasted(tmp_path, capsys):
    law = fitted("step(milestones=[0.5, 0.9], values=[0.3, 0.1])")
    law.save(tmp_path / "law.json")
    assert main(["recommend", "--params", "55k", "--tokens", "20M", "--law", str(tmp_path / "law.json")]) == 0
    line, setting = capsys.readouterr().out.strip().splitlines()[-2:]
    assert setting.startswith("  measured under: AdamW")
    assert line.startswith("  jaxlaws train model=55k tokens=")
    assert "'schedule.milestones=[0.5,0.9]'" in line
    raw = json.loads((tmp_path / "law.json").read_text())
    raw["convention"]["optimizer"] = "$(id) \x1b[31m"
    (tmp_path / "law.json").write_text(json.dumps(raw))
    assert main(["recommend", "--params", "55k", "--tokens", "20M", "--law", str(tmp_path / "law.json")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any("$(id)" in line for line in out.splitlines() if line.startswith("  jaxlaws train"))


def test_a_batch_of_whole_sequences_moves_the_lr_and_says_so():
    law = fitted()
    free = law.optimum(55e3, 2e7)
    answer = recommend(params="55k", tokens="20M", law=law, seq_len=int(1.6 * np.exp(free[1])))
    assert answer.batch_sequences.value == 1
    offset = np.log(answer.batch_tokens.value) - free[1]
    assert np.log(answer.peak_lr.value) == pytest.approx(free[0] + law.excess.best_lr(offset))
    assert any("whole number of sequences" in text for text in answer.warnings)
    assert any("the LR is the best for it" in text for text in answer.warnings)
    assert answer.batch_tokens.low <= answer.batch_tokens.value <= answer.batch_tokens.high
    assert answer.safe_band["batch_tokens"][0] <= answer.batch_tokens.value <= answer.safe_band["batch_tokens"][1]


def test_a_law_without_lr_or_schedule_gives_no_wrong_command():
    answer = recommend(params=7e9, tokens=1.4e12, law="power_lines")
    assert answer.override == ""
    runs = step_law_runs(half_lrs=2, half_batches=2)
    bare = recommend(params=4e8, tokens=2e10, law=estimate(runs, bootstrap=20))
    assert "schedule" not in bare.override
    assert any("do not say their schedule" in text for text in bare.warnings)


def test_spec_strings_are_understood():
    for name in set(NAMES) - {"power", *FROM_FILE}:
        answer = recommend(params="55k", tokens="20M", law=fitted(spec_string(ScheduleConfig(name=name))))
        assert f"schedule={name} " in answer.override
