"""A recommendation as a command that trains it: model, budget, batch, learning rate, schedule, optimiser, data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxlaws.errors import BadInput
from jaxlaws.recommender.question import Question
from jaxlaws.recommender.shapes import model
from jaxlaws.records.shared import SHARED
from jaxlaws.schedules.names import FROM_FILE, MOST_STEPS, NAMES, OF_THE_RUN
from jaxlaws.text import in_quotes, printable, quoted

#: Optimiser → what it reads of a law's convention, besides `clip`.
OPTIMIZERS = {
    "adamw": ("weight_decay", "beta1", "beta2", "eps"),
    "adam": ("beta1", "beta2", "eps"),
    "sgd": ("weight_decay", "momentum"),
    "nesterov": ("weight_decay", "momentum"),
    "lion": ("weight_decay", "beta1", "beta2"),
    "adafactor": ("weight_decay", "beta1"),
    "muon": ("weight_decay", "momentum", "beta1", "beta2", "eps"),
    "soap": ("weight_decay", "beta1", "beta2", "eps"),
    "schedule_free_adamw": ("weight_decay", "beta1", "beta2", "eps"),
}
#: Share of the steps that a law's warm-up may have; a longer one is cut to it.
LONGEST_WARMUP = 0.5
_SPEC = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")
_VALUE = re.compile(r"[\w.+-]+|\[[\d.eE+,\s-]+\]")
_FILE = re.compile(r"[^\s$`;&|<>*?!'\"\\(){}\[\]]+\.(csv|npy|json|py:\w+)")
_BARE = re.compile(r"[\w./+:@%-]+|\[[\w.,+-]+\]")


class Command(NamedTuple):
    """The arguments of `jaxlaws train` for a recommendation.

    Attributes:
      arguments: key → value as Hydra reads it; empty where no command can be right.
      sentences: what people should know about it.
      schedule: spec of the schedule that it trains; None where that is the law's own.
      warmup_steps: that the command states; None where it states none.
    """

    arguments: Mapping[str, str]
    sentences: list[str]
    schedule: str | None = None
    warmup_steps: int | None = None

    @property
    def text(self) -> str:
        """The arguments in one line, each quoted for a shell."""
        return " ".join(quoted(f"{key}={value}") for key, value in self.arguments.items())


def sequences(q: Question, batch_tokens: float) -> int:
    """The number of sequences in a batch: the nearest multiple of `q.multiple_of`, below a batch that memory fixes."""
    count = batch_tokens / q.seq_len / q.multiple_of
    whole = round(count) if q.batch_tokens is None else math.floor(count * (1 + 1e-9))
    return q.multiple_of * min(max(1, whole), max(1, int(q.tokens // (q.seq_len * q.multiple_of))))


def steps(q: Question, count: int) -> int:
    """The number of steps of `count` sequences that come nearest to the budget, at least one."""
    return max(1, round(q.tokens / (count * q.seq_len)))


def override(q: Question, peak_lr: float | None, batch_tokens: float | None, convention: Mapping[str, Any]) -> Command:
    """The command that trains a recommendation.

    Args:
      q: the question.
      peak_lr, batch_tokens: the advice.
      convention: of the law: schedule, warm-up, optimiser, parameterisation, and `config`, what else its runs share.
    """
    if peak_lr is None or batch_tokens is None:
        return Command({}, ["the law says no peak LR or no batch: there is no command that trains its advice."])
    count = sequences(q, batch_tokens)
    total = steps(q, count)
    if total > MOST_STEPS:
        return Command({}, [f"{total:,} steps are more than a run may have, {MOST_STEPS:,}: there is no command."])
    try:
        schedule, sentences = _schedule(convention, total, peak_lr)
    except BadInput as error:
        return Command({}, [str(error)])
    arguments = {
        **model(q),
        "tokens": f"{q.tokens:.10g}",
        "data.seq_len": f"{q.seq_len}",
        "batch_sequences": f"{count}",
        "optimizer.peak_lr": f"{peak_lr:.6g}",
    }
    if schedule:
        arguments |= {"schedule": schedule["name"]}
        arguments |= {f"schedule.{key}": value for key, value in schedule.items() if key != "name"}
    settings, notes = setting_arguments(convention)
    warmup = None if "warmup_steps" not in schedule else int(float(schedule["warmup_steps"]))
    spec = _spec(schedule) if sentences and schedule else None
    return Command({**arguments, **settings}, [*sentences, *notes], spec, warmup)


def _schedule(convention: Mapping[str, Any], total: int, peak_lr: float) -> tuple[dict[str, str], list[str]]:
    """(name and fields of the schedule as Hydra reads them, empty where the law states none; sentences).

    Raises:
      BadInput: the law's schedule has no name, or does not fit a run of `total` steps.
    """
    spec = convention.get("schedule")
    if spec is None:
        return {}, ["the law's runs do not say their schedule: the command trains the default, cosine."]
    fields = spec_fields(str(spec))
    if fields is None:
        raise BadInput(f"the schedule '{printable(spec)}' cannot be asked for by name: there is no command to paste.")
    if fields["name"] in FROM_FILE:
        return fields, check_file(fields, total)
    if not {"warmup_steps", "warmup_fraction"} & set(fields) and "warmup_steps" in convention:
        fields["warmup_steps"] = f"{convention['warmup_steps']:g}"
    sentences = []
    if (warmup := float(fields.get("warmup_steps", 0))) > LONGEST_WARMUP * total:
        sentences.append(f"the law's warm-up of {warmup:,.0f} steps is more than half of the {total:,}: half is used.")
        fields["warmup_steps"] = str(int(LONGEST_WARMUP * total))
    if (last := float(fields.get("floor_lr", 0))) >= peak_lr:
        sentences.append(
            f"the law's last LR of {last:.3g} is no less than the peak: the command ends at a tenth of it."
        )
        fields["floor_lr"] = f"{peak_lr / 10:.3g}"
    if int(float(fields.get("cycles", 1))) > max(total - int(float(fields.get("warmup_steps", 0))), 1):
        raise BadInput(f"the law's schedule has {fields['cycles']} cycles, and the run {total} steps: no command.")
    return fields, sentences


def check_file(fields: Mapping[str, str], total: int) -> list[str]:
    """Sentences on a schedule that a run of `total` steps reads from a file; `BadInput` where it cannot have it."""
    name, file = fields["name"], fields.get("file", "")
    path = Path(file.rpartition(":")[0] if name == "optax" else file)
    if not path.is_file():
        raise BadInput(f"the schedule {name} is in '{printable(file)}', which is no file here: there is no command.")
    if name == "optax":
        return [f"the command runs {printable(path)} as a Python program, which makes its schedule."]
    if name == "table":
        from jaxlaws.schedules.exchange import read_table

        if (rows := len(read_table(path))) != total:
            raise BadInput(
                f"the schedule in {printable(path)} has {rows:,} steps and the run {total:,}: there is no command; "
                f"make one of {total:,} with jaxlaws design schedule … --steps {total}."
            )
    return []


def spec_fields(spec: str) -> dict[str, str] | None:
    """Name and fields of a spec that only names what its family reads; None for anything else."""
    match = _SPEC.fullmatch(spec)
    if match is None or match[1] not in NAMES:
        return None
    fields = {"name": match[1]}
    for part in filter(None, (part.strip() for part in re.split(r",(?![^\[]*\])", match[2] or ""))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key in OF_THE_RUN and match[1] == "power":
            continue
        if key not in NAMES[match[1]] or not (_FILE if key == "file" else _VALUE).fullmatch(value):
            return None
        fields[key] = re.sub(r"\s", "", value)
    return fields


def _spec(fields: Mapping[str, str]) -> str:
    """The schedule as one short string, as `jaxlaws.schedules.spec.parse` reads it."""
    return f"{fields['name']}({', '.join(f'{key}={fields[key]}' for key in sorted(fields) if key != 'name')})"


def setting_arguments(convention: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """(arguments for the optimiser, the parameterisation, the data and all else that the law's runs share; sentences).

    What is the default already is left out.
    """
    shared = dict(convention.get("config") or {})
    shared |= {"model.parameterisation": convention.get("parameterisation", "standard")}
    arguments: dict[str, Any] = {}
    sentences = []
    name = convention.get("optimizer", "adamw")
    if name not in OPTIMIZERS:
        sentences = [f"the law's optimiser is '{printable(name)}', the command trains AdamW."]
    else:
        arguments |= {} if name == "adamw" else {"optimizer": name}
        reads = (*OPTIMIZERS[name], "clip")
        for source in ({key: shared.get(f"optimizer.{key}") for key in reads}, convention):
            arguments |= {f"optimizer.{key}": source[key] for key in reads if _is_number(source.get(key))}
    if shared["model.parameterisation"] == "mup" and _is_number(shared.get("model.base_width")):
        arguments["model.base_width"] = shared["model.base_width"]
    arguments |= {
        key: shared[key]
        for key, default in SHARED.items()
        if isinstance(shared.get(key), str | int | float) and shared[key] != default
    }
    return {key: hydra_text(value) for key, value in arguments.items()}, sentences


def _is_number(value: Any) -> bool:
    return value == "inf" or (isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value))


def hydra_text(value: Any) -> str:
    """A value as Hydra's grammar has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return value if _BARE.fullmatch(value) else in_quotes(printable(value), '"')
