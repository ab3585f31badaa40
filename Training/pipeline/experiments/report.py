"""The table of an experiment, a row per network: its costs, its trainings, its scores; and published figures.

Printed, and written as JSON, CSV and Markdown. A value that does not exist is shown as "-".
"""

from __future__ import annotations

import argparse
import statistics
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iuinet.errors import IUINetError
from iuinet.writing import write_json
from pipeline.evaluation.statistics import MEAN
from pipeline.evaluation.tables import write_csv, write_text
from pipeline.fitting.recipe import Recipe

from .costs import versions

_PUBLISHED = Path(__file__).with_name("published.toml")
# Title, key of the row, how a value is written.
Column = tuple[str, str, Callable[[Any], str]]
Row = Mapping[str, Any]


def decimals(count: int, unit: float = 1) -> Callable[[float], str]:
    """A number with so many decimals, in a unit."""
    return lambda value: f"{value / unit:.{count}f}"


mega, giga, gib = decimals(2, 1e6), decimals(2, 1e9), decimals(2, 2**30)


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


def organs_of(results: dict[str, Any] | None) -> tuple[str, ...]:
    """Names of the organs that were scored."""
    return tuple(organ["name"] for organ in results["organs"]) if results else ()


def scores_of(runs: Sequence[str], results: dict[str, Any]) -> dict[str, float | None]:
    """DSC of one network: means over its runs, which differ in their seed.

    "dsc", "dsc_network": mean over the organs on the scans' own grid and at the network's size; "dsc_sd": of
    the first over the seeds, None for one; "dsc <organ>": on the scans' own grid. None for what no run has.
    """
    found = {
        (entry["model"], entry["grid"], entry["organ"]): entry["mean"]
        for entry in results["summary"]
        if entry["metric"] == "dsc"
    }

    def values(grid: str, organ: str) -> list[float]:
        every = [found.get((run, grid, organ)) for run in runs]
        return [value for value in every if value is not None]

    means = values("native", MEAN)
    return {
        "dsc": mean(means),
        "dsc_sd": statistics.stdev(means) if len(means) > 1 else None,
        "dsc_network": mean(values("network", MEAN)),
        **{f"dsc {organ}": mean(values("native", organ)) for organ in organs_of(results)},
    }


def mean(values: Sequence[float]) -> float | None:
    """None for no values."""
    return statistics.fmean(values) if values else None


def score_columns(results: dict[str, Any] | None) -> tuple[Column, ...]:
    """Mean DSC, its sd over seeds, the same at the network's size, and the DSC per organ."""
    form = decimals(4)
    return (
        ("DSC mean", "dsc", form),
        ("sd of seeds", "dsc_sd", form),
        ("DSC network", "dsc_network", form),
        *((organ, f"dsc {organ}", form) for organ in organs_of(results)),
    )


# Sentences ----------------------------------------------------------------------------------------------


def failures(trainings: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence per training that failed."""
    return [f"{t['model']}, seed {t['seed']}: {t['failed']}" for t in trainings if "failed" in t]


def check_failures(trainings: Sequence[dict[str, Any]]) -> None:
    """Raises: IUINetError "training-failed" if any training failed."""
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
    options: argparse.Namespace,
    names: tuple[str, str],
    recipe: Recipe,
    rows: Sequence[Row],
    columns: Sequence[Column],
    notes: Sequence[str],
    trainings: Sequence[dict[str, Any]],
    say: Callable[[str], None],
) -> None:
    """Print the rows; in --run write them as .json, .csv and .md. names: of these files, and of the kind.

    Raises: OutputError, and IUINetError "training-failed" at the end if any training failed.
    """
    notes = [*notes, *failures(trainings)]
    say("")
    print_table(rows, columns, say)
    for note in notes:
        say(note)
    if options.run:
        options.run.mkdir(parents=True, exist_ok=True)
        path = options.run / names[0]
        document = {"format": 2, "kind": names[1], "recipe": recipe.to_dict(), "libraries": versions()}
        document |= {"trainings": list(trainings), "rows": list(rows), "notes": notes}
        write_json(path.with_suffix(".json"), document, overwrite=True)
        write_csv(path.with_suffix(".csv"), list(dict.fromkeys(key for row in rows for key in row)), rows)
        lines = "".join(f"\n{note}\n" for note in notes)
        write_text(path.with_suffix(".md"), markdown(rows, columns) + lines)
    check_failures(trainings)


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


def _cells(rows: Sequence[Row], columns: Sequence[Column]) -> list[list[str]]:
    shown = [["-" if row.get(key) is None else form(row[key]) for _, key, form in columns] for row in rows]
    return [[title for title, *_ in columns], *shown]
