"""`jaxlaws recommend --for …`: each text runs as it is pasted, and what it makes is the run that is advised."""

import json
import math
import shlex
import sys
import types
from dataclasses import replace
from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from test_paste import specs
from test_recommender_override import fitted

from jaxlaws.cli import main
from jaxlaws.cli.composed import composed
from jaxlaws.cli.paste import TARGETS
from jaxlaws.config import RunConfig, batch_sequences, steps
from jaxlaws.data.config import DataConfig
from jaxlaws.errors import BadInput
from jaxlaws.hyper import READS, OptimizerConfig
from jaxlaws.report.snippets import OPTAX, SNIPPETS, TORCH, optax, torch
from jaxlaws.schedules.closed_form import FORMS, TOLERANCE, closed_form, knots
from jaxlaws.schedules.config import FAMILIES, ScheduleConfig
from jaxlaws.schedules.shapes import SHAPES
from jaxlaws.schedules.spec import parse, schedule_array

ASKED = ["recommend", "--params", "55k", "--tokens", "20M"]


class LambdaLR:
    """What torch's does: the LR of step t is the optimiser's first one times the function of t."""

    def __init__(self, optimizer, function):
        self.optimizer, self.function, self.count = optimizer, function, 0
        self.base = optimizer.settings["lr"]
        self._set()

    def step(self):
        self.count += 1
        self._set()

    def _set(self):
        self.lr = self.base * self.function(self.count)


class Optimizer:
    """Keeps what it is given."""

    def __init__(self, parameters, **settings):
        self.parameters, self.settings = list(parameters), settings


@pytest.fixture
def torch_module(monkeypatch):
    """torch itself where it is installed, or as much of it as a pasted text touches."""
    fake = types.ModuleType("torch")
    fake.optim = types.SimpleNamespace(AdamW=Optimizer, Adam=Optimizer, SGD=Optimizer)
    fake.optim.lr_scheduler = types.SimpleNamespace(LambdaLR=LambdaLR)
    fake.nn = types.SimpleNamespace(Linear=lambda *shape: types.SimpleNamespace(parameters=lambda: iter([0])))
    monkeypatch.setitem(sys.modules, "torch", fake)


def run_of(spec, count=200, optimizer="adamw"):
    data = DataConfig(seq_len=64)
    fields = parse(spec) if isinstance(spec, str) else spec
    if fields["name"] == "power":
        fields |= {"batch_sequences": 4, "seq_len": 64}
    return RunConfig(
        schedule=ScheduleConfig(**fields),
        data=data,
        optimizer=OptimizerConfig(name=optimizer, peak_lr=0.0125),
        steps=count,
        batch_sequences=4,
    )


