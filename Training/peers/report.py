"""The results of a comparison: one row per network over its seeds, printed and written in three forms."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset.splits import choose_split
from fitting.recipe import Recipe

from iuinet.errors import IUINetError
from iuinet.writing import write_json

from .jobs import Setting
from .scores import mean
from .tables import Column, decimals, markdown, print_table, write_csv, write_text

_DSC = decimals(4)


def summarise(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per model: mean over its seeds, sd of the mean DSC over them (None for one seed), failures."""
    rows = []
    for model in dict.fromkeys(result["model"] for result in results):
        mine = [result for result in results if result["model"] == model]
        done = [result for result in mine if "failed" not in result]
        row: dict[str, Any] = {"model": model, "runs": len(mine), "failed": len(mine) - len(done)}
        if done:
            scores = [result["dsc"] for result in done if result["dsc"] is not None]
            row["parameters"] = done[0]["parameters"]
            for key in ("steps", "seconds", "seconds_per_step", "dsc"):
                row[key] = mean([result[key] for result in done])
            row["training_bytes"] = done[0].get("training_bytes")  # results of before have none
            row["peak_bytes"] = max((r["peak_bytes"] for r in done if r["peak_bytes"]), default=None)
            row["dsc_sd"] = statistics.stdev(scores) if len(scores) > 1 else None
            for organ in done[0]["organs"]:
                row[f"dsc {organ}"] = mean([result["organs"][organ] for result in done])
        rows.append(row)
    return rows


def organ_columns(organs: Sequence[str]) -> tuple[Column, ...]:
    """Mean DSC, its sd over seeds, and the DSC per organ."""
    return (
        ("DSC mean", "dsc", _DSC),
        ("sd of seeds", "dsc_sd", _DSC),
        *((f"{organ}", f"dsc {organ}", _DSC) for organ in organs),
    )


def failures(results: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence per training that failed."""
    return [f"{r['model']}, seed {r['seed']}: {r['failed']}" for r in results if "failed" in r]


def check_failures(results: Sequence[dict[str, Any]]) -> None:
    """Raise IUINetError "training-failed" if any training failed."""
    failed = failures(results)
    if failed:
        raise IUINetError(
            f"{len(failed)} of {len(results)} trainings failed: {failed[0]}",
            hint="The others are in the table. The same command tries the failed ones again.",
            code="training-failed",
        )


def organs_of(results: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """In channel order; none if no training succeeded."""
    return next((tuple(result["organs"]) for result in results if "organs" in result), ())


def describe(setting: Setting, recipe: Recipe, size: int) -> dict[str, Any]:
    """What was compared on what. recipe: before it was cut to the budget. size: of the input, voxels."""
    split = choose_split(setting.data, recipe.data.split, recipe.data.atlases, setting.partial)
    data = {"name": setting.data.name, "fingerprint": setting.data.fingerprint, "split": split.name}
    lists = {part: list(getattr(split, part)) for part in ("train", "validation", "test")}
    return {
        "recipe": recipe.to_dict(),
        "budget": setting.budget.to_json(),
        "data": {**data, "statement": split.statement, **lists},
        "size": size,
    }


def remarks(results: Sequence[dict[str, Any]], about: dict[str, Any]) -> list[str]:
    """What a reader must know of the numbers, in sentences. about: what ``describe`` gave."""
    data, budget, size = about["data"], about["budget"], about["size"]
    done = [result for result in results if "failed" not in result]
    said = [
        f"DSC of {len(data['test'])} test cases of the split {data['split']}, at {size}^3 voxels and not on "
        f"the scans' own grid. {data['statement']}",
    ]
    selected = {result["model"] for result in done if result["weights"] == "best"}
    if selected and set(data["test"]) & set(data["validation"]):
        said.append(
            "The weights were selected on cases that are tested on: the DSC are too high, if alike for all."
        )
    unselected = sorted({result["model"] for result in done} - selected)
    if unselected:
        said.append(f"Measured with their last weights, which no validation chose: {', '.join(unselected)}.")
    early = sorted({result["model"] for result in done if not result.get("reached_last_phase", True)})
    if early:
        said.append(f"Too small a budget: ended before the recipe's last phase: {', '.join(early)}.")
    if budget["seconds"] is not None:
        minutes = f"{budget['seconds'] / 60:g} minutes"
        said.append(
            f"Budget: {minutes} of steps each, validation not counted. How many steps that is was measured "
            "beforehand, so that a learning rate falls in time; a training may thus end somewhat earlier."
        )
    elif budget["steps"] is not None:
        said.append(f"Budget: {budget['steps']} steps each, whatever time they take.")
    if len({result["seed"] for result in results}) == 1:
        said.append("One seed: differences that are not larger than those between seeds mean nothing.")
    devices = {str((r["environment"]["device"], r["environment"]["devices"])) for r in done}
    if len(devices) > 1:
        said.append("The trainings ran on different devices: their seconds cannot be compared.")
    return said


def publish(
    folder: Path | None,
    name: str,
    document: dict[str, Any],
    rows: Sequence[dict[str, Any]],
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
    keys = list(dict.fromkeys(key for row in rows for key in row))
    write_csv(folder / f"{name}.csv", rows, keys)
    lines = "".join(f"\n{note}\n" for note in notes)
    write_text(folder / f"{name}.md", markdown(rows, columns) + lines)
