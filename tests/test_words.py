"""What people read: formulas with numbers, cells in a line, and of a fit's warnings those that the question needs."""

import json

import pandas as pd
import pytest
from test_traps_hyper import SIZES, sweep

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.laws.table import LAWS
from jaxlaws.recommender.answer import recommend
from jaxlaws.recommender.estimate import estimate
from jaxlaws.recommender.hyperfit import HyperFit
from jaxlaws.recommender.presets import PRESETS
from jaxlaws.records.table import Runs
from jaxlaws.records.units import parse_number, short, short_bytes
from jaxlaws.text import figure, with_numbers


@pytest.mark.parametrize(
    ("value", "text"), [(1.81721, "1.817"), (2085.43, "2085"), (6.4e13, "6.4e13"), (1e-5, "1e-5"), (-0.5, "-0.5")]
)
def test_numbers_of_formulas(value, text):
    assert figure(value) == text


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("chinchilla:epoch", "L = 1.817 + 482/N^0.3478 + 2085/D^0.3658"),
        ("kaplan:published", "L = [(6.4e13/N)^(0.076/0.103) + 1.8e13/D]^0.103"),
        (
            "annealing:25M",
            "L(s) = 3.036 + 0.522 S1^-0.504 - 1.91 S2,  S2 = sum_i m_i,  m_i = 0.995 m_i-1 + (lr_i-1 - lr_i)",
        ),
        (
            "multi_power:25M",
            "L(t) = 3.04 + 0.5247 S(t)^-0.5079 - 363.8 sum_k (lr_k-1 - lr_k) [1 - (1 + 2.066 lr_k^-0.6414 "
            "S_k(t))^-0.5828]",
        ),
    ],
)
def test_laws_with_their_numbers(preset, text):
    law, _, variant = preset.partition(":")
    assert LAWS[law].written(LAWS[law].presets[variant].values) == text


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_every_formula_names_all_its_constants(law):
    numbers = dict.fromkeys(law.names, 7.25)
    assert law.written(numbers).count("7.25") >= len(law.names)
    assert with_numbers("a - b", {"b": -2.0}) == "a + 2"
    assert with_numbers("exp(-k (x - x_0))", {"k": -2.0, "x_0": -1.0}) == "exp(2 (x + 1))"


def test_advice_with_its_numbers():
    assert PRESETS["step_law:published"].formula == "η* = 1.79 · N^-0.713 · D^0.307, B* = 0.58 · D^0.571 tokens"


def test_a_batch_that_was_not_measured_is_called_so(tmp_path, capsys):
    path = str(tmp_path / "law.json")
    estimate(Runs(sweep(params=SIZES[:3], batches=(0,))), bootstrap=0).save(path)
    asked = ["recommend", "--params", "3e8", "--tokens", "8B", "--law", path]
    assert main(asked) == 0
    assert "not measured: the batch of the law's runs" in capsys.readouterr().out
    assert main([*asked, "--batch-tokens", "524288"]) == 0
    assert "not measured: " not in capsys.readouterr().out


@pytest.fixture(scope="module")
def narrow() -> HyperFit:
    """Twelve cells, all of which end below their best LR."""
    return estimate(Runs(sweep(lrs=(-3, -2, -1, 0))), bootstrap=20)


