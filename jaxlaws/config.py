"""Typed schemas of a run, and what they mean: the only module that knows how configs become runs. No JAX."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from jaxlaws.data.config import DataConfig, token_ids
from jaxlaws.errors import BadInput, unknown
from jaxlaws.hyper import OptimizerConfig
from jaxlaws.model.compute import ComputeConfig
from jaxlaws.model.shape import ModelConfig
from jaxlaws.records.units import parse_positive
from jaxlaws.schedules.spec import ScheduleConfig, schedule_array
from jaxlaws.schedules.spec import identity as schedule_identity
from jaxlaws.text import brief

#: Runs of a sweep, at most, unless `sweep.max_runs` says otherwise.
MOST_RUNS = 10_000
#: Validations in a run, at most.
MOST_POINTS = 100_000
#: Keys that say one thing in two ways → the value of the first where a config gives neither.
RIVALS = {("tokens", "steps"): "500k", ("batch_sequences", "batch_tokens"): 8}
#: Values of `sweep.branch`.
BRANCH = ("auto", "off")


@dataclass
class EvalConfig:
    """When and on how much to validate.

    Attributes:
      points: validations in a run, evenly spaced, the last one after the last step.
      every: steps between two of them instead; wins where given.
      sequences: validation sequences, the same ones every time.
    """

    points: int = 10
    every: int | None = None
    sequences: int = 256


@dataclass
class RunConfig:
    """One training run. Give the length as `tokens` or `steps`, the batch as `batch_sequences` or `batch_tokens`.
    `tokens` and `batch_tokens` accept 7e9, 7B or 1.4T. `seed` is of the initial values and, unless `data_seed` is
    given, of the order of the data.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    seed: int = 0
    data_seed: int | None = None
    tokens: Any = None
    steps: int | None = None
    batch_sequences: int | None = None
    batch_tokens: Any = None


@dataclass
class EngineConfig:
    """How runs are computed, never what: no part of a run's identity, and felt in rounding at most.

    Attributes:
      data, fsdp, tensor: devices along each axis of the mesh on which runs are trained one at a time: the batch is
        split over data × fsdp, parameters and optimiser state over fsdp, the width of layers over tensor. −1 takes what
        is left. By default `data` has all devices of an accelerator or of several processes, and one of a CPU.
      accumulate: equal parts of a batch whose gradients are averaged one after another: less memory, the same step.
      remat: what the backward pass computes again: none, dots (all but matrix products) or full (whole layers).
      scan: layers as one scanned layer (compiles faster from about twelve layers on); by default where that pays.
      attention: auto, xla or cudnn.
      checkpoint_seconds, checkpoint_steps: seconds, or steps, between checkpoints of a run that is trained alone.
      keep: checkpoints kept; where the latest is damaged the one before is taken.
      tensorboard, wandb: log each validation there too (extra `log`).
      profile: write a `jax.profiler` trace of a few chunks into the run's directory.
      distributed: join the other processes of the job first (`jaxlaws.training.devices.join_processes`).
    """

    data: int | None = None
    fsdp: int = 1
    tensor: int = 1
    accumulate: int = 1
    remat: str = "none"
    scan: bool | None = None
    attention: str = "auto"
    checkpoint_seconds: float = 300.0
    checkpoint_steps: int | None = None
    keep: int = 2
    tensorboard: bool = False
    wandb: bool = False
    profile: bool = False
    distributed: bool = False


@dataclass
class SweepConfig:
    """A sweep as a whole.

    Attributes:
      name: its directory is sweeps/<name>; by default the names of the swept keys.
      strategy: how runs of one shape are packed: auto, map, vmap or shard.
      zip: swept keys whose lists advance together instead of being multiplied.
      samples, method, sample_seed: points drawn for swept intervals, jointly; sobol or random; their seed.
      replicates: runs made of each, with the seeds s, s + 1, …
      shard: i/n trains only the i-th of n parts of the sweep; the other parts stay pending.
      wait: whether to wait for runs that another process holds, and to take over those that it loses.
      fail_fast: whether the first failure ends the sweep.
      branch: whether runs that share the first part of their schedule share its training: auto or off.
      max_runs: a sweep of more runs is refused before it is laid out.
    """

    name: str | None = None
    strategy: str = "auto"
    zip: list[str] = field(default_factory=list)
    samples: int = 1
    method: str = "sobol"
    sample_seed: int = 0
    replicates: int = 1
    shard: str | None = None
    wait: bool = True
    fail_fast: bool = False
    branch: str = "auto"
    max_runs: int = MOST_RUNS


