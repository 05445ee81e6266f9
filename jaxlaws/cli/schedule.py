"""`jaxlaws schedule FILE|SPEC`: the learning rate of every step, shown and written for any trainer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxlaws.cli.schedule_files import schedule_files
from jaxlaws.errors import BadInput
from jaxlaws.records.units import parse_positive, parse_whole

if TYPE_CHECKING:
    import numpy as np

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 72


class Schedule(NamedTuple):
    """A schedule: what it was read from, lr[steps], and how many of its first steps are warm-up."""

    name: str
    lr: np.ndarray
    warmup_steps: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "schedule",
        metavar="FILE|SPEC",
        nargs="?",
        help="such as 'wsd(cooldown=0.2)'; a .csv, .npy, .json; none: the list",
    )
    add_spec(parser)
    parser.add_argument("-o", "--out", metavar="FILE", help="write it as .csv (step,lr), .npy, or .json for LambdaLR")
    parser.add_argument("--plot", metavar="FILE", help="draw it into a .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")


def add_spec(parser: argparse.ArgumentParser) -> None:
    """The options of a SPEC, which `open_schedule` takes."""
    parser.add_argument("--steps", help="of a SPEC")
    parser.add_argument("--peak-lr", help="of a SPEC; a FILE is scaled to it where given")
    parser.add_argument("--warmup", help="warm-up steps of the schedule; a share of them is warmup_fraction in a SPEC")


def open_schedule(
    text: str, steps: str | None, peak_lr: str | None, warmup: str | None, default_warmup: int | None = None
) -> Schedule:
    """The schedule of a FILE or a SPEC and its options, as the user wrote them.

    Args:
      default_warmup: warm-up steps of a SPEC that names no warm-up, where `warmup` does not either.

    Raises:
      BadInput: neither a file nor a spec, or a spec without its length or peak.
    """
    from jaxlaws.schedules.config import family
    from jaxlaws.schedules.exchange import FORMATS, read_table
    from jaxlaws.schedules.spec import ScheduleConfig, parse, schedule_array, spec_string, warmup_steps

    warmup_count = None if warmup is None else parse_whole(warmup, "--warmup", 0)
    peak = None if peak_lr is None else parse_positive(peak_lr, "--peak-lr")
    count = None if steps is None else parse_whole(steps, "--steps")
    if Path(text).is_file() or Path(text).suffix in FORMATS:
        lr = read_table(Path(text))
        if count not in (None, len(lr)):
            raise BadInput(f"{text} has {len(lr)} steps, --steps is {count}: leave it out.")
        if warmup_count is not None and not 0 <= warmup_count <= len(lr):
            raise BadInput(f"--warmup is {warmup_count}, {text} has {len(lr)} steps.")
        return Schedule(text, lr if peak is None else lr * (peak / lr.max()), warmup_count or 0)
    if count is None or peak is None:
        raise BadInput(f"'{text}' is not a file; a SPEC such as 'wsd(cooldown=0.2)' needs --steps, --peak-lr.")
    fields = parse(text)
    config = ScheduleConfig(**fields)
    if not family(config.name).warmup:
        return Schedule(spec_string(config), schedule_array(config, count, peak), warmup_count or 0)
    if warmup_count is not None and "warmup_steps" in fields:
        raise BadInput(
            f"--warmup is {warmup_count}, and the SPEC has warmup_steps={config.warmup_steps}: leave one out."
        )
    if warmup_count is not None:
        config.warmup_steps = warmup_count
    elif not fields.keys() & {"warmup_steps", "warmup_fraction"}:
        config.warmup_steps = default_warmup
    return Schedule(spec_string(config), schedule_array(config, count, peak), warmup_steps(config, count))


def run(args: argparse.Namespace) -> int:
    if args.schedule is None:
        return _list(args.json)
    with schedule_files(args.out, args.plot) as outputs:
        schedule = open_schedule(args.schedule, args.steps, args.peak_lr, args.warmup)
        files = outputs.write([(schedule.name, schedule.lr)])
        _show(schedule, files, args.json)
    if not args.json:
        for file in files:
            print(f"written to {file}")
    return 0


def _show(schedule: Schedule, files: Sequence[str], as_json: bool) -> None:
    name, lr, warmup = schedule
    points, peak = landmarks(lr, warmup), float(lr.max())
    if as_json:
        answer = {
            "schedule": name,
            "steps": len(lr),
            "warmup_steps": warmup,
            "peak_lr": peak,
            "final_lr": float(lr[-1]),
            "mean_lr": float(lr.mean()),
            "landmarks": [{"at": at, "step": step, "lr": float(lr[step])} for at, step in points.items()],
            "files": list(files),
        }
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        return
    print(f"{name}: {len(lr)} steps, {warmup} of them warm-up, peak LR {peak:.6g}, mean {lr.mean() / peak:.1%} of it")
    print(picture(lr))
    print(f"  {'':<16}{'step':>10}{'LR':>14}{'of the peak':>14}")
    for at, step in points.items():
        print(f"  {at:<16}{step:>10}{lr[step]:>14.6g}{lr[step] / peak:>14.2%}")


def _list(as_json: bool) -> int:
    """Every family with its numbers and their defaults, as a spec."""
    from jaxlaws.schedules.config import FAMILIES

    about = {name: (family.array.__doc__ or "").split("\n")[0] for name, family in FAMILIES.items()}
    if as_json:
        answer = {name: {"fields": family.fields, "about": about[name]} for name, family in FAMILIES.items()}
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        return 0
    for name, family in FAMILIES.items():
        fields = ", ".join(f"{key}={'…' if value is None else value}" for key, value in family.fields.items())
        print(f"{name}({fields})\n    {about[name]}")
    print(
        "All but refined, table and optax take warmup_steps or warmup_fraction, and warmup_shape; with floor, floor_lr."
    )
    return 0


def landmarks(lr: np.ndarray, warmup: int) -> dict[str, int]:
    """What happens → the step that it happens at, counted from 0, in order."""
    import numpy as np

    last, peak = len(lr) - 1, int(np.argmax(lr))
    falls = peak + 1 + np.flatnonzero(lr[peak + 1 :] < lr.max())
    half = peak + 1 + np.flatnonzero(lr[peak + 1 :] <= lr.max() / 2)
    marks = {"first step": 0, "warm-up ends": max(warmup - 1, 0), "half of the run": last // 2, "last step": last}
    for name, steps in (("decay begins", falls), ("half the peak", half)):
        if len(steps):
            marks[name] = int(steps[0])
    return dict(sorted(marks.items(), key=lambda item: item[1]))


def picture(lr: np.ndarray) -> str:
    """The schedule as one line of bars, each the mean of its steps."""
    import numpy as np

    parts = np.array_split(lr, min(_COLUMNS, len(lr)))
    return "".join(_BARS[min(int(8 * part.mean() / lr.max()), 7)] for part in parts)
