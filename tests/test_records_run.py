"""A run with a file that cannot be read is named and counts as failed, and every command goes on with the others."""

import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
from samples import RUN

from jaxlaws.cli import main
from jaxlaws.cli.status import status
from jaxlaws.config import OptimizerConfig
from jaxlaws.errors import BadInput
from jaxlaws.records import read
from jaxlaws.records.columns import COLUMNS
from jaxlaws.records.files import append, create
from jaxlaws.records.run import RunDir, collect, run_dirs
from jaxlaws.records.source import open_runs
from jaxlaws.sweep.complete import complete
from jaxlaws.sweep.lanes import train_sweep
from jaxlaws.sweep.ledger import notes
from jaxlaws.sweep.plan import ask, plan

RECORD = {"seconds": 2.0, "flops_exact": 1e9, "warmup_steps": 0, "tokens": 1280, "steps": 20, "peak_lr": 1e-3}
TORN = "step,tokens,lr,train_loss,val_loss\n10,640,1e-3,3,3.1\n20,1280,1e-3,3,3.0\n"


def asked(folder):
    """Four runs that are asked for."""
    runs = [replace(RUN, optimizer=OptimizerConfig(peak_lr=lr)) for lr in (1e-3, 2e-3, 3e-3, 4e-3)]
    return plan(runs, folder, lambda data: "digest")


@pytest.fixture
def sweep(tmp_path):
    """Three runs that ended well, and one that is pending."""
    planned = asked(tmp_path / "sweep")
    for i, item in enumerate(planned[:3]):
        run = item.directory
        run.start_curve()
        for step in (10, 20):
            run.add_point(
                {"step": step, "tokens": 64 * step, "lr": 1e-3, "train_loss": 3.0, "val_loss": 3.5 - i / step}
            )
        run.finish({**RECORD, "status": "ok", "val_loss_nats": 3.5 - i / 20, "params_nonembedding": 1000 + i})
    return planned


HUGE = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000,), }"
DEEP = b'{"a":' * 100_000
DAMAGE = {
    "run.json": [
        b"", b"\0" * 50, b"[1, 2]", b"3", b'{"status": "ok", "val', DEEP, b"\xff\xfe", b'{"status": "paused"}', b"{}",
        b'{"status": ["ok"]}', b'{"status": "ok", "seconds": "long"}', b'{"status": "ok", "seconds": NaN}',
        b'{"status": "ok", "flops_exact": true}', b'{"status": "ok", "versions": [1]}', b'{"status": "ok", "model": 3}',
        b'{"status": "ok", "steps": ' + b"9" * 5000 + b"}",
    ],
    "curve.csv": [
        b"", b"\xff", b"no,such,columns\n1,2,3\n", TORN.replace("10,640", "30,640").encode(),
        TORN.replace("1e-3", "x").encode(), (TORN + TORN).encode(), TORN.replace("3.1\n", "3.1").encode(),
        TORN[:-1].encode(), TORN[:-6].encode(), TORN.replace(",3.0", ",nan").encode(),
        TORN.replace("20,", "21,").encode(),
    ],
    "lr.npy": [b"", b"PK\x03\x04", HUGE, b"garbage"],
}  # fmt: skip
CASES = [(name, content) for name, contents in DAMAGE.items() for content in contents]


