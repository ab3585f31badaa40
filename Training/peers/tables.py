"""The same rows as a printed table, as Markdown and as CSV. A value that does not exist is shown as "-"."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iuinet.atomic import atomic

# Title, key of the row, how a value is written.
Column = tuple[str, str, Callable[[Any], str]]
Row = Mapping[str, Any]


def giga(value: float) -> str:
    """10^9 as the unit."""
    return f"{value / 1e9:.2f}"


def mega(value: float) -> str:
    """10^6 as the unit."""
    return f"{value / 1e6:.2f}"


def gib(value: float) -> str:
    """Bytes in GiB."""
    return f"{value / 2**30:.2f}"


def decimals(count: int) -> Callable[[float], str]:
    """A number with so many decimals."""
    return lambda value: f"{value:.{count}f}"


def print_table(rows: Sequence[Row], columns: Sequence[Column], say: Callable[[str], None]) -> None:
    """Aligned columns, the first one to the left."""
    cells = _cells(rows, columns)
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join((first, *others)).rstrip())


def markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A table in Markdown."""
    head, *body = _cells(rows, columns)
    lines = [head, ["---", *("--:" for _ in columns[1:])], *body]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def write_csv(path: Path, rows: Sequence[Row], keys: Sequence[str]) -> None:
    """The raw values under their keys; what does not exist is left empty. Raises OutputError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([_raw(row.get(key)) for key in keys] for row in rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """A text file in the place of an earlier one. Raises OutputError."""
    with atomic(path, overwrite=True) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def _raw(value: Any) -> Any:
    return "" if value is None else value


def _cells(rows: Sequence[Row], columns: Sequence[Column]) -> list[list[str]]:
    shown = [["-" if row.get(key) is None else form(row[key]) for _, key, form in columns] for row in rows]
    return [[title for title, *_ in columns], *shown]
