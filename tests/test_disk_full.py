"""A disk that is full, read-only or broken at any moment of a sweep: nothing half-written, and the others go on."""

import errno
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from samples import RUN

from jaxlaws.config import OptimizerConfig
from jaxlaws.data.tokens import open_data
from jaxlaws.errors import Failed
from jaxlaws.records.run import run_dirs
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.plan import plan

TIMING = ("seconds", "compile_seconds", "step_seconds", "tokens_per_second", "lanes", "strategy")


def planned(folder: Path):
    runs = [replace(RUN, optimizer=OptimizerConfig(peak_lr=lr)) for lr in (1e-3, 2e-3, 3e-3)]
    return plan(runs, folder, lambda config: open_data(config).digest)


def results(folder: Path) -> dict[str, tuple[dict, str]]:
    return {
        run.name: (
            {name: value for name, value in run.record().items() if name not in TIMING},
            (run.path / "curve.csv").read_text(),
        )
        for run in run_dirs(folder)
        if run.state() == "ok"
    }


def equal(some: dict, others: dict, strategy: str) -> bool:
    """The same bit for bit; where runs are packed in another way, to rounding."""
    if strategy == "map":
        return some == others
    return all(
        record["val_loss_nats"] == pytest.approx(others[name][0]["val_loss_nats"], rel=1e-5)
        and curve.count("\n") == others[name][1].count("\n")
        for name, (record, curve) in some.items()
    )


@contextmanager
def failing(folder: Path, moment: int, error: int, lasting: bool):
    """From its `moment`-th write below the folder on, the file system refuses one of them or all."""
    count = 0
    real = {name: getattr(os, name) for name in ("write", "fsync", "replace", "open")}

    def refuses() -> bool:
        nonlocal count
        count += 1
        return count == moment or (lasting and count > moment)

    def wrapped(name):
        def call(target, *rest, **options):
            where = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
            writes = name != "open" or rest[0] & os.O_CREAT
            if writes and str(where).startswith(str(folder)) and refuses():
                if name == "write" and len(rest[0]) > 1:
                    real["write"](target, rest[0][: len(rest[0]) // 2])  # a disk takes what fits
                raise OSError(error, os.strerror(error))
            return real[name](target, *rest, **options)

        return call

    with mock.patch.multiple(os, **{name: wrapped(name) for name in real}):
        yield


def holds_after(folder: Path, whole: dict, moment: int, error: int, lasting: bool, strategy: str) -> bool:
    """Whether the sweep met the error; nothing may be lost, doubled or changed."""
    runs, summary = planned(folder), None
    with failing(folder, moment, error, lasting):
        summary = train_sweep(runs, strategy)
    assert not list(folder.rglob(".*")), "a draft was left"
    names = [*summary.trained, *summary.busy, *summary.failed]
    assert sorted(names) == sorted(whole), "every run is accounted for once"
    assert not summary.busy
    assert results(folder).keys() == set(summary.trained)
    assert equal(results(folder), {name: whole[name] for name in summary.trained}, strategy)
    assert all(os.strerror(error) in reason for reason in summary.failed.values())
    for run in run_dirs(folder):
        assert run.state() in (("ok",) if run.name in summary.trained else ("failed", "pending", "running"))
        if run.state() == "failed":
            run.reset()
    train_sweep(planned(folder), strategy)
    assert equal(results(folder), whole, strategy)
    return bool(summary.failed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train_sweep(planned(folder), "map")
    return results(folder)


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize(("moment", "error"), [(1, errno.EROFS), (5, errno.ENOSPC), (8, errno.EIO), (11, errno.ENOSPC)])
def test_a_disk_that_fails_at_some_moment(tmp_path, whole, moment: int, error: int, lasting: bool):
    assert holds_after(tmp_path, whole, moment, error, lasting, "map") or not lasting


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_a_disk_that_fails_at_every_moment(tmp_path, whole, strategy: str):
    met = [
        holds_after(tmp_path / f"{moment}-{error}-{lasting}", whole, moment, error, lasting, strategy)
        for moment in range(1, 30)
        for error in (errno.ENOSPC, errno.EIO)
        for lasting in (False, True)
    ]
    print(f"{sum(met)} of {len(met)} sweeps met the error; nothing was lost, doubled or changed")
    assert sum(met) > len(met) / 2


@pytest.mark.parametrize("moment", range(1, 5))
def test_what_is_asked_for_is_written_whole_or_said(tmp_path, moment: int):
    with failing(tmp_path, moment, errno.ENOSPC, True), pytest.raises(Failed, match="No space left on device"):
        planned(tmp_path)
    assert not list(tmp_path.rglob(".*"))
    assert len(planned(tmp_path)) == 3
    assert [run.state() for run in run_dirs(tmp_path)] == ["pending"] * 3
