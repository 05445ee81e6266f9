"""What a command shows on a terminal: tables and styles, with the text of files and names shown as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from jaxlaws.text import aligned, printable


class Screen(Console):
    """A rich console that takes text for text: no markup, no emoji codes, control characters written out.

    Args:
      stderr: write to standard error.
    """

    def __init__(self, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        super().__init__(file=getattr(stream, "stream", stream), markup=False, emoji=False, highlight=False)

    def lines(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows as `aligned` columns."""
        for line in aligned(heads, rows):
            self.print(line, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a string as rich prints it, alone or in a table."""
        return super().render_str(printable(text, keep="\n"), **options)
