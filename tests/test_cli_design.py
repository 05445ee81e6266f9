"""`jaxlaws design` and `jaxlaws bound` as they are typed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_cli_bad_input import refused

from jaxlaws.cli import main
from jaxlaws.fitting.predict import open_fit
from jaxlaws.schedules.exchange import read_table

MPL = ["multi_power:25M", "--peak-lr", "3e-4"]


def answer(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_design_is_written_exactly(tmp_path, capsys):
    files = [str(tmp_path / "s.csv"), str(tmp_path / "s.png")]
    found = answer(
        capsys, "design", "schedule", *MPL, "--steps", "24000", "--warmup", "2160", "-o", files[0], "--plot", files[1]
    )
    assert found["files"] == files
    lr = read_table(tmp_path / "s.csv")
    (part,) = found["schedules"]
    assert found["objective"] == pytest.approx(part["predicted"]["value"], abs=1e-6)
    assert lr.max() == found["peak_lr"] == 3e-4
    assert (len(lr), lr[-1]) == (part["steps"], part["final_lr"]) == (24_000, lr[-1])
    assert int(np.argmax(lr[2160:] < 0.999 * 3e-4)) + 2160 == part["decay_begins"]
    assert part["gains"]["cosine to 10%"]["verdict"] == "gain"
    assert part["gains"]["wsd 20%"]["verdict"] == "inside the noise"
    main(["predict", "multi_power:25M", "--schedule", files[0], "--warmup", "2160", "--json"])
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(part["predicted"]["value"], abs=1e-9)


def test_the_screen_has_the_verdicts(capsys):
    assert main(["design", "schedule", *MPL, "--steps", "2000", "--knots", "8"]) == 0
    printed = capsys.readouterr().out
    assert "knots(8)" in printed
    assert "cosine" in printed
    assert "warning: published constants have no resamples" in " ".join(printed.split())


@pytest.mark.slow
def test_a_file_for_each_horizon(tmp_path, capsys):
    files = answer(capsys, "design", "schedule", *MPL, "--horizons", "2000,4000", "-o", str(tmp_path / "s.npy"))[
        "files"
    ]
    assert files == [str(tmp_path / f"s-{steps}.npy") for steps in (2000, 4000)]
    short, long = (np.load(file) for file in files)
    assert np.array_equal(short[:1000], long[:1000])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "100", "--warmup", "100"], "shorten --warmup"),
        (["--steps", "100", "--warmup", "200"], "shorten --warmup"),
        (["--steps", "100", "--knots", "0"], "expected 1 to 64"),
        (["--steps", "100", "--free-peak"], "leave out --peak-lr"),
        (["--steps", "1.5"], "whole number"),
        (["--steps", "-5"], "--steps"),
        ([], "exactly one of --steps and --horizons"),
        (["--steps", "100", "--family", "wsd", "--knots", "3"], "--family goes with neither"),
        (["--steps", "100", "--family", "wsd(cooldown=1.5)"], "between 0 and 1"),
        (["--steps", "100", "--family", "wsd(floor=-0.1)"], "between 0 and 1"),
        (["--steps", "100", "--family", "wds"], "did you mean 'wsd'"),
        (["--steps", "100", "--family", "constant"], "leaves no number free"),
        (["--steps", "100", "--family", "table"], "no numbers to design"),
        (["--horizons", "100,100"], "twice"),
        (["--horizons", "100,200", "--weights", "1"], "one positive number for each"),
        (["--steps", "2000", "--family", "linear", "--plot", "x.txt"], "ends with .png"),
    ],
)
def test_impossible_requests(capsys, arguments, words):
    assert words in refused(capsys, "design", "schedule", *MPL, *arguments)


def test_other_impossible_requests(capsys):
    assert "leave out --peak-lr" not in refused(capsys, "design", "schedule", "multi_power:25M", "--steps", "100")
    assert "several peak LRs" in refused(
        capsys, "design", "schedule", "multi_power:25M", "--steps", "100", "--free-peak"
    )
    assert "reads model and tokens" in refused(
        capsys, "design", "schedule", "chinchilla:epoch", "--steps", "9", "--peak-lr", "1"
    )
    assert "cannot be extended" in refused(
        capsys, "design", "extend", *MPL, "--schedule", "wsd", "--steps", "200", "--to", "100"
    )
    assert "cannot be extended" in refused(capsys, "bound", "wsd", "--steps", "100", "--extend", "50")
    assert "for a wsd schedule" in refused(capsys, "bound", "cosine", "--steps", "100", "--extend", "500")
    assert "needs --steps" in refused(capsys, "bound", "cosine")


def test_a_free_peak_at_an_end_of_its_range_is_said(tmp_path, capsys):
    fit = open_fit("multi_power:25M")
    fit = replace(fit, ranges={**fit.ranges, "peak_lr": (1e-4, 3e-4)})
    fit.save(tmp_path / "fit.json")
    request = ["design", "schedule", str(tmp_path / "fit.json"), "--steps", "24000", "--free-peak", "--knots", "2"]
    found = answer(capsys, *request)
    assert found["peak_lr"] == pytest.approx(3e-4, rel=1e-3)
    assert "is the highest of those that were fitted" in found["warnings"][0]


@pytest.mark.parametrize("law", ["multi_power", "bound", "annealing"])
def test_a_fit_that_never_saw_a_decay_is_refused(tmp_path, capsys, law):
    parts = []
    for run, peak in enumerate((1e-3, 2e-3, 4e-3)):
        step = np.arange(10, 1000, 10)
        loss = 3 + 0.5 * (peak * (step + 1)) ** -0.5 + np.random.default_rng(run).normal(0, 1e-3, len(step))
        parts.append(pd.DataFrame({"run_id": f"r{run}", "step": step, "lr": peak, "loss": loss}))
    pd.concat(parts).to_csv(tmp_path / "curves.csv", index=False)
    file = str(tmp_path / "fit.json")
    main(["fit", law, str(tmp_path / "curves.csv"), "-o", file, "--bootstrap", "0", "--starts", "2"])
    capsys.readouterr()
    for extra in ([], ["--force"]):
        said = refused(capsys, "design", "schedule", file, "--steps", "1000", "--peak-lr", "2e-3", *extra)
        assert "never decay" in said


def test_a_fit_that_is_not_trusted_designs_only_when_forced(tmp_path, capsys):
    file, fit = tmp_path / "fit.json", open_fit("multi_power:25M")
    type(fit)(**{**fit.__dict__, "status": "unidentified"}).save(file)
    arguments = [
        "design",
        "schedule",
        str(file),
        "--steps",
        "2000",
        "--peak-lr",
        "3e-4",
        "--family",
        "linear",
        "--json",
    ]
    assert main(arguments) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*arguments, "--force"]) == 0


def test_bound_as_typed(capsys):
    found = answer(
        capsys,
        "bound",
        "wsd(cooldown=0.2)",
        "--steps",
        "4000",
        "--against",
        "linear",
        "--peak-lr",
        "1e-3",
        "--extend",
        "8000",
    )
    assert found["scaled_lr"] == pytest.approx(0.513, abs=1e-3)
    assert found["against"]["scaled_value"] == pytest.approx(2.002, abs=1e-3)
    assert found["transfer"]["factor"] == pytest.approx(1.94, abs=0.01)
    assert found["transfer"]["peak_lr"] == pytest.approx(1.94e-3, abs=1e-5)
    assert found["extension"]["second_stage"] == pytest.approx(0.535, abs=0.005)
    assert found["extension"]["cooldown"] == pytest.approx(0.63, abs=0.01)
    assert main(["bound", "linear", "--steps", "100"]) == 0
    assert "best LR" in capsys.readouterr().out
