"""Command lines and files that once ended in a traceback or a hang: each a row, under the invariants of fuzzing."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from invariants import check

_NPY = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000,), }"
#: Files by name, as content; None for a named pipe, ... for a link to itself, () for a folder.
FILES: dict[str, object] = {
    "deep.json": b"[" * 100_000,
    "deep_fit.json": b'{"kind": "jaxlaws.fit", "law":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "digits.json": b'{"kind": "jaxlaws.fit", "law":' + b"9" * 5000 + b"}",
    "latin.json": b"\xff\xfe{}",
    "large.json": b'{"lr": [' + b"9" * 400 + b"]}",
    "lone.json": b'{"kind": "\\ud800\\u001b[31m"}',
    "large.npy": b"\x93NUMPY\x01\x00\x76\x00" + _NPY.ljust(117) + b"\n",
    "open.npy": b"\x93NUMPY\x01\x00\x76\x00" + _NPY.replace(b"}", b"(").ljust(117) + b"\n",
    "tokens.csv": b"run_id,step,lr,loss\na,0,1e-3,3\na,1e19,1e-3,2\nb,0,1e-3,3\nb,1e12,1e-3,2\n",
    "escape.csv": b"run_id,params_total,tokens,loss_nats\n\x1b[31m[/x],1e8,1e9,3\n[red],1e8,1e9,-3\n",
    "folder.csv": (),
    "pipe.csv": None,
    "loop": ...,
}
LINES = """
train --dry-run 'data_seed=${optimizer.name}'
train --dry-run 'seed=${data_seed}' 'data_seed=${seed}'
predict deep.json --params 1e9 --tokens 1e10
predict chinchilla:epoch --params 1e-300 --tokens 1.4T
predict deep_fit.json --params 1e9 --tokens 1e10
predict digits.json --params 1e9 --tokens 1e10
predict latin.json --params 1e9 --tokens 1e10
predict lone.json --params 1e9 --tokens 1e10
predict pipe.csv --params 1e9 --tokens 1e10
predict /dev/zero --params 1e9 --tokens 1e10
recommend --params 1e9 --tokens 1e10 --law deep_fit.json
recommend --params 1e9 --tokens 1e10 --law digits.json
recommend --params 1e9 --tokens 1e10 --law pipe.csv
recommend --params 1e9 --tokens 1e300 --force
recommend --params 1e300 --tokens 1e300 --force --json
recommend --params 1e9 --tokens 30B --loss 1e-300 --compare
compare loop pipe.csv
schedule large.npy
schedule open.npy
schedule large.json
schedule deep.json
schedule pipe.csv
schedule loop
schedule wsd --steps 1e15 --peak-lr 1
schedule wsd --steps 1e9 --peak-lr 1
bound wsd --steps 1e9
design extend multi_power:25M --schedule wsd --steps 100 --peak-lr 3e-4 --to 1e12 --force
fit chinchilla folder.csv
fit chinchilla pipe.csv
fit chinchilla loop
fit chinchilla /dev/zero
fit chinchilla escape.csv --bootstrap -1
fit chinchilla escape.csv --where '[/x]>1'
fit opl tokens.csv
optimum escape.csv --flops 1e20 --approach 1
optimum chinchilla:epoch --flops 1e300 --force
status loop
status /dev/zero
collect loop
data pipe.csv -o new
data latin.json -o new --shard-tokens inf
data latin.json -o new --shard-tokens nan
data latin.json -o new --train-tokenizer 0
laws --json --opt=--
bench fit --repeats 99999999999999999999999
schedule wsd --steps 100 --peak-lr 1 -o ''
schedule wsd --steps 100 --peak-lr 1e300
quickstart --out ''
data texts -o ''
train --help
train --version
train 'seed=${a}' data=language --dry-run -o p.png
train 'seed=???' data=language --dry-run -o p.png
train -m 'seed=range(1,1000000000)' data=language --dry-run -o p.png
train --config-dir nowhere --dry-run -o p.png
train --config-name nowhere --dry-run -o p.png
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXLAWS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    for name, content in FILES.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif content is None:
            os.mkfifo(folder / name)
        elif content is ...:
            (folder / name).symlink_to(name)
        else:
            (folder / name).mkdir()
    return folder


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_no_line_raises_hangs_or_touches_a_file(line: str, folder: Path):
    check(shlex.split(line), folder, folder.parent / "cache")


def test_foreign_tables_in_the_cache_are_no_error(folder: Path):
    cache = folder.parent / "cache"
    cache.mkdir()
    for name, content in (("speed.json", '{"cpu": 3}'), ("packing.json", '{"a": [1]}')):
        (cache / name).write_text(content)
    check(["train", "model=6k", "data=language", "tokens=2k", "--dry-run", "-o", "p.png"], folder, cache)


def test_lines_of_any_length_and_bytes(folder: Path):
    for word in ("a" * 256, "a" * 5000, "\udcff\x1b[2J", "é" * 200):
        for command in ("fit chinchilla", "schedule", "predict", "status", "collect", "bound", "laws", "compare x"):
            check([*command.split(), word], folder, folder.parent / "cache")
