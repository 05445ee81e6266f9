"""The setting that a law was measured in, and that of a question: plain values by name. No numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from jaxlaws.errors import BadInput, unknown
from jaxlaws.recommender.override import OPTIMIZERS
from jaxlaws.records.units import parse_number, parse_positive, parse_whole
from jaxlaws.text import brief, printable

#: Names of what decides the best LR and batch besides N and D; a law's convention states some of them.
NAMES = (
    *("architecture", "optimizer", "beta1", "beta2", "weight_decay", "clip", "schedule", "final_lr", "warmup_steps"),
    *("seq_len", "parameterisation", "start", "corpus"),
)
_WORDS = ("architecture", "optimizer", "schedule", "parameterisation", "start", "corpus")
#: Arguments of `recommend` that ask for a setting.
ARGUMENTS = (
    *("optimizer", "parameterisation", "base_width", "moe_active", "moe_total", "from_checkpoint"),
    *("weight_decay", "beta2", "schedule", "warmup"),
)
#: Name of a setting → the values that it may have.
_CHOICES = {"optimizer": tuple(OPTIMIZERS), "parameterisation": ("standard", "mup")}
_WARMUP, _SHARE = re.compile(r",?\s*warmup_\w+=[^,)]*"), re.compile(r"warmup_fraction=([\d.eE+-]+)")
#: Optimiser → its usual spelling.
_SPELLINGS = {
    **{"adamw": "AdamW", "adam": "Adam", "lion": "Lion", "muon": "Muon", "sgd": "SGD", "adafactor": "Adafactor"},
    **{"soap": "SOAP", "schedule_free_adamw": "schedule-free AdamW"},
}


def measured_under(convention: Mapping[str, Any]) -> dict[str, Any]:
    """`NAMES` → its value in the convention of a law, None where the convention does not state it.

    Runs of `jaxlaws train`, whose configs are in the convention, are of dense models from scratch.
    """
    config = convention.get("config")
    plain = {name: value for name, (value, _) in _TRAINER.items()} if config else {}
    plain |= {"corpus": config.get("data.source")} if config else {}
    return {name: convention.get(name, plain.get(name)) for name in NAMES}


def valid_convention(convention: Mapping[str, Any]) -> dict[str, Any]:
    """The convention without values of a wrong type, since a file may hold anything."""

    def is_valid(name: str, value: Any) -> bool:
        if name == "config":
            return isinstance(value, Mapping)
        if name == "clip" and value == "inf":
            return True
        return isinstance(value, str) if name in _WORDS else name not in NAMES or (_is_number(value) and value >= 0)

    items = {name: value for name, value in convention.items() if is_valid(name, value)}
    return items | {name: _canonical(items[name], name) for name in _CHOICES if name in items}


def _canonical(text: str, kind: str) -> str:
    """The name in our spelling of names such as AdamW, torch.optim.AdamW, adam_w or μP; otherwise the text."""
    plain = re.sub(r"[^a-z0-9]", "", text.rpartition(".")[2].casefold().replace("μ", "mu"))
    elsewhere = {"sp": "standard", "maximalupdate": "mup", "adamwschedulefree": "schedule_free_adamw"}
    name = elsewhere.get(plain) or next((name for name in _CHOICES[kind] if name.replace("_", "") == plain), plain)
    return name if name in _CHOICES[kind] else text


def sentence(convention: Mapping[str, Any]) -> str:
    """`measured under: dense, AdamW β 0.9/0.95, …; not stated: corpus`."""
    setting = {name: value for name, value in convention.items() if value is not None}
    parts = [text for text in (part(setting) for part in _PARTS.values()) if text]
    gaps = [name for name, part in _PARTS.items() if not part(setting)]
    words = ", ".join(parts) or "a setting that the law does not state"
    return "measured under: " + printable(words + (f"; not stated: {', '.join(gaps)}" if parts and gaps else ""))


def untrainable(setting: Mapping[str, Any]) -> str:
    """Why `jaxlaws train` has no command for a setting, empty where it has one."""
    for name, (plain, what) in _TRAINER.items():
        if setting.get(name, plain) != plain:
            return f"jaxlaws train {what}: there is no command that trains this."
    return ""


#: Name → the value that `jaxlaws train` has, and what it lacks otherwise.
_TRAINER = {
    "architecture": ("dense", "has no mixtures of experts"),
    "start": ("from scratch", "starts from no checkpoint of another run"),
}


def _optimizer(setting: Mapping[str, Any]) -> str:
    if "optimizer" not in setting:
        return ""
    name = str(setting["optimizer"])
    betas = "/".join(f"{setting[key]:g}" for key in ("beta1", "beta2") if _is_number(setting.get(key)))
    return _SPELLINGS.get(name, name) + (f" β {betas}" if betas else "")


def _schedule(setting: Mapping[str, Any]) -> str:
    if "schedule" not in setting:
        return ""
    name, final = (
        _WARMUP.sub("", str(setting["schedule"])).replace("(, ", "(").replace("()", ""),
        setting.get("final_lr"),
    )
    return f"{name.partition('(')[0]} to {final:g}" if _is_number(final) else brief(name)


def _warm_up(setting: Mapping[str, Any]) -> str:
    """The warm-up of the law in steps, or the share in its schedule."""
    if "warmup_steps" in setting:
        return f"warm-up {setting['warmup_steps']:g} steps"
    share = _SHARE.search(str(setting.get("schedule")))
    return f"warm-up {float(share[1]):.3g} of the steps" if share else ""


#: Item of the sentence → its text, empty where the law does not state it.
_PARTS = {
    "architecture": lambda setting: setting.get("architecture", ""),
    "optimiser": _optimizer,
    "weight decay": lambda setting: f"weight decay {setting['weight_decay']:g}" if "weight_decay" in setting else "",
    "clipping": lambda setting: f"clip {float(setting['clip']):g}" if "clip" in setting else "",
    "schedule": _schedule,
    "warm-up": _warm_up,
    "sequence length": lambda setting: f"sequences of {setting['seq_len']:g}" if "seq_len" in setting else "",
    "parameterisation": lambda setting: (
        f"{setting['parameterisation']} parameterisation" if "parameterisation" in setting else ""
    ),
    "start": lambda setting: setting.get("start", ""),
    "corpus": lambda setting: f"corpus {brief(setting['corpus'], 40)}" if "corpus" in setting else "",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def parse_settings(**arguments: Any) -> dict[str, Any]:
    """The setting of a question, checked: names of `NAMES` and `base_width`, `warmup`, `moe`, `checkpoint_tokens`.

    Args:
      **arguments: `ARGUMENTS`, numbers as text or numbers, None for the law's own: optimizer and parameterisation by
        name; base_width, of the measured sweep; moe_active and moe_total, parameters; from_checkpoint, the tokens that
        the checkpoint was trained on, empty or True where they are not known; weight_decay; beta2; schedule, such as
        `wsd(cooldown=0.2)`; warmup, steps or a share of them below 1.

    Raises:
      BadInput: an unknown name, or a number that makes no sense.
    """
    arguments = {name: value for name, value in arguments.items() if value is not None and value is not False}
    settings: dict[str, Any] = {name: _canonical(str(arguments[name]), name) for name in _CHOICES if name in arguments}
    for name, value in settings.items():
        if value not in _CHOICES[name]:
            raise unknown(name, brief(value), _CHOICES[name])
    if "base_width" in arguments:
        settings["base_width"] = parse_whole(arguments["base_width"], "base-width")
    if "weight_decay" in arguments:
        settings["weight_decay"] = _between(arguments["weight_decay"], "weight-decay", 0.0, 100.0)
    if "beta2" in arguments:
        settings["beta2"] = _between(arguments["beta2"], "beta2", 0.0, 1.0)
        if not 0 < settings["beta2"] < 1:
            raise BadInput(f"beta2 is {settings['beta2']:g}, expected a number between 0 and 1, such as 0.95.")
    if "schedule" in arguments:
        settings["schedule"] = str(arguments["schedule"])
    if "warmup" in arguments:
        settings["warmup"] = _warmup(arguments["warmup"])
    return settings | _architecture(arguments) | _start(arguments)


def of_experts(params: Any, settings: Mapping[str, Any]) -> Any:
    """N of the question, or the active parameters of a mixture of experts where N is not given."""
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


def _architecture(arguments: Mapping[str, Any]) -> dict[str, Any]:
    if not {"moe_active", "moe_total"} & set(arguments):
        return {}
    if not {"moe_active", "moe_total"} <= set(arguments):
        raise BadInput("a mixture of experts has --moe-active and --moe-total parameters: give both.")
    active, total = (parse_positive(arguments[name], name.replace("_", "-")) for name in ("moe_active", "moe_total"))
    if total < active:
        raise BadInput(f"moe-total is {total:.3g}, less than moe-active, {active:.3g}: swap them.")
    return {"moe": (active, total)}


def _start(arguments: Mapping[str, Any]) -> dict[str, Any]:
    if "from_checkpoint" not in arguments:
        return {}
    text = arguments["from_checkpoint"]
    return {"checkpoint_tokens": None if text is True or text == "" else parse_positive(text, "from-checkpoint")}
