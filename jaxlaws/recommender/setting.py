"""The setting that a law was measured in, and the one that is asked for: plain values by name. No numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from jaxlaws.errors import BadInput, unknown
from jaxlaws.recommender.override import OPTIMIZERS
from jaxlaws.records.units import parse_number, parse_positive, parse_whole
from jaxlaws.text import brief, printable

#: What decides the best LR and batch besides N and D; a law's convention says some of it.
NAMES = (
    *("architecture", "optimizer", "beta1", "beta2", "weight_decay", "clip", "schedule", "final_lr", "warmup_steps"),
    *("seq_len", "parameterisation", "start", "corpus"),
)
_WORDS = ("architecture", "optimizer", "schedule", "parameterisation", "start", "corpus")
#: Arguments of `recommend` that ask for a setting.
ASKED = (
    *("optimizer", "parameterisation", "base_width", "moe_active", "moe_total", "from_checkpoint"),
    *("weight_decay", "beta2", "schedule", "warmup"),
)
#: What is named by a name → the names.
_NAMED = {"optimizer": tuple(OPTIMIZERS), "parameterisation": ("standard", "mup")}
_WARMUP, _SHARE = re.compile(r",?\s*warmup_\w+=[^,)]*"), re.compile(r"warmup_fraction=([\d.eE+-]+)")
#: Optimiser → how people write it.
_WRITTEN = {"adamw": "AdamW", "adam": "Adam", "lion": "Lion", "muon": "Muon", "sgd": "SGD", "adafactor": "Adafactor"}


def measured_under(convention: Mapping[str, Any]) -> dict[str, Any]:
    """`NAMES` → what the convention of a law says of it, None where it does not.

    Runs of `jaxlaws train`, whose configs are in the convention, are of dense models from scratch.
    """
    config = convention.get("config")
    plain = {name: value for name, (value, _) in _TRAINED.items()} if config else {}
    plain |= {"corpus": config.get("data.source")} if config else {}
    return {name: convention.get(name, plain.get(name)) for name in NAMES}


def stated(convention: Mapping[str, Any]) -> dict[str, Any]:
    """The convention without what is not of the kind that its name has: a file may hold anything."""

    def is_valid(name: str, value: Any) -> bool:
        if name == "config":
            return isinstance(value, Mapping)
        if name == "clip" and value == "inf":
            return True
        return isinstance(value, str) if name in _WORDS else name not in NAMES or (_is_number(value) and value >= 0)

    kept = {name: value for name, value in convention.items() if is_valid(name, value)}
    return kept | {name: _named(kept[name], name) for name in _NAMED if name in kept}


def _named(text: str, kind: str) -> str:
    """The name as we write it, of one that others write AdamW, torch.optim.AdamW, adam_w or μP; otherwise the text."""
    plain = re.sub(r"[^a-z0-9]", "", text.rpartition(".")[2].casefold().replace("μ", "mu"))
    name = {"sp": "standard", "maximalupdate": "mup"}.get(plain, plain)
    return name if name in _NAMED[kind] else text


def sentence(measured: Mapping[str, Any]) -> str:
    """`measured under: dense, AdamW β 0.9/0.95, …; not stated: corpus`."""
    said = {name: value for name, value in measured.items() if value is not None}
    parts = [text for text in (part(said) for part in _PARTS.values()) if text]
    missing = [name for name, part in _PARTS.items() if not part(said)]
    told = ", ".join(parts) or "a setting that the law does not state"
    return "measured under: " + printable(told + (f"; not stated: {', '.join(missing)}" if parts and missing else ""))


def untrainable(setting: Mapping[str, Any]) -> str:
    """Why `jaxlaws train` has no command for a setting, empty where it has one."""
    for name, (plain, what) in _TRAINED.items():
        if setting.get(name, plain) != plain:
            return f"jaxlaws train {what}: there is no command that trains this."
    return ""


#: Name → the value that `jaxlaws train` has, and what it lacks otherwise.
_TRAINED = {
    "architecture": ("dense", "has no mixtures of experts"),
    "start": ("from scratch", "starts from no checkpoint of another run"),
}


def _optimizer(said: Mapping[str, Any]) -> str:
    if "optimizer" not in said:
        return ""
    name = str(said["optimizer"])
    betas = "/".join(f"{said[key]:g}" for key in ("beta1", "beta2") if _is_number(said.get(key)))
    return _WRITTEN.get(name, name) + (f" β {betas}" if betas else "")


def _schedule(said: Mapping[str, Any]) -> str:
    if "schedule" not in said:
        return ""
    name, final = _WARMUP.sub("", str(said["schedule"])).replace("(, ", "(").replace("()", ""), said.get("final_lr")
    return f"{name.partition('(')[0]} to {final:g}" if _is_number(final) else brief(name)


def _warm_up(said: Mapping[str, Any]) -> str:
    """Of the steps that the law states, or as its schedule has it."""
    if "warmup_steps" in said:
        return f"warm-up {said['warmup_steps']:g} steps"
    share = _SHARE.search(str(said.get("schedule")))
    return f"warm-up {float(share[1]):.3g} of the steps" if share else ""


#: Item of the sentence → its text, empty where the law does not say.
_PARTS = {
    "architecture": lambda said: said.get("architecture", ""),
    "optimiser": _optimizer,
    "weight decay": lambda said: f"weight decay {said['weight_decay']:g}" if "weight_decay" in said else "",
    "clipping": lambda said: f"clip {float(said['clip']):g}" if "clip" in said else "",
    "schedule": _schedule,
    "warm-up": _warm_up,
    "sequence length": lambda said: f"sequences of {said['seq_len']:g}" if "seq_len" in said else "",
    "parameterisation": lambda said: (
        f"{said['parameterisation']} parameterisation" if "parameterisation" in said else ""
    ),
    "start": lambda said: said.get("start", ""),
    "corpus": lambda said: f"corpus {brief(said['corpus'], 40)}" if "corpus" in said else "",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def asked(**given: Any) -> dict[str, Any]:
    """The setting that is asked for, checked: names of `NAMES` and `base_width`, `warmup`, `moe`, `checkpoint_tokens`.

    Args:
      **given: `ASKED`, numbers as text or numbers, None where nothing is asked: optimizer and parameterisation by name;
        base_width, of the measured sweep; moe_active and moe_total, parameters; from_checkpoint, the tokens that the
        checkpoint was trained on, empty or True where they are not known; weight_decay; beta2; schedule, such as
        `wsd(cooldown=0.2)`; warmup, steps or a share of them below 1.

    Raises:
      BadInput: a name that there is not, or a number that makes no sense.
    """
    given = {name: value for name, value in given.items() if value is not None and value is not False}
    settings: dict[str, Any] = {name: _named(str(given[name]), name) for name in _NAMED if name in given}
    for name, value in settings.items():
        if value not in _NAMED[name]:
            raise unknown(name, brief(value), _NAMED[name])
    if "base_width" in given:
        settings["base_width"] = parse_whole(given["base_width"], "base-width")
    if "weight_decay" in given:
        settings["weight_decay"] = _between(given["weight_decay"], "weight-decay", 0.0, 100.0)
    if "beta2" in given:
        settings["beta2"] = _between(given["beta2"], "beta2", 0.0, 1.0)
        if not 0 < settings["beta2"] < 1:
            raise BadInput(f"beta2 is {settings['beta2']:g}, expected a number between 0 and 1, such as 0.95.")
    if "schedule" in given:
        settings["schedule"] = str(given["schedule"])
    if "warmup" in given:
        settings["warmup"] = _warmup(given["warmup"])
    return settings | _architecture(given) | _start(given)


def of_experts(params: Any, settings: Mapping[str, Any]) -> Any:
    """N as asked, or the active parameters of a mixture of experts where N is not given."""
    if "moe" not in settings or params == settings["moe"][0]:
        return params
    if params is not None and parse_positive(params, "params") != settings["moe"][0]:
        raise BadInput("N of a mixture of experts is its active parameters: leave --params out, or give --moe-active.")
    return settings["moe"][0]


def _between(text: Any, name: str, low: float, high: float) -> float:
    value = parse_number(text, name)
    if not low <= value <= high:
        raise BadInput(f"{name} is {value:g}, expected a number from {low:g} to {high:g}.")
    return value


def _warmup(text: Any) -> dict[str, Any]:
    """{"warmup_steps": a whole number} or {"warmup_fraction": a share below 1, also as 5%}."""
    if isinstance(text, str) and text.strip().endswith("%"):
        return {"warmup_fraction": _between(text.strip()[:-1], "warmup in percent", 0, 99) / 100}
    value = _between(text, "warmup", 0, 1e12)
    return {"warmup_fraction": value} if 0 < value < 1 else {"warmup_steps": parse_whole(text, "warmup", least=0)}


def _architecture(given: Mapping[str, Any]) -> dict[str, Any]:
    if not {"moe_active", "moe_total"} & set(given):
        return {}
    if not {"moe_active", "moe_total"} <= set(given):
        raise BadInput("a mixture of experts has --moe-active and --moe-total parameters: give both.")
    active, total = (parse_positive(given[name], name.replace("_", "-")) for name in ("moe_active", "moe_total"))
    if total < active:
        raise BadInput(f"moe-total is {total:.3g}, less than moe-active, {active:.3g}: swap them.")
    return {"moe": (active, total)}


def _start(given: Mapping[str, Any]) -> dict[str, Any]:
    if "from_checkpoint" not in given:
        return {}
    text = given["from_checkpoint"]
    return {"checkpoint_tokens": None if text is True or text == "" else parse_positive(text, "from-checkpoint")}
