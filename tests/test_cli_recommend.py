"""`jaxlaws recommend` as it is typed: names of the JSON, exit codes, and what the process loads."""

import json
import subprocess
import sys

import pytest

from jaxlaws.bench.recommend import step_law_runs
from jaxlaws.cli import main

ASKED = ["recommend", "--params", "7e9", "--tokens", "1.4T", "--seq-len", "2048"]


def test_json_names(capsys):
    assert main([*ASKED, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    for name in ("peak_lr", "batch_tokens", "batch_sequences"):
        assert set(answer[name]) == {"value", "low", "high"}
        assert answer[name]["low"] < answer[name]["value"] < answer[name]["high"]
    assert {"safe_band", "extrapolation", "law", "override", "warnings"} <= set(answer)
    assert answer["peak_lr"]["value"] == pytest.approx(6.64e-4, rel=1e-3)


def test_screen_has_numbers_ranges_and_the_override(capsys):
    assert main(ASKED) == 0
    text = capsys.readouterr().out
    for part in ("0.000664", "1,371", "6.5× in N", "14× in D", "jaxlaws train model.width="):
        assert part in text


def test_compare_puts_every_law_side_by_side(capsys):
    assert main([*ASKED, "--compare", "--json"]) == 0
    others = json.loads(capsys.readouterr().out)["compare"]
    assert isinstance(others["minicpm:published"], str)
    assert others["step_law:published"]["peak_lr"]["value"] > 0
    assert main([*ASKED, "--compare"]) == 0
    assert "give --layers and --width" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bad",
    [
        ["--params", "0", "--tokens", "1T"],
        ["--params", "7", "--tokens", "1T"],
        ["--params", "7e9", "--tokens", "100"],
        ["--params", "7e9", "--tokens", "1T", "--seq-len", "0"],
        ["--params", "7e9", "--tokens", "1T", "--law", "foo"],
        ["--params", "7e9"],
    ],
)
def test_bad_questions_exit_2_with_one_line(bad, capsys):
    assert main(["recommend", *bad]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1


def test_fit_then_recommend(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    step_law_runs(half_lrs=3, half_batches=3).table.to_csv(path, index=False)
    assert main(["fit", "step_law", str(path), "--bootstrap", "50", "-o", str(tmp_path / "law.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "hyper_law"
    assert main(["recommend", "--params", "4e8", "--tokens", "20B", "--law", str(tmp_path / "law.json"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["peak_lr"]["low"] < answer["peak_lr"]["value"]


def test_a_preset_and_a_fit_file_load_no_array_library(tmp_path):
    from jaxlaws.recommender.estimate import estimate

    estimate(step_law_runs(half_lrs=2, half_batches=2), bootstrap=20).save(tmp_path / "law.json")
    for law in ("step_law", str(tmp_path / "law.json")):
        code = (
            "import sys; from jaxlaws.cli import main\n"
            f"main(['recommend', '--params', '4e8', '--tokens', '20B', '--json', '--law', {law!r}])\n"
            "print(' '.join(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
        assert not {"jax", "numpy", "pandas", "matplotlib", "rich"} & loaded


def test_a_source_of_runs_is_fitted_and_answers(tmp_path, monkeypatch, capsys):
    """From a table to an answer in one command, the same as in two."""
    monkeypatch.chdir(tmp_path)
    step_law_runs(half_lrs=3, half_batches=3).table.to_csv("runs.csv", index=False)
    asked = ["--params", "4e8", "--tokens", "20B"]
    assert main(["recommend", "runs.csv", *asked]) == 0
    assert "fitted to runs.csv" in capsys.readouterr().out
    assert main(["recommend", "runs.csv", *asked, "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert main(["fit", "step_law", "runs.csv", "-o", "law.json"]) == 0
    for source in (["law.json"], ["--law", "law.json"]):
        capsys.readouterr()
        assert main(["recommend", *source, *asked, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["peak_lr"] == one["peak_lr"]
    assert main(["recommend", "runs.csv", *asked, "--where", "tokens>3e10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["extrapolation"]["outside"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["runs.csv", "--law", "step_law"], "leave one out"),
        (["--where", "tokens>1e10"], "give their SOURCE too"),
        (["gone.csv"], "does not exist"),
        ([""], "SOURCE is empty"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(more, why, capsys):
    assert main(["recommend", *more, "--params", "4e8", "--tokens", "20B"]) == 2
    assert why in capsys.readouterr().err


def test_a_source_that_says_nothing_exits_3(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = step_law_runs(half_lrs=3, half_batches=3).table
    runs[[name for name in runs if "loss" in name]] = 2.5
    runs.to_csv("flat.csv", index=False)
    asked = ["recommend", "flat.csv", "--params", "4e8", "--tokens", "20B"]
    assert main(asked) == 3
    assert capsys.readouterr().out.count("peak LR") == 0
    assert main([*asked, "--force"]) == 0
