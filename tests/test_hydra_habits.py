"""Habit by habit, what people do with Hydra works as its pages say, or one sentence says what to do instead."""

import logging
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from jaxlaws.cli import main
from jaxlaws.config import RunConfig, batch_sequences, steps

GLOBAL = "# @package _global_\n"
SHAPE = {"width": 48, "depth": 3, "heads": 3, "mlp_width": 128, "vocab": "${data.vocab}"}
#: A user's directory: file → content, with `conf` for --config-dir and `more` for hydra.searchpath.
OWN: dict[str, Any] = {
    "conf/model/mine.yaml": SHAPE,
    "conf/model/25k.yaml": SHAPE,
    "conf/eval/often.yaml": {"every": 5},
    "conf/experiment/first.yaml": {
        "defaults": [{"override /model": "mine"}, {"override /schedule": "wsd"}],
        "steps": 50,
    },
    "conf/experiment/swept.yaml": {
        "steps": 60,
        "hydra": {"mode": "MULTIRUN", "sweeper": {"params": {"optimizer.peak_lr": "1e-3,2e-3", "seed": "range(2)"}}},
    },
    "conf/experiment/placed.yaml": {"hydra": {"run": {"dir": "one/${now:%Y}"}, "sweep": {"dir": "many/x"}}},
    "conf/experiment/typo.yaml": {"optimizer": {"lr": 1e-3}},
    "conf/experiment/both.yaml": {"steps": 50, "tokens": "1M"},
    "conf/experiment/unread.yaml": {"schedule": {"cooldown": 0.5}},
    "conf/experiment/unread_swept.yaml": {
        "optimizer": {"name": "sgd"},
        "hydra": {"mode": "MULTIRUN", "sweeper": {"params": {"optimizer.beta1": "0.9"}}},
    },
    "conf/experiment/typo_swept.yaml": {"hydra": {"mode": "MULTIRUN", "sweeper": {"params": {"lr": "1,2"}}}},
    "conf/experiment/runs_code.yaml": {"hydra": {"launcher": {"_target_": "os.system"}}},
    "conf/experiment/calls_back.yaml": {"hydra": {"callbacks": {"a": {"_target_": "os.mkdir", "path": "made"}}}},
    "conf/experiment/logs.yaml": {"hydra": {"job_logging": {"handlers": {"a": {"class": "made.Up"}}}}},
    "conf/experiment/streams.yaml": {"hydra": {"job_logging": {"handlers": {"a": {"stream": "ext://made.up"}}}}},
    "conf/experiment/environment.yaml": {"hydra": {"job": {"env_set": {"LD_PRELOAD": "made.so"}}}},
    "conf/lab/block.yaml": {"tokens": "1M"},
    "conf/sweep/own.yaml": {"hydra": {"mode": "MULTIRUN", "sweeper": {"cells": [{"steps": 20}, {"tokens": "100k"}]}}},
    "conf/mine.yaml": {"defaults": ["train", {"override model": "mine"}, "_self_"], "steps": 30},
    "conf/further.yaml": {"defaults": ["train", "_self_"], "hydra": {"searchpath": ["file://more"]}},
    "conf/imports.yaml": {"defaults": ["train", "_self_"], "hydra": {"searchpath": ["pkg://made_up"]}},
    "conf/loose.yaml": {"steps": 30},
    "more/data/small.yaml": {"source": "language", "vocab": 32, "seq_len": 32},
    "my recipe (1).yaml": {"hydra": {"mode": "MULTIRUN", "sweeper": {"params": {"seed": "1,2,3"}}}, "steps": 20},
    "a(1).txt": "some text",
    "ü.txt": "some text",
}


class Launched(NamedTuple):
    """What a command would train, and where."""

    runs: list[RunConfig]
    out: str

    def __getattr__(self, key: str) -> Any:
        """The values of a dotted key, one where all runs have the same."""
        values = []
        for run in self.runs:
            value: Any = run
            for name in key.split("__"):
                value = getattr(value, name)
            if value not in values:
                values.append(value)
        return values if len(values) > 1 else values[0]

    @property
    def count(self) -> int:
        return len(self.runs)

    @property
    def length(self) -> list[int]:
        return sorted({steps(run) for run in self.runs})

    @property
    def batch(self) -> list[int]:
        return sorted({batch_sequences(run) for run in self.runs})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for name, content in OWN.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        head = GLOBAL if path.parent.name in ("experiment", "sweep") or path.parent == folder else ""
        path.write_text(content if isinstance(content, str) else head + yaml.safe_dump(content, sort_keys=False))
    return folder


