"""What a command shows on a terminal: tables and styles, with the text of files and names shown as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from jaxlaws.text import printable


class Screen(Console):
    """A rich console that takes text for text: no markup, no emoji codes, control characters written out.

    Args:
      stderr: write to standard error.
    """

    def __init__(self, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        super().__init__(file=getattr(stream, "stream", stream), markup=False, emoji=False, highlight=False)

    def lines(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows as aligned columns, one line a row however wide: all to the right, the last one to the left."""
        table = [list(heads), *map(list, rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(heads) - 1)]
        for row in table:
            cells = [text.rjust(width) for text, width in zip(row, widths, strict=False)]
            self.print("  " + "  ".join([*cells, row[-1]]).rstrip(), soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string that is printed or stands in a table, as rich shows it."""
        return super().render_str(printable(text, keep="\n"), **options)
