"""Sweeps of small runs: whole commands, from the shell to the last result, against Hydra's launchers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from jaxlaws.bench import Row, median_seconds

_LRS = (1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 8e-3, 1.2e-2)
_COMMON = ("data=language", "data.vocab=64", "data.seq_len=64", "tokens=null", "eval.points=1", "eval.sequences=64")
#: At most so many repeats of what takes minutes.
_MOST_REPEATS = 3


def rows(repeats: int = 5) -> list[Row]:
    """Seconds of a sweep of 16 jobs in two shapes beside Hydra's basic and joblib launchers, and of 200 tiny runs.

    Every repeat starts with empty compile caches, on both sides.
    """
    repeats = min(repeats, _MOST_REPEATS)
    lrs = ",".join(map(str, _LRS))
    ours, ran = median_seconds(lambda: _ours("model=6k,25k", f"optimizer.peak_lr={lrs}"), repeats)
    found = []
    for launcher in ("basic", "joblib"):
        if launcher == "joblib" and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
            continue
        theirs, count = median_seconds(partial(_plain, launcher, f"peak_lr={lrs}"), repeats)
        told = f"a plain script under Hydra's {launcher} launcher"
        note = f"16 jobs, 2 shapes, 100 steps; results: ours {ran}, theirs {count}; {_cores()} cores"
        found.append(Row(f"a sweep of 16 jobs, beside {launcher}", ours, theirs, told, note))
    many, ran = median_seconds(
        lambda: _ours("model=6k", "optimizer.peak_lr=logspace(1e-3,1e-2,20)", "sweep.replicates=10"), repeats
    )
    note = f"{ran} runs of 6k parameters and 100 steps: {60 * ran / many:.0f} runs a minute; {_cores()} cores"
    return [*found, Row("a sweep of 200 tiny runs", many, note=note)]


def _ours(*swept: str) -> int:
    """Runs that `jaxlaws train -m` has recorded."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "jaxlaws", "train", "-m", *_COMMON, "steps=100", "batch_sequences=8", *swept]
        _run([*command, f"out={folder}/sweep"], folder)
        return len(list(Path(folder, "sweep").glob("*/run.json")))


def _plain(launcher: str, *swept: str) -> int:
    """Results that the plain script has written under a launcher of Hydra."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = ("hydra/hydra_logging=none", "hydra/job_logging=none", "hydra.output_subdir=null")
        places = (f"out={folder}", f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=.", f"hydra/launcher={launcher}")
        jobs = [f"hydra.launcher.n_jobs={_cores()}"] if launcher == "joblib" else []
        _run(["-m", "jaxlaws.bench.plain_run", "-m", *quiet, *places, *jobs, "model=6k,25k", *swept], folder)
        return len(list(Path(folder).glob("*.json")))


def _run(arguments: Sequence[str], folder: str) -> None:
    """A command of this Python, with empty caches in a folder of its own."""
    own = {"XDG_CACHE_HOME": f"{folder}/cache", "JAX_COMPILATION_CACHE_DIR": ""}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env={**os.environ, **own})


def _cores() -> int:
    return len(os.sched_getaffinity(0))