@pytest.fixture
def launched(folder, monkeypatch):
    """Where commands are recorded in place of being trained, with the user's directory as working directory."""
    calls: list[Launched] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        "jaxlaws.cli.train.launch", lambda runs, out, *_: calls.append(Launched(list(runs), str(out))) or 0
    )
    files, logs = sorted(folder.rglob("*")), (list(logging.root.handlers), logging.root.level)
    yield calls
    assert (logging.root.handlers, logging.root.level) == logs
    assert sorted(folder.rglob("*")) == files, "nothing is written before there is a run to train"


LR = [1e-3, 2e-3]
#: Arguments → what they train.
WORKS: dict[str, dict[str, Any]] = {
    # the length and the batch in other words than the defaults
    "model=6k steps=100 batch_tokens=512": {"length": [100], "batch": [4], "out": "runs"},
    "batch_tokens=512 tokens=51200": {"length": [100], "batch": [4]},
    "++steps=100": {"length": [100]},
    "+steps=100": {"length": [100]},
    "tokens=null steps=100": {"length": [100]},
    "steps=null": {"length": [488], "batch": [8]},
    "-m steps=100,200": {"length": [100, 200], "batch": [8], "out": "sweeps/steps"},
    "-m steps=10,20 batch_tokens=512,1024 'sweep.zip=[steps,batch_tokens]'": {"length": [10, 20], "batch": [4, 8]},
    "sweep=lr_batch steps=50 batch_tokens=512": {"length": [50], "batch": [4], "count": 12},
    "sweep=mup_transfer steps=20": {"length": [20], "batch": [4], "count": 40},
    "schedule=power schedule.a=4.6 schedule.b=-0.51 batch_tokens=512": {"schedule__batch_sequences": 4},
    # configs of the user's own
    "--config-dir conf model=mine": {"model__depth": 3, "model__vocab": 256, "out": "runs"},
    "-cd conf -m model=mine,6k": {"model__depth": [3, 2], "out": "sweeps/model"},
    "--config-dir conf +experiment=first": {"model__depth": 3, "schedule__cooldown": 0.2, "length": [50]},
    "--config-dir conf experiment=first": {"model__depth": 3, "length": [50]},
    "--config-dir conf +experiment=first tokens=1M": {"length": [977]},
    "--config-dir conf model=mine +experiment=swept": {
        "optimizer__peak_lr": LR,
        "count": 4,
        "out": "sweeps/peak_lr-seed",
    },
    "--config-dir conf model=mine -m +experiment=swept seed=7": {"optimizer__peak_lr": LR, "seed": 7, "count": 2},
    "--config-dir conf model=mine +eval=often": {"eval__every": 5},
    "--config-dir conf model=mine +lab@_global_=block": {"length": [977]},
    "--config-dir conf -cn mine": {"model__depth": 3, "length": [30]},
    "--config-dir=conf --config-name=mine.yaml model=6k": {"model__depth": 2, "length": [30]},
    "--config-dir conf -cn further model=mine data=small": {"data__vocab": 32, "model__vocab": 32},
    "hydra.searchpath=[more,file://conf] data=small model=mine": {"data__vocab": 32, "model__depth": 3},
    "model=conf/model/mine.yaml": {"model__depth": 3},
    "-m model=conf/model/mine.yaml,6k": {"model__depth": [3, 2]},
    "+experiment=conf/experiment/placed.yaml": {"out": "one/YEAR"},
    # recipes
    "sweep=lr_batch --multirun": {"count": 108, "out": "sweeps/lr_batch"},
    "-m +sweep=lr_batch model=6k": {"count": 36},
    "--config-dir conf model=mine sweep=own": {"length": [20, 98], "out": "sweeps/own"},
    "sweep=./conf/sweep/own.yaml": {"length": [20, 98], "out": "sweeps/own"},
    "+sweep=conf/sweep/own.yaml steps=7": {"length": [7], "out": "sweeps/own"},
    "'sweep=my recipe (1).yaml'": {"seed": [1, 2, 3], "out": "sweeps/my recipe (1)"},
    # Hydra's own settings
    "hydra.run.dir=here": {"out": "here"},
    "'hydra.run.dir=here/${now:%Y}/${optimizer.name}' optimizer=muon": {"out": "here/YEAR/muon"},
    "-m seed=0,1 hydra.sweep.dir=there": {"out": "there", "seed": [0, 1]},
    "--config-dir conf model=mine +experiment=placed": {"out": "one/YEAR"},
    "--config-dir conf model=mine -m +experiment=placed seed=0,1": {"out": "many/x"},
    "--config-dir conf model=mine +experiment=placed hydra.run.dir=mine": {"out": "mine"},
    "hydra.mode=MULTIRUN seed=0,1": {"seed": [0, 1], "out": "sweeps/seed"},
    "-m +hydra.sweeper.params.seed='\"0,1\"'": {"seed": [0, 1], "out": "sweeps/seed"},
    "-m -m hydra.sweeper.params.seed=0,1": {"seed": [0, 1]},
    "-m 'hydra.sweeper.params={seed: \"0,1\"}'": {"seed": [0, 1]},
    "hydra.job.name=abc 'hydra.run.dir=${hydra.job.name}'": {"out": "abc"},
    "hydra.verbose=true hydra/job_logging=stdout hydra/hydra_logging=disabled": {"count": 1},
    "hydra/launcher=lanes_submitit hydra.launcher.shards=2 -m seed=0,1": {"seed": [0, 1]},
    "--run seed=3": {"seed": 3},
    # the grammar of values
    "-m model=glob(1*k)": {"model__width": [64, 24]},
    "-m 'model=glob([2*,5*],exclude=*m)'": {"count": 3},
    "-m 'seed=choice(1,2)'": {"seed": [1, 2]},
    "-m 'seed=range(3)'": {"seed": [0, 1, 2]},
    "-m 'seed=sort(3,1,2,reverse=true)'": {"seed": [3, 2, 1]},
    "-m 'seed=shuffle(range(3))'": {"count": 3},
    "-m 'optimizer.peak_lr=interval(1e-3,1e-2)' sweep.samples=4": {"count": 4},
    "'schedule.milestones=[.5,.7]' schedule=step": {"schedule__milestones": [0.5, 0.7]},
    "'eval={points: 3}'": {"eval__points": 3, "eval__sequences": 256},
    "out=ü": {"out": "ü"},
    "'out=my runs'": {"out": "my runs"},
    "\"out='a,b'\"": {"out": "a,b"},
    "-m seed=0,1 \"sweep.name='a,b'\"": {"out": "sweeps/a,b"},
    "data=text 'data.path=a(1).txt'": {"data__path": "a(1).txt"},
    "data=text data.path=ü.txt": {"data__path": "ü.txt"},
}
#: Arguments → words of the sentence.
REFUSED = {
    "steps=100 tokens=1M": "exactly one of steps and tokens, but steps is 100 and tokens is 1M",
    "batch_tokens=512 batch_sequences=4": "exactly one of batch_sequences and batch_tokens",
    "--config-dir conf model=mine +experiment=both": "exactly one of steps and tokens",
    "--config-dir conf": "conf/model/25k.yaml is hidden by jaxlaws's own model/25k.yaml: give it another name",
    "--config-dir conf model=mine +experiment=typo": "key 'optimizer.lr' in experiment/typo.yaml: did you mean",
    "--config-dir conf model=mine +experiment=typo_swept": "unknown config key 'lr': did you mean 'optimizer.peak_lr'",
    "--config-dir conf model=mine +experiment=unread": "schedule.cooldown is 0.5 without effect",
    "--config-dir conf model=mine +experiment=unread_swept": "optimizer.beta1 is 0.9 without effect",
    "--config-dir conf model=mine +experiment=frist": "unknown choice of experiment 'frist': did you mean 'first'",
    "--config-dir conf model=mine +lab=block": "lab/block.yaml sets a block lab, which no run has: begin it with",
    "+experiment=first": "unknown config key 'experiment'",
    "--config-dir conf -cn loose": "its defaults begin with '- train'",
    "--config-dir conf -cn mien": "unknown config 'mien': did you mean 'mine'",
    "-cn mine": "--config-dir DIR adds yours",
    "--config-dir nowhere": "expected a directory of configs",
    "--config-dir": "--config-dir is ''",
    "sweep=./nowhere.yaml": "./nowhere.yaml does not exist",
    "sweep=a(1).txt": "is not an override",
    "-m model=glob(x*)": "cannot be swept over",
    "hydra.searchpath=[file://nowhere]": "hydra.searchpath has 'file://nowhere', expected file://DIR",
    "hydra.searchpath=more": "expected 'hydra.searchpath=[file://DIR]'",
    "hydra.sweep.dir=x": "hydra.sweep.dir is of a sweep, and this is a single run: give out=DIR",
    "-m seed=0,1 hydra.run.dir=x": "hydra.run.dir is of a single run, and this is a sweep: give out=DIR",
    "out=x hydra.run.dir=y": "out and hydra.run.dir name different directories",
    "-m seed=0,1 out=x sweep.name=y": "leave one out",
    "-m seed=0,1 'hydra.sweep.subdir=${hydra.job.num}'": "every run has a directory of its own in out=DIR",
    "hydra.output_subdir=.hydra": "every run keeps its config.yaml",
    "hydra.job.chdir=true": "no run changes the working directory",
    "hydra.nope=3": "unknown key of Hydra 'hydra.nope'",
    "+hydra.nope=3": "Hydra has no such setting",
    "'hydra.run.dir=x/${hydra.job.override_dirname}'": "another for every run: every run has a directory of its own",
    "'hydra.hydra_logging={version: 1, root: {handlers: [nope]}}'": "Hydra cannot use its hydra block",
    "-m sweep=lr_batch,ladder": "sweep is not the same for all runs of the sweep",
    "hydra/launcher=basic": "valid: lanes, lanes_submitit, slurm",
    "hydra/sweeper=basic": "valid: jaxlaws",
    "hydra/job_logging=default": "hydra/job_logging=stdout prints the log",
    "~schedule": "takes a key away",
    "~hydra.sweeper.params": "takes a key away",
    "seed=0,1": "add -m",
    "-m --cfg job": "--cfg cannot go together with -m",
    "--resolve": "add --cfg job",
    "--package optimizer": "add --cfg job",
    "--config-path conf": "--config-dir DIR is searched beside",
    "--experimental-rerun x": "the same command again trains what is missing",
    "--shell-completion install=bash": "jaxlaws completion bash",
    "--steps=3": "did you mean 'steps=…'",
    "--learning-rate 1e-3": "did you mean 'optimizer.peak_lr=…'",
    "out=a,b": "out has several values",
    "data=text data.path=ü,b": "quoted for Hydra, and that once more for the shell",
    # settings that nothing reads, wherever they come from
    "sweep=schedules schedule.phi=2": "schedule.phi is 2.0 without effect",
    "-m schedule=cosine,wsd schedule.cooldown=.1,.2": "schedule=cosine does not read it",
    "optimizer=sgd optimizer.beta1=.8": "optimizer=sgd does not read it",
    # code
    "--config-dir conf model=mine +experiment=runs_code": "hydra.launcher is 'os.system', which is not run here",
    "--config-dir conf model=mine +experiment=calls_back": "'os.mkdir', which is not run here: no config names code",
    "--config-dir conf model=mine +experiment=logs": "'made.Up', which is not run here",
    "--config-dir conf model=mine +experiment=streams": "'ext://made.up', which is not run here",
    "--config-dir conf model=mine +experiment=environment": "put them before the command",
    "--config-dir conf -cn imports": "'pkg://made_up', expected file://DIR",
    "hydra.launcher._target_=os.system -m seed=0,1": "'os.system', which is not run here",
    "+hydra.callbacks.a._target_=os.mkdir": "which is not run here",
}
#: Arguments → what is printed.
PRINTS = {
    "--cfg job optimizer.peak_lr=1": "peak_lr: 1.0",
    "--cfg job --resolve": "vocab: 256",
    "--cfg hydra": "JaxlawsSweeper",
    "--cfg all": "hydra:",
    "--cfg job --package optimizer": "# @package optimizer",
    "--config-dir conf --cfg job -cn mine": "depth: 3",
    "--info": "Config search path",
    "--info searchpath --config-dir conf model=mine": "own0/conf",
    "-i defaults": "schema",
    "--help": "jaxlaws train is powered by Hydra",
    "--hydra-help": "--config-dir",
    "--version": "jaxlaws 0.",
}


