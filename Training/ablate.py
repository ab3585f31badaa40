#!/usr/bin/env python3
"""The ablations of the paper's tables 2 to 4: IUINet without its shift, without its DyFC head, without both.

    python Training/ablate.py
    python Training/ablate.py --config Training/config/paper.toml --data /data/prepared --run runs/ablation
    python Training/ablate.py --config Training/config/paper.toml --data /data/prepared --run runs/ablation \\
        --set data.split=transunet-inner --seeds 1 2 3 --steps 5000

Without --data it counts parameters and multiply-adds alone. With it each variant is trained by the recipe, to
its end (and its best weights measured) or within --minutes or --steps (and its last), on the split's test
cases. The same command again goes on after a stop; what is done is not trained again. --run also gets the
tables: JSON, CSV and Markdown.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

from fitting.recipe import Recipe
from peers.budget import Budget, alike
from peers.costs import parameters, ptflops, versions
from peers.jobs import Job
from peers.models import VARIANTS
from peers.options import add_training_options, recipe_of, setting_of
from peers.published import published_rows
from peers.report import (
    check_failures,
    describe,
    failures,
    organ_columns,
    organs_of,
    publish,
    remarks,
    summarise,
)
from peers.runs import run_all
from peers.tables import Column, giga, mega
from train import stop_on_signal

from iuinet.cli.console import Console
from iuinet.cli.frame import run_command
from iuinet.errors import UsageError
from iuinet.network import PRESETS, IUINet
from iuinet.network.complexity import count

COLUMNS: tuple[Column, ...] = (
    ("variant", "model", str),
    ("params M", "parameters", mega),
    ("GMAC ptflops", "macs_pytorch", giga),
    ("GMAC in truth", "macs_true", giga),
)
COUNT_NOTE = (
    "ptflops, which the paper used, sees neither DyFC products nor shifts: by it a DyFC head costs less than "
    "a convolution, and a shift nothing. In truth both cost something."
)

PUBLISHED_NOTE = (
    "Published: on the 12 test cases of TransUNet's split, the mean over liver, spleen and stomach; one "
    "training each, and whether at 128^3 or on the scans' own grid is not said."
)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_training_options(parser, required=False)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Count, train if there are data, print, write."""
    _check_together(options)
    recipe = recipe_of(options)
    results: list[dict[str, Any]] = []
    notes, about = [COUNT_NOTE], {}
    if options.data:
        with stop_on_signal() as asked:
            setting = setting_of(options, lambda: bool(asked), console)
            jobs = make_jobs(recipe, options, setting.budget)
            console.say(f"{len(jobs)} trainings in {options.run}")
            results = run_all(jobs, setting)
        about = describe(setting, recipe, jobs[0].recipe.network.config(1).size)
        notes += [*remarks(results, about), PUBLISHED_NOTE, *failures(results)]
    organs = organs_of(results)
    counted = count_variants(recipe, options.size, len(organs))
    trained = {row["model"]: row for row in summarise(results)}
    rows = [trained.get(row["model"], {}) | row for row in counted] + published_rows()
    columns = COLUMNS + (organ_columns(organs) if organs else ())
    document = {"format": 1, "kind": "ablation", **about, "libraries": versions(), "results": results}
    publish(options.run, "ablate", document, rows, columns, notes, console.say)
    check_failures(results)


def _check_together(options: argparse.Namespace) -> None:
    """Raise UsageError for options of which one asks for a training and another is missing for it."""
    if options.data and not options.run:
        raise UsageError(
            "--data was given without --run",
            hint="Name a folder for the trainings: --run FOLDER; without --data the variants are counted.",
            code="no-run",
        )
    limits = [f"--{name}" for name in ("minutes", "steps", "seeds") if getattr(options, name) is not None]
    if limits and not options.data:
        raise UsageError(
            f"{' and '.join(limits)} would do nothing: without --data the variants are counted, not trained",
            hint="Name prepared data: --data FOLDER, or leave it out.",
            code="no-data",
        )


def make_jobs(recipe: Recipe, options: argparse.Namespace, budget: Budget) -> list[Job]:
    """A training per variant and seed."""
    size = options.size or recipe.network.config(1).size
    return [
        Job(title, IUINet, changed(alike(recipe, size, seed, budget), changes), {"kind": "IUINet"})
        for title, _, changes in VARIANTS
        for seed in dict.fromkeys(options.seeds or [recipe.run.seed])
    ]


def changed(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe for a variant of its network."""
    full = {"shift": True, "head": "dyfc"}
    return dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, **(full | changes)))


def count_variants(recipe: Recipe, size: int | None, organs: int) -> list[dict[str, Any]]:
    """Parameters and multiply-adds of one volume per variant. organs: 0 for as many as the preset has."""
    rows = []
    for title, _, changes in VARIANTS:
        network = dataclasses.replace(changed(recipe, changes).network, size=size or recipe.network.size)
        config = network.config(organs or PRESETS[network.preset].classes - 1)
        net = IUINet(config).eval().to("meta")
        rows.append(
            {
                "model": title,
                "size": config.size,
                "classes": config.classes,
                "parameters": parameters(net),
                "macs_pytorch": ptflops(net, config.size, "pytorch"),
                "macs_true": count(net)[1].total,
            }
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
