"""`jaxlaws ranks SOURCE`: whether the best recipes of a small size are those of a larger one."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from jaxlaws.cli.source import add_source, open_source
from jaxlaws.errors import BadInput
from jaxlaws.quantity import Quantity
from jaxlaws.status import require_trusted

if TYPE_CHECKING:
    from jaxlaws.fitting.agreement import Agreement
    from jaxlaws.fitting.ranks import Pair

#: Pairs that are shown; `--json` has all.
_MOST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    parser.add_argument(
        "--recipe", metavar="COLUMN,…", help="columns that tell recipes apart; `share` for all of share.NAME"
    )
    parser.add_argument(
        "--size", metavar="COLUMN,…", help="columns that tell sizes apart, ordered by their product or by words as 70M"
    )
    parser.add_argument(
        "--fit", metavar="FILE", help="rank by the losses that this fit predicts, instead of those of a smaller size"
    )
    parser.add_argument("--force", action="store_true", help="rank by a fit that cannot be trusted")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    from jaxlaws.fitting.ranks import ranks, ranks_of_fit

    size = _columns(args.size)
    if args.fit is not None:
        from jaxlaws.fitting.predict import open_fit

        if args.recipe is not None:
            raise BadInput("--fit ranks every run by what the law predicts: leave out --recipe.")
        fit = open_fit(args.fit)
        require_trusted(fit, args.fit, args.force)
        answer = ranks_of_fit(fit, open_source(args), size)
    else:
        recipe = _columns(args.recipe)
        if not recipe or not size:
            raise BadInput(
                "expected what tells recipes and sizes apart, such as --recipe peak_lr,batch_tokens --size "
                "params_nonembedding."
            )
        answer = ranks(open_source(args), recipe, size)
    if args.json:
        body = answer._asdict() | {"pairs": [_plain(pair) for pair in answer.pairs]}
        print(json.dumps(body, ensure_ascii=False, allow_nan=False))
        return 0
    print(f"{answer.recipes} recipes by {', '.join(answer.recipe)}; {answer.level:.0%} intervals of resampled recipes")
    lines = [("ranked by", "measured at", "recipes", "Spearman", "Kendall", "regret of the choice")]
    comparable = [pair for pair in answer.pairs if pair.agreement is not None]
    for pair in comparable[:_MOST]:
        lines.append((pair.score, pair.size, str(pair.shared), *_cells(pair.agreement)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    if len(comparable) > _MOST:
        print(f"  … {len(comparable) - _MOST} more with --json")
    if len(comparable) > 1:
        print(f"  {_summary(comparable)}")
    for text in answer.warnings:
        print(f"  warning: {text}")
    return 0


def _columns(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _cells(agreement: Agreement | None) -> tuple[str, str, str]:
    assert agreement is not None
    return _interval(agreement.spearman, 2), _interval(agreement.kendall, 2), _interval(agreement.regret, 4)


def _interval(value: Quantity | None, digits: int) -> str:
    if value is None:
        return "–"
    if value.low is None:
        return f"{value.value:.{digits}f}"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _summary(pairs: list[Pair]) -> str:
    """The medians over pairs, and the lowest correlation."""
    with_value = [(pair.agreement.spearman.value, pair) for pair in pairs if pair.agreement and pair.agreement.spearman]
    regrets = [pair.agreement.regret.value for pair in pairs if pair.agreement and pair.agreement.regret]
    if not with_value or not regrets:
        return "no pair has a correlation."
    lowest, pair = min(with_value, key=lambda item: item[0])
    spearman = median(value for value, _ in with_value)
    return (
        f"median of {len(with_value)} pairs: Spearman {spearman:.2f}, regret {median(regrets):.4f}; lowest Spearman "
        f"{lowest:.2f} ({pair.score} → {pair.size})"
    )


def _plain(pair: Pair) -> dict:
    """A pair as plain data."""
    agreement = pair.agreement
    values = {name: getattr(agreement, name, None) for name in ("spearman", "kendall", "regret")}
    return {
        "score": pair.score,
        "size": pair.size,
        "shared": pair.shared,
        **{name: None if value is None else asdict(value) for name, value in values.items()},
        "chosen": pair.chosen,
        "best": pair.best,
    }
