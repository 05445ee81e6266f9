"""The directory of one run: its config, claim, curve and final record, and the table of all the runs of a sweep."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from jaxlaws.errors import BadInput, Failed
from jaxlaws.records import curve
from jaxlaws.records.claim import PATIENCE, SELF, Busy, Claim, Claimant, ClaimLost, locked
from jaxlaws.records.files import append, finite, write_atomic
from jaxlaws.records.read import Unreadable, read_config, read_lr, read_record, read_text
from jaxlaws.text import printable

log = logging.getLogger(__name__)

#: Suffix of an unreadable file that `reset` sets aside.
ASIDE = ".unreadable"


def run_id(identity: Mapping[str, Any]) -> str:
    """The name of a run: a short hash of what decides its result (`jaxlaws.config.identity`)."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]


class Look(NamedTuple):
    """What a run's files say.

    Attributes:
      state: ok, diverged or failed when it has ended; running while somebody holds it; pending otherwise.
      record: run.json, empty where there is none that can be read.
      reason: why it failed, otherwise empty.
    """

    state: str
    record: dict[str, Any]
    reason: str = ""


@dataclass(frozen=True)
class RunDir:
    """One run's directory. Its state is read from its files alone, so that any number of processes agree on it.

    Nothing is written through a symbolic link, and nothing by a process that has lost the run's claim.

    Attributes:
      path: of the directory.
      claimant: the process that looks at it.
    """

    path: Path
    claimant: Claimant = field(default=SELF, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.path.name

    def ask(self, config: Mapping[str, Any], lr: np.ndarray) -> None:
        """Write what the run is to be: config.yaml and lr.npy, the LR of every step.

        Does nothing a second time, unless the run has not ended and one of them is missing or damaged.
        """
        with suppress(FileNotFoundError, Unreadable):
            if not (self.path / "run.json").exists():
                read_lr(self.path / "lr.npy")
                self.config()
            if (self.path / "config.yaml").exists():
                return
        array = io.BytesIO()
        np.save(array, lr, allow_pickle=False)
        files = {"lr.npy": array.getvalue(), "config.yaml": yaml.safe_dump(dict(config), sort_keys=False).encode()}
        for name, content in files.items():
            self._set_aside(name)
            write_atomic(self._own(name), content)

    def look(self, whole: bool = False) -> Look:
        """What the run's files say.

        Args:
          whole: read also the files that do not decide the state; a run with an unreadable one counts as failed.
        """
        try:
            record = read_record(self.path / "run.json")
            look = Look(record["status"], record, self._error() if record["status"] == "failed" else "")
        except FileNotFoundError:
            look = Look("pending" if self.claimant.void(self._claim) else "running", {})
        except Unreadable as error:
            look = Look("failed", {}, str(error))
        if whole:
            try:
                self._read_all(look)
            except Unreadable as error:
                return Look("failed", {}, str(error))
        return look

    def state(self) -> str:
        """ok, diverged, failed, running or pending: see `Look`."""
        return self.look().state

    def reason(self) -> str:
        """Why the run failed: the last line of error.txt, or which file cannot be read."""
        return self.look().reason

    def record(self) -> dict[str, Any]:
        """run.json."""
        return read_record(self.path / "run.json")

    def config(self) -> dict[str, Any]:
        """config.yaml."""
        return read_config(self.path / "config.yaml")

    def holder(self) -> Claim | None:
        """The holder of the claim, None if there is none or its claim is unreadable."""
        with suppress(FileNotFoundError, Unreadable):
            return Claim.read(self._claim)
        return None

    def owner(self) -> str | None:
        """`host:pid` of the holder of the claim, None if no holder is known."""
        holder = self.holder()
        return holder.owner if holder else None

    def heartbeat(self) -> float | None:
        """When the claim was renewed, by the clock of the file system; None where there is none."""
        try:
            return self._claim.stat().st_mtime
        except OSError:
            return None

    def claim(self) -> bool:
        """Take the run for this process, if it has not ended and nobody else holds it."""
        try:
            with locked(self.path, PATIENCE):
                return self.state() == "pending" and self.claimant.take(self._own("claim.json"))
        except Busy:
            return False

    def holds(self) -> bool:
        """Whether this process may write to the run: it has not ended, and its claim is this process's own."""
        return self.claimant.holds(self._claim) and not (self.path / "run.json").exists()

    def lost(self) -> ClaimLost:
        """The error of a process that no longer holds the run."""
        now = "it has ended" if (self.path / "run.json").exists() else f"{self.owner() or 'nobody'} holds it"
        return ClaimLost(
            f"run {self.name} is no longer held by this process ({now}): it writes nothing more there, and what the "
            "other one makes of it stands."
        )

    def beat(self) -> bool:
        """Renew the claim, if it is this process's own, and say whether it is."""
        return self.claimant.beat(self._claim)

    def release(self) -> None:
        """Give the claim back, if it is this process's own."""
        with locked(self.path):
            self.claimant.release(self._claim)

    def curve_steps(self) -> list[int]:
        """The steps of the validations that curve.csv holds: its whole rows, up to the first that is damaged."""
        return [step for step, _ in curve.whole_rows(self.path / "curve.csv")]

    def start_curve(self, steps: int = 0) -> None:
        """Begin curve.csv, or cut it back to its whole rows of the first `steps` steps."""
        rows = curve.whole_rows(self.path / "curve.csv") if steps else []
        with self._writing():
            write_atomic(self._own("curve.csv"), curve.text(row for step, row in rows if step <= steps))

    def add_point(self, point: Mapping[str, float]) -> None:
        """Append one row to curve.csv; a value that the point lacks is an empty cell."""
        with self._writing():
            append(self._own("curve.csv"), curve.row(point))

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write run.json, which ends the run, and give the claim back."""
        with self._writing():
            self._end(record)

    def fail(self, error: str, record: Mapping[str, Any]) -> None:
        """End the run as failed; error.txt keeps why."""
        with self._writing():
            write_atomic(self._own("error.txt"), error)
            self._end({**record, "status": "failed"})

    def reset(self) -> None:
        """Make a failed run pending again; files of one that cannot be read are set aside, not deleted."""
        with locked(self.path):
            if not self.look(whole=True).record:
                for name in ("run.json", "error.txt", "curve.csv", "lr.npy", "config.yaml"):
                    self._set_aside(name)
            for name in ("run.json", "error.txt"):
                self._own(name).unlink(missing_ok=True)

    def _end(self, record: Mapping[str, Any]) -> None:
        write_atomic(self._own("run.json"), json.dumps(finite(record), indent=1) + "\n")
        self.claimant.release(self._claim)

    @property
    def _claim(self) -> Path:
        return self.path / "claim.json"

    def _own(self, name: str) -> Path:
        """The path of a file to write in the run. Raises `Failed` if a symbolic link leads elsewhere."""
        path = self.path / name
        for link in (self.path, path):
            if link.is_symlink():
                raise Failed(
                    f"{printable(link)} is a symbolic link, through which nothing is written: remove the link."
                )
        return path

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock; raises `ClaimLost` if this process has no claim to the run."""
        with locked(self.path):
            if not self.holds():
                raise self.lost()
            yield

    def _set_aside(self, name: str) -> None:
        """Keep a file of the run under another name, if it is there."""
        path = self._own(name)
        if path.exists():
            names = (path.with_name(f"{name}{ASIDE}{count or ''}") for count in range(10_000))
            os.replace(path, next(free for free in names if not free.exists()))

    def _read_all(self, look: Look) -> None:
        """Raises `Unreadable` where a file is damaged that this state of the run needs."""
        if look.state == "ok" and (self.path / "curve.csv").exists():
            curve.checked(self.path, look.record)
        if look.state in ("running", "pending"):
            with suppress(FileNotFoundError):
                self.config()
                read_lr(self.path / "lr.npy")

    def _error(self) -> str:
        try:
            text = read_text(self.path / "error.txt").strip()
        except (FileNotFoundError, Unreadable):
            return "no message"
        return text.splitlines()[-1]


def run_dirs(sweep: str | Path) -> list[RunDir]:
    """The runs of a sweep, in order of their names."""
    sweep = Path(sweep)
    if not sweep.is_dir():
        raise BadInput(f"{printable(sweep)} is not a directory, expected a sweep such as sweeps/NAME.")
    configs = (*sweep.glob("*/config.yaml"), *sweep.glob(f"*/config.yaml{ASIDE}"))
    return [RunDir(path) for path in sorted({path.parent for path in configs})]


def collect(sweep: str | Path):
    """The ended runs of a sweep as `Runs`: one row a run, and its validation curve.

        >>> import jaxlaws
        >>> runs = jaxlaws.collect("sweeps/schedules")
        >>> len(runs.table), sorted(runs.curves)
        (4, ['constant', 'cosine', 'drop', 'wsd'])

    A run with a file that cannot be read is left out, and `Runs.warnings` names the file.

    Raises:
      BadInput: no directory, or no run in it has ended.
    """
    import pandas as pd

    from jaxlaws.records.check import leave_out_incomplete
    from jaxlaws.records.columns import COLUMNS
    from jaxlaws.records.table import Runs

    rows, curves, unread = {}, {}, []
    for run in run_dirs(sweep):
        try:
            record = read_record(run.path / "run.json", COLUMNS)
            if record["status"] == "ok" and (run.path / "curve.csv").exists():
                curves[run.name] = curve.of_run(run.path, record)
        except FileNotFoundError:
            continue
        except BadInput as error:
            unread.append(f"run {run.name} is left out as failed: {str(error).rstrip('.')}")
            continue
        rows[run.name] = {name: record[name] for name in COLUMNS if name in record}
    unread += leave_out_incomplete(rows)
    for text in unread:
        log.warning("%s", text)
    if not rows:
        raise BadInput(
            f"{printable(sweep)} has no run that has ended: train it first, or look at it with jaxlaws status."
        )
    table = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name="run_id"))
    curves = {name: item for name, item in curves.items() if name in rows}
    return Runs(table, curves, source=str(sweep), unread=tuple(unread))
