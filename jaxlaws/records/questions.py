"""The questions about a table of runs, by name, and how a user answers them. No pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxlaws.errors import BadInput, unknown

#: Question → what is assumed where the user answers for it with `--assume NAME`.
QUESTIONS: Mapping[str, str] = {
    "loss-unit": "the losses are nats a token, whatever their size",
    "batch-unit": "batch_tokens counts tokens",
    "lr-unit": "peak_lr is a plain learning rate",
    "counts": "parameters and tokens are plain counts",
    "steps": "steps, batch and tokens are right although they disagree",
    "flops": "the FLOP columns are right although they disagree with 6·N·D",
    "repeats": "runs with one config may differ by as much as they do",
    "checkpoints": "rows that look like checkpoints of one run are losses too, resampled by run (=last takes the last)",
    "outliers": "losses far from the smooth surface of the others are measurements (=out leaves them out)",
    "alignment": "the learning rates of a curve belong to its steps although the loss falls before them",
    "settings": "settings that the law cannot see may differ (=COLUMN,COLUMN for these only)",
    "tuning": "runs of one (N, D) may differ in LR or batch (=best takes the lowest loss of each)",
}
#: Question → the one value that it takes; any text where the value is empty.
_VALUES = {"checkpoints": "last", "tuning": "best", "outliers": "out", "settings": ""}


def parse_assume(entries: Sequence[str]) -> dict[str, str]:
    """{question: value or ""} of entries `NAME` or `NAME=VALUE`; `BadInput` for an unknown name or value."""
    answers: dict[str, str] = {}
    for entry in entries:
        name, sign, value = (part.strip() for part in entry.partition("="))
        if name not in QUESTIONS:
            raise unknown("question in --assume", name, QUESTIONS)
        if sign and (not value or _VALUES.get(name) not in ("", value)):
            raise BadInput(
                f"--assume is '{entry}', expected {name}"
                + (f" or {name}={_VALUES[name] or 'COLUMN,COLUMN'}." if name in _VALUES else " without a value.")
            )
        answers[name] = f"{answers[name]},{value}" if value and answers.get(name) else value
    return answers
