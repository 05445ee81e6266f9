"""`jaxlaws data`: text, JSONL, Parquet or a Hugging Face data set into token shards."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from jaxlaws.records.units import parse_whole
from jaxlaws.text import printable, quoted

if TYPE_CHECKING:
    from jaxlaws.data.manifest import Manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", metavar="SOURCE", help="a file, a folder, or the name of a Hugging Face data set")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-o", "--output", metavar="DIR", help="the folder of shards, for data.path=DIR")
    what.add_argument("--check", action="store_true", help="SOURCE is a folder of shards: compare each with its sha256")
    parser.add_argument("--field", default="text", help="column of JSONL, Parquet and data sets with the text (text)")
    parser.add_argument("--split", default="train", help="split of a Hugging Face data set (train)")
    parser.add_argument("--config", help="configuration of a Hugging Face data set")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tokenizer", default="bytes", help="bytes, a tokenizer.json, or a tiktoken encoding (bytes)")
    which.add_argument("--train-tokenizer", metavar="VOCAB", help="train a byte-level BPE of VOCAB ids on it")
    parser.add_argument("--eos", metavar="TOKEN", help="the token that ends a document, where its name is unusual")
    parser.add_argument(
        "--val-fraction",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="hold out this share of the documents; by default a run splits off data.val_fraction",
    )
    parser.add_argument("--shard-tokens", default="100M", metavar="N", help="tokens of a shard (100M)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Make the shards, or check them, and say what they hold."""
    from jaxlaws.data.prepare import Question, prepare
    from jaxlaws.data.shards import verify

    began = time.monotonic()
    if args.check:
        return _say(args, verify(args.source), args.source, began, False)
    names = ("source", "field", "split", "config", "tokenizer", "eos", "val_fraction")
    vocab = None if args.train_tokenizer is None else parse_whole(args.train_tokenizer, "--train-tokenizer")
    question = Question(
        **{name: getattr(args, name) for name in names},
        train_tokenizer=vocab,
        shard_tokens=parse_whole(args.shard_tokens, "--shard-tokens", 0),
    )
    manifest, is_new = prepare(question, args.output)
    return _say(args, manifest, args.output, began, is_new)


def _say(args: argparse.Namespace, manifest: Manifest, folder: str, began: float, is_new: bool) -> int:
    val = sum(shard.tokens for shard in manifest.shards if shard.split == "val")
    answer = {
        "output": folder,
        "made": is_new,
        "documents": manifest.documents,
        "tokens": manifest.tokens,
        "val_tokens": val,
        "shards": len(manifest.shards),
        "dtype": manifest.dtype,
        "vocab": manifest.vocab,
        "eos": manifest.eos,
        "max_id": manifest.max_id,
        "tokenizer": manifest.tokenizer,
        "warnings": list(manifest.warnings),
        "seconds": round(time.monotonic() - began, 3),
    }
    if args.json:
        print(json.dumps(answer, allow_nan=False))
        return 0
    print(
        f"{printable(folder)}: {manifest.documents:,} documents, {manifest.tokens:,} tokens, {val:,} of them for "
        "validation"
    )
    state = "every shard has its sha256" if args.check else "nothing was changed"
    print(
        f"{len(manifest.shards)} shards of {manifest.dtype}, tokenizer {manifest.tokenizer['name']}, "
        f"{manifest.vocab:,} ids, {manifest.eos} ends a document" + ("" if is_new else f"; there already, {state}")
    )
    for text in manifest.warnings:
        print(f"warning: {printable(text)}", file=sys.stderr)
    path = quoted(f"data.path={folder}")
    print(f"train with: jaxlaws train data=shards {path} data.documents=true")
    return 0
