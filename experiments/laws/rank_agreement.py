"""Do small runs rank the recipes of larger ones? RegMix by a mixing law from 1M to 60M, and Step Law cell by cell.

python experiments/laws/rank_agreement.py ../shared/data
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from jaxlaws.fitting.fit import fit
from jaxlaws.fitting.ranks import Ranks, ranks, ranks_of_fit
from jaxlaws.records.published import load


def line(name: str, answer: Ranks) -> str:
    pairs = [pair.agreement for pair in answer.pairs if pair.agreement]
    spearman = [one.spearman.value for one in pairs if one.spearman]
    kendall = [one.kendall.value for one in pairs if one.kendall]
    regret = [one.regret.value for one in pairs if one.regret]
    lowest = min(spearman)
    return f"{name:<34}{len(pairs):6d}{median(spearman):9.3f}{lowest:9.3f}{median(kendall):9.3f}{median(regret):9.4f}"


def main(data: Path) -> None:
    print(f"{'':<34}{'pairs':>6}{'Spearman':>9}{'lowest':>9}{'Kendall':>9}{'regret':>9}")
    mixtures = load(data / "regmix", "regmix")
    small, large = (mixtures.at((mixtures.table["group"] == size).to_numpy()) for size in ("1m", "60m"))
    for target in mixtures.targets:
        law = fit("mixing", replace(small, target=target), bootstrap=0, starts=8)
        print(line(f"regmix 1M to 60M, {target}", ranks_of_fit(law, replace(large, target=target))))
    domains = load(data / "scalebench" / "domain_mixture.csv", "domain_mixture")
    for target in domains.targets:
        print(line(f"70M to 410M, {target}", ranks(replace(domains, target=target), ["share"], ["group"])))
    sweep = load(data / "step_law" / "dense_lr_bs_loss.csv", "step_law")
    recipe = ["peak_lr", "batch_tokens"]
    print(line("step_law, all cells", ranks(sweep, recipe, ["params_nonembedding", "tokens"])))
    ratio = (sweep.table["tokens"] / sweep.table["params_nonembedding"]).to_numpy()
    for low, high in ((10, 30), (30, 80), (80, 600)):
        some = sweep.at(np.asarray((ratio >= low) & (ratio < high)))
        print(line(f"step_law, D/N {low} to {high}", ranks(some, recipe, ["params_nonembedding", "tokens"])))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
