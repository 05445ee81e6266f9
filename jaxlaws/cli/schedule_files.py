"""The files of the commands on schedules: `-o`, a table of each schedule, and `--plot`, a picture of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxlaws.records.files import Output, is_stream

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ScheduleFiles:
    """Files that are open before their schedules are computed.

    Attributes:
      tables: (file, ending of its format), one a schedule; none where no table is asked for.
      picture: (file, format of pictures), or None.
    """

    tables: Sequence[tuple[Output, str]]
    picture: tuple[Output, str] | None

    def write(self, schedules: Sequence[tuple[str, np.ndarray]]) -> list[str]:
        """Write (name, lr[steps]) of every schedule when the block ends, and return the names of the files."""
        from jaxlaws.schedules.exchange import table_bytes

        for (file, suffix), (_, lr) in zip(self.tables, schedules, strict=False):
            file.write(table_bytes(suffix, lr))
        files = [str(file.path) for file, _ in self.tables]
        if self.picture is None:
            return files
        from jaxlaws import figures

        file, form = self.picture
        file.write(figures.picture(figures.schedules([(name, lr, 1) for name, lr in schedules], "steps"), form))
        return [*files, str(file.path)]


@contextmanager
def schedule_files(out: str | None, plot: str | None, lengths: Sequence[int] = ()) -> Iterator[ScheduleFiles]:
    """The files of `-o` and `--plot`, opened before the work and written as the block ends.

    Args:
      out: name of the table; several schedules have their length in it, as `lr-2000.csv`.
      plot: name of the picture.
      lengths: steps of every schedule, where there are several.
    """
    from jaxlaws.schedules.exchange import FORMATS, table_format

    with ExitStack() as stack:
        tables, picture = [], None
        if out is not None:
            path = Path(out)
            stream = is_stream(path)
            suffix = FORMATS[0] if stream and path.suffix not in FORMATS else table_format(path)
            several = [path if stream else path.with_stem(f"{path.stem}-{steps}") for steps in lengths]
            for name in several if len(several) > 1 else [path]:
                tables.append((stack.enter_context(Output(name)), suffix))
        if plot is not None:
            from jaxlaws.figures import picture_format

            picture = (stack.enter_context(Output(plot)), picture_format(Path(plot)))
        yield ScheduleFiles(tables, picture)
