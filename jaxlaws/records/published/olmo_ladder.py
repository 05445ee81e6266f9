"""Learning curves of OLMo's ladder: four sizes × .5 to 10 times 20 tokens a parameter (2024, arXiv 2412.04403)."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from jaxlaws.errors import BadInput
from jaxlaws.records.columns import METRIC, TARGET
from jaxlaws.records.published.read import read_csv

#: Size in the name of a file → N without embeddings, as the authors count it (allenai/OLMo-ladder). The logged peak
#: LR η gives it to the digit, by the ladder's own rule η = .0047/4 · (N/1.08e8)^(−1/3).
SIZES = {
    **{"190M": 190_354_176, "370M": 371_262_464, "760M": 758_220_288, "1B": 1_279_395_840},
    "3B": 3_169_537_280,
}
_NUMBERS = {
    **{"step": "_step", "lr": "optim/learning_rate_group0", "tokens": "throughput/total_tokens"},
    **{"batch_tokens": "batch_size_in_tokens", "peak_lr": "learning_rate_peak"},
}
_LOSS = re.compile(r"eval/(.+)-validation/CrossEntropyLoss")
_TASK = re.compile(r"eval/downstream(?:_bpb)?/(.+)")


def load(path: Path) -> pd.DataFrame:
    """The rows of a folder of W&B exports such as `190M-10xC.csv`, a row an evaluation.

    Eleven validation sets are `val_loss.c4_en` and the like, of which `--target c4_en` chooses one; bits a byte and
    accuracies of tasks are `metric.hellaswag_val_rc_5shot_bpb` and the like. Every schedule is a cosine to a tenth of
    the peak after a warm-up over N tokens, as the first logged LRs show. Names that end in `-rerun` repeat a run; files
    of other models, which the authors' folder holds too, are left out.
    """
    files = [file for file in sorted(path.glob("*-*.csv")) if _size(file) in SIZES] if path.is_dir() else []
    if not files:
        raise BadInput(f"{path} is no folder with tables such as 190M-10xC.csv, of the sizes {', '.join(SIZES)}.")
    return pd.concat([_run(file) for file in files], ignore_index=True)


def _size(file: Path) -> str:
    return file.stem.partition("-")[0]


def _run(file: Path) -> pd.DataFrame:
    size = _size(file)
    raw = read_csv(file, "olmo_ladder", tuple(_NUMBERS.values()))
    columns = {ours: raw[theirs] for ours, theirs in _NUMBERS.items()}
    for start, pattern in ((TARGET, _LOSS), (METRIC, _TASK)):
        columns |= {start + match[1]: raw[name] for name in raw if (match := pattern.fullmatch(str(name)))}
    warmup_steps = (SIZES[size] / raw[_NUMBERS["batch_tokens"]]).round()
    return pd.DataFrame(
        {"run_id": file.stem, "params_nonembedding": float(SIZES[size]), "warmup_steps": warmup_steps, **columns}
    )