def test_a_fit_is_a_formula_and_one_line_a_cell(tmp_path, capsys):
    sweep().to_csv(tmp_path / "runs.csv", index=False)
    assert main(["fit", "step_law", str(tmp_path / "runs.csv"), "--bootstrap", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.strip().startswith("η* = ") and "tokens" in line for line in lines)
    cells = [line.split() for line in lines if line.strip().startswith(("100M", "200M", "400M", "800M"))]
    assert len(cells) == 12
    assert cells[0][:4] == ["100M", "2B", "20", "25"]
    assert main(["fit", "step_law", str(tmp_path / "runs.csv"), "--bootstrap", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["formula"].startswith("η* = ")


def test_a_loss_law_is_printed_with_its_numbers(tmp_path, capsys):
    points = [(n, d, 1.8 + 482 / n**0.35 + 2085 / d**0.37) for n in (1e8, 4e8, 2e9) for d in (2e9, 1e10, 5e10)]
    table = pd.DataFrame(points, columns=["params_nonembedding", "tokens", "loss_nats"])
    table.to_csv(tmp_path / "runs.csv", index=False)
    main(["fit", "chinchilla", str(tmp_path / "runs.csv"), "--bootstrap", "0"])
    assert "  L = 1.8 + 482/N^0.35 + 2085/D^0.37\n" in capsys.readouterr().out


def test_an_answer_repeats_of_the_fit_what_is_near_the_question(narrow):
    edges = [cell for cell in narrow.cells if cell["edges"]["peak_lr"]["edge"]]
    assert len(edges) > 6
    answer = recommend(params=2e8, tokens=8e9, law=narrow, force=True)
    told = [text for text in answer.warnings if "edge" in text and "cell" in text and "near the question" in text]
    assert 1 <= len(told) <= 3
    assert told[0].startswith("near the question, the cell N 200M, D 8B: LR best at the high edge, add ")
    assert len(answer.warnings) < 10


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7b", 7e9),
        ("7,000,000,000", 7e9),
        ("7_000_000", 7e6),
        ("1.4e12 tokens", 1.4e12),
        ("1.4T tokens", 1.4e12),
        ("512Ki", 524_288),
        ("2 Mi tokens", 2**21),
    ],
)
def test_numbers_as_people_write_them(text, value):
    assert parse_number(text, "tokens") == value


@pytest.mark.parametrize("text", ["1,4T", "7,00", "7 params", "7Bi", "Ki", "7b7", "1,000,00", "1,000", "20x"])
def test_what_is_no_number_of_tokens(text):
    with pytest.raises(BadInput, match="tokens is"):
        parse_number(text, "tokens")


@pytest.mark.parametrize(
    ("asked", "tokens", "seq_len", "said"),
    [
        ({"tokens": "20xN"}, 1.4e11, 2048, "20 tokens a parameter, 140B"),
        ({"tokens": "5xC"}, 7e11, 2048, "100 tokens a parameter, 700B"),
        ({"tokens": "140B", "seq_len": "4k"}, 1.4e11, 4096, "seq-len 4k is taken as 4,096"),
        ({"tokens": "140B", "seq_len": "10k"}, 1.4e11, 10_000, None),
        ({"tokens": "140B", "seq_len": 4000}, 1.4e11, 4000, None),
    ],
)
def test_questions_in_the_units_of_people(asked, tokens, seq_len, said):
    answer = recommend(params="7B", **asked)
    assert (answer.question["tokens"], answer.question["seq_len"]) == (tokens, seq_len)
    assert said is None or any(said in text for text in answer.warnings)


SWAPPED = "did you mean --params 1.3B --tokens 100B?"


@pytest.mark.parametrize(
    "command",
    [
        ["recommend", "--params", "100B", "--tokens", "1.3B"],
        ["recommend", "--params", "100B", "--tokens", "1.3B", "--law", "power_lines:published"],
        ["predict", "chinchilla:epoch", "--params", "100B", "--tokens", "1.3B"],
    ],
)
def test_swapped_sizes_are_asked_about(command, capsys):
    assert main(command) == 3
    error = capsys.readouterr().err
    assert SWAPPED in error
    assert "--force" in error
    assert main([*command, "--force", "--json"]) == 0
    assert SWAPPED in json.loads(capsys.readouterr().out)["extrapolation"]["impossible"][0]


def test_few_tokens_are_fine_where_the_law_has_data():
    """Kaplan's smallest run has .015 tokens a parameter."""
    assert main(["predict", "kaplan:published", "--params", "1.5B", "--tokens", "22M"]) == 0


@pytest.mark.parametrize(
    ("value", "text"), [(1.4e12, "1.4T"), (999.6e12, "1e15"), (2.34e18, "2.34e18"), (999e12, "999T"), (42, "42")]
)
def test_counts_for_people(value, text):
    assert short(value) == text
    assert short_bytes(415e9) == "415GB"
