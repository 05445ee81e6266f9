"""What holds of every fit, of the loss and of LR and batch: from any data, as file, frame, figure and line."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from samples import lr_batch_runs, schedules

import jaxlaws
from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fits import Fit
from jaxlaws.fitting.predict import open_fit, predict
from jaxlaws.fitting.result import LossFit
from jaxlaws.laws.table import LAWS, get
from jaxlaws.laws.variant import variant
from jaxlaws.listing import laws
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.records.table import Curve

N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(2e9, 1e11, 4)))
LOSS = (1.8 + 480 / N**0.35 + 2000 / D**0.37) * np.exp(1e-3 * np.random.default_rng(0).standard_normal(16))
OPTIONS = {"chinchilla": {"bootstrap": 50, "starts": 8}, "step_law": {"bootstrap": 50}}


def arrays(law: str) -> dict:
    """What a law is fitted to, by symbols."""
    if law == "chinchilla":
        return {"N": N, "D": D, "loss": LOSS}
    runs = lr_batch_runs()
    columns = {"N": "params_nonembedding", "D": "tokens", "B": "batch_tokens", "eta": "peak_lr", "L": "val_loss_nats"}
    return {**{symbol: runs[column].to_numpy() for symbol, column in columns.items()}, "seq_len": 128}


@pytest.fixture(scope="module")
def fits() -> dict[str, Fit]:
    return {law: jaxlaws.fit(law, arrays(law), **OPTIONS[law]) for law in OPTIONS}


@pytest.mark.parametrize(("law", "kind"), [("chinchilla", LossFit), ("step_law", HyperFit)])
def test_every_fit_is_a_file_a_frame_a_line_a_table_and_a_figure(fits, tmp_path, law, kind):
    fit = fits[law]
    fit.save(tmp_path / "fit.json")
    again = Fit.load(tmp_path / "fit.json")
    assert type(again) is kind
    assert again.to_json() == fit.to_json()
    assert again.rows() == fit.rows()
    line = repr(fit)
    assert "\n" not in line
    assert line.startswith(f"{law}: {fit.formula}, {fit.status}, {fit.data['runs']} runs")
    frame = fit.to_frame()
    assert list(frame.index) == list(fit.params)
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()
    assert frame["meaning"].str.len().min() > 5
    assert fit.table().row_count == len(fit.params)
    fit.plot(path=tmp_path / "alone.svg")
    fit.plot(arrays(law), tmp_path / "runs.png")
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(BadInput, match=r"expected a file that ends with \.png"):
        fit.plot(path=tmp_path / "fit.bmp")


@pytest.mark.parametrize("fit", [open_fit("chinchilla:epoch"), PRESETS["step_law:refit"]], ids=["loss", "LR and batch"])
def test_published_constants_are_a_fit_too(fit, tmp_path):
    assert repr(fit).endswith("published constants")
    assert fit.to_frame()["value"].to_dict() == dict(fit.params)
    assert all(isinstance(line, str) for line in fit.details())
    fit.plot(path=tmp_path / "fit.svg")
    fit.save(tmp_path / "fit.json")
    assert Fit.load(tmp_path / "fit.json").to_json() == json.loads(json.dumps(fit.to_json()))


def test_a_file_of_another_kind_is_no_fit(fits, tmp_path):
    fits["step_law"].save(tmp_path / "fit.json")
    with pytest.raises(BadInput, match="expected a fit of a loss law"):
        LossFit.load(tmp_path / "fit.json")
    (tmp_path / "other.json").write_text('{"kind": "sweep"}')
    with pytest.raises(BadInput, match=r"other\.json is not a fit"):
        Fit.load(tmp_path / "other.json")


def test_arrays_frames_and_jax_arrays_give_the_same_fit(fits):
    names = {"params_nonembedding": N, "tokens": D, "loss": LOSS}
    for data in (names, pd.DataFrame(names), {"N": N, "D": D, "L": LOSS}):
        assert jaxlaws.fit("chinchilla", data, **OPTIONS["chinchilla"]).params == fits["chinchilla"].params
    frame = lr_batch_runs().reset_index()
    assert jaxlaws.fit("step_law", frame, **OPTIONS["step_law"]).params == fits["step_law"].params
    single = jaxlaws.fit("chinchilla", {"N": jnp.asarray(N), "D": jnp.asarray(D), "loss": LOSS}, bootstrap=0, starts=8)
    assert single.params["alpha"] == pytest.approx(fits["chinchilla"].params["alpha"], rel=1e-4)


def test_curves_by_name_are_data():
    truth, curves = "multi_power:25M", {}
    for name, lr in schedules(steps=1000).items():
        at = np.arange(200, len(lr), 50)
        curves[name] = Curve(lr, at, predict(truth, lr=lr, at=at, warmup_steps=150).value, 150)
    fit = jaxlaws.fit("opl", curves, bootstrap=0, starts=4)
    assert fit.data["runs"] == len(curves)
    assert set(fit.curves) == set(curves)
    assert len(fit.plot(curves).axes) == 2


@pytest.mark.parametrize(
    ("law", "data", "options", "words"),
    [
        ("chinchilla", {"N": N, "D": D[:3], "loss": LOSS}, {}, "lengths params_nonembedding 16, tokens 3"),
        ("chinchilla", {"N": N, "D": "many", "loss": LOSS}, {}, "tokens is no array of numbers"),
        ("chinchilla", {"N": N, "D": D[:, None], "loss": LOSS}, {}, r"tokens has the shape \(16, 1\)"),
        ("chinchilla", {"N": N, "Q": D, "loss": LOSS}, {}, "unknown column 'Q'"),
        ("chinchilla", {"N": 1e9, "D": 1e10, "loss": 2.0}, {}, "there is no array of runs"),
        ("multi_power", {"a": Curve(np.ones(3), np.array([2]), np.ones(1), 0), "b": 1}, {}, "'b' is no Curve"),
        ("chinchila", {"N": N}, {}, "did you mean 'chinchilla'"),
        ("step_law", {"N": N}, {"train": ["a"]}, r"--train \(train= in Python\) is of no use to step_law"),
    ],
)
def test_data_that_are_none_are_refused_in_a_sentence(law, data, options, words):
    with pytest.raises(BadInput, match=words):
        jaxlaws.fit(law, data, **options)


def test_a_law_that_is_a_value_is_fitted_and_its_file_read(tmp_path, monkeypatch):
    monkeypatch.setattr(LAWS, "data", dict(LAWS.data))
    base = get("chinchilla")
    about = {"name": "doubled", "formula": "L = E + A/(2 N)^alpha + B/D^beta", "reference": "this test"}
    doubled = variant(base, effective=lambda p, x: {**x, "N": 2 * x["N"]}, inputs=base.inputs, **about)
    fit = jaxlaws.fit(doubled, {"N": N / 2, "D": D, "loss": LOSS}, bootstrap=0, starts=8)
    fit.save(tmp_path / "fit.json")
    plain = jaxlaws.fit("chinchilla", {"N": N, "D": D, "loss": LOSS}, bootstrap=0, starts=8)
    assert predict(tmp_path / "fit.json", params=1e9, tokens=1e10).value == pytest.approx(
        predict(plain, params=2e9, tokens=1e10).value, rel=1e-6
    )
    with pytest.raises(BadInput, match="two rows for the law doubled"):
        jaxlaws.fit(variant(base, inputs=base.inputs, **about), {"N": N, "D": D, "loss": LOSS})


def test_a_prediction_of_arrays_is_that_of_each_point(fits):
    fit = fits["chinchilla"]
    answer = predict(fit, params=N, tokens=D)
    for i in (0, 7):
        one = predict(fit, params=N[i], tokens=D[i])
        assert (answer.value[i], answer.low[i], answer.high[i]) == pytest.approx(
            (one.value, one.low, one.high), rel=1e-12
        )
    assert answer.extrapolation.grade == "inside"
    far = predict(fit, params=[1e9, 1e15], tokens=2e10).extrapolation
    assert (far.grade, far.axes["params"].value) == ("absurd", 1e15)
    many = predict(fit, params=np.full(5000, N[0]), tokens=D[0])
    assert many.high.shape == (5000,)
    assert np.ptp(many.high) == 0


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"params": [1e9, 2e9], "tokens": [1e9, 2e9, 3e9]}, r"shapes params \(2,\), tokens \(3,\)"),
        ({"params": [[1e9]], "tokens": 1e9}, r"shapes params \(1, 1\)"),
        ({"params": [1e9, -1.0], "tokens": 1e9}, "params is -1.0, expected a positive number"),
        ({"params": [], "tokens": 1e9}, "params is empty"),
        ({"params": "7B", "tokens": 1e9}, "params is '7B', expected a positive number"),
    ],
)
def test_arrays_that_no_law_takes_are_refused_in_a_sentence(inputs, words):
    with pytest.raises(BadInput, match=words):
        predict("chinchilla:epoch", **inputs)


def test_two_arrays_of_one_column_are_refused():
    with pytest.raises(BadInput, match="two of the keys N, params, D, loss are the column params_nonembedding"):
        jaxlaws.fit("chinchilla", {"N": N, "params": 2 * N, "D": D, "loss": LOSS})


def test_one_listing_has_the_laws_of_both_kinds(capsys):
    assert main(["laws", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == laws()
    assert {*LAWS, "step_law", "kaplan (advice)"} <= set(laws())
    assert (
        laws("step_law")["step_law"]["params"].keys()
        == laws("step_law")["step_law"]["presets"]["step_law:refit"]["params"].keys()
    )
    with pytest.raises(BadInput, match="did you mean 'step_law'"):
        laws("step_low")


def test_fit_draws_a_picture_beside_the_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"params_nonembedding": N, "tokens": D, "loss_nats": LOSS}).to_csv("runs.csv", index=False)
    assert main(["fit", "chinchilla", "runs.csv", "--bootstrap", "0", "--starts", "8", "--plot", "fit.png"]) == 0
    assert "written to fit.png" in capsys.readouterr().out
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert main(["fit", "chinchilla", "runs.csv", "--plot", "fit.bmp"]) == 2