@dataclass
class TrainConfig(RunConfig):
    """What `experiments/train.py` reads: a run, and where it goes.

    Attributes:
      out: directory that receives the run's folder: runs for a single run, sweeps/<name> for a sweep.
    """

    sweep: SweepConfig = field(default_factory=SweepConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    out: str | None = None


def data_seed(run: RunConfig) -> int:
    """The seed of the order of the data."""
    return run.seed if run.data_seed is None else run.data_seed


def batch_sequences(run: RunConfig) -> int:
    """Sequences in a step."""
    if run.data.seq_len < 1:
        raise BadInput(f"data.seq_len is {run.data.seq_len}, expected at least 1.")
    _one_of(run, "batch", "batch_sequences", "batch_tokens")
    if run.batch_sequences is not None:
        count = run.batch_sequences
    else:
        count = round(parse_positive(run.batch_tokens, "batch_tokens") / run.data.seq_len)
    if count < 1:
        raise BadInput(f"the batch has {count} sequences of {run.data.seq_len} tokens, expected at least one.")
    return count


def steps(run: RunConfig) -> int:
    """T, optimiser steps: as given, or the nearest whole number of batches to `tokens`."""
    _one_of(run, "length", "steps", "tokens")
    if run.steps is not None:
        count = run.steps
    else:
        count = round(parse_positive(run.tokens, "tokens") / (batch_sequences(run) * run.data.seq_len))
    if count < 1:
        raise BadInput(f"the run has {count} steps, expected at least one: raise tokens or lower the batch.")
    return count


def _one_of(run: RunConfig, what: str, name: str, other: str) -> None:
    """Raises `BadInput` unless exactly one of two keys is given."""
    first, second = getattr(run, name), getattr(run, other)
    if (first is None) == (second is None):
        both = "" if first is None else f", but {name} is {brief(first)} and {other} is {brief(second)}"
        raise BadInput(f"give the {what} as exactly one of {name} and {other}{both}.")


def eval_steps(run: RunConfig) -> list[int]:
    """The numbers of finished steps after which the run is validated, the last one among them."""
    total, name = steps(run), "points" if run.eval.every is None else "every"
    if getattr(run.eval, name) < 1:
        raise BadInput(f"eval.{name} is {getattr(run.eval, name)}, expected at least 1.")
    points = min(run.eval.points, total) if run.eval.every is None else total // run.eval.every
    if points > MOST_POINTS:
        raise BadInput(f"eval.{name} asks for {points} validations, more than {MOST_POINTS} in a run: ask for fewer.")
    if run.eval.every is not None:
        return sorted({*range(run.eval.every, total, run.eval.every), total})
    return sorted({max(1, round(total * (i + 1) / points)) for i in range(points)})


def check(run: RunConfig) -> None:
    """Raises `BadInput` for the first thing that makes the run impossible, before anything is trained."""
    check_values("", asdict(run))
    run.model.check()
    vocab = token_ids(run.data)
    if vocab > run.model.vocab:
        raise BadInput(f"model.vocab is {run.model.vocab}, the data has {vocab} token ids: set model.vocab={vocab}.")
    run.optimizer.check()
    for name, value in (("seed", run.seed), ("data_seed", data_seed(run)), ("data.seed", run.data.seed)):
        if not 0 <= value < 2**31:
            raise BadInput(f"{name} is {value}, expected 0 to 2³¹ − 1.")
    if run.eval.sequences < 1:
        raise BadInput(f"eval.sequences is {run.eval.sequences}, expected at least 1.")
    schedule_array(run.schedule, steps(run), run.optimizer.peak_lr)
    ours, its = (batch_sequences(run), run.data.seq_len), (run.schedule.batch_sequences, run.schedule.seq_len)
    if run.schedule.name == "power" and its != ours:
        raise BadInput(f"schedule.batch_sequences, seq_len are {its[0]}, {its[1]}, the run's {ours[0]}, {ours[1]}.")
    eval_steps(run)


def check_values(key: str, value: Any) -> None:
    """Raises `BadInput` for a number that is not finite or beyond counting, or a name that no file can have."""
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            check_values(f"{key}.{name}".removeprefix("."), part)
    elif isinstance(value, float) and not (math.isfinite(value) or key == "optimizer.clip"):
        raise BadInput(f"{key} is {value}, expected a finite number.")
    elif isinstance(value, int) and abs(value) > 10**15:
        raise BadInput(f"{key} is {brief(value)}, expected at most 10¹⁵.")
    elif isinstance(value, str) and ("\0" in value or any(len(part.encode()) > 255 for part in value.split("/"))):
        raise BadInput(f"{key} is '{brief(value)}', expected names of at most 255 bytes.")


def check_settings(how: SweepConfig, engine: EngineConfig) -> None:
    """Raises `BadInput` for a setting of a sweep or of the engine that is impossible whatever the devices are."""
    check_values("sweep", asdict(how))
    check_values("engine", asdict(engine))
    ComputeConfig(engine.remat, engine.scan, engine.attention).check()
    if how.branch not in BRANCH:
        raise unknown("sweep.branch", how.branch, BRANCH)
    least = {"checkpoint_seconds": 0, **dict.fromkeys(("accumulate", "keep", "checkpoint_steps"), 1)}
    for name, bound in least.items():
        if (value := getattr(engine, name)) is not None and value < bound:
            raise BadInput(f"engine.{name} is {value}, expected at least {bound}.")
    for name in ("data", "fsdp", "tensor"):
        if (value := getattr(engine, name)) is not None and value != -1 and value < 1:
            raise BadInput(f"engine.{name} is {value}, expected a number of devices, or -1 for those that are left.")
    spread = next((name for name in ("data", "fsdp", "tensor") if getattr(engine, name) not in (None, 1)), None)
    if spread and how.strategy not in ("auto", "mesh"):
        raise BadInput(
            f"engine.{spread} spreads a run over devices, which sweep.strategy={how.strategy} does not: "
            "leave one of them out."
        )


def identity(run: RunConfig, corpus: str) -> dict[str, Any]:
    """What decides a run's result, and nothing else: no paths, launcher, shard or logging keys.

    Args:
      run: its config.
      corpus: the digest of its data.
    """
    data = {name: value for name, value in asdict(run.data).items() if name != "path"}
    return {
        "model": run.model.identity(),
        "data": data | {"corpus": corpus},
        "schedule": schedule_identity(run.schedule),
        "optimizer": run.optimizer.identity(),
        "steps": steps(run),
        "batch_sequences": batch_sequences(run),
        "seed": run.seed,
        "data_seed": data_seed(run),
        "eval": {"steps": eval_steps(run), "sequences": run.eval.sequences},
    }


def keys(schema: type = TrainConfig, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a schema, groups included: `model`, `model.width`, …"""
    for item in fields(schema):
        yield prefix + item.name
        default = item.default_factory() if callable(item.default_factory) else None
        if is_dataclass(default):
            yield from keys(type(default), f"{prefix}{item.name}.")


def run_config(values: dict[str, Any]) -> RunConfig:
    """A `RunConfig` from nested plain values, such as a composed Hydra config or a run's config.yaml.

    Keys that only `TrainConfig` has are left out; of `RIVALS` that are not given the default is taken.
    """
    parts: dict[str, Any] = {item.name: item.default_factory for item in fields(RunConfig)}
    groups = {name: values[name] for name in parts if name in values}
    run = RunConfig(
        **{name: parts[name](**content) if callable(parts[name]) else content for name, content in groups.items()}
    )
    for (name, other), default in RIVALS.items():
        if getattr(run, name) is None and getattr(run, other) is None:
            setattr(run, name, default)
    if run.data.source == "shards":
        run.data.vocab = token_ids(run.data)
        run.model.vocab = run.model.vocab or run.data.vocab
    if run.schedule.name == "power":
        run.schedule.batch_sequences = run.schedule.batch_sequences or batch_sequences(run)
        run.schedule.seq_len = run.schedule.seq_len or run.data.seq_len
    return run
