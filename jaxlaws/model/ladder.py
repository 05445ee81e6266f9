"""The named sizes as a table: `python -m jaxlaws.model.ladder > docs/models.md`. No JAX."""

from __future__ import annotations

from pathlib import Path

import yaml

from jaxlaws.model.shape import ModelConfig, count_params, flops_per_token

VOCAB, SEQ_LEN = 256, 2048
HEAD = f"""# Named models

`model=NAME` is `conf/model/NAME.yaml`; a name says the non-embedding parameters. N is exact; embedding and head come on
top, V · d each: the total is for the default data's V = {VOCAB}. FLOPs a token are those of training at sequences of
{SEQ_LEN} (`jaxlaws.model.shape.flops_per_token`, exact, head included). GPT-2
small is `model=124m model.depth=12`, N = 85M: its 124M are a total.

Written by `python -m jaxlaws.model.ladder > docs/models.md`.

| name | width | layers | heads | head width | MLP width | N, non-embedding | total | FLOPs a token |
|---|---|---|---|---|---|---|---|---|
"""


def ladder(folder: Path) -> dict[str, ModelConfig]:
    """Name → model of every YAML of a folder, smallest first, with the default vocabulary."""
    models = {
        path.stem: ModelConfig(**yaml.safe_load(path.read_text()) | {"vocab": VOCAB}).check()
        for path in folder.glob("*.yaml")
    }
    return dict(sorted(models.items(), key=lambda item: count_params(item[1])[0]))


def table(folder: Path) -> str:
    """The page of the named sizes, as Markdown."""
    rows = []
    for name, model in ladder(folder).items():
        inner, total = count_params(model)
        flops = flops_per_token(model, SEQ_LEN)[1]
        shape = f"{model.width} | {model.depth} | {model.heads} | {model.head_width} | {model.mlp_width}"
        rows.append(f"| {name} | {shape} | {inner:,} | {total:,} | {flops:.4g} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    print(table(Path("conf/model")), end="")
