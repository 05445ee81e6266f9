"""A name from another trainer is answered with the name that it has here."""

import pytest

from jaxlaws.cli import COMMANDS, main
from jaxlaws.compose import options
from jaxlaws.errors import unknown
from jaxlaws.laws.table import LAWS
from jaxlaws.meanings import MEANINGS
from jaxlaws.model.parameterisation import PARAMETERISATIONS
from jaxlaws.model.shape import DTYPES
from jaxlaws.overrides import KEYS

#: Override → what the sentence has.
SUGGESTED = {
    "lr=1e-3": "'optimizer.peak_lr'?",
    "learning_rate=1e-3": "'optimizer.peak_lr'?",
    "optimizer.lr=1e-3": "'optimizer.peak_lr'?",
    "optimizer.learning-rate=1e-3": "'optimizer.peak_lr'?",
    "Batch_Size=8": "'batch_sequences'?",
    "bs=8": "'batch_sequences'?",
    "seq_len=128": "'data.seq_len'?",
    "context_length=128": "'data.seq_len'?",
    "wd=.1": "'optimizer.weight_decay'?",
    "optimizer.wd=.1": "'optimizer.weight_decay'?",
    "max_steps=5": "'steps'?",
    "epochs=3": "give tokens=… or steps=…",
    "warmup=5": "'schedule.warmup_steps'?",
    "schedule.warmup=5": "'schedule.warmup_steps'?",
    "schedule.min_lr=1e-5": "'schedule.floor_lr'?",
    "d_model=64": "'model.width'?",
    "model.hidden_size=64": "'model.width'?",
    "n_layers=2": "'model.depth'?",
    "model.n_heads=2": "'model.heads'?",
    "device=gpu": "JAX takes the accelerator that it finds",
    "precision=bf16": "'model.dtype'?",
    "model.dtype=bf16": "'bfloat16'?",
    "model=30k": "the nearest are '25k' and '55k', and any other shape is model.width=…",
    "model=7B": "the nearest are '500m' and '1b'",
    "model=gpt2": "GPT-2 small is model=124m model.depth=12",
    "optimizer=adam_w": "'adamw'?",
    "schedule=cosine_decay": "'cosine'?",
    "schedule=wsd-s": "'wsd_cycles'?",
    "data=c4": "`jaxlaws data SOURCE -o DIR`",
    "optimizer.cliip=1": "'optimizer.clip'?",
}


@pytest.mark.parametrize(("override", "says"), SUGGESTED.items())
def test_a_name_from_elsewhere(capsys, override: str, says: str):
    assert main(["train", override]) == 2
    assert says in capsys.readouterr().err


def test_every_meaning_is_a_name_that_there_is():
    valid = {
        "config key": KEYS,
        "command": COMMANDS,
        "model.dtype": DTYPES,
        "model.parameterisation": PARAMETERISATIONS,
        **{f"choice of {group}": options(group) for group in ("schedule", "optimizer", "model", "data")},
        "schedule": options("schedule"),
        "optimizer.name": options("optimizer"),
        "data source": options("data"),
        "law": LAWS,
    }
    assert valid.keys() == MEANINGS.keys()
    for kind, table in MEANINGS.items():
        for name, ours in table.items():
            assert ours in valid[kind] or " " in ours, (kind, name, ours)
            assert name == name.lower().replace("_", "").replace("-", "")


def test_spelling_serves_where_the_table_does_not_know_a_name():
    assert "did you mean 'train'? valid: fit, train." in str(unknown("command", "trian", ["train", "fit"]))
    assert str(unknown("thing", "x", ["b", "a"])) == "unknown thing 'x': valid: a, b."
