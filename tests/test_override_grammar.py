"""Whatever stands behind `jaxlaws train`, it is a config that runs, or one sentence with exit code 2 and no file."""

import os
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from override_texts import overrides

from jaxlaws.cli import main, train
from jaxlaws.compose import composed
from jaxlaws.config import EngineConfig, RunConfig, SweepConfig, TrainConfig, check_settings, identity, run_config
from jaxlaws.errors import BadInput
from jaxlaws.hyper import OptimizerConfig
from jaxlaws.overrides import resolved
from jaxlaws.records.run import run_id
from jaxlaws.request import checked
from jaxlaws.schedules.config import ScheduleConfig
from jaxlaws.sweep.size import check_memory
from jaxlaws.unread import refuse_unread

#: Arguments → words of the sentence.
REFUSED = {
    # ranges and counts are sized before they are served
    "seed=range(1,1000000)": "999,999 runs, expected at most 10,000: sweep.max_runs=N",
    "-m seed=range(0,1,0)": "endlessly many",
    "-m seed=shuffle(range(1,1e9))": "999,999,999 runs",
    "-m optimizer.peak_lr=logspace(1e-3,1e-2,1000000000)": "1,000,000,000 runs",
    "-m seed=range(0,200) data_seed=range(0,200)": "40,000 runs",
    "-m sweep.replicates=1000000000": "1,000,000,000 runs",
    "-m optimizer.peak_lr=interval(1e-3,1e-2) sweep.samples=1000000000": "1,000,000,000 runs",
    "-m seed=1,2 sweep.max_runs=1": "2 runs, expected at most 1",
    # values that are none
    "tokens=${nope}": "'nope' not found",
    "tokens=${tokens}": "Recursive interpolation",
    "tokens=${oc.env:NOPE}": "'NOPE' not found",
    "steps=???": "Missing mandatory value: steps",
    "-m seed=1,???": "Missing mandatory value: seed",
    "tokens=": "tokens is ''",
    "seed=": "'seed=' does not fit the config",
    "out=": "out is empty",
    "model=": "unknown choice of model ''",
    "tokens=[": "'tokens=[' is not an override",
    "tokens={a": "is not an override",
    "tokens=[1,2]": "expected a number",
    "tokens=true": "expected a number",
    "tokens=1e300": "tokens is not a finite number",
    "tokens=null steps=1e18": "could not be converted to Integer",
    "tokens=null steps=100000000000": "at most 10,000,000",
    "tokens=null steps=-3": "-3 steps",
    "batch_sequences=0": "0 sequences",
    "data.seq_len=0": "data.seq_len is 0",
    "eval.points=1000000000 tokens=5B": "more than 100000 in a run",
    "optimizer.peak_lr=nan": "optimizer.peak_lr is nan",
    "optimizer.eps=inf": "expected a finite number",
    "data.seed=-1": "data.seed is -1",
    "schedule.warmup_steps=0.05": "could not be converted to Integer",
    "model.width=1e9": "could not be converted to Integer",
    "-m seed=1,abc": "'seed=abc' does not fit",
    # keys and flags
    "~model": "takes a key away",
    "+seed=3": "An item is already at 'seed'",
    "++foo=1": "unknown config key 'foo'",
    "model@foo=25k": "is not an override",
    "schedule/wsd=3": "unknown config key 'schedule/wsd'",
    "model=glob(*)": "model has several values, which makes a sweep: add -m",
    "-m seed=glob(*)": "cannot be swept over",
    "--opt=--": "unknown option of train '--opt'",
    "--cfg=nope": "--cfg is 'nope', expected job",
    "hydra/launcher=nope": "valid: lanes, lanes_submitit, slurm",
    "🙂=3": "is not an override",
    "out=f": "'f' is not a directory",
    "out=f/x": "'f' is not a directory",
    "data=text data.path=fifo": "no text found in fifo",
    "data=text data.path=absent": "does not exist",
    "data=shards data.path=fifo": "is no folder",
    # settings without effect
    "schedule=cosine schedule.cooldown=.5": "schedule=cosine does not read it (it reads floor, floor_lr, ",
    "-m schedule=cosine schedule.cooldown=.1,.2,.4": "schedule.cooldown is 0.1 without effect",
    "-m schedule=cosine,wsd schedule.cooldown=.1,.2": "schedule=cosine does not read it",
    "optimizer=sgd optimizer.beta1=.8": "optimizer=sgd does not read it",
    "optimizer=sgd optimizer.beta1=.9": "optimizer=sgd does not read it",
    "data.path=f": "data=stdlib does not read it",
    "model.base_width=64": "parameterisation=standard does not read it",
    "schedule.warmup_steps=3 schedule.warmup_fraction=.1": "schedule.warmup_steps is given, which wins",
    "eval.every=5 eval.points=3": "eval.every is given",
    "sweep=schedules schedule.phi=2": "schedule.phi is 2.0 without effect",
    "-m seed=1,2 sweep.samples=5": "no key has an interval",
    "sweep.name=x": "this is a single run",
    "-m seed=1,2 sweep.name=x out=y": "leave one out",
    # of the engine and of the sweep as a whole, before anything is claimed
    "engine.remat=nope": "unknown engine.remat 'nope': did you mean 'none'",
    "engine.accumulate=3": "make batch_sequences a multiple of 3",
    "engine.attention=cudnn": "needs a GPU",
    "engine.fsdp=64": "there are",
    "engine.keep=0": "engine.keep is 0",
    "-m engine.remat=none,full": "engine is not the same for all runs",
    "-m out=a,b": "out is not the same for all runs",
    "sweep.strategy=vmpa": "did you mean 'vmap'",
    "sweep.branch=maybe": "unknown sweep.branch",
    "engine.fsdp=1 engine.tensor=2 sweep.strategy=map": "engine.tensor spreads a run",
    # what cannot fit
    "model.width=1000000000": "of memory at least, and the devices have",
    "model.depth=10000000000": "of memory at least",
    "batch_sequences=1000000000000 tokens=1e18": "of memory at least",
    "data=language eval.sequences=100000000000": "of memory at least",
}
LONG = {
    "digits": ["seed=" + "9" * 5000],
    "a long name": ["out=" + "a" * 256],
    "a long name of a sweep": ["-m", "seed=1,2", "sweep.name=" + "a" * 256],
    "a long path": ["data=text", "data.path=" + "a" * 5000],
    "depth": ["tokens=" + "[" * 500 + "]" * 500],
    "length": ["tokens=" + "x" * 30_000],
    "nul": ["data=text", "data.path=a\0b"],
    "half a character": ["out=\udc80"],
    "an escape": ["\x1b[31m=3"],
    "a line": ["seed=3\n4"],
}


