"""Text from elsewhere, made safe: for a terminal, for a shell, for a spreadsheet."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence

_SUSPECT = re.compile(r"[^ -~]")
#: What Unicode calls control, format and surrogate characters, and separators of lines and paragraphs.
_CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")
_FORMULA = re.compile(r"'*(\s*[=+\-@]|[\t\r\n])")


def printable(text: object, keep: str = "") -> str:
    """The text with control characters (terminal escapes, bidirectional overrides) written out as `\\u001b`.

    JSON writes them in the same way, so that a line of JSON stays what it is.

    Args:
      text: anything; its `str`.
      keep: control characters that stay, such as a new line.
    """
    return _SUSPECT.sub(lambda match: _escape(match[0], keep), str(text))


def _escape(char: str, keep: str) -> str:
    return json.dumps(char)[1:-1] if unicodedata.category(char) in _CONTROL and char not in keep else char


def sentence(text: object, most: int = 2000) -> str:
    """The text as one printable line; of more than `most` characters the middle becomes an ellipsis."""
    line = printable(" ".join(str(text).splitlines()))
    return line if len(line) <= most else f"{line[: most // 2]} … {line[-most // 2 :]}"


def brief(text: object, most: int = 80) -> str:
    """`printable`, and of a long text only its first and last characters."""
    try:
        full = str(text)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        full = f"a {type(text).__name__} of very many digits"
    short = full if len(full) <= most else f"{full[: most // 2]}…{full[-most // 4 :]}"
    return printable(short)


def quoted(argument: object) -> str:
    """One word for a shell, quoted where it has to be: whatever the text holds, pasting it runs nothing."""
    return shlex.quote(printable(argument))


def in_quotes(text: str, mark: str = "'") -> str:
    """The text as a quoted value of Hydra's grammar, between single or double quotation marks."""
    return mark + re.sub(rf"(\\*){mark}", rf"\1\1\\{mark}", re.sub(r"(\\+)$", r"\1\1", text)) + mark


def figure(value: float, digits: int = 4) -> str:
    """A number for a formula: 1.817, 2085, 6.4e13, 1e-5."""
    return re.sub(r"e([+-])0*", lambda match: "e" + match[1].replace("+", ""), f"{value:.{digits}g}")


def with_numbers(formula: str, values: Mapping[str, float]) -> str:
    """A formula with numbers in place of its constants: `L = E + A/N^alpha` → `L = 1.8 + 482/N^0.348`."""
    names = "|".join(sorted(map(re.escape, values), key=len, reverse=True))
    text = re.sub(rf"(?<!\w)(?:{names})(?!\w)", lambda match: figure(values[match[0]]), formula)
    text = text.replace("+ -", "- ").replace("- -", "+ ")
    return re.sub(r"--(?=[\d.])", "", text)


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned columns, one line a row however wide: all to the right, the last one to the left."""
    table = [list(heads), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads) - 1)]
    cells = ([text.rjust(width) for text, width in zip(row, widths, strict=False)] for row in table)
    return ["  " + "  ".join([*texts, row[-1]]).rstrip() for texts, row in zip(cells, table, strict=True)]


def spreadsheet_safe(value: object) -> object:
    """The value for a CSV cell: text that a spreadsheet would take for a formula gets a leading apostrophe.

    Text that is a number, such as -1.5 or +2e3, stays as it is; text that has such apostrophes gets one more, so that
    `from_spreadsheet` gives back what there was.
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def from_spreadsheet(text: str) -> str:
    """The text that `spreadsheet_safe` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
