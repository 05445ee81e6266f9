"""What laws read: every input by its symbol. A law with a new input is one file and one row here. No JAX, no numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: How far shares may sum from 1, as they were rounded.
SHARES_OFF = 0.02


@dataclass(frozen=True)
class Input:
    """One input of a law.

    Attributes:
      meaning: what it is, with its unit.
      column: of a table of runs, which is also the flag (`--unique-tokens`) and the keyword (`unique_tokens=`); empty
        for what is read off a schedule. Of a table of curves where it is `logged`.
      unit: scale by whose typical value it is divided where constants are made unitless; inputs of one unit share it;
        empty for a plain number.
      zero: whether it may be 0; all others are positive.
      falls: whether every law's loss falls with more of it.
      many: whether it is several columns, `column.NAME` each, [points, names].
      shares: whether those columns are shares of one whole, which sum to 1.
      outcome: whether it is what came of a run and no setting of it.
      logged: whether it was measured along a run, a value for every loss of a curve; such a value may be of any sign.
      events: whether it has a value for every change of the LR before a point, [points, events], and the value that
        stands for no change.
      aliases: what trackers and trainers call the column, compared without case and separators.
      explains: columns of other settings that differ because it does.
      plural: what several values of it are called; `values of COLUMN` where empty.
    """

    meaning: str
    column: str = ""
    unit: str = ""
    zero: bool = False
    falls: bool = False
    many: bool = False
    shares: bool = False
    outcome: bool = False
    logged: bool = False
    events: float | None = None
    aliases: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    plural: str = ""

    @property
    def values(self) -> str:
        """What several values of it are called."""
        return self.plural or f"values of {self.column}"

    @property
    def flag(self) -> str:
        """The flag of the command line: `--unique-tokens`."""
        return f"--{self.column.replace('_', '-')}"

    @property
    def domain(self) -> str:
        """The values that it may have, for people."""
        return "a number of at least 0" if self.zero else "a positive number"

    def allows(self, values: Any) -> Any:
        """Whether each of some numbers lies in the domain, which holds no infinity."""
        return (values >= 0 if self.zero else values > 0) & (abs(values) < math.inf)

    def faulty_sum(self, values: Any) -> float | None:
        """The first sum over the last axis that is not 1 within `SHARES_OFF`, where they are shares of one whole."""
        sums = values.sum(-1).ravel() if self.shares else ()
        return next((float(one) for one in sums if not abs(one - 1) <= SHARES_OFF), None)

    @property
    def of_schedule(self) -> bool:
        """Whether it is read off a schedule."""
        return not self.column

    @property
    def of_run(self) -> bool:
        """Whether it is one value of a run, in a table of runs."""
        return bool(self.column) and not self.logged


#: Symbol in formulas → input. `N` is read from `params_nonembedding` or `params_total`.
INPUTS: dict[str, Input] = {
    "N": Input("parameters of the model", "params", "N", falls=True, plural="model sizes"),
    "D": Input("training tokens", "tokens", "D", falls=True, plural="token counts"),
    "B": Input("tokens in a step", "batch_tokens", "B", plural="batch sizes"),
    "steps": Input("optimiser steps", "steps", "steps", falls=True),
    "U": Input(
        "tokens of which no two are the same",
        "unique_tokens",
        "D",
        aliases=("u", "num_unique_tokens", "n_unique_tokens", "unique_train_tokens"),
    ),
    "C": Input(
        "compute of the training, FLOP",
        "flops",
        "C",
        falls=True,
        aliases=("train_flops", "training_flops", "total_flops", "flop"),
    ),
    "streams": Input(
        "streams that one model computes in parallel",
        "parallel_streams",
        aliases=("num_streams", "n_streams", "num_parallel_streams"),
    ),
    "N_mean": Input(
        "mean over the training of the parameters that are active",
        "params_mean",
        "N",
        falls=True,
        aliases=("mean_params", "average_params", "avg_params", "mean_active_params"),
    ),
    "experts": Input(
        "experts of a routed model, 1 of a dense one",
        "experts",
        aliases=("num_experts", "n_experts", "num_local_experts", "moe_num_experts"),
    ),
    "N_vocab": Input(
        "parameters of the vocabulary, its size times the width",
        "params_vocab",
        "N_vocab",
        explains=("vocab",),
        aliases=("vocab_params", "embedding_params", "n_vocab_params"),
    ),
    "bits_w": Input("bits of the weights in training", "bits_weights", aliases=("weight_bits", "w_bits")),
    "bits_a": Input("bits of the activations in training", "bits_activations", aliases=("activation_bits", "a_bits")),
    "bits_kv": Input("bits of the key–value cache in training", "bits_kv", aliases=("kv_bits", "kv_cache_bits")),
    "bits_post": Input("bits of the weights after training", "bits_post", aliases=("ptq_bits", "post_training_bits")),
    "examples": Input(
        "examples of fine-tuning",
        "finetune_examples",
        "examples",
        zero=True,
        falls=True,
        aliases=("finetuning_examples", "num_finetune_examples", "sft_examples", "num_sft_examples"),
    ),
    "bpb": Input(
        "bits a byte of the right answers of a task",
        "task_bpb",
        outcome=True,
        aliases=("task_bits_per_byte", "correct_bpb"),
    ),
    "eta": Input("peak LR", "peak_lr", "lr"),
    "decay": Input("weight decay", "weight_decay", "decay"),
    "aspect": Input("width over depth of the model", "aspect_ratio", "aspect"),
    "L": Input(
        "validation loss that a metric of a task is predicted from, nats a token", "val_loss_nats", outcome=True
    ),
    "x": Input("what a law of one variable reads, in any unit", "x", "x"),
    "r": Input(
        "shares of the domains in the training data, which sum to 1",
        "share",
        zero=True,
        many=True,
        shares=True,
        aliases=("proportion", "domain_weight", "domain_weights", "mixture", "mixture_weights", "data_mix"),
    ),
    "S": Input("sum of the LRs up to the point, warm-up included", unit="S"),
    "phase_start": Input("first step of the second phase of the training, on other data", "phase_start"),
    "replay": Input("share of the second phase's data that is data of the first", "replay_share", zero=True),
    "S_phase": Input("sum of the LRs of the second phase up to the point", unit="S", zero=True),
    "age_phase": Input("steps of the second phase up to the point", zero=True),
    "V": Input("noise of the LR, as `jaxlaws.laws.curves.bound` defines it, in units of the LR", unit="V"),
    "lr": Input("LR of the last step"),
    "peak": Input("largest LR of the schedule", unit="lr"),
    "onset": Input("LR before the first change that counts", unit="lr"),
    "drop": Input("by how much the LR falls at a change", events=0.0),
    "lr_sum": Input("sum of the LRs from a change to the point", events=1.0),
    "sum_at": Input("sum of the LRs up to a change, included", events=1.0),
    "sum_after": Input("sum of the LRs from the step after a change to the point", events=1.0),
    "age": Input("steps from a change to the point, both included", events=1.0),
    "log_lr": Input("ln of the LR after a change", events=-1.0),
    "reference": Input("loss of a run of constant LR at an equal LR sum over the peak", "reference_loss", logged=True),
    "trace": Input("trace of the covariance of the preconditioned gradient of a batch", "noise_trace", logged=True),
}
#: Column → factor and powers of other columns, by which it follows from them where it is not stated itself.
FOLLOWS: dict[str, tuple[float, dict[str, int]]] = {
    "steps": (1.0, {"tokens": 1, "batch_tokens": -1}),
    "tokens": (1.0, {"steps": 1, "batch_tokens": 1}),
    "batch_tokens": (1.0, {"tokens": 1, "steps": -1}),
    "flops": (6.0, {"params": 1, "tokens": 1}),
}
#: Columns that `N` may be read from.
PARAMS = ("params_nonembedding", "params_total")


def input_of(column: str) -> Input | None:
    """The input that a column of a table of runs belongs to: by its own name, or `NAME.part` of an input of several."""
    name, dot, part = column.partition(".")
    rows = (row for row in INPUTS.values() if row.of_run and row.column == name)
    return next((row for row in rows if row.many == bool(dot and part)), None)


def logged_inputs() -> tuple[Input, ...]:
    """The inputs that are columns of a table of curves."""
    return tuple(row for row in INPUTS.values() if row.logged)


def reads_schedule(inputs: Iterable[str]) -> bool:
    """Whether a law of these inputs is a law of curves."""
    return not all(INPUTS[name].of_run for name in inputs)


def following(column: str, values: Mapping[str, Any]) -> Any | None:
    """The value of a column that follows from others; None where it follows of none, or one is unknown."""
    factor, powers = FOLLOWS.get(column, (1.0, {}))
    if not powers or any(values.get(name) is None for name in powers):
        return None
    return factor * math.prod(values[name] if power > 0 else 1 / values[name] for name, power in powers.items())
