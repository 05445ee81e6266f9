"""Text from elsewhere, made safe: for a terminal, for a shell, for a spreadsheet."""

from __future__ import annotations

import shlex
import unicodedata


def printable(text: object) -> str:
    """The text with control characters (terminal escapes, bidirectional overrides) written out as `\\x1b`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Cf", "Cs") else char
        for char in str(text)
    )


def brief(text: object, most: int = 80) -> str:
    """`printable`, and of a long text only its first and last characters."""
    try:
        whole = str(text)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        whole = f"a {type(text).__name__} of very many digits"
    cut = whole if len(whole) <= most else f"{whole[: most // 2]}…{whole[-most // 4 :]}"
    return printable(cut)


def quoted(argument: object) -> str:
    """One word for a shell, quoted where it has to be: whatever the text holds, pasting it runs nothing."""
    return shlex.quote(printable(argument))


def spreadsheet_safe(value: object) -> object:
    """The value for a CSV cell: text that a spreadsheet would take for a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
