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
    assert found["convention"] == {"params": "params_nonembedding", "loss": "loss_nats"}
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
    assert found["flops"] == {"value": 6e20, "low": None, "high": None}
    assert found["params"]["low"] < 1e10 < found["params"]["high"]
    assert found["params"]["value"] == pytest.approx(second["params"]["value"], rel=0.05)


def test_the_screen_shows_the_same_numbers(capsys):
    found = answer(capsys, "chinchilla:epoch", "--flops", "5.88e23")
    assert main(["optimum", "chinchilla:epoch", "--flops", "5.88e23"]) == 0
    shown = capsys.readouterr().out
    assert "73B" in shown
    assert f"{found['tokens_per_param']['value']:.3g}" in shown
    assert "params params_total" in shown


def test_a_law_of_batch_and_steps_by_its_flags(tmp_path, capsys):
    from jaxlaws.fitting.result import LossFit

    constants = {"N_c": 6e13, "alpha_N": 0.077, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2.1e8, "alpha_B": 0.21}
    convention = {"params": "params_nonembedding", "loss": "nats"}
    fit = LossFit(law="critical_batch", convention=convention, noise="published", params=constants)
    fit.save(tmp_path / "critical.json")
    found = answer(capsys, tmp_path / "critical.json", "--loss", "2.6", "--params", "1B", "--batch-tokens", "2M")
    assert found["steps"]["value"] * 2e6 == pytest.approx(found["tokens"]["value"])
    critical = found["critical_batch"]["value"]
    assert found["steps"]["value"] == pytest.approx(found["least_steps"]["value"] * (1 + critical / 2e6), rel=1e-6)


def test_the_screen_shows_what_was_not_given(capsys):
    assert main(["optimum", "chinchilla:epoch", "--loss", "2.2", "--served-tokens", "10T"]) == 0
    shown = capsys.readouterr().out
    assert "for a loss of 2.2 (C = 6·N·D + 2·N·10T" in shown
    assert "4.353e22" in shown
    assert "  loss  " not in shown
