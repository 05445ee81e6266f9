"""Tables of every tracker go in by flags alone; the truth lies inside the intervals of those that can identify it."""

import json

import messy_tables
import pytest

from jaxlaws.cli import main

_QUICK = {"opl": ("--bootstrap", "40", "--starts", "4"), "chinchilla": ("--bootstrap", "200"), "step_law": ()}


@pytest.mark.parametrize("write", messy_tables.TABLES, ids=lambda write: write.__name__)
def test_a_messy_table_goes_in_by_flags_alone(tmp_path, capsys, write):
    table = write(tmp_path)
    code = main(["fit", table.law, str(table.source), *table.flags, *_QUICK[table.law], "--json"])
    fit = json.loads(capsys.readouterr().out)
    assert code == 0, fit["findings"]
    for words in table.used:
        assert words in fit["data"]["used"]
    for name, value in table.truth.items():
        low, high = fit["intervals"][name]
        assert low <= value <= high, (name, value, low, high)
    assert table.warns in " ".join([*fit["warnings"], *(finding["what"] for finding in fit["findings"])])
