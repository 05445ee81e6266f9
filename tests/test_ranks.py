"""Rank agreement of recipes: against scipy, on tables with a known answer, and on published sweeps."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxlaws.cli import main
from jaxlaws.errors import BadInput
from jaxlaws.fitting.agreement import agreement, kendall, regret, spearman
from jaxlaws.fitting.predict import open_fit
from jaxlaws.fitting.ranks import ranks, ranks_of_fit
from jaxlaws.records.published import load
from jaxlaws.records.table import Runs


@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_agree_with_scipy_also_on_resamples(ties):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 30))
    if ties:
        x, y = np.round(x, 0), np.round(y, 0)
    weights = rng.multinomial(30, np.full(30, 1 / 30), size=5).astype(float)
    for row, rho, tau in zip(weights, spearman(x, y, weights), kendall(x, y, weights), strict=True):
        drawn = np.repeat(np.arange(30), row.astype(int))
        assert rho == pytest.approx(stats.spearmanr(x[drawn], y[drawn]).statistic)
        assert tau == pytest.approx(stats.kendalltau(x[drawn], y[drawn]).statistic)


def test_the_interval_of_a_correlation_holds_it():
    """Gaussian pairs with ρ = .8, whose Spearman coefficient is (6/π) asin(ρ/2)."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(50):
        x = rng.standard_normal(60)
        found = agreement(x, 0.8 * x + 0.6 * rng.standard_normal(60)).spearman
        hits += found.low <= 6 / np.pi * np.arcsin(0.4) <= found.high
    assert 40 <= hits <= 49  # of 50 at 90%: 45 ± 2.1


def test_the_regret_of_the_first_choice():
    score, loss = np.array([1.0, 2.0, 3.0, np.inf]), np.array([2.5, 2.4, 2.9, 9.0])
    weights = np.array([[1.0, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 4], [1, 0, 2, 1]])
    np.testing.assert_allclose(regret(score, loss, weights), [0.1, 0.0, 0.0, 0.0], atol=1e-12)


def table(losses, **columns):
    """Runs of sizes (rows) and recipes (columns of the array)."""
    losses = np.array(losses, float)
    sizes, recipes = losses.shape
    frame = pd.DataFrame(
        {
            "params_nonembedding": np.repeat(1e8 * 2.0 ** np.arange(sizes), recipes),
            "peak_lr": np.tile(1e-3 * 2.0 ** np.arange(recipes), sizes),
            "loss_nats": losses.ravel(),
            **columns,
        }
    )
    return Runs(frame.set_axis(pd.Index([f"r{i}" for i in range(len(frame))], name="run_id")))


def test_sizes_that_agree_and_sizes_that_do_not():
    answer = ranks(
        table([[3.0, 2.9, 2.8, 3.1], [2.5, 2.4, 2.3, 2.6], [2.0, 2.2, 2.3, 1.9]]), ["peak_lr"], ["params_nonembedding"]
    )
    values = [
        (pair.score, pair.size, pair.agreement.spearman.value, pair.agreement.kendall.value) for pair in answer.pairs
    ]
    assert values == [
        ("N 100M", "N 200M", 1.0, 1.0),
        ("N 100M", "N 400M", -1.0, -1.0),
        ("N 200M", "N 400M", -1.0, -1.0),
    ]
    assert answer.pairs[1].agreement.regret.value == pytest.approx(0.4)
    assert answer.pairs[0].agreement.spearman.low is None  # every resample of four in one order has that order
    assert any("fewer than 8 recipes have no interval" in text for text in answer.warnings)
    assert (answer.pairs[1].chosen, answer.pairs[1].best) == ("peak_lr 0.004", "peak_lr 0.008")


def test_missing_diverged_and_repeated_runs():
    nan = np.nan
    losses = [[3.0, 2.9, 2.8, nan, 3.2], [2.5, 2.4, 2.3, 2.2, nan], [nan, nan, 2.0, 2.1, nan]]
    status = ["ok"] * 9 + ["diverged"] + ["ok"] * 5
    answer = ranks(table(losses, status=status), ["peak_lr"], ["params_nonembedding"])
    assert [pair.shared for pair in answer.pairs] == [4, 1, 2]
    assert answer.pairs[0].agreement.spearman.value == pytest.approx(1.0)  # the one that diverged ranks last in both
    assert any("1 runs diverged" in text for text in answer.warnings)
    assert any("2 of 3 pairs share fewer than 3 recipes" in text for text in answer.warnings)
    twice = table([[3.0, 2.9, 2.8], [2.5, 2.4, 2.3]])
    frame = pd.concat([twice.table, twice.table.assign(loss_nats=twice.table["loss_nats"] + 0.3)])
    frame.index = pd.Index(map(str, range(len(frame))), name="run_id")
    assert ranks(Runs(frame), ["peak_lr"], ["params_nonembedding"]).pairs[0].shared == 3


