"""A recommendation as a command that trains it: model, budget, batch, learning rate, schedule, optimiser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jaxlaws.recommender.question import Question
from jaxlaws.recommender.shapes import model
from jaxlaws.schedules.names import NAMES, OF_THE_RUN
from jaxlaws.text import printable, quoted

#: Optimiser → what it reads of a law's convention.
OPTIMIZERS = {
    "adamw": ("weight_decay", "beta1", "beta2"),
    "adam": ("beta1", "beta2"),
    "sgd": ("weight_decay",),
    "nesterov": ("weight_decay",),
    "lion": ("weight_decay", "beta1", "beta2"),
    "adafactor": ("weight_decay", "beta1"),
    "muon": ("weight_decay", "beta1", "beta2"),
}
_SPEC = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")
_VALUE = re.compile(r"[\w.+-]+|\[[\d.eE+,\s-]+\]")


def sequences(q: Question, batch_tokens: float) -> int:
    """The whole number of sequences in a batch, at least one."""
    return max(1, round(batch_tokens / q.seq_len))


def override(
    q: Question, peak_lr: float | None, batch_tokens: float | None, convention: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """(arguments of `jaxlaws train`, each quoted for a shell, or nothing where no command can be right; sentences).

    Args:
      q: the question.
      peak_lr, batch_tokens: the advice.
      convention: of the law: schedule, warm-up, optimiser, parameterisation.
    """
    if peak_lr is None or batch_tokens is None:
        return "", ["the law says no peak LR or no batch: there is no command that trains its advice."]
    count = sequences(q, batch_tokens)
    parts = [*model(q), f"tokens={q.tokens:.10g}", f"data.seq_len={q.seq_len}", f"batch_sequences={count}"]
    parts += [f"optimizer.peak_lr={peak_lr:.6g}"]
    schedule, told = _schedule(convention, max(1, round(q.tokens / (count * q.seq_len))))
    if schedule is None:
        return "", told
    optimizer, more = _optimizer(convention)
    return " ".join(quoted(part) for part in [*parts, *schedule, *optimizer]), [*told, *more]


def _schedule(convention: Mapping[str, Any], steps: int) -> tuple[list[str] | None, list[str]]:
    """(arguments for the schedule and its warm-up, None where it has no name; sentences)."""
    spec = convention.get("schedule")
    if spec is None:
        return [], ["the law's runs do not say their schedule: the command trains the default, cosine."]
    fields = _fields(str(spec))
    if fields is None:
        return None, [f"the schedule '{printable(spec)}' cannot be asked for by name: there is no command to paste."]
    name = fields.pop("name")
    if not {"warmup_steps", "warmup_fraction"} & set(fields) and "warmup_steps" in convention:
        fields["warmup_steps"] = f"{convention['warmup_steps']:g}"
    told = []
    if float(fields.get("warmup_steps", 0)) > 0.5 * steps:
        told = [f"the law's warm-up of {fields['warmup_steps']} steps is more than half of the {steps}: half is used."]
        fields["warmup_steps"] = str(steps // 2)
    return [f"schedule={name}", *(f"schedule.{key}={value}" for key, value in fields.items())], told


def _fields(spec: str) -> dict[str, str] | None:
    """Name and fields of a spec that only names what its family reads; None for anything else."""
    match = _SPEC.fullmatch(spec)
    if match is None or match[1] not in NAMES:
        return None
    fields = {"name": match[1]}
    for part in filter(None, (part.strip() for part in re.split(r",(?![^\[]*\])", match[2] or ""))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key in OF_THE_RUN and match[1] == "power":
            continue
        if key not in NAMES[match[1]] or not _VALUE.fullmatch(value):
            return None
        fields[key] = re.sub(r"\s", "", value)
    return fields


def _optimizer(convention: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(arguments for the optimiser and the parameterisation, sentences)."""
    name = convention.get("optimizer", "adamw")
    parts = ["model.parameterisation=mup"] if convention.get("parameterisation") == "mup" else []
    if name not in OPTIMIZERS:
        return parts, [f"the law's optimiser is '{printable(name)}', the command trains AdamW."]
    if name != "adamw":
        parts.append(f"optimizer={name}")
    known = [key for key in (*OPTIMIZERS[name], "clip") if isinstance(convention.get(key), int | float)]
    return [*parts, *(f"optimizer.{key}={convention[key]:g}" for key in known)], []
