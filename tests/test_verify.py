"""`jaxlaws recommend --verify`: the advice trained beside its neighbours, and what is said of it."""

import json
import math

import pytest
from test_recommender_override import fitted

from jaxlaws.cli import main, verify
from jaxlaws.records.run import collect


def asked(law, *more):
    """A question whose answer has 24 steps of one sequence of 32 tokens."""
    question = ["--params", "6k", "--tokens", "768", "--batch-tokens", "32", "--force"]
    return ["recommend", *question, "--law", str(law), *more]


@pytest.fixture
def law(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = {"data.source": "language", "data.vocab": 16, "eval.sequences": 32}
    fitted("wsd(cooldown=0.25, warmup_steps=4)", seq_len=32, config=shared).save(tmp_path / "law.json")
    return tmp_path / "law.json"


def test_the_advice_is_trained_beside_its_neighbours_once(law, capsys):
    assert main(asked(law, "--verify", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    verdict = answer["verify"]
    assert list(verdict["points"]) == ["advice", "LR ÷ 2", "LR × 2", "batch × 2"]
    table = collect(verdict["directory"]).table
    assert len(table) == 8
    advised = table[
        (table["peak_lr"].round(6) == round(answer["peak_lr"]["value"], 6)) & (table["batch_sequences"] == 1)
    ]
    assert sorted(advised["val_loss_nats"]) == pytest.approx(sorted(verdict["points"]["advice"]["losses"]))
    assert set(table["peak_lr"] / advised["peak_lr"].iloc[0]) == {0.5, 1.0, 2.0}
    assert set(table["schedule"].str.partition("(")[0]) == {"wsd"}
    best = min(point["mean"] for point in verdict["points"].values())
    assert verdict["regret"] == pytest.approx(verdict["points"]["advice"]["mean"] / best - 1)
    assert json.loads((law.parent / verdict["directory"] / "verify.json").read_text()) == verdict

    seconds = list(table["seconds"])
    assert main(asked(law, "--verify")) == 0
    text = capsys.readouterr().out
    assert ("NOT HELD:" in text) != verdict["held"]
    assert "LR × 2" in text
    assert list(collect(verdict["directory"]).table["seconds"]) == seconds, "nothing is trained twice"


@pytest.mark.parametrize(
    ("losses", "held", "best"),
    [
        ({"advice": [2.0, 2.1], "LR ÷ 2": [2.01, 2.11], "LR × 2": [2.02, 2.12]}, True, "advice"),
        ({"advice": [2.0, 2.1], "LR ÷ 2": [2.01, 2.11], "LR × 2": [1.98, 2.08]}, False, "LR × 2"),
        ({"advice": [2.0, 2.1], "LR × 2": [1.998, 2.098]}, True, "LR × 2"),
        ({"advice": [2.0, 2.1], "LR ÷ 2": [2.2, 1.86], "LR × 2": [2.1, 2.2]}, True, "LR ÷ 2"),
        ({"advice": [2.0, 2.1], "LR × 2": [math.inf, 2.0]}, True, "advice"),
        ({"advice": [2.0, math.inf], "LR ÷ 2": [2.0, 2.1]}, False, "LR ÷ 2"),
        ({"advice": [math.inf, math.inf], "LR ÷ 2": [math.inf, math.inf]}, False, "advice"),
    ],
    ids=[
        "best",
        "worse",
        "within the safe band",
        "within noise",
        "neighbour diverged",
        "one seed diverged",
        "all diverged",
    ],
)
def test_a_verdict_is_of_the_best_point_and_of_the_noise(losses, held, best, capsys):
    verdict = verify.judge(losses)
    assert (verdict["held"], verdict["best"]) == (held, best)
    json.dumps(verdict, allow_nan=False)
    for point in verdict["points"].values():
        point |= {"peak_lr": 1e-3, "batch_sequences": 8}
    verify.show({**verdict, "directory": "sweeps/verify"})
    text = capsys.readouterr().out
    assert ("NOT HELD" in text) != held


def test_what_cannot_or_need_not_be_trained_is_said(law, capsys):
    assert main(asked(law, "--verify", "--dry-run")) == 0
    assert "8 to train in 2 programs" in " ".join(capsys.readouterr().out.split())
    assert not list(law.parent.glob("sweeps/*/*/config.yaml"))
    long = ["recommend", "--params", "7B", "--tokens", "140B", "--verify"]
    assert main(long) == 2
    assert "--yes starts it" in capsys.readouterr().err
    assert main(["recommend", "--params", "7B", "--tokens", "140B", "--law", "power_lines", "--verify"]) == 2
    assert "no command" in capsys.readouterr().err
    assert main(["recommend", "--params", "7B", "--tokens", "140B", "--dry-run"]) == 2
    assert "give that too" in capsys.readouterr().err
