"""Training several runs of one shape side by side: the loop on the host around the compiled program."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.data.tokens import Data
from jaxlaws.model.shape import count_params, flops_per_token
from jaxlaws.schedules.spec import schedule_array, spec_string, warmup_steps
from jaxlaws.train.checkpoint import Checkpoints
from jaxlaws.train.optimizer import hyper
from jaxlaws.train.program import CHUNK, Program, eval_count, stacked


@dataclass(frozen=True)
class Lane:
    """One run, and what follows from its config."""

    run: RunConfig

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

    @property
    def batch_tokens(self) -> int:
        return self.batch * self.run.data.seq_len


#: Called with (lane, row of curve.csv) after every validation.
OnPoint = Callable[[int, dict[str, float]], None]
#: Called with the number of steps that all lanes took together since the last call.
OnSteps = Callable[[int], None]


def train_lanes(
    program: Program,
    data: Data,
    lanes: Sequence[Lane],
    size: int,
    on_point: OnPoint,
    on_steps: OnSteps,
    checkpoints: Checkpoints | None = None,
) -> list[dict[str, Any]]:
    """Train the lanes to their ends and return each one's record (columns of `jaxlaws.records.table.COLUMNS`).

    Args:
      program: of the lanes' shape.
      data: what `program` reads.
      lanes: at most `size`; they may differ in everything but shape, batch and sequence length.
      size: lanes of the program; those that are not used stay idle.
      on_point, on_steps: see there; an exception that they raise ends the training.
      checkpoints: where a single lane is saved from time to time, and continues from.

    A lane that diverges stops where it is and changes nothing for the others.
    """
    began = time.perf_counter()
    padded = [*lanes, *[lanes[0]] * (size - len(lanes))]
    used = np.array([lane.steps for lane in lanes] + [0] * (size - len(lanes)))
    store = _on_device(data)
    state = program.init(np.array([lane.run.seed for lane in padded], np.uint32))
    hypers = stacked([hyper(lane.run.optimizer) for lane in padded])
    available = len(data.val_picks(lanes[0].run.eval.sequences))
    val_picks = data.val_picks(eval_count(available))
    losses = [np.full(lane.steps, np.nan) for lane in lanes]
    last, final = [0] * len(lanes), np.full(len(lanes), np.nan)
    stops = sorted(set().union(*(lane.eval_steps for lane in lanes)))
    done = 0
    if checkpoints:
        done, state, losses[0] = checkpoints.restore(state, losses[0])
        last[0] = max([step for step in lanes[0].eval_steps if step <= done], default=0)
    while done < used.max():
        stop = min(done + CHUNK, stops[bisect_right(stops, done)])
        active = np.arange(done, done + CHUNK) < np.minimum(stop, used)[:, None]
        lr = np.stack([_window(lane.lr, done) for lane in padded])
        picks = np.stack([data.picks(lane.run.seed, done, CHUNK, lane.batch) for lane in padded])
        state, chunk = program.advance(store, np.int32(done), state, hypers, lr, active, picks)
        loss = np.asarray(chunk)
        taken = (active & ~np.isnan(loss)).sum()
        for i, lane in enumerate(lanes):
            count = max(0, min(stop, lane.steps) - done)
            losses[i][done : done + count] = loss[i, :count]
        done = stop
        at_point = [i for i, lane in enumerate(lanes) if done in lane.eval_steps]
        if at_point:
            diverged = np.asarray(state.diverged)
            values = np.asarray(program.validate(store, state, val_picks))
            for i in at_point:
                if diverged[i] < 0:
                    final[i] = values[i]
                    on_point(i, _point(lanes[i], done, losses[i][last[i] : done], float(values[i])))
                    last[i] = done
            if np.all((diverged[: len(lanes)] >= 0) | (used[: len(lanes)] <= done)):
                on_steps(int(taken))
                break
        on_steps(int(taken))
        if checkpoints and done < used.max():
            checkpoints.save_when_due(done, state, losses[0])
    seconds = (time.perf_counter() - began) / len(lanes)
    ends_at = np.asarray(state.diverged)
    return [_record(lane, losses[i], float(final[i]), int(ends_at[i]), seconds) for i, lane in enumerate(lanes)]


_LAST: list[tuple[Data, Any]] = []


def _on_device(data: Data) -> Any:
    """The data's store on the device, put there once; only the last data set is kept.

    Known by the object, not by its digest: another split of the same content is another store.
    """
    if not _LAST or _LAST[0][0] is not data:
        _LAST[:] = [(data, jax.device_put(data.store))]
    return _LAST[0][1]


def _window(lr: np.ndarray, first: int) -> np.ndarray:
    part = lr[first : first + CHUNK].astype(np.float32)
    return np.pad(part, (0, CHUNK - len(part)))


def _point(lane: Lane, step: int, losses: np.ndarray, val_loss: float) -> dict[str, float]:
    return {
        "step": step,
        "tokens": step * lane.batch_tokens,
        "lr": lane.lr[step - 1],
        "train_loss": float(losses.mean()),
        "val_loss": val_loss,
    }


def _record(lane: Lane, losses: np.ndarray, val_loss: float, diverged: int, seconds: float) -> dict[str, Any]:
    ok = diverged < 0 and np.isfinite(val_loss)
    return {
        "status": "ok" if ok else "diverged",
        "diverged_step": None if ok else (diverged if diverged >= 0 else lane.steps - 1),
        **asked(lane),
        "train_loss_nats": float(losses[-max(1, lane.steps // 10) :].mean()) if ok else None,
        "val_loss_nats": val_loss if ok else None,
        "seconds": seconds,
    }


def asked(lane: Lane) -> dict[str, Any]:
    """The columns of a run's record that follow from its config, whatever becomes of it."""
    run = lane.run
    inner, total = count_params(run.model)
    tokens = lane.steps * lane.batch_tokens
    per_token = flops_per_token(run.model, run.data.seq_len)
    return {
        "model": f"{run.model.depth}x{run.model.width}",
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
        "flops_6nd": per_token[0] * tokens,
        "flops_exact": per_token[1] * tokens,
    }
