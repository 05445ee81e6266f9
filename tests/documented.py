"""The commands and snippets that pages, docstrings and recipes print, each with the place that prints it."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "TPU_NOTES.md"]
RECIPES = sorted((ROOT / "conf").rglob("*.yaml"))
SOURCES = [path for folder in ("jaxlaws", "experiments", "hydra_plugins") for path in (ROOT / folder).rglob("*.py")]
#: What a line of a shell begins with, after variables such as NAME=value.
PROGRAMS = ("jaxlaws", "python", "python3", "pip", "pytest", "git", "gcloud", "sky", ".", "cd")
_VARIABLE = re.compile(r"[A-Z_]+=\S+")
#: A row of a table that says what a command is answered with that is refused.
_REFUSED = re.compile(r"^\| `(jaxlaws [^`]+)` \| [^|]*?`([^`]+)` \|$", re.M)
_FENCE = re.compile(r"^```.*?^```$|^~~~.*?^~~~$", re.M | re.S)


@dataclass(frozen=True)
class Command:
    """One command: where it is printed, as the words of a shell, and how.

    Attributes:
      form: a block shows it, a sentence names it, or a docstring says how it is called.
    """

    where: str
    text: str
    form: Literal["block", "sentence", "docstring"]

    @property
    def mention(self) -> bool:
        """Whether it names a command without saying everything that it needs: `jaxlaws train … --dry-run`."""
        rest = self.text.split()[2:]
        usage = self.form == "docstring" and re.search(r"[A-Z]{2}|\w\|\w", self.text)
        return self.form != "block" and ("…" in rest or bool(usage) or all(word.startswith("-") for word in rest))

    def parts(self) -> list[list[str]]:
        """The commands that `&&` joins, without variables before and a redirection behind."""
        parts: list[list[str]] = [[]]
        for word in words(self.text):
            if word in ("&&", ">"):
                parts.append([] if word == "&&" else [word])
            elif parts[-1] or not _VARIABLE.fullmatch(word):
                parts[-1].append(word)
        return [part for part in parts if part and part[0] != ">"]


def words(text: str) -> list[str]:
    """The words that a shell makes of a text; `ValueError` for brackets and the like outside quotation marks."""
    reader = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=";&|<>()")
    reader.whitespace_split = True
    found = list(reader)
    if loose := [word for word in found if set(word) <= set(";&|<>()") and word not in ("&&", ">", "")]:
        raise ValueError(f"a shell reads {' '.join(loose)} in '{text}' as its own: quote it")
    return found


def _begins(line: str) -> bool:
    words = _VARIABLE.sub("", line).split()
    return bool(words and words[0] in PROGRAMS) or bool(_VARIABLE.fullmatch(line.split("#")[0].strip()))


def blocks(text: str) -> Iterator[str]:
    """The fenced and indented blocks of a page, cut at blank lines."""
    for fence in _FENCE.findall(text):
        yield from re.split(r"\n\s*\n", "\n".join(fence.splitlines()[1:-1]))
    block: list[str] = []
    after_blank = True
    for line in [*_FENCE.sub("", text).splitlines(), "end"]:
        if line.startswith("    ") and (block or after_blank):
            block.append(line[4:])
        elif line.strip() and block:
            yield from re.split(r"\n\s*\n", "\n".join(block).strip("\n"))
            block = []
        elif block:
            block.append("")
        after_blank = not line.strip()


def kind(block: str) -> str:
    """shell, doctest, python, yaml, tree, output, or `unknown`, which is a defect of the page or of this test."""
    lines = [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    if any(sign in block for sign in "━│╇└"):
        return "output"
    if lines[0].startswith(">>>"):
        return "doctest"
    if all(_begins(line) for line in lines):
        return "shell"
    if re.match(r"(import|from|print|def|with|for|class)\b|@", lines[0]):
        return "python"
    if all((ROOT / line.split()[0]).exists() for line in lines if not line.startswith(" ")):
        return "tree"
    try:
        return "yaml" if isinstance(yaml.safe_load(block), dict) else "unknown"
    except yaml.YAMLError:
        return "unknown"


def lines(block: str) -> list[str]:
    """The commands of a shell block, continued lines joined."""
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def spans(text: str) -> Iterator[str]:
    """What stands between backticks outside blocks."""
    text = _FENCE.sub("", text)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", body):
        yield " ".join(span.split())


def of_page(path: Path) -> list[Command]:
    """The commands of a page."""
    text, where = _REFUSED.sub("", path.read_text()), path.name
    found = [Command(where, line, "block") for block in blocks(text) if kind(block) == "shell" for line in lines(block)]
    for block in blocks(text):
        if kind(block) == "yaml":
            values = (line.partition(": ")[2] for line in block.splitlines())
            found += [Command(where, value, "block") for value in values if _begins(value)]
    return found + _inline(where, text, "sentence")


def refused(path: Path) -> list[tuple[str, str]]:
    """(command, words of the sentence that refuses it) of a page's tables."""
    return _REFUSED.findall(path.read_text())


def of_comments(path: Path) -> list[Command]:
    """The commands that the comments of a recipe print."""
    comments = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
    where = str(path.relative_to(ROOT))
    plain = [Command(where, line, "block") for line in comments if line.startswith(("jaxlaws ", "python "))]
    return plain + _inline(where, "\n".join(comments), "sentence")


def of_docstrings(path: Path) -> list[Command]:
    """The commands in the docstrings of a module."""
    where, found = str(path.relative_to(ROOT)), []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            text = inspect.cleandoc(text)
            shown = [line for block in blocks(text) for line in lines(block) if _begins(line)]
            found += [Command(where, line, "block") for line in shown] + _inline(where, text, "docstring")
    return found


def _inline(where: str, text: str, form: Literal["sentence", "docstring"]) -> list[Command]:
    return [Command(where, span, form) for span in spans(text) if " " in span and _begins(span)]


def overrides(path: Path) -> list[str]:
    """What stands between backticks on a page and is keys and values of `jaxlaws train` only."""
    word = r"(?:'[^']+'|[a-z_+][\w./]*=\S+)"
    keys = re.compile(rf"(?:-m )?{word}(?: {word})*")
    return list(dict.fromkeys(span for span in spans(path.read_text()) if keys.fullmatch(span) and "==" not in span))


def filled(words: Sequence[str], reader: dict[str, str]) -> list[str]:
    """The words with what the reader fills in, such as SWEEP or /data/, replaced."""
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w|(?<=\w)/)" for name in reader))
    return [pattern.sub(lambda match: reader[match[0]], word) for word in words]