@pytest.mark.parametrize(("name", "content"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_an_ended_run_that_cannot_be_read_is_failed_and_named(sweep, caplog, capsys, name: str, content: bytes):
    damaged, folder = sweep[0].directory, sweep[0].directory.path.parent
    (damaged.path / name).write_bytes(content)
    answer = status(run_dirs(folder))
    assert (answer["ok"], answer["failed"], answer["pending"]) == (2, 1, 1)
    assert f"{damaged.path / name} cannot be read (" in answer["failures"][damaged.name]
    assert len(answer["failures"][damaged.name]) < 400
    runs = open_runs(folder)
    assert sorted(runs.table.index) == sorted(item.directory.name for item in sweep[1:3])
    assert set(runs.curves) == set(runs.table.index)
    assert [str(damaged.path / name) in text for text in runs.warnings] == [True]
    assert str(damaged.path / name) in caplog.text
    assert main(["collect", str(folder)]) == 0
    assert main(["status", str(folder), "--retry-failed"]) == 0
    assert "2 ok, 0 diverged, 0 failed, 0 running, 2 pending" in capsys.readouterr().out
    assert (damaged.path / f"{name}.unreadable").read_bytes() == content
    assert (damaged.path / "run.json.unreadable").exists()
    assert damaged.claim()


@pytest.mark.parametrize("content", [b"", b"{{{", b"[1]", b"\xff", b"a: " + b"[" * 5000, b"steps: no", b"a: &a [*a]"])
def test_a_pending_run_whose_config_cannot_be_read_is_named_and_written_again_by_who_asks(sweep, capsys, content):
    damaged, folder = sweep[3].directory, sweep[3].directory.path.parent
    whole = (damaged.path / "config.yaml").read_bytes()
    (damaged.path / "config.yaml").write_bytes(content)
    answer = status(run_dirs(folder))
    assert (answer["ok"], answer["failed"], answer["pending"]) == (3, 1, 0)
    assert str(damaged.path / "config.yaml") in answer["failures"][damaged.name]
    assert notes(folder, sweep[:2]) != []
    assert main(["status", str(folder), "--retry-failed"]) == 0
    assert "3 ok, 0 diverged, 0 failed, 0 running, 1 pending" in capsys.readouterr().out
    asked(folder)
    assert (damaged.path / "config.yaml").read_bytes() == whole
    assert (damaged.path / "config.yaml.unreadable").read_bytes() == content


def test_an_unknown_status_is_waited_for_by_nobody(sweep, tmp_path):
    for item in sweep:
        (item.directory.path / "run.json").write_text('{"status": "paused"}')
    summary = complete(sweep, train_sweep)
    assert (summary.trained, summary.busy, len(summary.failed)) == ([], [], 4)
    assert all("its status is 'paused', expected ok, diverged, failed" in reason for reason in summary.failed.values())


def test_a_record_that_lacks_what_the_others_state_is_left_out(sweep):
    run = sweep[0].directory
    for without in ("tokens", "val_loss_nats", "params_nonembedding"):
        whole = run.record()
        (run.path / "run.json").write_text(json.dumps({name: whole[name] for name in whole if name != without}))
        runs = collect(run.path.parent)
        assert len(runs.table) == 2
        assert f"lacks {without}" in runs.warnings[0]
        assert status(run_dirs(run.path.parent))["ok"] == 3
        (run.path / "run.json").write_text(json.dumps(whole))


def test_a_config_that_is_nested_deeply_is_refused_and_crashes_nothing(tmp_path):
    run = RunDir(tmp_path / "a")
    run.ask({}, np.ones(2))
    (run.path / "config.yaml").write_text("{a: " * 100_000)
    with pytest.raises(read.Unreadable, match="nested too deeply"):
        run.config()


def test_torn_and_damaged_rows_are_dropped_where_a_run_goes_on(sweep):
    run = sweep[3].directory
    (run.path / "curve.csv").write_text(TORN + "30,1920,1e-3,3,2.9")
    assert run.curve_steps() == [10, 20]
    run.start_curve(30)
    assert run.curve_steps() == [10, 20]
    run.add_point({"step": 30, "tokens": 1, "lr": 1.0, "train_loss": 1.0, "val_loss": 1.0})
    assert run.curve_steps() == [10, 20, 30]
    (run.path / "curve.csv").write_bytes(TORN.replace("20,1280", "20,\xff").encode("latin-1"))
    run.start_curve(30)
    assert run.curve_steps() == [10]
    (run.path / "curve.csv").write_bytes(b"\xff\0\n1,2")
    run.start_curve(30)
    assert run.curve_steps() == []


def test_a_record_is_a_regular_file_and_no_pipe(sweep):
    run = sweep[3].directory
    os.mkfifo(run.path / "run.json")
    assert run.state() == "failed"
    assert "not a regular file" in run.reason()


def test_numbers_are_what_the_columns_of_the_table_are_without_text():
    assert set(COLUMNS) >= read.TEXT
    assert set(read._COMPUTED) <= set(COLUMNS)


def test_a_damaged_sweep_yaml_is_added_to(tmp_path):
    ask(tmp_path, ["seed=0"], 1)
    (tmp_path / "sweep.yaml").write_bytes(b"\xff\0 torn")
    for _ in range(2):
        ask(tmp_path, ["seed=0"], 1)
    said = (tmp_path / "sweep.yaml").read_bytes()
    assert said.startswith(b"\xff\0 torn\n- asked:")
    assert said.count(b"asked") == 1
    (tmp_path / "sweep.yaml").unlink()
    (tmp_path / "sweep.yaml").mkdir()
    with pytest.raises(BadInput, match=r"sweep\.yaml cannot be read"):
        ask(tmp_path, ["seed=0"], 1)


def test_a_run_that_was_asked_for_is_left_as_it_is(tmp_path):
    run = RunDir(tmp_path / "run")
    run.ask(asdict(RUN), np.full(3, 1e-3))
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    run.ask(asdict(RUN), np.full(3, 2e-3))
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_a_file_is_created_once_and_added_to_through_no_link(tmp_path):
    assert create(tmp_path / "a", "one")
    assert not create(tmp_path / "a", "two")
    append(tmp_path / "a", "+")
    assert (tmp_path / "a").read_text() == "one+"
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(RuntimeError, match="cannot write"):
        append(tmp_path / "b", "+")
    assert (tmp_path / "a").read_text() == "one+"
