"""Three processes on one run in any order of events: one of them writes at a time, and what has ended stays."""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jaxlaws.records.claim import STALE, Claimant, ClaimLost
from jaxlaws.records.run import RunDir

PROCESSES = st.sampled_from([0, 1, 0, 1, 2])
ROWS = 4


class Sweep(RuleBasedStateMachine):
    """Each process is a machine of its own with a clock of its own; a row of the curve says who has written it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        RunDir(self.folder / "run").ask({}, np.full(ROWS, 1e-3))
        self.clocks = [0.0, 600.0, -600.0]
        self.born = 0
        self.runs = [self.process(i) for i in range(3)]
        #: What each process believes to hold, and the steps that it has written since it began.
        self.working: dict[int, int] = {}
        self.ended: dict[str, bytes] = {}

    def process(self, i: int) -> RunDir:
        claimant = Claimant(lambda: self.clocks[i])
        self.born += 1
        claimant.host, claimant.place = f"machine {i}", f"boot {self.born}"
        return RunDir(self.folder / "run", claimant)

    def teardown(self):
        shutil.rmtree(self.folder)

    @rule(i=PROCESSES, rows=st.integers(0, 2))
    def works(self, i: int, rows: int):
        """Process i goes on with what it believes to hold, or begins: some rows, and the end after the last one."""
        if i not in self.working and self.runs[i].claim():
            self.runs[i].start_curve()
            self.working[i] = 0
        for _ in range(rows):
            if i in self.working:
                run, done = self.runs[i], self.working[i]
                point = {"step": done + 1, "train_loss": i, "val_loss": 1}
                end = partial(run.finish, {"status": "ok", "seed": i})
                self.writes(i, partial(run.add_point, point) if done < ROWS else end)

    def writes(self, i: int, write) -> None:
        holds = self.runs[i].holds()
        try:
            write()
            assert holds
            self.working[i] += 1
        except ClaimLost:
            assert not holds
            del self.working[i]
        if self.runs[i].state() == "ok":
            self.working.pop(i, None)

    @rule(i=PROCESSES, killed=st.booleans())
    def leaves(self, i: int, killed: bool):
        """Process i gives back what it holds, or is killed, and starts again."""
        if self.working.pop(i, None) is not None and not killed:
            self.runs[i].release()
        self.runs[i] = self.process(i)

    @rule(i=PROCESSES, looks=st.sampled_from([1, 11, 14, 30]), suspended=st.booleans(), beating=st.booleans())
    def waits(self, i: int, looks: int, suspended: bool, beating: bool):
        """Process i looks every ten seconds, or once after a long sleep; who is paused does not beat."""
        for _ in range(1 if suspended else looks):
            self.clocks[i] += looks * STALE if suspended else STALE / 12
            for run in self.runs if beating else ():
                run.beat()
            self.runs[i].state()

    @invariant()
    def one_process_wrote_the_rows_that_are_there(self):
        path = self.folder / "run" / "curve.csv"
        if path.exists():
            rows = [row.split(",") for row in path.read_text().splitlines()[1:]]
            assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
            assert len({row[3] for row in rows}) <= 1
        assert sum(run.holds() for run in self.runs if run.claimant._tokens) <= 1

    @invariant()
    def what_has_ended_stays_as_it_is(self):
        files = {path.name: path.read_bytes() for path in (self.folder / "run").iterdir()}
        if "run.json" in files:
            self.ended = self.ended or files
            assert files == self.ended
            assert "claim.json" not in files
        assert not self.ended or "run.json" in files
        assert {"config.yaml", "lr.npy"} <= files.keys()


Sweep.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None, derandomize=True)
TestSweep = Sweep.TestCase
