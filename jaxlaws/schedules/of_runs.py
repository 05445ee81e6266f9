"""Schedules of runs that logged no learning rate: a table with the spec, steps and peak LR of each run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxlaws.errors import BadInput
from jaxlaws.records.units import parse_positive, parse_whole
from jaxlaws.schedules.config import ScheduleConfig
from jaxlaws.schedules.spec import parse, schedule_array
from jaxlaws.text import printable


def read_schedules(file: str | Path) -> dict[str, np.ndarray]:
    """Run id → [steps] LR of every step, of a table with `run_id, schedule, steps, peak_lr` and maybe `warmup_steps`.

    `schedule` is a spec such as `cosine(floor=0.1)` or `wsd(cooldown=0.2, warmup_steps=100)`.

    Raises:
      BadInput: a column is missing, or a row is no schedule.
    """
    from jaxlaws.records.source import read_plan

    columns = ("run_id", "schedule", "steps", "peak_lr")
    plan = read_plan(Path(file))
    missing = [name for name in columns if name not in plan]
    if missing:
        raise BadInput(
            f"{printable(file)} has no column {', '.join(missing)}, expected {', '.join(columns)} and maybe "
            "warmup_steps: a row a run."
        )
    schedules = {}
    for row in plan.to_dict("records"):
        name = str(row["run_id"])
        try:
            config = parse(str(row["schedule"]))
            warmup = row.get("warmup_steps")
            if warmup is not None and warmup == warmup:
                config = {**config, "warmup_steps": int(warmup)}
            steps = parse_whole(row["steps"], "steps")
            schedules[name] = schedule_array(ScheduleConfig(**config), steps, parse_positive(row["peak_lr"], "peak_lr"))
        except BadInput as error:
            raise BadInput(f"{printable(file)}, run '{printable(name)}': {error}") from None
    return schedules
