"""Models of nine vocabularies, at twenty points of their training (Tao et al. 2024, arXiv 2407.13623; ScaleBench)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxlaws.records.published.read import renamed
from jaxlaws.records.repeats import CLUSTER
from jaxlaws.records.table import Runs

#: Up to how many parameters without the vocabulary a model has which width, in the authors' code
#: (sail-sg/scaling-with-vocab, utils.py).
_WIDTHS = ((5e7, 512), (2e8, 768), (5e8, 1024), (1e9, 1536), (2e9, 2048))
#: Tokens a character as a square of ln V, highest power first, in the same file.
_TOKENS = (0.00639222, -0.15811069, 1.20470122)


def load(path: Path) -> Runs:
    """The rows of `vocab.csv`, of which twenty share a model and are one `cluster`.

    The loss is normalised by that of the unigrams, and negative. The file has characters and the size of the
    vocabulary; tokens and width are what the authors' code makes of them.
    """
    columns = {"params_nonembedding": "non_vocab_parameters", "vocab": "vocab_size", "tokens": "num_characters"}
    runs = renamed(path, "vocabulary", {**columns, "metric.unigram_normalised": "unigram_normalized_loss"})
    edges, widths = zip(*_WIDTHS, strict=True)
    place = np.searchsorted(edges, runs.table["params_nonembedding"]).clip(max=len(widths) - 1)
    vocab = runs.table["vocab"]
    derived = {
        CLUSTER: [f"{n:.0f}_{v:.0f}" for n, v in zip(runs.table["params_nonembedding"], vocab, strict=True)],
        "params_vocab": vocab * np.array(widths)[place],
        "tokens": runs.table["tokens"] * np.polyval(_TOKENS, np.log(vocab)),
    }
    return replace(runs, table=runs.table.assign(**derived))
