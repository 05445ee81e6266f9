"""Hypothesis strategies that make hostile command lines and files out of valid ones."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

#: Words that have broken programs: numbers at their limits, other people's syntax, what a terminal takes for orders.
WORDS = (
    *(
        "",
        " ",
        "0",
        "-0",
        "1",
        "-1",
        "1.5",
        "0.05",
        "1e300",
        "-1e300",
        "1e-300",
        "1e-320",
        "1e400",
        "nan",
        "inf",
        "-inf",
    ),
    *(
        "7B",
        "1.4T",
        "1e15",
        "4e9",
        "2k",
        "9" * 20,
        "9" * 400,
        "9" * 5000,
        "0x10",
        "1_000",
        "１２",
        "٣",
        "½",
        "1e",
        "e9",
    ),
    *("--", "-", "=", ",", ",,", ":", "1,2,,3", "1:2", "a=b", "[", "]", "{", "}", "(", "[/x]", "[red]", "%s", "{0}"),
    *("${a}", "${oc.env:HOME}", "???", "null", "true", "None", "$(id)", "`id`", "'", '"', "\\", ";", "|", "*", "~"),
    *(
        "\x1b[31m",
        "\x9b2J",
        "\u202eabc",
        "\r",
        "\n",
        "\t",
        "\x7f",
        "é",
        "日本",
        "\udcff",
        "🙂",
        "\ufeff",
        "a" * 300,
        "a" * 5000,
    ),
    *(
        "wsd",
        "cosine",
        "wsd(cooldown=0.2)",
        "chinchilla",
        "chinchilla:epoch",
        "multi_power:25M",
        "step_law",
        "=1+1",
        ".",
    ),
)
#: What stands in the place of a value in JSON or YAML.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 1e300, -1e300, 1e-300, float("nan"), float("inf"), 10**30, 10**400, "", "x"),
    *("nan", "1", "\x1b[31m", "[/x]", "a" * 500, "\ud800", [], {}, [1], [None], [[]], {"a": 1}, [1, 2, 3], ["x", "y"]),
)
values = st.sampled_from(VALUES).map(copy.deepcopy)
words = st.sampled_from(WORDS) | st.text(st.characters(blacklist_characters="/\0"), max_size=12)


@st.composite
def argv(draw: Callable[..., Any], lines: Sequence[Sequence[str]], options: Sequence[str] = ()) -> list[str]:
    """One of the valid lines with up to three changes; the values of outputs are left as they are."""
    line = list(draw(st.sampled_from(lines)))
    for _ in range(draw(st.integers(0, 3))):
        places = [i for i in range(1, len(line)) if line[i - 1] not in ("-o", "--plot", "--out", "--output")]
        places = [i for i in places if line[i] not in ("-o", "--plot", "--out", "--output")]
        if not places:
            break
        at = draw(st.sampled_from(places))
        how = draw(st.sampled_from(("replace", "replace", "drop", "insert", "option", "repeat", "assign", "flip")))
        if how == "replace":
            line[at] = draw(words)
        elif how == "drop":
            del line[at]
        elif how == "insert":
            line.insert(at, draw(words))
        elif how == "option" and options:
            line[at:at] = [draw(st.sampled_from(options)), draw(words)]
        elif how == "repeat":
            line.insert(at, line[at])
        elif how == "assign" and "=" in line[at]:
            line[at] = line[at].partition("=")[0] + "=" + draw(words)
        elif how == "flip" and line[at]:
            place = draw(st.integers(0, len(line[at]) - 1))
            line[at] = line[at][:place] + draw(st.characters(blacklist_characters="/\0")) + line[at][place + 1 :]
    return line


@st.composite
def raw_bytes(draw: Callable[..., Any], content: bytes) -> bytes:
    """The bytes with one to four of them changed, a part cut out or doubled, or the end missing."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        how = draw(st.sampled_from(("bit", "set", "cut", "double", "end", "insert")))
        if how == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            data[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif how == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        elif how == "end":
            del data[at:]
        else:
            data[at:at] = draw(st.sampled_from(WORDS)).encode(errors="surrogatepass")
    return bytes(data)


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [prefix, *[path for key, item in items for path in _paths(item, (*prefix, key))]]


@st.composite
def tree(draw: Callable[..., Any], value: Any) -> Any:
    """Plain data with one to three of its values replaced, removed, renamed or doubled."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_paths(value)))
        if not path:
            value = draw(values) if draw(st.integers(0, 9)) == 0 else value
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(("set", "set", "set", "drop", "rename", "scale", "extend")))
        if how == "set":
            holder[path[-1]] = draw(values)
        elif how == "drop":
            del holder[path[-1]]
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(words)] = holder.pop(path[-1])
        elif how == "scale" and isinstance(holder[path[-1]], float):
            holder[path[-1]] *= draw(st.sampled_from((-1.0, 0.0, 1e-9, 1e9, 1e200)))
        elif how == "extend" and isinstance(holder, list):
            holder.append(draw(values))
        if not isinstance(value, dict | list):
            break
    return value


def json_file(content: bytes) -> st.SearchStrategy[bytes]:
    """A JSON file of other values, or of other bytes."""
    return tree(json.loads(content)).map(lambda value: json.dumps(value).encode()) | raw_bytes(content)


def yaml_file(content: bytes) -> st.SearchStrategy[bytes]:
    """A YAML file of other values, or of other bytes."""
    other = tree(yaml.safe_load(content)).map(
        lambda value: yaml.safe_dump(value, sort_keys=False).encode(errors="surrogatepass")
    )
    return other | raw_bytes(content)


@st.composite
def csv_rows(draw: Callable[..., Any], content: bytes) -> bytes:
    """A CSV with cells, columns or rows replaced, removed, doubled, scaled or out of order."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    for _ in range(draw(st.integers(1, 3))):
        if len(rows) < 2 or not rows[0]:
            break
        row, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows[0]) - 1))
        how = draw(st.sampled_from(("cell", "cell", "fill", "scale", "column", "rows", "double", "swap", "rename")))
        if how == "cell" and column < len(rows[row]):
            rows[row][column] = draw(words)
        elif how in ("fill", "scale"):
            word, factor = draw(words), draw(st.sampled_from((0.0, -1.0, 1e-6, 1e-3, 1e3, 1e6, 1e300)))
            for cells in rows[1:]:
                if column < len(cells):
                    cells[column] = word if how == "fill" else _scaled(cells[column], factor)
        elif how == "column":
            rows = [cells[:column] + cells[column + 1 :] for cells in rows]
        elif how == "rows":
            del rows[max(row, 1) : max(row, 1) + draw(st.integers(1, 40))]
        elif how == "double":
            rows.insert(row, list(rows[row]))
        elif how == "swap":
            rows[row], rows[-1] = rows[-1], rows[row]
        elif how == "rename":
            rows[0][min(column, len(rows[0]) - 1)] = draw(words)
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode(errors="surrogatepass")


def _scaled(cell: str, factor: float) -> str:
    try:
        return repr(float(cell) * factor)
    except ValueError:
        return cell


def csv_file(content: bytes) -> st.SearchStrategy[bytes]:
    """A CSV file of other cells, or of other bytes."""
    return csv_rows(content) | raw_bytes(content)
