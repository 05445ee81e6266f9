"""Who may write to a run: one process at a time, whatever keeps it away and whatever the clocks say."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxlaws.errors import Failed
from jaxlaws.records import claim as claims
from jaxlaws.records.claim import STALE, Claimant, ClaimLost
from jaxlaws.records.run import RunDir

POINT = {"step": 1, "tokens": 1, "lr": 1e-3, "train_loss": 3.0, "val_loss": 3.0}


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class View:
    """The run as one process sees it, with a clock of its own."""

    def __init__(self, path, start: float = 0.0, place: str | None = None):
        self.clock = Clock()
        self.clock.now = start
        claimant = Claimant(self.clock)
        claimant.host, claimant.place = place or "here", place or "boot"
        self.run = RunDir(path, claimant)

    def waits(self, seconds: float, owner: "View | None" = None) -> str:
        """The state after looking every two seconds, while an owner renews its claim."""
        for _ in range(int(seconds / 2) + 1):
            self.clock.now += 2
            if owner:
                owner.run.beat()
            state = self.run.state()
        return state


@pytest.fixture
def path(tmp_path):
    RunDir(tmp_path / "run").ask({}, np.full(3, 1e-3))
    return tmp_path / "run"


def two(path, **changes) -> tuple[View, View]:
    """Two processes on different machines."""
    return View(path, place="a"), View(path, **{"place": "b", **changes})


def test_one_has_it_and_the_other_gets_it_back_when_it_is_released(path):
    a, b = two(path)
    assert a.run.claim()
    assert (a.run.state(), b.run.state()) == ("running", "running")
    assert not b.run.claim()
    b.run.release()
    assert a.run.holds()
    a.run.release()
    assert b.run.claim()
    assert not a.run.claim()


def test_a_claim_is_taken_over_only_after_it_was_seen_to_stand_still(path):
    a, b = two(path)
    assert a.run.claim()
    assert b.waits(3 * STALE, owner=a) == "running"
    assert b.waits(STALE - 10) == "running"
    assert b.waits(20) == "pending"
    assert b.run.claim()
    assert not a.run.holds()


@pytest.mark.parametrize("apart", [-600, 600])
@pytest.mark.parametrize("beats", [True, False])
def test_clocks_that_are_ten_minutes_apart_change_nothing(path, monkeypatch, apart: float, beats: bool):
    """The owner dates its files by its own clock, as the file system of one machine that others mount would."""
    a, b = two(path, start=apart)
    assert a.run.claim()
    real = os.utime
    stamp = [time.time() + apart]

    def utime(file, times=None):
        stamp[0] += 2
        real(file, (stamp[0], stamp[0]))

    monkeypatch.setattr(os, "utime", utime)
    os.utime(path / "claim.json")
    assert b.waits(STALE + 60, owner=a if beats else None) == ("running" if beats else "pending")
    assert b.run.claim() is not beats
    assert a.run.holds() is beats


def test_a_waiting_process_that_was_away_itself_does_not_count_that_time(path):
    a, b = two(path)
    assert a.run.claim()
    b.run.state()
    b.clock.now += 100 * STALE
    assert b.run.state() == "running", "both were paused together"
    a.run.beat()
    assert not b.run.claim()


def test_who_was_away_writes_nothing_more_and_the_other_result_stands(path):
    a, b = two(path)
    assert a.run.claim()
    a.run.start_curve()
    a.run.add_point(POINT)
    b.waits(STALE + 10)
    assert b.run.claim()
    b.run.start_curve()
    b.run.add_point({**POINT, "val_loss": 2.0})
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    for write in (
        lambda: a.run.add_point(POINT),
        a.run.start_curve,
        lambda: a.run.finish({"status": "ok"}),
        lambda: a.run.fail("error", {}),
    ):
        with pytest.raises(ClaimLost, match=r"run run is no longer held by this process \(b:\d+ holds it\)"):
            write()
    assert not a.run.beat()
    a.run.release()
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    b.run.finish({"status": "ok", "val_loss_nats": 2.0})
    ended = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(ClaimLost, match="it has ended"):
        a.run.add_point(POINT)
    with pytest.raises(ClaimLost, match="it has ended"):
        b.run.finish({"status": "diverged"})
    assert {file.name: file.read_bytes() for file in path.iterdir()} == ended
    assert sorted(ended) == ["config.yaml", "curve.csv", "lr.npy", "run.json"]


def written(path, **changes) -> None:
    """A claim of this process, changed."""
    assert RunDir(path, Claimant()).claim()
    said = json.loads((path / "claim.json").read_text())
    (path / "claim.json").write_text(json.dumps({**said, **changes}))


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"pid": "gone"}, "pending"),
        ({"started": "1"}, "pending"),
        ({"pid": "gone", "place": "another boot"}, "running"),
        ({"pid": "gone", "host": "elsewhere"}, "running"),
        ({"pid": 10**30}, "pending"),
    ],
    ids=[
        "alive",
        "its process has ended",
        "its number is another's now",
        "another boot",
        "elsewhere",
        "no such number",
    ],
)
def test_the_claim_of_a_process_that_has_ended_on_this_machine_is_free_at_once(path, gone, changes, state: str):
    changes = {name: gone if value == "gone" else value for name, value in changes.items()}
    written(path, **changes)
    run = RunDir(path, Claimant())
    assert run.state() == state
    assert run.claim() is (state == "pending")


@pytest.mark.parametrize("changes", [{}, {"started": ""}])
def test_a_process_that_has_ended_and_is_not_reaped_has_ended(path, changes):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    written(path, pid=process.pid, **changes)
    assert RunDir(path, Claimant()).state() == "pending"
    process.wait()


@pytest.mark.parametrize(
    "content",
    ["", "\0" * 40, "[]", "{}", '{"host": 3, "pid": 4}', '{"host": "a", "pid": "4"}', "[" * 100_000, '{"host": "h',
     '{"host": "h", "pid": true}', '{"host": "h", "pid": 1, "token": null}', "\udcff"],
)  # fmt: skip
def test_an_unreadable_claim_binds_nobody_and_is_named_once(path, caplog, content: str):
    (path / "claim.json").write_bytes(content.encode(errors="surrogateescape"))
    run = RunDir(path, Claimant())
    assert run.state() == run.state() == "pending"
    assert run.owner() is None
    assert len(caplog.messages) == 1
    assert f"{path / 'claim.json'} cannot be read" in caplog.text
    assert run.claim()
    assert run.holds()


def test_a_claim_without_a_token_is_kept_to(path):
    (path / "claim.json").write_text('{"host": "elsewhere", "pid": 1, "since": 0}')
    run = RunDir(path, Claimant())
    assert (run.state(), run.claim(), run.owner()) == ("running", False, "elsewhere:1")


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF])
def test_a_file_system_without_locks_is_said_once_and_works(path, monkeypatch, caplog, error: int):
    def flock(file, how):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(claims, "_WITHOUT_LOCKS", set())
    a, b = two(path)
    assert a.run.claim()
    assert not b.run.claim()
    a.run.start_curve()
    a.run.add_point(POINT)
    a.run.finish({"status": "ok"})
    assert b.run.state() == "ok"
    assert [text.count("file system without locks") for text in caplog.messages] == [1]


def test_without_locks_a_claim_that_is_there_by_now_is_not_written_over(path, monkeypatch):
    a, b = two(path)
    real = claims.create

    def create(file, text):
        monkeypatch.setattr(claims, "create", real)
        assert a.run.claim()
        return real(file, text)

    monkeypatch.setattr(claims, "create", create)
    monkeypatch.setattr(fcntl, "flock", lambda file, how: None)
    assert not b.run.claim()
    assert a.run.holds()
    assert not b.run.holds()


def test_a_lock_that_is_held_is_waited_for_and_then_somebody_else_is_at_work(path, monkeypatch):
    monkeypatch.setattr("jaxlaws.records.run.PATIENCE", 0.02)
    with claims.locked(path):
        assert not RunDir(path, Claimant()).claim()
    assert RunDir(path, Claimant()).claim()


@pytest.mark.parametrize("link", ["the run", "config.yaml", "claim.json", "curve.csv", "run.json", "error.txt"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path, path, link: str):
    aside = tmp_path / "elsewhere"
    if link == "the run":
        path.rename(aside)
        path.symlink_to(aside)
        before = sorted(aside.iterdir())
    else:
        aside.write_text("mine")
        (path / link).unlink(missing_ok=True)
        (path / link).symlink_to(aside)
        before = []
    run = RunDir(path, Claimant())
    with pytest.raises((Failed, ClaimLost), match=r"is a symbolic link|it has ended"):  # noqa: PT012
        run.ask({"a": 1}, np.ones(3)) if link == "config.yaml" else None
        run.claim()
        run.start_curve()
        run.add_point(POINT)
        run.fail("no luck", {})
    assert sorted(aside.iterdir()) == before if link == "the run" else aside.read_text() == "mine"


def test_a_symbolic_link_to_the_whole_sweep_is_a_sweep(tmp_path, path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    run = RunDir(tmp_path / "link" / "run", Claimant())
    assert run.claim()
    run.start_curve()
    run.finish({"status": "ok"})
    assert RunDir(path).state() == "ok"
