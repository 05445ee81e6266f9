"""A run as a text to paste elsewhere: torch, optax, a recipe of this project, or a sweep of Weights & Biases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxlaws import config
from jaxlaws.config import RunConfig
from jaxlaws.errors import BadInput
from jaxlaws.schedules.closed_form import closed_form, knots
from jaxlaws.schedules.config import family
from jaxlaws.schedules.spec import schedule_array, spec_string
from jaxlaws.text import printable

_TORCH_ADAM = "(model.parameters(), lr=PEAK_LR, betas=({b1}, {b2}), eps={eps}"
_TORCH_SGD = "torch.optim.SGD(model.parameters(), lr=PEAK_LR, momentum={momentum}, weight_decay={decay}"
#: Optimiser → the call that makes it in torch, and its rules in optax; a library lacks those without a row.
TORCH = {
    "adamw": f"torch.optim.AdamW{_TORCH_ADAM}, weight_decay={{decay}})",
    "adam": f"torch.optim.Adam{_TORCH_ADAM})",
    "sgd": f"{_TORCH_SGD})",
    "nesterov": f"{_TORCH_SGD}, nesterov=True)",
}
_DECAYED = "optax.add_decayed_weights({decay}, mask=matrices)"
OPTAX = {
    "adamw": ("optax.scale_by_adam({b1}, {b2}, {eps})", _DECAYED),
    "adam": ("optax.scale_by_adam({b1}, {b2}, {eps})",),
    "sgd": ("optax.trace({momentum})", _DECAYED),
    "nesterov": ("optax.trace({momentum}, nesterov=True)", _DECAYED),
    "lion": ("optax.scale_by_lion({b1}, {b2})", _DECAYED),
}


def torch(run: RunConfig, title: str) -> str:
    """A program that makes a torch optimiser and its `LambdaLR` for a model.

    Raises:
      BadInput: torch has no such optimiser.
    """
    module = "math" if family(run.schedule.name).warmup else "bisect"
    lines = [f"import {module}", "", "import torch", "", *_constants(run), ""]
    lines += ["", "def share_of_peak(step):", '    """The LR of step 0, 1, … as a share of PEAK_LR."""']
    lines += ["    k = min(step + 1, STEPS)", *_branches(run), "", ""]
    lines += ['if "model" not in globals():', "    model = torch.nn.Linear(1, 1)  # your model instead", ""]
    lines += [
        f"optimizer = {_optimizer(run, TORCH, '--for torch')}",
        "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_peak)",
        "# Each of the STEPS steps, on BATCH_SEQUENCES sequences of SEQ_LEN tokens:",
        "#   loss.backward()",
        *(["#   torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)"] if _clips(run) else []),
        "#   optimizer.step(); scheduler.step(); optimizer.zero_grad()",
        *_notes(run),
    ]
    return _with_title(title, lines)


def optax(run: RunConfig, title: str) -> str:
    """A program that makes an optax schedule and the optimiser that has it.

    Raises:
      BadInput: optax has no such optimiser.
    """
    rules = _optimizer(run, {name: ",\n    ".join(parts) for name, parts in OPTAX.items()}, "--for optax")
    lines = ["import jax", "import jax.numpy as jnp", "import optax", "", *_constants(run), ""]
    lines += ["", "def schedule(count):", '    """The LR of step 0, 1, …"""']
    lines += ["    k = jnp.minimum(count + 1.0, STEPS)", *_wheres(run), "    return PEAK_LR * share", ""]
    if "matrices" in rules:
        lines += ["", "def matrices(params):", '    """Which of the parameters decay."""']
        lines += ["    return jax.tree.map(lambda w: jnp.ndim(w) > 1, params)", ""]
    clip = ["    optax.clip_by_global_norm(CLIP),"] if _clips(run) else []
    lines += ["", "optimizer = optax.chain(", *clip, f"    {rules},"]
    return _with_title(title, [*lines, "    optax.scale_by_learning_rate(schedule),", ")", *_notes(run)])


def recipe(arguments: Mapping[str, str], run: RunConfig, title: str) -> str:
    """A recipe for `jaxlaws train sweep=./FILE.yaml`: the arguments of the command as a nested config.

    Args:
      arguments: of the command, key → value as Hydra reads it.
      run: what the command trains, for the figures that other trainers need.
      title: what it is, for a comment.
    """
    groups = {key: value for key, value in arguments.items() if key in ("model", "schedule", "optimizer")}
    lines = ["# @package _global_", *_comment(title), "# Train it: jaxlaws train sweep=./THIS_FILE.yaml"]
    lines += [f"# {name}: {value}" for name, value in figures(run).items()]
    lines += ["defaults:", *(f"  - override /{key}: {value}" for key, value in groups.items()), "  - _self_"]
    parts: dict[str, list[str]] = {}
    for key, value in arguments.items():
        if key not in groups:
            group, _, name = key.rpartition(".")
            parts.setdefault(group, []).append(f"{name}: {_yaml(value)}")
    lines += parts.pop("", [])
    for group, entries in parts.items():
        lines += [f"{group}:", *(f"  {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def wandb(arguments: Mapping[str, str], run: RunConfig, title: str) -> str:
    """A sweep of Weights & Biases around a recommendation: its LR and those a factor of two away.

    Args: see `recipe`.
    """
    peak = run.optimizer.peak_lr
    overrides = [f"{key}={value}" for key, value in arguments.items() if key != "optimizer.peak_lr"]
    command = ["${env}", "jaxlaws", "train", *overrides, "engine.wandb=true", "${args_no_hyphens}"]
    values = ", ".join(_yaml(f"{factor * peak:.6g}") for factor in (0.5, 1, 2))
    lines = [*_comment(title), "# Start it: wandb sweep THIS_FILE.yaml; then wandb agent with the name that it prints"]
    lines += [f"# {name}: {value}" for name, value in figures(run).items()]
    lines += ["program: jaxlaws", "method: grid", "metric:", "  name: val_loss", "  goal: minimize"]
    lines += ["parameters:", "  optimizer.peak_lr:", f"    values: [{values}]"]
    lines += ["command:", *(f"  - {json.dumps(part, ensure_ascii=False)}" for part in command)]
    return "\n".join(lines) + "\n"


def figures(run: RunConfig) -> dict[str, Any]:
    """The numbers that any trainer needs."""
    total, count = config.steps(run), config.batch_sequences(run)
    lr = schedule_array(run.schedule, total, run.optimizer.peak_lr)
    return {
        "peak LR": f"{run.optimizer.peak_lr:.6g}",
        "batch": f"{count} sequences of {run.data.seq_len}, {count * run.data.seq_len} tokens",
        "steps": total,
        "schedule": printable(spec_string(run.schedule)),
        "last LR": f"{lr[-1]:.6g}",
    }


def _constants(run: RunConfig) -> list[str]:
    values = {
        "PEAK_LR": float(f"{run.optimizer.peak_lr:.6g}"),
        "STEPS": config.steps(run),
        "BATCH_SEQUENCES": config.batch_sequences(run),
        "SEQ_LEN": run.data.seq_len,
        **({"CLIP": run.optimizer.clip} if _clips(run) else {}),
    }
    return [f"{name} = {value!r}" for name, value in values.items()]


def _clips(run: RunConfig) -> bool:
    return run.optimizer.clip < float("inf")


def _optimizer(run: RunConfig, calls: Mapping[str, str], who: str) -> str:
    o = run.optimizer
    if o.name not in calls:
        raise BadInput(f"{who} knows {', '.join(calls)}, and this run has {o.name}: --for yaml has its values.")
    values = {"b1": o.beta1, "b2": o.beta2, "eps": o.eps, "decay": o.weight_decay, "momentum": o.momentum}
    return calls[o.name].format(**values)


def _branches(run: RunConfig) -> list[str]:
    """The body of a function of k in plain Python."""
    if not family(run.schedule.name).warmup:
        at, share = _knots(run)
        return [
            f"    at = {at}",
            f"    share = {share}",
            "    i = max(1, bisect.bisect_left(at, k))",
            "    return share[i - 1] + (k - at[i - 1]) / (at[i] - at[i - 1]) * (share[i] - share[i - 1])",
        ]
    pieces = _pieces(run, {"sqrt": "math.sqrt", "cos": "math.cos", "pi": "math.pi"})
    lines = []
    for last, text in pieces[:-1]:
        lines += [f"    if k <= {last}:", f"        return {text}"]
    return [*lines, f"    return {pieces[-1][1]}"]


def _wheres(run: RunConfig) -> list[str]:
    """The body of a function of a traced k."""
    if not family(run.schedule.name).warmup:
        at, share = _knots(run)
        return [f"    share = jnp.interp(k, jnp.array({at}), jnp.array({share}))"]
    pieces = _pieces(run, {"sqrt": "jnp.sqrt", "cos": "jnp.cos", "pi": "jnp.pi"})
    lines = [f"    share = {pieces[-1][1]}"]
    return [*lines, *(f"    share = jnp.where(k <= {last}, {text}, share)" for last, text in reversed(pieces[:-1]))]


def _pieces(run: RunConfig, names: Mapping[str, str]) -> list[tuple[int, str]]:
    """(last k, expression) with the functions of a library."""
    pieces = []
    for last, text in closed_form(run.schedule, config.steps(run), run.optimizer.peak_lr):
        for name, theirs in names.items():
            text = text.replace(name, theirs)
        pieces.append((last, text))
    return pieces


def _knots(run: RunConfig) -> tuple[Sequence[float], Sequence[float]]:
    at, share = knots(schedule_array(run.schedule, config.steps(run), run.optimizer.peak_lr))
    ends = ([float(k) for k in at], [float(f"{value:.9g}") for value in share])
    return ends if len(at) > 1 else ([0.0, 1.0], [1.0, 1.0])


def _notes(run: RunConfig) -> list[str]:
    """What the program leaves out, as comments."""
    notes = []
    if run.optimizer.weight_decay and run.optimizer.name != "adam":
        notes.append("# Weight decay is for matrices and embeddings; gains and biases have none.")
    if run.model.parameterisation == "mup":
        notes.append(f"# The LR is of a model under μP with base width {run.model.base_width}: matrices scale theirs.")
    return notes


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in printable(text, keep="\n").splitlines()]


def _with_title(title: str, lines: Sequence[str]) -> str:
    return "\n".join([*_comment(title), *lines]) + "\n"


def _yaml(value: str) -> str:
    """A value of Hydra's grammar as YAML: numbers get the point without which YAML takes 1e-05 for a word."""
    try:
        number = json.loads(value)
    except ValueError:
        return ".inf" if value == "inf" else value
    if isinstance(number, float):
        text = repr(number)
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    return value


#: What `--for` takes → its text of (arguments of the command, run, title).
SNIPPETS: dict[str, Callable[[Mapping[str, str], RunConfig, str], str]] = {
    "torch": lambda arguments, run, title: torch(run, title),
    "optax": lambda arguments, run, title: optax(run, title),
    "yaml": recipe,
    "wandb": wandb,
}
