#!/usr/bin/env python3
"""The ablations of the paper's tables 2 to 4: IUINet without its shift, without its DyFC head, without both.

    python Training/ablate.py
    python Training/ablate.py --config Training/config/paper.toml --data /data/prepared --run runs/ablation
    python Training/ablate.py --config Training/config/paper.toml --data /data/prepared --run runs/ablation \\
        --set data.split=transunet-inner --seeds 1 2 3 --steps 5000

Without --data it counts parameters and multiply-adds alone. With it each variant is trained as train.py does,
to the recipe's end (and its best weights measured) or within --minutes or --steps (and its last), and all are
measured as evaluate.py does, on the split's test cases. The same command again goes on after a stop; what is
done is not trained again. --run also gets the tables (JSON, CSV, Markdown) and the evaluation's page.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

from iuinet.console import Console, run_command, stop_on_signal
from iuinet.errors import UsageError
from iuinet.network import IUINet, IUINetConfig
from iuinet.network.complexity import count
from pipeline.dataset.prepared import open_prepared
from pipeline.experiments.costs import parameters, ptflops
from pipeline.experiments.jobs import VARIANTS, configuration, make_jobs, recipe_of, training_options
from pipeline.experiments.report import (
    Column,
    giga,
    mega,
    publish,
    published_rows,
    remarks,
    rows_of,
    score_columns,
)
from pipeline.experiments.trainings import evaluate_all, train_all

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

PRIORS_NOTE = (
    "DyFC heads start at the classes' shares (initial.priors); the convolutions in their place have no bias, "
    "and cannot: the first steps compare that too."
)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: training_options(__doc__, required=False).parse_args(arguments), run)


def run(options: argparse.Namespace, console: Console) -> None:
    """Count, train if there are data, print, write."""
    _check_together(options)
    recipe = recipe_of(options)
    networks = {title: dataclasses.replace(recipe.network, **changes) for title, _, changes in VARIANTS}
    configs = {title: configuration(network) for title, network in networks.items()}
    trainings, results, notes = [], None, [COUNT_NOTE]
    if options.data:
        jobs = make_jobs(networks, recipe, open_prepared(options.data), options)
        configs = {job.model: job.task.config for job in jobs}
        with stop_on_signal() as asked:
            console.say(f"{len(jobs)} training{'s' * (len(jobs) != 1)} in {options.run}")
            trainings = train_all(jobs, options, lambda: bool(asked), console)
        results = evaluate_all(trainings, options, console)
        notes += [*remarks(trainings, recipe), PUBLISHED_NOTE]
        notes += [PRIORS_NOTE] if recipe.initial.priors else []
    costs = {title: count_one(config) for title, config in configs.items()}
    rows = rows_of(costs, trainings, results) + published_rows()
    columns = COLUMNS + (score_columns(results) if results else ())
    publish(options, ("ablate", "ablation"), recipe, rows, columns, notes, trainings, console.say)


def _check_together(options: argparse.Namespace) -> None:
    """Raises: UsageError for an option that trains without another that it needs."""
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


def count_one(config: IUINetConfig) -> dict[str, Any]:
    """Parameters and multiply-adds of one volume."""
    net = IUINet(config).eval().to("meta")
    return {
        "size": config.size,
        "classes": config.classes,
        "parameters": parameters(net),
        "macs_pytorch": ptflops(net, config.size, "pytorch"),
        "macs_true": count(net)[1].total,
    }


if __name__ == "__main__":
    sys.exit(main())
