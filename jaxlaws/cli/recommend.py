"""`jaxlaws recommend`: peak LR and batch for a model and a token budget, from published constants, a fit or runs."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from jaxlaws.cli import paste, verify
from jaxlaws.cli.source import add_source, open_source, source_flags
from jaxlaws.errors import BadInput
from jaxlaws.extrapolation import SLACK
from jaxlaws.recommender.setting import sentence
from jaxlaws.records.units import short
from jaxlaws.text import printable

if TYPE_CHECKING:
    from jaxlaws.quantity import Quantity
    from jaxlaws.recommender.hyperfit import HyperFit
    from jaxlaws.recommender.recommendation import Recommendation

#: Argument → help, of those that ask for a setting.
_SETTING = {
    "schedule": "such as 'wsd(cooldown=0.2)'",
    "warmup": "warm-up, as steps or as a share below 1",
    "optimizer": "such as muon",
    "weight_decay": "λ, multiplied by the LR",
    "beta2": "of Adam's second moments",
    "parameterisation": "standard or mup",
    "base_width": "the width of the law's own sweep at which mup scales nothing",
    "moe_active": "active parameters of a mixture of experts, without embeddings",
    "moe_total": "all its parameters, without embeddings",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser, help="runs to fit `step_law` to, instead of --law: a sweep directory, a table, …", optional=True)
    parser.add_argument("--params", help="N, non-embedding, such as 7e9 or 7B")
    parser.add_argument("--params-total", help="N with embeddings instead; needs --vocab and --width")
    parser.add_argument("--tokens", required=True, help="D, such as 1.4T or 20xN (tokens a parameter)")
    parser.add_argument("--law", help="preset name or a file of `jaxlaws fit step_law … -o`")
    parser.add_argument("--seq-len", help="tokens in a sequence, such as 4k, which is 4,096 (the law's, or 2048)")
    parser.add_argument("--batch-tokens", help="tokens a step where memory fixes it: the best LR for that batch")
    parser.add_argument("--multiple-of", metavar="K", help="a batch of a multiple of K sequences, the LR moved with it")
    setting = parser.add_argument_group(
        "setting", "what differs from the law's own setting is converted where a source says how (docs/advice.md)"
    )
    for name, about in _SETTING.items():
        setting.add_argument(f"--{name.replace('_', '-')}", help=about)
    setting.add_argument(
        "--from-checkpoint",
        nargs="?",
        const="",
        metavar="TOKENS",
        help="continue from a checkpoint that was trained on so many tokens",
    )
    parser.add_argument("--vocab", help="tokens in the vocabulary")
    parser.add_argument("--width", help="width of the model, for laws in FLOPs per token or with the output head")
    parser.add_argument("--layers", help="layers of the model, for laws in FLOPs per token")
    parser.add_argument("--untied", action="store_true", help="input and output embeddings are separate matrices")
    parser.add_argument("--loss", help="final loss in nats a token, for laws in the loss")
    parser.add_argument("--compare", action="store_true", help="every published law that is defined, side by side")
    parser.add_argument(
        "--force", action="store_true", help="answer from a fit that cannot be trusted, or absurdly far"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    paste.add_arguments(parser)
    verify.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from jaxlaws.recommender.answer import every_law, recommend

    names = [
        *("params", "params_total", "tokens", "law", "seq_len", "batch_tokens", "multiple_of"),
        *("vocab", "width", "layers", "untied", "loss", "force", "from_checkpoint", *_SETTING),
    ]
    question = {name: value for name in names if (value := getattr(args, name)) is not None}
    paste.check(args)
    verify.check(args)
    if args.source is not None or source_flags(args):
        question["law"] = _fit_of_source(args)
    answer = recommend(**question)
    if args.pasted is not None:
        paste.paste(answer, args.pasted, args.output)
        return 0
    comparison = every_law(**{name: value for name, value in question.items() if name != "law"}) if args.compare else {}
    if not args.json:
        _show(answer)
        if comparison:
            _show_others(comparison)
    verdict = verify.verify(answer, args.dry_run, args.yes) if args.verify else None
    if args.json:
        data = answer.to_json()
        if comparison:
            data["compare"] = {
                name: entry if isinstance(entry, str) else entry.to_json() for name, entry in comparison.items()
            }
        if verdict:
            data["verify"] = verdict
        print(json.dumps(data, ensure_ascii=False, allow_nan=False))
    elif verdict:
        verify.show(verdict)
    return 0


def _fit_of_source(args: argparse.Namespace) -> HyperFit:
    """`step_law` fitted to the runs of SOURCE; a SOURCE that is such a fit already is that fit."""
    if args.source is None:
        raise BadInput(f"{source_flags(args)[0]} says how runs are read: give their SOURCE too.")
    if args.law is not None:
        raise BadInput(f"--law is '{args.law}', and a law is fitted to SOURCE '{args.source}' too: leave one out.")
    if args.source.endswith(".json") and not source_flags(args):
        from jaxlaws.recommender.hyperfit import HyperFit

        with suppress(BadInput):
            return HyperFit.load(args.source)
    from jaxlaws.recommender.estimate import estimate

    fit = estimate(open_source(args))
    if fit.data.get("used") and not args.json and args.pasted is None:
        print(printable(fit.data["used"]))
    return fit


def _show(a: Recommendation) -> None:
    q = a.question
    print(f"{a.law} for N = {short(q['params'])} (non-embedding), D = {short(q['tokens'])}   {a.reference}")
    rows = [("peak LR", a.peak_lr, "{:.3g}", "peak_lr"), ("batch, tokens", a.batch_tokens, "{:,.0f}", "batch_tokens")]
    for word, value, form, name in rows:
        print(f"  {word:<18}{_quantity(value, form)}{_safe(a, name, form)}{_batch_remark(a, name)}")
    print(f"  {'batch, sequences':<18}{_quantity(a.batch_sequences, '{:,.0f}')}  of {q['seq_len']}")
    if a.level is not None:
        print(f"  brackets: {a.level:.0%} interval of the optimum; safe: expected loss within 0.25% of the advice's")
    setting = {
        "steps": None if a.steps is None else f"{a.steps:,}",
        "warm-up steps": a.warmup_steps,
        "final LR": None if a.final_lr is None else f"{a.final_lr:.3g}",
        "weight decay": a.weight_decay,
        "schedule": a.schedule,
    }
    print("  " + ", ".join(f"{name} {value}" for name, value in setting.items() if value is not None))
    for name, word in (("peak_lr", "LR"), ("batch_tokens", "batch")):
        if name in a.excess_loss:
            cost = a.excess_loss[name]
            print(f"  {word} ×0.5 costs {cost['x0.5']:.2%} of the loss, ×2 {cost['x2']:.2%}")
    for text in a.warnings:
        print(f"  warning: {printable(text)}")
    if a.override:
        print(f"  jaxlaws train {a.override}")
    print(f"  {sentence(a.measured_under)}")


def _quantity(value: Quantity | None, form: str) -> str:
    if value is None:
        return "not given by this law"
    text = form.format(value.value)
    if value.low is None or value.high is None:
        return text
    return f"{text:<10} [{form.format(value.low)}, {form.format(value.high)}]"


def _batch_remark(a: Recommendation, name: str) -> str:
    """The remark on a batch that the law did not measure and the question does not fix."""
    if name != "batch_tokens" or a.level is None or name in a.question or a.batch_tokens is None:
        return ""
    return "  not measured: the batch of the law's runs" if a.batch_tokens.low is None else ""


def _safe(a: Recommendation, name: str, form: str) -> str:
    band = a.safe_band[name]
    return "" if band is None else f"   safe {form.format(band[0])} to {form.format(band[1])}"


def _show_others(answers: dict[str, Recommendation | str]) -> None:
    print()
    print(f"  {'law':<22}{'peak LR':>10}{'batch, tokens':>15}  outside its data      why it differs")
    for name, answer in answers.items():
        if isinstance(answer, str):
            print(f"  {name:<22}{'–':>10}{'–':>15}  {answer}")
            continue
        lr = "–" if answer.peak_lr is None else f"{answer.peak_lr.value:.3g}"
        batch = "–" if answer.batch_tokens is None else f"{answer.batch_tokens.value:,.0f}"
        outside = {key: axis for key, axis in answer.extrapolation.axes.items() if axis.distance > SLACK}
        far = ", ".join(f"{axis.factor:.3g}× {key}" for key, axis in outside.items()) or "inside"
        why = answer.convention.get("formula", "N non-embedding; " + str(answer.schedule))
        if answer.conversions:
            why += f"; LR ×{answer.lr_factor:.3g} for {', '.join(str(row['name']) for row in answer.conversions)}"
        print(f"  {name:<22}{lr:>10}{batch:>15}  {far:<20}  {why}")
        print(f"  {'':<49}{'':<20}  {sentence(answer.measured_under)}")
