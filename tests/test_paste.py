"""What is printed to be pasted runs: every override trains, and what it trains is the advice, column by column."""

import json
import shlex
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_configs import compose
from test_recommender_override import SPECS, fitted

from jaxlaws.cli import main
from jaxlaws.cli.composed import composed
from jaxlaws.config import EvalConfig, batch_sequences, steps
from jaxlaws.data.tokens import open_data
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import open_fit
from jaxlaws.recommender.answer import recommend
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.records.files import finite
from jaxlaws.records.run import collect
from jaxlaws.records.table import Runs
from jaxlaws.schedules.config import FAMILIES
from jaxlaws.schedules.exchange import read_table
from jaxlaws.schedules.spec import ScheduleConfig, parse, schedule_array
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.plan import plan
from jaxlaws.training.lane import Lane, asked

#: A question whose answer has 8 steps of 8 sequences.
ASKED = {"params": "6k", "tokens": 4096, "seq_len": 64, "batch_tokens": 512, "force": True}
FILES = {
    "table": ("table.csv", "step,lr\n" + "".join(f"{t},{lr}\n" for t, lr in enumerate([1, 2, 3, 4, 4, 3, 2, 1]))),
    "refined": ("norms.csv", "grad_norm\n" + "".join(f"{norm}\n" for norm in (3, 2, 1.5, 1.2, 1, 1, 1, 1))),
    "optax": ("lr.py", "import optax\nschedule = optax.linear_schedule(1.0, 0.1, 8)\n"),
}
LAWS = ("preset", "fit", "converted")


def specs(folder):
    """Family → a spec of it, those from a file with the file in a folder."""
    answer = {**SPECS, "power": "power(a=4.6, b=-0.51)"}
    for name, (file, text) in FILES.items():
        (folder / file).write_text(text)
        answer[name] = f"{name}(file={folder / file}{':schedule' if name == 'optax' else ''})"
    assert set(answer) == set(FAMILIES)
    return answer


def advice(law, spec):
    """Advice for `ASKED` of a law that was measured with a schedule, or of one that is converted to it."""
    if law == "converted":
        return recommend(**ASKED, law=fitted(), schedule=spec)
    source = PRESETS["step_law:bootstrap"] if law == "preset" else fitted(spec)
    return recommend(**ASKED, law=replace(source, convention={**source.convention, "schedule": spec}))


def test_every_override_of_every_family_composes_and_trains(tmp_path, monkeypatch):
    """15 families, each as a preset's, as a fitted file's and converted to; the power law alone is no conversion."""
    monkeypatch.chdir(tmp_path)
    runs, wanted = [], []
    for family, spec in specs(tmp_path).items():
        for law in LAWS:
            if (law, family) == ("converted", "power"):
                with pytest.raises(BadInput, match="says its LR itself"):
                    advice(law, spec)
                continue
            answer = advice(law, spec)
            run = compose(*shlex.split(answer.override))
            assert (steps(run), batch_sequences(run), run.data.seq_len) == (answer.steps, 8, 64), (family, law)
            if family != "power":
                lr = schedule_array(ScheduleConfig(**parse(answer.schedule)), 8, answer.peak_lr.value)
                np.testing.assert_allclose(schedule_array(run.schedule, 8, run.optimizer.peak_lr), lr, rtol=1e-5)
            runs.append(replace(run, eval=EvalConfig(points=1, sequences=32)))
            wanted.append((answer.peak_lr.value, 512, 5968, 4096))
    planned = plan(runs, tmp_path / "sweep", lambda config: open_data(config).digest)
    summary = train_sweep(planned)
    assert not summary.failed
    table = collect(tmp_path / "sweep").table
    assert len(table) == len(runs) == 44
    columns = ["peak_lr", "batch_tokens", "params_nonembedding", "tokens"]
    rows = np.array(sorted(map(tuple, table[columns].to_numpy(float))))
    np.testing.assert_allclose(rows, sorted(wanted), rtol=1e-5)


def test_a_schedule_in_a_file_is_said_where_it_cannot_be_trained(tmp_path):
    names = specs(tmp_path)
    other = recommend(**{**ASKED, "tokens": 8192}, law=fitted(names["table"]))
    assert other.override == ""
    assert any("has 8 steps and the run 16" in text and "--steps 16" in text for text in other.warnings)
    with pytest.raises(BadInput, match="has 8 steps and the run 16"):
        recommend(**{**ASKED, "tokens": 8192}, law=fitted(), schedule=names["table"])
    gone = recommend(**ASKED, law=fitted("refined(file=gone.csv)"))
    assert gone.override == ""
    assert any("no file here" in text for text in gone.warnings)
    runs = recommend(**ASKED, law=fitted(names["optax"]))
    assert any("as a Python program" in text for text in runs.warnings)
    (tmp_path / "lr.py").write_text("raise SystemExit(5)")
    with pytest.raises(BadInput, match="one shape to convert from"):
        recommend(**ASKED, law=fitted(names["optax"]), schedule="linear")


