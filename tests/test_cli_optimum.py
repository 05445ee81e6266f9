"""`jaxlaws optimum` from runs and from presets."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxlaws.cli import main


@pytest.fixture
def table(tmp_path):
    """isoFLOP profiles of E + A/N^.35 + B/D^.35 with A = B: N* = D* = √(C/6)."""
    rng, rows = np.random.default_rng(0), []
    for flops in np.geomspace(1e19, 1e21, 5):
        n = np.sqrt(flops / 6) * np.exp(np.linspace(-1.5, 1.5, 9))
        d = flops / (6 * n)
        loss = (1.8 + 900 * (n**-0.35 + d**-0.35)) * np.exp(5e-4 * rng.standard_normal(9))
        rows.append(pd.DataFrame({"N": n, "params_total": 1.1 * n, "tokens": d, "ce": loss, "flops_budget": flops}))
    path = tmp_path / "runs.csv"
    pd.concat(rows).to_csv(path, index=False)
    return path


def answer(capsys, *arguments):
    assert main(["optimum", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_parabolas_of_a_table_by_map(table, capsys):
    names = ("--map", "loss=ce", "--map", "params_nonembedding=N")
    found = answer(capsys, table, "--approach", "2", "--flops", "6e20", *names)
    assert found["convention"] == {"params": "params_nonembedding"}
    assert found["params"]["low"] < 1e10 < found["params"]["high"]
    assert found["tokens_per_param"]["value"] == pytest.approx(1, rel=0.05)
    assert found["exponent"]["value"] == pytest.approx(0.5, abs=0.01)
    assert found["extrapolation"]["grade"] == "inside"
    other = answer(capsys, table, "--approach", "2", "--flops", "6e20", "--params-column", "params_total", *names)
    assert other["params"]["value"] == pytest.approx(1.1 * found["params"]["value"], rel=1e-6)


def test_the_envelope_of_a_table(table, capsys):
    found = answer(capsys, table, "--approach", "1", "--flops", "1e22", "--map", "loss=ce")
    assert found["law"] == "envelope"
    assert found["params"]["value"] == pytest.approx(1.1 * np.sqrt(1e22 / 6), rel=0.2)
    assert found["extrapolation"]["grade"] == "far"
    assert found["extrapolation"]["flops"]["factor"] == pytest.approx(10)
    assert any(text.startswith("EXTRAPOLATION, far") and "10× in C" in text for text in found["warnings"])


def test_a_fit_of_the_table_agrees_with_its_parabolas(table, tmp_path, capsys):
    names = ("--map", "loss=ce,params_nonembedding=N")
    fitted = tmp_path / "fit.json"
    assert main(["fit", "chinchilla", str(table), *names, "--bootstrap", "200", "-o", str(fitted), "--json"]) == 0
    capsys.readouterr()
    found = answer(capsys, fitted, "--flops", "600000P")
    second = answer(capsys, table, "--approach", "2", "--flops", "6e20", *names)
    assert found["flops"] == 6e20
    assert found["params"]["low"] < 1e10 < found["params"]["high"]
    assert found["params"]["value"] == pytest.approx(second["params"]["value"], rel=0.05)


def test_the_screen_shows_the_same_numbers(capsys):
    found = answer(capsys, "chinchilla:epoch", "--flops", "5.88e23")
    assert main(["optimum", "chinchilla:epoch", "--flops", "5.88e23"]) == 0
    shown = capsys.readouterr().out
    assert "73B" in shown
    assert f"{found['tokens_per_param']['value']:.3g}" in shown
    assert "params params_total" in shown
