"""Fit files that somebody edited, sorted or broke: one sentence that names the field, or the same answer as before."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.predict import predict
from jaxlaws.fitting.result import LossFit

PARAMS = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def saved(path):
    """A fit with resamples, as text."""
    rng = np.random.default_rng(0)
    LossFit(
        law="chinchilla",
        convention={"params": "params_total"},
        noise="huber",
        params=PARAMS,
        intervals={"E": [1.7, 1.9]},
        draws={name: (value * np.exp(0.01 * rng.standard_normal(50))).tolist() for name, value in PARAMS.items()},
        scatter={"sigma": 0.001, "offset": 0.0, "size": 3.0, "quantiles": [-0.001, 0.0, 0.001]},
        ranges={"N": [1e8, 1e10]},
    ).save(path)
    return path.read_text()


def test_sorted_keys_change_no_answer(tmp_path):
    path = tmp_path / "fit.json"
    raw = json.loads(saved(path))
    before = predict(path, params=1e9, tokens=2e10)
    path.write_text(json.dumps(raw, sort_keys=True))
    after = predict(path, params=1e9, tokens=2e10)
    assert (after.value, after.low, after.high) == pytest.approx((before.value, before.low, before.high), rel=1e-12)
    assert after.low < after.value < after.high


#: Field (with its place) → a value that it cannot have, and words of the sentence about it.
SPOILED = [
    (("params", "E"), None, "params.E is null, expected a finite number"),
    (("params", "E"), "1.8", 'params.E is "1.8", expected a finite number'),
    (("params", "E"), True, "params.E is true"),
    (("params", "A"), -3.0, "params.A is -3.0, expected a number from 0"),
    (("params",), [1.0], "params is a list of 1, expected an object"),
    (("params",), {"E": 1.0}, "params is .*without A, B, alpha, beta"),
    (("params",), {**PARAMS, "C": 1.0}, "params is .*with C"),
    (("law",), "chinchila", 'law is "chinchila", expected one of'),
    (("law",), 3, "law is 3"),
    (("level",), 1.5, "level is 1.5, expected a number between 0 and 1"),
    (("level",), 0, "level is 0"),
    (("ranges", "N"), [1e8], "ranges.N is a list of 1, expected a list of 2"),
    (("ranges", "N"), [1e10, 1e8], "ranges.N is .*lower number first"),
    (("ranges", "N"), 3, "ranges.N is 3"),
    (("intervals", "E"), None, "intervals.E is null"),
    (("intervals", "Z"), [1, 2], "intervals is .*with Z"),
    (("draws",), [[1.0, 2.0]], "draws is a list of 1, expected an object"),
    (("draws", "E"), [1.0], "draws.* is a list of .*as the others have|draws.* is .*expected 1 values"),
    (("draws", "alpha"), [None] * 50, r"draws.alpha\[0\] is null"),
    (("scatter",), {"sigma": 1.0}, "scatter is an object of 1, expected an object with sigma, offset, size, quantiles"),
    (("scatter", "quantiles"), [1, "x"], r"scatter.quantiles\[1\] is"),
    (("status",), "excellent", "status is .*expected one of converged"),
    (("findings",), [{"status": "weak"}], r"findings\[0\] is an object of 1"),
    (("warnings",), "none", "warnings is"),
    (("convention", "params"), 3, "convention.params is 3, expected text"),
    (("starts_agreeing",), 7, "starts_agreeing is 7"),
    (("data",), "here", "data is"),
    (("held_out",), {"gaps": 3}, "held_out.gaps is 3"),
]


@pytest.mark.parametrize(
    ("place", "value", "words"), SPOILED, ids=[f"{'.'.join(p)}={str(v)[:20]}" for p, v, _ in SPOILED]
)
def test_a_spoiled_field_is_named(tmp_path, place, value, words):
    path = tmp_path / "fit.json"
    raw = json.loads(saved(path))
    parent = raw
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(BadInput, match=words):
        LossFit.load(path)


NO_FITS = {
    "empty": "",
    "list": "[1]",
    "null": "null",
    "another kind": '{"kind": "hyper_law"}',
    "cut": "{",
    "zero byte": "\x00",
    "deep list": "[" * 100_000,
    "deep object": '{"kind": ' * 100_000,
    "long integer": "9" * 5_000,
    "long integer in a field": '{"kind": "jaxlaws.fit", "level": ' + "9" * 5_000 + "}",
    "nothing in it": '{"kind": "jaxlaws.fit"}',
    "not UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", NO_FITS.values(), ids=NO_FITS)
def test_what_is_no_fit_is_one_sentence(tmp_path, capsys, content):
    path = tmp_path / "fit.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["predict", str(path), "--params", "1e9", "--tokens", "1e10"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "fit.json" in error
    assert len(error) < 400


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "9" * 4_000], ids=["nan", "infinity", "1e999", "digits"])
def test_numbers_that_are_not_finite_are_named(tmp_path, text):
    path = tmp_path / "fit.json"
    path.write_text(saved(path).replace('"E": 1.8172', f'"E": {text}'))
    with pytest.raises(BadInput, match=r"params\.E is .*expected a finite number"):
        LossFit.load(path)