def sentence(capsys, arguments: list[str]) -> str:
    assert main(["train", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 600
    return printed.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "fifo"]


@pytest.mark.parametrize(("arguments", "says"), REFUSED.items())
def test_what_cannot_run_is_one_sentence_and_no_file(folder, capsys, arguments: str, says: str):
    told = sentence(capsys, [*arguments.split(), "--dry-run"])
    assert says in told
    if "engine" in arguments or "strategy" in arguments:
        assert sentence(capsys, arguments.split()) == told


@pytest.mark.parametrize("arguments", LONG.values(), ids=LONG)
def test_what_no_config_can_hold_is_one_short_sentence(folder, capsys, arguments: list[str]):
    sentence(capsys, [*arguments, "--dry-run"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(overrides(), min_size=1, max_size=3))
def test_any_overrides_are_a_config_or_bad_input(texts: list[str]):
    said, parsed = "", []
    try:
        parsed = checked(train._split(texts)[1]).parsed
    except BadInput as error:
        said = str(error)
    assert parsed or 0 < len(said) < 2000 or all(text.startswith("-") for text in texts)


def test_what_a_field_is_by_default_and_null_are_no_settings():
    for optimizer in ("sgd", "adam", "lion"):
        refuse_unread([RunConfig(optimizer=OptimizerConfig(name=optimizer))])
    refuse_unread([RunConfig(), RunConfig(schedule=ScheduleConfig(name="wsd", cooldown=0.2))], {"schedule.cooldown"})
    refuse_unread([RunConfig()], {"schedule.cooldown"})
    with pytest.raises(BadInput, match=r"beta1 is 0.9 without effect"):
        refuse_unread([RunConfig(optimizer=OptimizerConfig(name="sgd"))], {"optimizer.beta1"})


def test_a_setting_of_the_engine_is_checked_by_itself():
    check_settings(SweepConfig(), EngineConfig())
    for settings_, says in ((EngineConfig(checkpoint_steps=0), "at least 1"), (EngineConfig(data=-2), "number of dev")):
        with pytest.raises(BadInput, match=says):
            check_settings(SweepConfig(), settings_)


def test_the_lr_of_every_step_has_to_fit_too():
    runs = [RunConfig(steps=10_000_000, batch_sequences=1)] * 100
    with pytest.raises(BadInput, match=r"100 runs needs 8GB of memory, and the machine has 12GB"):
        check_memory(runs, 1e12, 12e9)


def test_the_ids_of_runs_stay_what_they_were():
    """Ids as the version before these checks gave them: `run_id(identity(run, "corpus"))` of `compose` of each."""
    known = {
        (): "8cb46f3b3e",
        ("schedule=wsd", "optimizer=sgd"): "df4a2e4870",
        ("data=language", "model.parameterisation=mup", "model.base_width=16", "eval.every=7"): "d377571054",
    }
    for texts, expected in known.items():
        config = resolved(OmegaConf.masked_copy(composed(texts), list(asdict(TrainConfig()))))
        assert run_id(identity(run_config(config), "corpus")) == expected, asdict(run_config(config))