def executed(text):
    made = {}
    exec(compile(text, "pasted", "exec"), made)
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pasted_program_has_the_lr_of_every_step(family, tmp_path, torch_module):
    run = run_of(specs(tmp_path)[family], 8 if family == "table" else 200)
    lr = schedule_array(run.schedule, steps(run), run.optimizer.peak_lr)
    near = 0.0125 * (2e-7 if FAMILIES[family].warmup else TOLERANCE)

    made = executed(optax(run, "a title\nof two lines"))
    np.testing.assert_allclose([made["schedule"](t) for t in range(len(lr))], lr, atol=near)
    assert made["schedule"](jnp.int32(10**6)) == pytest.approx(lr[-1], abs=near), "it holds the last LR"
    weights = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    state = made["optimizer"].init(weights)
    made["optimizer"].update(
        {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}, state, {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    )

    pasted = executed(torch(run, "a title"))
    measured = []
    for _ in lr:
        measured.append(pasted["scheduler"].lr)
        pasted["scheduler"].step()
    np.testing.assert_allclose(measured, lr, atol=min(near, 0.0125 * TOLERANCE), rtol=1e-12)
    assert pasted["optimizer"].settings == {"lr": 0.0125, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_form_of_a_schedule_is_the_array_it_stands_for(shape):
    assert set(FORMS) | {"exponential"} == set(SHAPES)
    warmups = [(0, "linear"), (1, "linear"), (13, "cosine"), (100, "sqrt")]
    decays = [name for name, family in FAMILIES.items() if "shape" in family.fields]
    families = decays if shape != "rex" else [name for name, family in FAMILIES.items() if family.warmup]
    for name, (warmup, rise), floor, count in product(families, warmups, (0.02, 0.3), (100, 333)):
        given = {"shape": shape, "cooldown": 0.3, "floor": floor, "cycles": 3, "growth": 1.5, "phi": 0.7}
        given |= {"a": 4.6, "b": -0.51, "batch_sequences": 8, "seq_len": 64}
        read = {key: value for key, value in given.items() if key in FAMILIES[name].fields}
        config = ScheduleConfig(name, warmup_steps=warmup, warmup_shape=rise, **read)
        if warmup == count and "cycles" in read:
            continue
        ours, done = [], 0
        for last, text in closed_form(config, count, 0.03):
            k = np.arange(done + 1, last + 1)
            ours.append(np.zeros(len(k)) + eval(text, {"sqrt": np.sqrt, "cos": np.cos, "pi": np.pi, "k": k}))
            done = last
        lr = schedule_array(config, count, 0.03)
        np.testing.assert_allclose(0.03 * np.concatenate(ours), lr, atol=1e-14, err_msg=str(config))


@pytest.mark.parametrize("lr", [np.ones(1), np.array([1.0, 2.0]), np.linspace(1, 0, 500), np.geomspace(1, 1e-3, 3000)])
def test_knots_are_few_and_near(lr):
    at, share = knots(lr)
    assert np.abs(np.interp(np.arange(len(lr)) + 1, at, share) - lr / lr.max()).max() <= TOLERANCE
    assert len(at) <= max(2, len(lr) / 10)


@pytest.mark.parametrize("name", READS)
def test_an_optimiser_is_made_or_refused(name, torch_module):
    run = run_of("cosine", optimizer=name)
    for make, known in ((torch, TORCH), (optax, OPTAX)):
        if name in known:
            assert "optimizer" in executed(make(run, "title"))
        else:
            with pytest.raises(BadInput, match=f"this run has {name}: --for yaml"):
                make(run, "title")
    assert "CLIP" not in torch(replace(run, optimizer=OptimizerConfig(clip=math.inf)), "title")


def command(tmp_path, monkeypatch, capsys, spec, *more):
    """(what --for prints, what is advised with the same flags, as JSON) of a fitted law."""
    monkeypatch.chdir(tmp_path)
    fitted(spec, optimizer="lion" if "linear" in spec else "adamw", clip=0.5).save(tmp_path / "law.json")
    assert main([*ASKED, "--law", "law.json", *more]) == 0
    text = capsys.readouterr().out
    assert main([*ASKED, "--law", "law.json", "--json"]) == 0
    return text, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "spec", ["wsd(cooldown=0.2, floor_lr=1e-05)", "step(milestones=[0.5, 0.9], values=[0.3, 0.1])", "linear"]
)
def test_a_recipe_composes_into_the_run_of_the_command(spec, tmp_path, monkeypatch, capsys):
    text, answer = command(tmp_path, monkeypatch, capsys, spec, "--for", "yaml")
    (tmp_path / "advice.yaml").write_text(text)
    assert composed(["sweep=./advice.yaml"]) == composed(shlex.split(answer["override"]))
    assert main(["train", "sweep=./advice.yaml", "--dry-run"]) == 0
    assert "1 to train in 1 programs" in " ".join(capsys.readouterr().out.split())


def test_a_wandb_sweep_trains_the_advice_and_its_neighbours(tmp_path, monkeypatch, capsys):
    text, answer = command(tmp_path, monkeypatch, capsys, "cosine(floor_lr=1e-05)", "--for", "wandb")
    sweep = yaml.safe_load(text)
    assert set(sweep) == {"program", "method", "metric", "parameters", "command"}
    assert (sweep["method"], sweep["metric"]) == ("grid", {"name": "val_loss", "goal": "minimize"})
    values = sweep["parameters"]["optimizer.peak_lr"]["values"]
    np.testing.assert_allclose(values, answer["peak_lr"]["value"] * np.array([0.5, 1, 2]), rtol=1e-5)
    fixed = [part for part in sweep["command"] if "=" in part and not part.startswith("engine.")]
    run = composed([*fixed, f"optimizer.peak_lr={values[1]}"])
    assert (steps(run), batch_sequences(run)) == (answer["steps"], round(answer["batch_sequences"]["value"]))
    assert sweep["command"][0] == "${env}"
    assert sweep["command"][-1] == "${args_no_hyphens}"


def test_flags_and_files(tmp_path, monkeypatch, capsys):
    assert set(TARGETS) == set(SNIPPETS)
    monkeypatch.chdir(tmp_path)
    fitted().save(tmp_path / "law.json")
    asked = [*ASKED, "--law", "law.json"]
    assert main([*asked, "--for", "optax", "-o", "lr.py"]) == 0
    assert capsys.readouterr().out == ""
    assert "optimizer" in executed((tmp_path / "lr.py").read_text())
    for bad, why in (
        (["-o", "x.py"], "give --for"),
        (["--for", "keras"], "torch"),
        (["--for", "torch", "--json"], "leave one out"),
        (["--for", "torch", "--schedule", "table(file=gone.csv)"], "no file here"),
    ):
        assert main([*asked, *bad]) == 2, bad
        assert why in capsys.readouterr().err
    assert main([*asked[:5], "--law", "power_lines", "--for", "torch"]) == 2
    assert "no peak LR" in capsys.readouterr().err
    fitted("wsd", optimizer="muon\n$(id)").save(tmp_path / "law.json")
    assert main([*asked, "--for", "torch"]) == 0
    assert "$(id)" not in capsys.readouterr().out
