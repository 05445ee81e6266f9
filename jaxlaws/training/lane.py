"""A lane: one run, what follows from its config, and what is told about it while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.model.shape import count_params, flops_per_token
from jaxlaws.schedules.spec import schedule_array, spec_string, warmup_steps

if TYPE_CHECKING:
    from jaxlaws.training.program import State

#: (fresh state [1, …], empty trace) → (steps done, state [1, …], trace): where a lane goes on from.
Start = Callable[[Any, np.ndarray], tuple[int, Any, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Lane:
    """One run, and what follows from its config.

    Attributes:
      run: its config.
      start: where it goes on from; from its initial values by default.
      snapshots: numbers of finished steps after which its state is asked for.
      looks: numbers of finished steps after which it is validated for others, without a row of its own.
    """

    run: RunConfig
    start: Start | None = None
    snapshots: frozenset[int] = frozenset()
    looks: frozenset[int] = frozenset()

    @cached_property
    def steps(self) -> int:
        return config.steps(self.run)

    @cached_property
    def batch(self) -> int:
        return config.batch_sequences(self.run)

    @cached_property
    def lr(self) -> np.ndarray:
        return schedule_array(self.run.schedule, self.steps, self.run.optimizer.peak_lr)

    @cached_property
    def eval_steps(self) -> frozenset[int]:
        return frozenset(config.eval_steps(self.run))

    @cached_property
    def stops(self) -> list[int]:
        """The numbers of finished steps at which the host has something to do."""
        inner = (step for step in self.snapshots | self.looks if 0 < step < self.steps)
        return sorted({*self.eval_steps, *inner, self.steps})

    @property
    def smoothing(self) -> int:
        """Steps over which the training loss is averaged for `smooth_loss`: a fiftieth of the run, at least 16."""
        return max(16, self.steps // 50)

    @property
    def batch_tokens(self) -> int:
        return self.batch * self.run.data.seq_len


@dataclass
class Watch:
    """What is told while lanes are trained; an exception raised by any of these ends the training.

    Attributes:
      point: (lane, row of curve.csv) after every validation.
      steps: number of steps that all lanes took together since the last call.
      end: (lane, record) as soon as a lane has ended; the record has columns of `jaxlaws.records.columns.COLUMNS`.
      look: (lane, finished steps, validation loss) where a lane is validated for others.
      snapshot: (lane, finished steps, its state [1, …] on the host, trace so far) where a lane asks for it.
      goes_on: lane → whether it is still wanted; asked with every chunk.
      begin: (lane, steps) before its first step; how many steps it goes on from by a checkpoint of its own.
    """

    point: Callable[[Lane, dict[str, float]], None] = lambda lane, row: None
    steps: Callable[[int], None] = lambda count: None
    end: Callable[[Lane, dict[str, Any]], None] = lambda lane, record: None
    look: Callable[[Lane, int, float], None] = lambda lane, step, val_loss: None
    snapshot: Callable[[Lane, int, State, np.ndarray], None] = lambda lane, step, state, trace: None
    goes_on: Callable[[Lane], bool] = lambda lane: True
    begin: Callable[[Lane, int], None] = lambda lane, done: None


def asked(lane: Lane) -> dict[str, Any]:
    """The columns of a run's record that follow from its config, whatever becomes of it."""
    run = lane.run
    inner, total = count_params(run.model)
    tokens = lane.steps * lane.batch_tokens
    per_token = flops_per_token(run.model, run.data.seq_len)
    return {
        "model": f"{run.model.depth}x{run.model.width}",
        "parameterisation": run.model.parameterisation,
        "params_nonembedding": inner,
        "params_total": total,
        "tokens": tokens,
        "steps": lane.steps,
        "seq_len": run.data.seq_len,
        "batch_tokens": lane.batch_tokens,
        "batch_sequences": lane.batch,
        "peak_lr": run.optimizer.peak_lr,
        "final_lr": float(lane.lr[-1]),
        "warmup_steps": warmup_steps(run.schedule, lane.steps),
        "schedule": spec_string(run.schedule),
        "optimizer": run.optimizer.name,
        "weight_decay": run.optimizer.weight_decay,
        "beta1": run.optimizer.beta1,
        "beta2": run.optimizer.beta2,
        "clip": run.optimizer.clip,
        "seed": run.seed,
        "data_seed": config.data_seed(run),
        "flops_6nd": per_token[0] * tokens,
        "flops_exact": per_token[1] * tokens,
    }


def curve_row(lane: Lane, trace: np.ndarray, since: int, step: int, val_loss: float) -> dict[str, float]:
    """A row of curve.csv.

    Args:
      lane: whose.
      trace: [4, steps], loss, gradient norm, update norm and seconds of every step.
      since: step of the row before.
      step: finished steps.
      val_loss: validation there.
    """
    loss, gradient, update = trace[:3, since:step].mean(axis=1)
    return {
        "step": step,
        "tokens": step * lane.batch_tokens,
        "lr": lane.lr[step - 1],
        "train_loss": float(loss),
        "val_loss": val_loss,
        "smooth_loss": float(trace[0, max(0, step - lane.smoothing) : step].mean()),
        "gradient_norm": float(gradient),
        "update_norm": float(update),
    }
