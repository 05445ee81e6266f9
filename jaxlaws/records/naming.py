"""Which column of a table is which, by the names that it has. No pandas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from jaxlaws.errors import BadInput
from jaxlaws.inputs import Input, logged_inputs
from jaxlaws.records.aliases import ALIASES, ALONG, LOSSES, NESTED
from jaxlaws.records.columns import COLUMNS, TARGET, declared, target_of
from jaxlaws.text import printable, quoted

#: First parts of names: the place where a tracker keeps a value, and metrics, which are no settings.
_PLACE = re.compile(
    r"^(?:config|params|hparams|hyperparameters|parameters|args|cfg|summary|metrics|tags|_content)[./:]+", re.I
)
_CONFIG = re.compile(r"^(?:config|params|hparams|hyperparameters|parameters|args|cfg)[./:]", re.I)
_METRIC = re.compile(r"^(?:train|training|eval|val|valid|validation|test|metrics|optim|throughput|perf|timing)/", re.I)
#: A loss of one validation set among several.
_TARGETS = re.compile(
    r"(?:val|valid|validation|eval)_?loss[./](?P<before>[^./]+)"
    r"|(?:val|valid|validation|eval|test)[./](?P<within>[^/]+?)(?:[-_]validation)?/(?:loss|ce|nll|cross_?entropy(?:_?loss)?)",
    re.IGNORECASE,
)
#: A count's unit in its name, such as `tokens (B)` or `params_M`.
_UNIT = re.compile(
    r"(?:[\s_]*[(\[]\s*(?P<long>[kmbt]|thousands?|millions?|billions?|trillions?)\s*[)\]]|_(?P<short>[KMBT]))$", re.I
)
_POWER = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_COUNTS = ("params_nonembedding", "params_total", "params", "tokens", "batch_tokens", "steps")


def normal(name: str) -> str:
    """A name for comparison: without the tracker's place, case and separators."""
    return re.sub(r"[\W_]+", "", _bare(name)).lower()


def _bare(name: str) -> str:
    """A name without the tracker's place."""
    rest, before = name.strip(), ""
    while rest != before:
        rest, before = _PLACE.sub("", rest), rest
    return re.sub(r"[./]value$", "", rest)


def _lines(tables: Iterable[Mapping[str, tuple[str, ...]]]) -> dict[str, list[tuple[str, int]]]:
    """Normal name → [(ours, line)]; our own name is line 0."""
    names: dict[str, list[tuple[str, int]]] = {}
    for table in tables:
        for ours in table:
            for line, text in enumerate((ours, *table[ours])):
                for name in text.split():
                    names.setdefault(normal(name), []).append((ours, line))
    return names


#: Groups of a tracker are no families of a law: `group` is that of a published table, or what `--map` says.
_OWN = {name: () for name in COLUMNS if name not in ALIASES and name != "group"}
_RUNS = _lines([ALIASES, _OWN])
_STEPS = _lines([{name: ALIASES[name] for name in ALIASES if name not in ("steps", *LOSSES)}, _OWN, ALONG])
#: Columns for which two candidates with different values are a question; of others the first candidate counts.
_UNIQUE = (
    *("val_loss_nats", "loss_nats", "loss", "step", "lr", "params_nonembedding", "params_total", "params", "tokens"),
    *("steps", "seq_len", "batch_tokens", "batch_sequences", "peak_lr"),
)
#: Columns that one loss of `--map` stands for.
_SAME_LOSS = ("loss", "loss_nats", "val_loss_nats")


@dataclass(frozen=True)
class Naming:
    """Which column is which.

    Attributes:
      columns: ours → theirs.
      times: ours → what their values are multiplied by, such as 1e9 of `tokens (B)`.
    """

    columns: Mapping[str, str]
    times: Mapping[str, float] = field(default_factory=dict)

    def ours_of(self, theirs: str) -> str | None:
        """Our name of a column, None where it has none."""
        return next((ours for ours, name in self.columns.items() if name == theirs), None)


def candidates(name: str, along: bool) -> Sequence[tuple[str, int, float]]:
    """(ours, line, times) that a column of this name may be, in a table with a row a run, or a step (`along`)."""
    return _candidates(name, along, (*declared(), *logged_inputs()) if along else declared())