def test_a_multiple_moves_the_lr_with_the_batch_and_the_steps():
    law = fitted()
    free, tokens = law.optimum(55e3, 2e7), 2e7
    answer = recommend(params="55k", tokens=tokens, law=law, multiple_of=64)
    batch = answer.batch_tokens.value
    assert batch % (64 * 128) == 0
    assert answer.steps == round(tokens / batch)
    offset = np.log(batch) - free[1]
    assert np.log(answer.peak_lr.value) == pytest.approx(free[0] + law.excess.best_lr(offset))
    assert any("no multiple of 64 sequences" in text for text in answer.warnings)
    assert batch_sequences(compose(*shlex.split(answer.override))) % 64 == 0
    fixed = recommend(params="55k", tokens=tokens, law=law, multiple_of=64, batch_tokens=64 * 128 * 2 - 1)
    assert fixed.batch_tokens.value == 64 * 128, "a batch that memory fixes is never raised"
    with pytest.raises(BadInput, match="in sequences"):
        recommend(params="55k", tokens="1M", law=law, multiple_of="256k")
    formula = recommend(params=1e9, tokens=2e10, law="deepseek", layers=24, width=2048, multiple_of=64)
    assert formula.batch_tokens.value % (64 * 2048) == 0
    assert any("the LR stays" in text for text in formula.warnings)


def test_what_the_runs_of_a_sweep_share_is_in_the_command(tmp_path):
    """Data, constants of the model and of the optimiser: a law of one setting is trained in that setting."""
    setting = [
        *("data=language", "data.vocab=32", "data.seq_len=32", "model.qk_norm=true", "optimizer.eps=1e-6"),
        *("eval.sequences=32", "schedule=wsd", "optimizer=adam", "optimizer.clip=inf", "batch_sequences=2"),
    ]
    rows = {}
    for model, tokens, lr in product(("6k", "12k", "25k"), (16_384, 32_768), (2e-3, 4e-3, 8e-3)):
        run = compose(*setting, f"model={model}", f"tokens={tokens}", f"optimizer.peak_lr={lr}")
        (item,) = plan([run], tmp_path / "sweep", lambda config: "digest")
        loss = 2.5 + 0.02 * np.log(lr / 4e-3) ** 2
        rows[item.directory.name] = {**finite(asked(Lane(run))), "status": "ok", "val_loss_nats": loss}
    law = estimate(Runs(pd.DataFrame(rows).T, source=str(tmp_path / "sweep")), bootstrap=20)
    law.save(tmp_path / "law.json")
    answer = recommend(params="6k", tokens="64k", law=tmp_path / "law.json", force=True)
    run, first = compose(*shlex.split(answer.override)), compose(*setting)
    assert (run.data, run.eval.sequences) == (first.data, 32)
    assert run.model.qk_norm
    assert (run.optimizer.name, run.optimizer.eps, run.optimizer.clip) == ("adam", 1e-6, np.inf)
    assert run.model.vocab == 32


def test_recommend_train_fit_gives_back_the_advice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = recommend(**ASKED, law=fitted("wsd(cooldown=0.25)"))
    assert main(["train", *shlex.split(answer.override), "eval.sequences=32"]) == 0
    row = collect("runs").table.iloc[0]
    assert row["peak_lr"] == pytest.approx(answer.peak_lr.value, rel=1e-5)
    assert row["batch_tokens"] == answer.batch_tokens.value
    assert row["params_nonembedding"] == pytest.approx(6e3, rel=0.02)
    assert (row["tokens"], row["steps"]) == (4096, answer.steps)
    assert row["schedule"].startswith("wsd(cooldown=0.25")


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("jaxlaws train")]


@pytest.fixture
def curve_law(tmp_path, monkeypatch):
    """A fit of curves that knows the setting of its runs."""
    monkeypatch.chdir(tmp_path)
    setting = {
        **{"model.width": 16, "model.depth": 1, "model.heads": 2, "model.kv_heads": None, "model.mlp_width": 24},
        **{"data.source": "language", "data.vocab": 16, "data.seq_len": 16, "batch_sequences": 4, "batch_tokens": None},
        **{"optimizer.name": "adam", "optimizer.beta2": 0.9, "optimizer.clip": "inf", "eval.sequences": 32},
        **{"data.path": None, "surprise": "$(id)"},
    }
    fit = open_fit("multi_power:25M")
    replace(fit, data={**fit.data, "setting": setting}).save(tmp_path / "law.json")
    return [str(tmp_path / "law.json"), "--peak-lr", "3e-4", "--warmup", "4", "--force"]


@pytest.mark.parametrize(
    "question",
    [
        ["schedule", "--steps", "40", "--family", "wsd(shape=linear)", "-o", "best one.csv"],
        ["cooldown", "--steps", "40", "--shape", "1-sqrt"],
        ["cooldown", "--steps", "40", "--shape", "exponential"],
        ["extend", "--schedule", "wsd", "--steps", "20", "--to", "40", "-o", "longer.npy"],
    ],
    ids=["schedule", "cooldown", "exponential", "extend"],
)
def test_a_design_prints_the_command_that_trains_it(question, curve_law, capsys):
    assert main(["design", question[0], *curve_law, *question[1:]]) == 0
    (line,) = lines(capsys.readouterr().out)
    assert "$(id)" not in line
    run = composed(shlex.split(line)[2:])
    assert (run.model.width, run.data.source, run.batch_sequences) == (16, "language", 4)
    assert (run.optimizer.name, run.optimizer.beta2, run.optimizer.clip) == ("adam", 0.9, np.inf)
    lr = schedule_array(run.schedule, steps(run), run.optimizer.peak_lr)
    assert (len(lr), lr.max()) == (40, pytest.approx(3e-4))
    if "-o" in question:
        np.testing.assert_allclose(lr, read_table(Path(question[-1])), rtol=1e-6)
    assert main(["design", question[0], *curve_law, *question[1:], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["train"] == [line]
    if question[0] == "cooldown":
        assert run.schedule.cooldown == pytest.approx(answer["horizons"][0]["best"], rel=1e-5)
    if question[0] == "schedule":
        assert main(shlex.split(line)[1:]) == 0
        assert np.array_equal(collect("runs").table[["steps", "peak_lr"]].to_numpy(), [[40, 3e-4]])
