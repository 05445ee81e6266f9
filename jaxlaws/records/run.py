"""The directory of one run: its config, claim, curve and final record, and the table of all the runs of a sweep."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jaxlaws.errors import BadInput
from jaxlaws.records.files import finite, write_atomic

#: Columns of curve.csv: finished steps, tokens seen, LR of the last step, training loss (mean since the row before),
#: validation loss, training loss (mean over the last fiftieth of the run), all in nats a token, and the mean norms of
#: the gradient and of the update since the row before.
CURVE = ("step", "tokens", "lr", "train_loss", "val_loss", "smooth_loss", "gradient_norm", "update_norm")
#: Seconds without a heartbeat after which a claim is void.
STALE = 120.0


def run_id(identity: Mapping[str, Any]) -> str:
    """The name of a run: a short hash of what decides its result (`jaxlaws.config.identity`)."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class RunDir:
    """One run's directory. Its state is read from its files alone, so that any number of processes agree on it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def ask(self, config: Mapping[str, Any], lr: np.ndarray) -> None:
        """Record that this run is wanted: config.yaml and lr.npy, the LR of every step. Does nothing a second time."""
        if not (self.path / "config.yaml").exists():
            array = io.BytesIO()
            np.save(array, lr, allow_pickle=False)
            write_atomic(self.path / "lr.npy", array.getvalue())
            write_atomic(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))

    def state(self) -> str:
        """ok, diverged or failed when it has ended; running while a fresh claim is held; pending otherwise."""
        if (self.path / "run.json").exists():
            return str(self.record()["status"])
        return "running" if self._claimed() else "pending"

    def claim(self) -> bool:
        """Take the run for this process, if it has not ended and nobody else holds a fresh claim."""
        with self._locked():
            if self.state() != "pending":
                return False
            owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
            write_atomic(self.path / "claim.json", json.dumps(owner) + "\n")
            return True

    def owner(self) -> str | None:
        """`host:pid` of whoever holds the claim, None where nobody does."""
        try:
            claim = json.loads((self.path / "claim.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return f"{claim['host']}:{claim['pid']}"

    def done(self) -> int:
        """Steps up to the last validation that curve.csv holds, 0 where there is none."""
        try:
            last = (self.path / "curve.csv").read_text().rstrip().rpartition("\n")[2].split(",")[0]
        except FileNotFoundError:
            return 0
        return int(last) if last.isdigit() else 0

    def beat(self) -> None:
        """Renew the claim, while there is one."""
        with suppress(FileNotFoundError):
            os.utime(self.path / "claim.json")

    def release(self) -> None:
        """Give the claim back."""
        (self.path / "claim.json").unlink(missing_ok=True)

    def start_curve(self, done: int = 0) -> None:
        """Begin curve.csv, or cut it back to the first `done` steps."""
        path = self.path / "curve.csv"
        rows = path.read_text().splitlines()[1:] if done and path.exists() else []
        kept = [row for row in rows if int(row.split(",")[0]) <= done]
        write_atomic(path, "\n".join([",".join(CURVE), *kept]) + "\n")

    def add_point(self, point: Mapping[str, float]) -> None:
        """Append one row to curve.csv; what is not known is left empty."""
        with (self.path / "curve.csv").open("a") as stream:
            stream.write(",".join(f"{point[name]:.9g}" if name in point else "" for name in CURVE) + "\n")

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write run.json, which ends the run, and give the claim back."""
        write_atomic(self.path / "run.json", json.dumps(finite(record), indent=1) + "\n")
        self.release()

    def fail(self, error: str, record: Mapping[str, Any]) -> None:
        """End the run as failed; error.txt keeps why."""
        write_atomic(self.path / "error.txt", error)
        self.finish({**record, "status": "failed"})

    def reset(self) -> None:
        """Make a failed run pending again."""
        for name in ("run.json", "error.txt"):
            (self.path / name).unlink(missing_ok=True)

    def record(self) -> dict[str, Any]:
        """run.json."""
        return json.loads((self.path / "run.json").read_text())

    def reason(self) -> str:
        """Why the run failed: the last line of error.txt."""
        text = (self.path / "error.txt").read_text().strip()
        return text.splitlines()[-1] if text else "no message"

    def config(self) -> dict[str, Any]:
        """config.yaml."""
        return yaml.safe_load((self.path / "config.yaml").read_text())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _claimed(self) -> bool:
        try:
            return time.time() - (self.path / "claim.json").stat().st_mtime < STALE and self._owner_lives()
        except FileNotFoundError:
            return False

    def _owner_lives(self) -> bool:
        """False only where the claim's process is known to be gone: it ran on this host and has ended."""
        owner = json.loads((self.path / "claim.json").read_text())
        if owner["host"] != socket.gethostname():
            return True
        try:
            os.kill(owner["pid"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def ask(sweep: str | Path, what: Sequence[str], runs: int) -> None:
    """Record in sweep.yaml what was asked of a sweep and how many runs that made; the same question only once."""
    path = Path(sweep) / "sweep.yaml"
    entry = yaml.safe_dump([{"asked": list(what), "runs": runs}], sort_keys=False, width=1000)
    if not path.exists() or entry not in path.read_text():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(entry)


def run_dirs(sweep: str | Path) -> list[RunDir]:
    """The runs of a sweep, in order of their names."""
    sweep = Path(sweep)
    if not sweep.is_dir():
        raise BadInput(f"{sweep} is not a directory, expected a sweep such as sweeps/NAME.")
    return [RunDir(path.parent) for path in sorted(sweep.glob("*/config.yaml"))]


def collect(sweep: str | Path):
    """The ended runs of a sweep as `Runs`: one row a run, and its validation curve.

    Raises:
      BadInput: no directory, or no run in it has ended.
    """
    import pandas as pd

    from jaxlaws.records.table import COLUMNS, Runs

    ended = [run for run in run_dirs(sweep) if run.state() in ("ok", "diverged", "failed")]
    if not ended:
        raise BadInput(f"{sweep} has no run that has ended: train it first, or look at it with jaxlaws status.")
    records = {run.name: run.record() for run in ended}
    rows = [{name: record.get(name) for name in COLUMNS if name in record} for record in records.values()]
    table = pd.DataFrame(rows, index=pd.Index(list(records), name="run_id"))
    curves = {run.name: curve for run in ended if (curve := _curve(run, records[run.name])) is not None}
    return Runs(table, curves, source=str(sweep))


def _curve(run: RunDir, record: Mapping[str, Any]):
    from jaxlaws.records.table import Curve

    if record["status"] != "ok":
        return None
    rows = np.genfromtxt(run.path / "curve.csv", delimiter=",", names=True, ndmin=1)
    lr = np.load(run.path / "lr.npy", allow_pickle=False)
    return Curve(lr, rows["step"].astype(int) - 1, rows["val_loss"], int(record["warmup_steps"])).check(run.name)