@lru_cache(maxsize=20_000)
def _candidates(name: str, along: bool, inputs: tuple[Input, ...]) -> Sequence[tuple[str, int, float]]:
    table = _names(along, inputs)
    scalars = [row.column for row in inputs if not row.many]
    meanings = [(ours, line, 1.0) for ours, line in table.get(normal(name), ())]
    if not meanings and (unit := _UNIT.search(name)):
        times = _POWER[(unit["long"] or unit["short"]).lower().rstrip("s")]
        counts = (*_COUNTS, *scalars)
        meanings = [(ours, line, times) for ours, line in table.get(normal(name[: unit.start()]), ()) if ours in counts]
    if not meanings and (ours := _part(name, inputs) or _target(name)):
        meanings = [(ours, 1, 1.0)]
    if not meanings and re.search(r"[./]", name.strip("./")) and not _METRIC.match(name):
        last = normal(re.split(r"[./]", re.sub(r"[./]value$", "", name))[-1])
        meanings = [(ours, 9, 1.0) for ours, _ in _names(False, inputs).get(last, ()) if ours in (*NESTED, *scalars)]
    if along and not meanings and re.search(r"/(?:lr|learning_rate)$", name, re.I):
        meanings = [("lr", 9, 1.0)]
    if along and any(ours == "lr" for ours, *_ in meanings):
        meanings = [row for row in meanings if row[0] != "peak_lr"]
    if along and _CONFIG.match(name):
        meanings = [
            ("peak_lr" if ours == "lr" else ours, line, times) for ours, line, times in meanings if ours != "loss"
        ]
    return meanings


@lru_cache(maxsize=8)
def _names(along: bool, inputs: tuple[Input, ...]) -> Mapping[str, list[tuple[str, int]]]:
    """`_lines` of our own columns and of those that laws declare."""
    more = _lines([{row.column: (" ".join(row.aliases),) for row in inputs if not row.many}])
    return {**more, **(_STEPS if along else _RUNS)}


def _part(name: str, inputs: tuple[Input, ...]) -> str | None:
    """`share.web` of `share.web`, `config.data.mixture/web` and the like; None of other names."""
    head, _, part = _bare(name).replace("/", ".").rpartition(".")
    parent = normal(head.rpartition(".")[2])
    rows = (row for row in inputs if row.many and part and parent in map(normal, (row.column, *row.aliases)))
    return next((f"{row.column}.{part}" for row in rows), None)


def _target(name: str) -> str | None:
    """`val_loss.code` of `val_loss.code`, `eval/code/CrossEntropyLoss` and the like, `metric.NAME` of itself."""
    if target_of(name):
        return name
    match = _TARGETS.fullmatch(_bare(name))
    return None if match is None else f"{TARGET}{match['before'] or match['within']}"


def may_be(name: str, ours: Callable[[str], bool], map: Mapping[str, str]) -> bool:
    """Whether a column of this name may be one of ours for which `ours` holds."""
    targets = [key for key, theirs in map.items() if theirs == name]
    return any(ours(key) for key in targets or [k for along in (False, True) for k, *_ in candidates(name, along)])


def name_columns(
    names: Sequence[str],
    along: bool,
    map: Mapping[str, str],
    same: Callable[[str, str], bool],
    unique: Callable[[str], bool],
    source: str,
) -> Naming:
    """Which of these columns is which.

    Args:
      names: those of the file.
      along: whether it has a row a step.
      map: ours → theirs, as the user says.
      same: whether two columns hold the same values.
      unique: whether each value of a column is there once.
      source: for people.

    Raises:
      BadInput: two columns with different values are equally good.
    """
    rows_of: dict[str, list[tuple[int, str, float]]] = {}
    for name in names:
        for ours, line, times in candidates(name, along) if name not in map.values() else ():
            rows_of.setdefault(ours, []).append((-1 if name == ours else line, name, times))
    columns: dict[str, str] = {}
    factors: dict[str, float] = {}
    for ours, rows in rows_of.items():
        rows.sort(key=lambda row: row[0])
        if ours in map or (ours in _SAME_LOSS and set(map) & set(_SAME_LOSS)):
            continue
        if ours == "run_id":
            best = next((row for row in rows if along or unique(row[1])), rows[0])
        else:
            best, *rivals = [row for row in rows if row[0] == rows[0][0]]
            rival = next((name for _, name, _ in rivals if not same(best[1], name)), None)
            if rival is not None and ours in _UNIQUE:
                flag = "loss" if ours in LOSSES else ours
                raise BadInput(
                    f"{source}: '{printable(best[1])}' and '{printable(rival)}' could both be {ours} and differ: say "
                    f"which one it is, such as --map {quoted(f'{flag}={best[1]}')}."
                )
        columns[ours] = best[1]
        if best[2] != 1:
            factors[ours] = best[2]
    return Naming({**columns, **map}, factors)
