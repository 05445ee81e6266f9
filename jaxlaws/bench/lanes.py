"""Sweeps of small runs: whole commands, from the shell to the last result, against Hydra's launchers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from jaxlaws.bench import Row, median_seconds
from jaxlaws.config import EngineConfig, RunConfig
from jaxlaws.data.config import DataConfig
from jaxlaws.model.shape import ModelConfig
from jaxlaws.records.run import RunDir
from jaxlaws.records.units import short
from jaxlaws.sweep.plan import Planned

_LRS = (1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 8e-3, 1.2e-2)
_COMMON = (
    "data=language",
    "data.vocab=64",
    "data.seq_len=64",
    "tokens=null",
    "eval.points=1",
    "eval.sequences=64",
    "steps=100",
    "batch_sequences=8",
)
_MODELS = {
    "55k": ModelConfig(width=48, depth=2, heads=3, mlp_width=128),
    "1m": ModelConfig(width=128, depth=5, heads=8, mlp_width=352),
    "10m": ModelConfig(width=384, depth=6, heads=6, mlp_width=960),
}
#: Largest number of repeats of a measurement that takes minutes.
_MOST_REPEATS = 3


def rows(repeats: int = 5) -> list[Row]:
    """Seconds of a sweep of 16 jobs in two shapes beside Hydra's basic and joblib launchers, and of 200 tiny runs.

    Every repeat starts with empty compile caches, on both sides. On an accelerator also `packs`.
    """
    repeats = min(repeats, _MOST_REPEATS)
    lrs = ",".join(map(str, _LRS))
    ours, runs = median_seconds(lambda: _ours("model=6k,25k", f"optimizer.peak_lr={lrs}"), repeats)
    table = []
    for launcher in ("basic", "joblib"):
        if launcher == "joblib" and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
            continue
        theirs, count = median_seconds(partial(_plain, launcher, "model=6k,25k", f"peak_lr={lrs}"), repeats)
        rival = f"a plain script under Hydra's {launcher} launcher"
        note = f"16 jobs, 2 shapes, 100 steps; results: ours {runs}, theirs {count}; {_cores()} cores"
        table.append(Row(f"a sweep of 16 jobs, beside {launcher}", ours, theirs, rival, note))
    many, runs = median_seconds(
        lambda: _ours("model=6k", "optimizer.peak_lr=logspace(1e-3,1e-2,20)", "sweep.replicates=10"), repeats
    )
    note = f"{runs} runs of 6k parameters and 100 steps: {60 * runs / many:.0f} runs a minute; {_cores()} cores"
    table.append(Row("a sweep of 200 tiny runs", many, note=note))
    return [*table, *packs()] if on_accelerator() else table


def on_accelerator() -> bool:
    """Whether JAX has an accelerator here, by another process, which frees the device again."""
    code = "import jax; print(jax.default_backend())"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return answer.stdout.strip() != "cpu"


def packs(models: Mapping[str, ModelConfig] | None = None, sizes: Sequence[int] = (4, 16, 64)) -> list[Row]:
    """Seconds for a million tokens of packed lanes, all together, beside one run at a time; one row a model size.

    Args:
      models: by name; about 50k, 1M and 10M parameters where none are given.
      sizes: lanes of a pack in one batch.
    """
    from jaxlaws.sweep.packing import measure, out_of_memory, trial

    table = []
    for name, model in (models or _MODELS).items():
        run = RunConfig(model=model, data=DataConfig(seq_len=128), steps=1000, batch_sequences=8)
        item, engine = Planned(run, RunDir(Path(name))), EngineConfig()
        rates = {("map", 1): measure(item, "map", 1, engine)}
        for size in sizes:
            try:
                rates["vmap", size] = measure(item, "vmap", size, engine)
            except Exception as error:
                if not out_of_memory(error):
                    raise
        best = max((pair for pair in rates if pair[0] == "vmap"), key=lambda pair: rates[pair])
        speeds = ", ".join(f"{size}: {short(rate)}" for (_, size), rate in rates.items())
        how, lanes = trial(item, max(sizes), engine)
        note = f"tokens/s by lanes: {speeds}; the chooser takes {how} with {lanes} lanes"
        table.append(
            Row(f"lanes of {name}, 1M tokens", 1e6 / rates[best], 1e6 / rates["map", 1], "one run at a time", note)
        )
    return table


def _ours(*overrides: str) -> int:
    """Runs that `jaxlaws train -m` has recorded."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "jaxlaws", "train", "-m", *_COMMON, *overrides]
        _run([*command, f"out={folder}/sweep"], folder)
        return len(list(Path(folder, "sweep").glob("*/run.json")))


def _plain(launcher: str, *overrides: str) -> int:
    """Results that the plain script has written under a launcher of Hydra."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = ("hydra/hydra_logging=none", "hydra/job_logging=none", "hydra.output_subdir=null")
        places = (f"out={folder}", f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=.", f"hydra/launcher={launcher}")
        jobs = [f"hydra.launcher.n_jobs={_cores()}"] if launcher == "joblib" else []
        _run(["-m", "jaxlaws.bench.plain_run", "-m", *quiet, *places, *jobs, *overrides], folder)
        return len(list(Path(folder).glob("*.json")))


def _run(arguments: Sequence[str], folder: str) -> None:
    """Runs a command of this Python, with empty caches in a folder of its own."""
    own = {"XDG_CACHE_HOME": f"{folder}/cache", "JAX_COMPILATION_CACHE_DIR": ""}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env={**os.environ, **own})


def _cores() -> int:
    return len(os.sched_getaffinity(0))
