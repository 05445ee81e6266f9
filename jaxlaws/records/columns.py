"""The columns of a table of runs: names, meanings and units, and the words in those that hold words. No pandas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from jaxlaws.errors import BadInput
from jaxlaws.inputs import INPUTS, Input, input_of
from jaxlaws.text import printable, quoted

#: Every column that a table of runs may state, with its unit. A source has the ones that it knows.
COLUMNS: Mapping[str, str] = {
    "status": "ok | diverged | failed",
    "diverged_step": "first step whose loss or gradient was not finite; empty where none was",
    "model": "name or shape of the model, for people",
    "group": "family of runs that is fitted apart from others of its table",
    "cluster": "training run that a row is of, where several are of one: they are resampled and left out together",
    "parameterisation": "how initial values, LR and decay follow the width: standard or mup",
    "params_nonembedding": "N without embeddings and output head",
    "params_total": "N with them",
    "tokens": "D, tokens trained on",
    "steps": "T, optimiser steps",
    "seq_len": "tokens in a sequence",
    "batch_tokens": "tokens in a step",
    "batch_sequences": "sequences in a step",
    "peak_lr": "largest LR of the schedule",
    "final_lr": "LR of the last step",
    "warmup_steps": "steps before the peak",
    "schedule": "the schedule as a spec string",
    "cooldown_fraction": "share of the steps in the decay of a warm-up–stable–decay schedule",
    "optimizer": "name of the optimiser",
    "weight_decay": "decoupled, as optax.adamw multiplies it by the LR",
    "beta1": "momentum",
    "beta2": "second moment",
    "clip": "largest global gradient norm",
    "seed": "of the initial weights and, unless data_seed says otherwise, of the data order",
    "data_seed": "of the data order",
    "corpus": "short hash of the training data",
    "vocab": "V, token ids that a prediction is spread over",
    "loss_nats": "the loss that a published table reports, nats a token",
    "train_loss_nats": "mean over the last tenth of the run, nats a token",
    "smooth_loss_nats": "mean training loss over the last fiftieth of the run, nats a token",
    "val_loss_nats": "validation at the last step, nats a token",
    "flops_6nd": "6 · params_nonembedding · tokens",
    "flops_budget": "nominal compute of the isoFLOP profile that the run belongs to",
    "flops_exact": "matrix products of forward and backward counted one by one, with attention and head",
    "seconds": "wall clock spent in training, its share where lanes were packed",
    "tokens_per_second": "tokens in a step over the median time of a step, its share where lanes were packed",
}

#: Begins the columns of validation losses beside that of the training distribution: `val_loss.code`, nats a token.
TARGET = "val_loss."
#: Begins the columns of other measurements, of any unit and sign: `metric.accuracy`.
METRIC = "metric."
#: Columns of the final loss without a target; the first that a table has counts.
MAIN_LOSSES = ("val_loss_nats", "loss_nats")
#: Columns whose values are words.
WORDS = ("status", "model", "group", "cluster", "parameterisation", "schedule", "optimizer", "corpus")
#: Columns of measurements beside those of targets.
RESULTS = (
    *("status", "diverged_step", "loss_nats", "train_loss_nats", "smooth_loss_nats", "val_loss_nats"),
    *("flops_exact", "seconds", "tokens_per_second"),
)
STATUS = ("ok", "diverged", "failed")
#: What trackers call the end of a run → our status.
_STATUS_WORDS = {
    **dict.fromkeys(("finished", "completed", "complete", "success", "succeeded", "done"), "ok"),
    **dict.fromkeys(("crashed", "killed", "error", "preempted", "cancelled", "canceled", "timeout"), "failed"),
    **dict.fromkeys(("running", "pending", "queued"), "failed"),
    **dict.fromkeys(("divergence", "nan", "exploded"), "diverged"),
}
#: What trainers call optimisers and schedules, in small letters without separators → our name.
_SAME_WORDS = {
    "optimizer": {
        **dict.fromkeys(
            (
                *("adamw", "adamwtorch", "adamwtorchfused", "adamwhf", "fusedadamw", "torchoptimadamw"),
                *("torchoptimadamwadamw", "optaxadamw"),
            ),
            "adamw",
        ),
        **{name: name for name in ("adam", "muon", "sgd", "lion", "nesterov", "soap")},
        **dict.fromkeys(("adamwschedulefree", "schedulefreeadamw"), "schedule_free_adamw"),
    },
    "schedule": {
        **dict.fromkeys(
            ("cosine", "cosinewithwarmup", "cosinedecay", "cosineannealing", "cosineannealinglr"), "cosine"
        ),
        **dict.fromkeys(("linear", "linearwithwarmup", "lineardecay"), "linear"),
        **dict.fromkeys(("constant", "constantwithwarmup"), "constant"),
        **dict.fromkeys(("wsd", "warmupstabledecay", "trapezoidal"), "wsd"),
    },
}


def declared() -> tuple[Input, ...]:
    """The inputs of laws whose columns are not in `COLUMNS`; plug-ins add to them. N has columns of its own."""
    return tuple(row for row in INPUTS.values() if row.of_run and row.column not in ("params", *COLUMNS))


def declared_in(names: Iterable[object]) -> list[str]:
    """The columns that belong to `declared`."""
    rows = declared()
    return [str(name) for name in names if input_of(str(name)) in rows]


def settings_in(names: Iterable[object]) -> list[str]:
    """The columns of `declared_in` that state settings of runs."""
    return [name for name in declared_in(names) if not (row := input_of(name)) or not row.outcome]


def is_column(name: str) -> bool:
    """Whether a table of runs may have a column of this name."""
    return name in COLUMNS or target_of(name) is not None or input_of(name) in declared()


def target_of(column: str) -> str | None:
    """NAME of a column `val_loss.NAME` or `metric.NAME`, None of any other."""
    start = next((start for start in (TARGET, METRIC) if column.startswith(start)), "")
    return column.removeprefix(start) if start and column != start else None


def meaning_of(column: str) -> str:
    """What a column holds, with its unit."""
    if (row := input_of(column)) in declared() and row is not None:
        part = column.partition(".")[2]
        return f"{part}: {row.meaning}" if part else row.meaning
    if column.startswith(TARGET):
        return f"validation on {target_of(column)}, nats a token"
    return COLUMNS.get(column) or f"{target_of(column)}, as it was measured"


def no_loss(source: str, target: str, columns: Iterable[object]) -> BadInput:
    """`BadInput` for a table without the loss of the question; its sentence names the valid targets."""
    names = [name for column in columns if (name := target_of(str(column))) is not None]
    valid = f"it has {', '.join(map(printable, names))}" if names else "it has no column val_loss.NAME or metric.NAME"
    if target:
        return BadInput(f"{source} has no target {printable(target)}: {valid}.")
    if names:
        return BadInput(f"{source} has no main loss: choose a target, such as --target {quoted(names[0])}; {valid}.")
    return BadInput(f"{source} has no column val_loss_nats or loss_nats: name it with --map loss_nats=NAME.")


def is_result(column: str) -> bool:
    """Whether a column states a measurement; all others state settings."""
    return column in RESULTS or column.startswith((TARGET, METRIC))


def status_of(word: str) -> str:
    """Our status for a tracker's word for the end of a run; the word itself where it is none."""
    lower = word.strip().lower()
    return _STATUS_WORDS.get(lower, lower if lower in STATUS else word)


def word_of(column: str, word: str) -> str:
    """Our word for a trainer's in one of the columns `WORDS`; the word itself where it has none."""
    if column == "status":
        return status_of(word)
    return _SAME_WORDS.get(column, {}).get(re.sub(r"[\W_]+", "", word).lower(), word)
