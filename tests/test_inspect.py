"""`jaxlaws inspect`: a table is shown with everything that a fit would refuse, its grid, and the laws it identifies."""

import pandas as pd
import pytest

from jaxlaws.errors import BadInput
from jaxlaws.records.source import open_runs


def table(**columns) -> pd.DataFrame:
    rows = [
        {"params_nonembedding": n, "tokens": d, "peak_lr": lr, "batch_tokens": 65_536.0, "loss_nats": 3.0 + lr}
        for n in (1e7, 4e7)
        for d in (1e9, 4e9)
        for lr in (5e-4, 1e-3, 2e-3)
    ]
    return pd.DataFrame(rows).assign(**columns)


def saved(folder, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / "runs.csv", index=False)
    return str(folder / "runs.csv")


@pytest.mark.parametrize(
    ("columns", "questions"),
    [
        ({}, []),
        ({"peak_lr": lambda t: 1e3 * t["peak_lr"]}, ["lr-unit"]),
        (
            {"peak_lr": lambda t: 1e3 * t["peak_lr"], "batch_tokens": 32.0, "steps": 9.0},
            ["steps", "lr-unit"],
        ),
        ({"peak_lr": lambda t: t["peak_lr"].where(t.index > 1)}, [""]),
        ({"loss_nats": lambda t: t["loss_nats"].where(t.index > 0, -1.0), "seq_len": 0.0}, None),
    ],
)
def test_everything_that_a_fit_would_refuse_is_collected(columns, questions, tmp_path):
    path = saved(tmp_path, table(**columns))
    if questions is None:
        with pytest.raises(BadInput, match="seq_len"):
            open_runs(path, collect=True)
        return
    runs = open_runs(path, collect=True)
    assert [name for name, _ in runs.asked] == questions
    if questions:
        with pytest.raises(BadInput) as error:
            open_runs(path)
        assert str(error.value) == runs.asked[0][1]
