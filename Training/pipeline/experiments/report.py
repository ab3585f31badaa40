"""The table of an experiment, a row per network: its costs, its trainings, its scores; and published figures.

Printed, and written as JSON, CSV and Markdown. A value that does not exist is shown as "-".
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iuinet.errors import IUINetError
from iuinet.files import atomic
from iuinet.writing import write_json
from pipeline.fitting.recipe import Recipe

from .scores import mean, scores_of

_PUBLISHED = Path(__file__).with_name("published.toml")
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


# Rows ---------------------------------------------------------------------------------------------------


def rows_of(
    costs: Mapping[str, dict[str, Any]], trainings: Sequence[dict[str, Any]], results: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """One row per network: its costs, means over its trainings, and ``scores_of``."""
    rows = []
    for model, cost in costs.items():
        mine = [training for training in trainings if training["model"] == model]
        done = [training for training in mine if "failed" not in training]
        row = {"model": model, **cost}
        if mine:
            row |= {"runs": len(mine), "failed": len(mine) - len(done)}
            for key in ("steps", "seconds", "seconds_per_step"):
                row[key] = mean([training[key] for training in done])
        if done and results:
            row |= scores_of([training["run"] for training in done], results)
        rows.append(row)
    return rows


def published_rows() -> list[dict[str, Any]]:
    """What the paper prints of its ablations (``published.toml``), in rows of the same keys."""
    tables = tomllib.loads(_PUBLISHED.read_text(encoding="utf-8"))
    return [
        {
            "model": f"published: {title}",
            "parameters": table["parameters_millions"] * 1e6,
            "macs_pytorch": table["macs_thousand_millions"] * 1e9,
            "dsc": mean(list(table["dsc"].values())),
            **{f"dsc {organ}": value for organ, value in table["dsc"].items()},
        }
        for title, table in tables.items()
    ]


def score_columns(organs: Sequence[str]) -> tuple[Column, ...]:
    """Mean DSC, its sd over seeds, the same at the network's size, and the DSC per organ."""
    form = decimals(4)
    return (
        ("DSC mean", "dsc", form),
        ("sd of seeds", "dsc_sd", form),
        ("DSC network", "dsc_network", form),
        *((organ, f"dsc {organ}", form) for organ in organs),
    )


# Sentences ----------------------------------------------------------------------------------------------


def failures(trainings: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence per training that failed."""
    return [f"{t['model']}, seed {t['seed']}: {t['failed']}" for t in trainings if "failed" in t]


def check_failures(trainings: Sequence[dict[str, Any]]) -> None:
    """Raise IUINetError "training-failed" if any training failed."""
    failed = failures(trainings)
    if failed:
        raise IUINetError(
            f"{len(failed)} of {len(trainings)} trainings failed: {failed[0]}",
            hint="The others are in the table. The same command tries the failed ones again.",
            code="training-failed",
        )


def remarks(trainings: Sequence[dict[str, Any]], recipe: Recipe) -> list[str]:
    """What a reader must know of the trainings beside what the evaluation says, in sentences."""
    done, run = [training for training in trainings if "failed" not in training], recipe.run
    said = []
    last = sorted({training["model"] for training in done if training["weights"] == "last"})
    if last:
        said.append(f"Measured with their last weights, which no validation chose: {', '.join(last)}.")
    early = sorted({training["model"] for training in done if not training["reached_last_phase"]})
    if early:
        said.append(f"Too small a budget: ended before the recipe's last phase: {', '.join(early)}.")
    if run.budget_seconds:
        said.append(
            f"Budget: {run.budget_seconds / 60:g} minutes of steps each, validation not counted; a learning "
            "rate follows the share of it that is used."
        )
    elif run.budget_steps:
        said.append(f"Budget: {run.budget_steps} steps each, whatever time they take.")
    if len({training["seed"] for training in trainings}) == 1:
        said.append("One seed: differences that are not larger than those between seeds mean nothing.")
    if len({str((t["environment"]["device"], t["environment"]["devices"])) for t in done}) > 1:
        said.append("The trainings ran on different devices: their seconds cannot be compared.")
    return said


# Tables -------------------------------------------------------------------------------------------------


def publish(
    folder: Path | None,
    name: str,
    document: dict[str, Any],
    rows: Sequence[Row],
    columns: Sequence[Column],
    notes: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Print the rows; in a folder write <name>.json (with the document), .csv and .md. Raises OutputError."""
    say("")
    print_table(rows, columns, say)
    for note in notes:
        say(note)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / f"{name}.json", {**document, "rows": list(rows), "notes": list(notes)}, overwrite=True
    )
    write_csv(folder / f"{name}.csv", rows, list(dict.fromkeys(key for row in rows for key in row)))
    lines = "".join(f"\n{note}\n" for note in notes)
    write_text(folder / f"{name}.md", markdown(rows, columns) + lines)


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
