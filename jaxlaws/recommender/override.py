"""A recommendation as arguments of experiments/train.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jaxlaws.recommender.question import Question

#: Schedules that experiments/train.py has, and so can be asked for by name.
_TRAINABLE = ("constant", "cosine", "linear", "wsd")


def override(q: Question, peak_lr: float | None, batch_tokens: float | None, convention: Mapping[str, Any]) -> str:
    """`optimizer.peak_lr=… batch_sequences=… tokens=… schedule=… …`, ready to paste.

    Args:
      q: the question.
      peak_lr, batch_tokens: the advice; None leaves them out.
      convention: of the law; its schedule, warm-up, final LR and weight decay are asked for where it has them.
    """
    parts = []
    if peak_lr is not None:
        parts.append(f"optimizer.peak_lr={peak_lr:.4g}")
    if batch_tokens is not None:
        parts.append(f"batch_sequences={max(1, round(batch_tokens / q.seq_len))}")
    parts += [f"tokens={q.tokens:.10g}", f"data.seq_len={q.seq_len}"]
    match = re.fullmatch(r"(\S+?)\((.*)\)", str(convention.get("schedule", "")))
    if match and match[1] in _TRAINABLE:
        parts.append(f"schedule={match[1]}")
        pairs = [part.strip().split("=") for part in match[2].split(",") if "=" in part]
        parts += [f"schedule.{name}={value}" for name, value in pairs]
    for name in ("weight_decay", "beta1", "beta2"):
        if name in convention:
            parts.append(f"optimizer.{name}={convention[name]:g}")
    return " ".join(parts)