def test_labels_that_rounding_parts_are_one():
    runs = table([[3.0, 2.9, 2.8], [2.5, 2.4, 2.3]])
    runs.table["peak_lr"] *= np.where(runs.table.index == "r0", 1.004, 1.0)
    assert ranks(runs, ["peak_lr"], ["params_nonembedding"]).recipes == 3


def test_words_are_sizes_in_the_order_of_their_numbers():
    runs = table([[3.0, 2.9, 2.8], [2.5, 2.4, 2.3], [2.0, 2.1, 2.2]], group=np.repeat(["1B", "70M", "410M"], 3))
    assert [(pair.score, pair.size) for pair in ranks(runs, ["peak_lr"], ["group"]).pairs] == [
        ("70M", "410M"),
        ("70M", "1B"),
        ("410M", "1B"),
    ]


def test_a_fit_ranks_runs():
    fit = open_fit("chinchilla:epoch")
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 1e10, 4), np.geomspace(1e9, 1e11, 4)))
    p = fit.params
    loss = p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]
    runs = Runs(pd.DataFrame({"params_total": n, "tokens": d, "loss_nats": 5 - loss}))
    (pair,) = ranks_of_fit(fit, runs).pairs
    assert (pair.shared, pair.agreement.spearman.value) == (16, pytest.approx(-1.0))
    assert len(ranks_of_fit(fit, runs, ["params_total"]).pairs) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "peak_lr"], "expected what tells recipes and sizes apart"),
        (["--recipe", "peak_lr", "--size", "tokens"], "has no column tokens"),
        (["--recipe", "seed", "--size", "params_nonembedding"], "that share 3 recipes"),
        (["--recipe", "nonsense", "--size", "params_nonembedding"], "no column nonsense"),
        (["--recipe", "nonsense", "--size", "params_nonembedding"], ": give one of those."),
        (["--recipe", "mood", "--size", "params_nonembedding"], "such as --map group=mood, and give that"),
        (["--recipe", "share", "--size", "params_nonembedding"], "has no columns share.NAME"),
        (["--recipe", "peak_lr", "--fit", "chinchilla:epoch"], "leave out --recipe"),
        (["--fit", "multi_power:25M"], "expected a law of points"),
    ],
)
def test_bad_input(tmp_path, capsys, arguments, words):
    table([[3.0, 2.9, 2.8], [2.5, 2.4, 2.3]], seed=1.0).table.assign(mood="good").to_csv(tmp_path / "runs.csv")
    assert main(["ranks", str(tmp_path / "runs.csv"), *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_the_command(tmp_path, capsys):
    table([[3.0, 2.9, 2.8], [2.5, 2.4, 2.3]]).table.to_csv(tmp_path / "runs.csv")
    arguments = ["ranks", str(tmp_path / "runs.csv"), "--recipe", "peak_lr", "--size", "params_nonembedding"]
    assert main([*arguments, "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["spearman"]["value"] == 1
    assert main(arguments) == 0
    assert "N 100M     N 200M       3        1.00" in capsys.readouterr().out


def test_mixtures_of_a_small_model_rank_those_of_a_larger_one(published):
    """Twenty mixtures of five domains at 70M to 410M, each with a loss a domain."""
    runs = load(published("scalebench/domain_mixture.csv"), "domain_mixture")
    for domain in range(1, 6):
        answer = ranks(Runs(runs.table, target=f"domain_{domain}"), ["share"], ["group"])
        assert [pair.shared for pair in answer.pairs] == [20] * 6
        assert min(pair.agreement.spearman.value for pair in answer.pairs) > (0.95 if domain == 1 else 0.6)


def test_learning_rates_and_batches_of_one_cell_rank_another(published):
    runs = load(published("step_law/dense_lr_bs_loss.csv"), "step_law")
    near = runs.at((runs.table["params_nonembedding"] < 2.7e8).to_numpy() & (runs.table["tokens"] < 2e10).to_numpy())
    answer = ranks(near, ["peak_lr", "batch_tokens"], ["params_nonembedding", "tokens"])
    assert len(answer.pairs) == 6
    assert all(pair.shared > 80 and pair.agreement.spearman.value > 0.85 for pair in answer.pairs)


def test_sizes_without_a_common_recipe_are_refused():
    runs = table([[3.0, 2.9, 2.8], [2.5, 2.4, 2.3]], corpus=["a", "b", "c", "d", "e", "f"])
    with pytest.raises(BadInput, match="rank by a law with --fit"):
        ranks(runs, ["corpus"], ["params_nonembedding"])
