"""Files that hold no table, or a strange one: read, or refused in one sentence, within bounds of time and memory."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.records import tabular
from jaxlaws.records.columns import COLUMNS
from jaxlaws.records.run import RunDir
from jaxlaws.records.source import open_runs
from jaxlaws.records.units import parse_number
from jaxlaws.text import from_spreadsheet, printable, spreadsheet_safe

ROWS = b"run_id,params_total,tokens,loss_nats\na,1e8,2e9,3.2\nb,2e8,4e9,3.0\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", ROWS),
        ("crlf.csv", ROWS.replace(b"\n", b"\r\n")),
        ("bom.csv", b"\xef\xbb\xbf" + ROWS),
        ("utf16.csv", ROWS.decode().encode("utf-16")),
        ("packed.csv.gz", gzip.compress(ROWS, mtime=0)),
        ("blank.csv", b"\n  \n" + ROWS),
        ("trailing.csv", ROWS.replace(b"\n", b",\n")),
        ("quoted.csv", ROWS.replace(b"a,1e8", b'"a",100M')),
        ("twice.csv", b"note,note," + ROWS.replace(b"\n", b"\nx,y,", 2).rstrip(b"xy,")),
        ("no newline.csv", ROWS.rstrip()),
    ],
)
def test_a_table_is_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    runs = open_runs(tmp_path / name)
    assert list(runs.table.index) == ["a", "b"]
    assert list(runs.table["params_total"]) == [1e8, 2e8]
    assert list(runs.table["loss_nats"]) == [3.2, 3.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0" * 100, "it is binary"),
        (ROWS.decode().encode("utf-16-le"), "text in UTF-16 without its mark"),
        (ROWS.replace(b"2e9", b"2\x00e9"), "tokens in row 1 is"),
        (ROWS.replace(b"3.2", b"\xff\xfe"), "cannot be read as a table"),
        (ROWS.replace(b"3.2\n", b"3.2,7,8\n"), "cannot be read as a table (a row has more cells than the header)"),
        (ROWS.replace(b"3.0\n", b"3.0,7\n"), "cannot be read as a table"),
        (ROWS.replace(b"run_id", b"tokens"), "the column 'tokens' is there twice"),
        (ROWS.replace(b"3.2", b'"3.2'), "cannot be read as a table"),
        (ROWS.replace(b"3.2", b"9" * 5000), "is not a finite number"),
        (ROWS.replace(b"3.2", b"inf"), "loss_nats is inf in run 'a'"),
        (ROWS.replace(b"3.2", b"True"), "loss_nats in row 1 is 'True'"),
        (ROWS.replace(b"3.2", b"3_2"), "loss_nats in row 1 is '3_2'"),
        (ROWS.replace(b"3.2", b""), "loss_nats is missing or not a number in 1 of 2"),
        (ROWS.replace(b"1e8", "٣".encode()), "params_total in row 1 is"),
        (ROWS.replace(b"a,1e8", b"\x1b[31m[/x],1e8").replace(b"3.2", b"-1"), "in run '\\u001b[31m[/x]'"),
        (b"a" * 5 * 2**20, "its first line has more than"),
        (b"c," * 999_999 + b"c" + b"\n1\n", "1,000,000 columns, at most 10,000 are read"),
        (b"step,lr,loss\n0,1,3\n99999999999999,1,2\n", "more than 1e+08"),
        (b"step,lr,loss,warmup_steps\n10,1e-3,3,inf\n11,1e-3,2,inf\n", "warmup_steps inf"),
        (b"\n\n", "it has no header"),
        (b"a,b\n", "no rows"),
    ],
)
def test_what_is_no_table_is_one_sentence(tmp_path, capsys, content, words):
    (tmp_path / "runs.csv").write_bytes(content)
    with pytest.raises(BadInput) as refused:
        open_runs(tmp_path / "runs.csv")
    assert words in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert str(refused.value).isprintable()


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BadInput, match="no regular file"):
        open_runs(tmp_path / "pipe.csv")
    with pytest.raises(BadInput, match="no regular file"):
        open_runs(tmp_path / "pipe.csv", format="step_law")
    with pytest.raises(BadInput, match="is a folder"):
        open_runs(tmp_path, format="step_law")
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(BadInput, match=r"cannot be read|does not exist"):
            open_runs(tmp_path / name)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    (tmp_path / "runs.csv.gz").write_bytes(gzip.compress(ROWS + b"\n" * 10**6))
    monkeypatch.setattr(tabular, "MAX_BYTES", 10**5)
    with pytest.raises(BadInput, match="unpacks to more than"):
        open_runs(tmp_path / "runs.csv.gz")
    (tmp_path / "runs.csv").write_bytes(ROWS + b"\n" * 10**6)
    with pytest.raises(BadInput, match="has more than"):
        open_runs(tmp_path / "runs.csv")


def test_parquet_of_any_types(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"params_total": pd.array([1, None], "Int64"), "tokens": [2e9, 4e9], "loss_nats": [3.2, 3.0]})
    table.rename_axis("run_id").to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(BadInput, match="params_total is missing"):
        open_runs(tmp_path / "runs.parquet")
    for bad in ([[1.0], [2.0]], [{"a": 1}, {"a": 2}], [b"3", b"2"], [True, False]):
        pd.DataFrame({"loss_nats": bad}).to_parquet(tmp_path / "bad.parquet")
        with pytest.raises(BadInput, match="loss_nats in row 1"):
            open_runs(tmp_path / "bad.parquet")
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "runs.parquet").read_bytes()[:200])
    with pytest.raises(BadInput, match="cannot be read as a table"):
        open_runs(tmp_path / "torn.parquet")


@pytest.mark.parametrize(
    "value", ["=1+1", "+x", "-x", "@a", "'=1", "''-x", "'plain", "plain", "-1.5", "", "\t=2", "a=b"]
)
def test_text_that_is_made_safe_comes_back(value):
    safe = spreadsheet_safe(value)
    assert from_spreadsheet(safe) == value
    assert not str(safe).startswith(("=", "@", "\t"))


def test_a_collected_sweep_reads_back_unchanged(tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    for number, name in enumerate(["=1+1", "@b", "-c [" + "x" * 200]):
        (tmp_path / "sweep" / name).mkdir()
        run = RunDir(tmp_path / "sweep" / name)
        run.ask({"peak_lr": 1e-3}, np.full(20, 1e-3))
        run.start_curve()
        run.add_point({"step": 20, "val_loss": 3.0})
        record = {"status": "ok", "warmup_steps": 0, "steps": 20, "val_loss_nats": 2.7 + number / 7, "peak_lr": 1 / 3e3}
        words = {
            "parameterisation": "standard",
            "model": "=cmd|' /C calc'!A0",
            "corpus": "12e4567890",
            "optimizer": "adamw",
        }
        run.finish({**record, **words, "schedule": "wsd(cooldown=0.2, shape=1-sqrt)"})
    assert main(["collect", str(tmp_path / "sweep"), "-o", str(tmp_path / "runs.csv")]) == 0
    text = (tmp_path / "runs.csv").read_text()
    capsys.readouterr()
    assert main(["collect", str(tmp_path / "sweep")]) == 0
    assert capsys.readouterr().out == text
    assert "\n'=1+1," in text
    assert ",'=cmd|" in text
    pd.testing.assert_frame_equal(
        open_runs(tmp_path / "runs.csv").table, open_runs(tmp_path / "sweep").table, check_dtype=False
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "1_00",
        "٣",
        "1e309",
        "9" * 5000,
        pytest.param(10**8000, id="huge"),
        "nan",
        "inf",
        "",
        "1,5",
        "0x10",
        [],
        b"1",
    ],
)
def test_what_is_no_number(value):
    with pytest.raises(BadInput, match="expected"):
        parse_number(value, "tokens")


cells = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-1", "0", "1", "3.2", "1e8", "2e9", "7B", "1e400", "ok", "finished", "x", "'=1", '"', "\0"]
    ),
    st.floats(allow_nan=True).map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.text(max_size=6),
)
names = st.one_of(
    st.sampled_from([*COLUMNS, "run_id", "step", "lr", "loss", "loss", "tokens", "params_total"]), st.text(max_size=4)
)


@given(
    st.lists(names, max_size=7).flatmap(
        lambda header: st.tuples(
            st.just(header),
            st.lists(st.lists(cells, min_size=len(header), max_size=len(header) + 1), max_size=6),
            st.sampled_from([",", ",", ",", ";", "\t"]),
            st.sampled_from(["utf-8", "utf-16", "latin-1"]),
        )
    )
)
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_text_is_runs_or_one_sentence(tmp_path, parts):
    header, rows, separator, encoding = parts
    text = "\n".join(separator.join(row) for row in [header, *rows])
    read_or_refused(tmp_path, text.encode(encoding, "replace"))


@given(st.binary(max_size=300).map(lambda tail: ROWS + tail) | st.binary(max_size=100))
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_runs_or_one_sentence(tmp_path, content):
    read_or_refused(tmp_path, content)


positive = st.one_of(st.floats(1e-9, 1e20), st.floats(), st.sampled_from([1.0, 1e3, 1e8, 1e9]))


@given(
    st.dictionaries(
        st.sampled_from([name for name in COLUMNS if name not in ("status", "model", "schedule")]),
        st.lists(positive, min_size=12, max_size=12),
        min_size=1,
    ),
    st.sampled_from(["", "loss_nats>0", "tokens>1 and loss_nats<10"]),
)
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_numbers_are_runs_or_one_sentence(tmp_path, columns, where):
    table = pd.DataFrame({"loss_nats": np.linspace(3, 2, 12), **columns})
    read_or_refused(tmp_path, table.to_csv(index=False).encode(), where)


def read_or_refused(folder, content, where=""):
    (folder / "runs.csv").write_bytes(content)
    try:
        sentence = open_runs(folder / "runs.csv", where=where).source
    except BadInput as error:
        sentence = str(error)
    assert printable(sentence) == sentence
    assert len(sentence) < 3000