@pytest.mark.parametrize(("arguments", "expected"), WORKS.items())
def test_a_habit_that_works(launched, capsys, arguments: str, expected: dict[str, Any]):
    assert main(["train", *shlex.split(arguments)]) == 0, capsys.readouterr().err
    (found,) = launched
    year = time.strftime("%Y")
    values = {key: getattr(found, key) for key in expected}
    assert values == {key: text.replace("YEAR", year) if key == "out" else text for key, text in expected.items()}


@pytest.mark.parametrize(("arguments", "says"), REFUSED.items())
def test_a_habit_that_is_answered_by_a_sentence(launched, capsys, arguments: str, says: str):
    assert main(["train", *shlex.split(arguments)]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert (printed.out, launched) == ("", [])


@pytest.mark.parametrize(("arguments", "says"), PRINTS.items())
def test_a_habit_that_prints(launched, capsys, arguments: str, says: str):
    assert main(["train", *shlex.split(arguments)]) == 0
    assert says in capsys.readouterr().out
    assert launched == []


def test_what_is_asked_means_the_same_in_another_process(launched, folder, monkeypatch):
    """The words that sweep.yaml keeps and that the jobs of a cluster are started with."""
    words: list[str] = []
    monkeypatch.setattr("jaxlaws.cli.train.launch", lambda *given: words.extend(given[4]) or 0)
    assert main(["train", "sweep=./conf/sweep/own.yaml", "batch_tokens=512"]) == 0
    assert words == [
        f"+sweep={folder}/conf/sweep/own.yaml",
        "batch_tokens=512",
        "batch_sequences=null",
        "out='sweeps/own'",
    ]
    assert Path(words[0].partition("=")[2]).is_file()
    again = list(words)
    words.clear()
    assert main(["train", *again]) == 0
    assert words == again
