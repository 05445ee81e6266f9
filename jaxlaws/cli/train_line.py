"""The command that trains a schedule which was designed for a law, in the setting of the law's own runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxlaws.text import quoted

if TYPE_CHECKING:
    from jaxlaws.fitting.result import LossFit


def train_line(fit: LossFit, schedule: Mapping[str, Any], steps: int, peak_lr: float) -> str:
    """`jaxlaws train …`, each argument quoted for a shell.

    Args:
      fit: of a curve law; one that was fitted to a sweep knows its model, batch and data.
      schedule: name and fields of the schedule.
      steps: T.
      peak_lr: of the schedule.
    """
    from jaxlaws.recommender.override import hydra_text, setting_arguments
    from jaxlaws.records.shared import OF_ONE_MODEL

    setting = fit.data.get("setting") or {}
    arguments = {key: value for key in OF_ONE_MODEL if isinstance(value := setting.get(key), str | int | float)}
    arguments |= {"steps": steps, "optimizer.peak_lr": float(f"{peak_lr:.6g}"), "schedule": schedule["name"]}
    arguments |= {f"schedule.{key}": value for key, value in schedule.items() if key != "name"}
    texts = {key: hydra_text(value) for key, value in arguments.items()}
    texts |= setting_arguments({"config": setting, "optimizer": setting.get("optimizer.name", "adamw")})[0]
    return " ".join(["jaxlaws train", *(quoted(f"{key}={value}") for key, value in texts.items())])
