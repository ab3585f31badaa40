#!/usr/bin/env python3
"""Train IUINet and networks of others alike, and compare what they reach.

    python Training/compare.py --config Training/config/better.toml --data /data/prepared --run runs/peers \\
        --minutes 60 --seeds 1 2 3
    python Training/compare.py --config Training/config/demo.toml --data /data/prepared --run runs/few \\
        --models iuinet unet dynunet --size 64 --steps 200

All get the same cases, augmentation, loss, optimiser, learning rate, input size and budget: either the same
time for steps (--minutes) or the same number of steps (--steps), which the recipe's phases share, and the
weights at its end are measured, as evaluate.py does. The model "iuinet" is the recipe's own network. No
network's settings are tuned, which favours the one that the recipe was made for. The same command again goes
on after a stop, and trains nothing twice. --run gets the runs, the tables and the evaluation's page.
"""

from __future__ import annotations

import argparse
import sys

from iuinet.console import Console, run_command, stop_on_signal
from pipeline.dataset.prepared import open_prepared
from pipeline.experiments.costs import parameters, training_bytes, versions
from pipeline.experiments.jobs import add_training_options, make_jobs, recipe_of
from pipeline.experiments.models import find_networks
from pipeline.experiments.report import (
    Column,
    check_failures,
    decimals,
    failures,
    gib,
    mega,
    publish,
    remarks,
    rows_of,
    score_columns,
)
from pipeline.experiments.scores import evaluate_all, organs_of
from pipeline.experiments.trainings import train_all
from pipeline.fitting.networks import OWN, Config, build, full_peers

COLUMNS: tuple[Column, ...] = (
    ("model", "model", str),
    ("params M", "parameters", mega),
    ("steps", "steps", decimals(0)),
    ("seconds", "seconds", decimals(0)),
    ("s/step", "seconds_per_step", decimals(3)),
    ("training GiB", "training_bytes", gib),
)
MEMORY_NOTE = (
    "Training GiB: counted, what lives at most while one volume passes forward and backward in fp32, without "
    "the weights."
)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="iuinet, its presets or peers (default: iuinet and peers)"
    )
    add_training_options(parser, required=True)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Train one after another, measure all, print, write."""
    recipe = recipe_of(options)
    names = options.models or [OWN, *full_peers()]
    known = {OWN: recipe.network} | find_networks([name for name in names if name != OWN])
    jobs = make_jobs({name: known[name] for name in names}, recipe, open_prepared(options.data), options)
    with stop_on_signal() as asked:
        console.say(f"{len(jobs)} trainings at {recipe.network.size}^3 voxels in {options.run}")
        trainings = train_all(jobs, options, lambda: bool(asked), console)
    results = evaluate_all(trainings, options, console)
    costs = {job.model: count_one(job.task.config) for job in jobs if job.seed == jobs[0].seed}
    rows = rows_of(costs, trainings, results)
    columns = COLUMNS + score_columns(organs_of(results))
    notes = [
        *remarks(trainings, recipe),
        MEMORY_NOTE,
        "One recipe for all, tuned for none of the peers: no statement on what they reach at their best.",
        *failures(trainings),
    ]
    document = {"format": 2, "kind": "comparison", "recipe": recipe.to_dict(), "libraries": versions()}
    publish(options.run, "compare", {**document, "trainings": trainings}, rows, columns, notes, console.say)
    check_failures(trainings)


def count_one(config: Config) -> dict[str, int]:
    """Parameters, and the memory of a training's pass."""
    net = build(config)
    return {"parameters": parameters(net), "training_bytes": training_bytes(net.to("meta"), config.size)}


if __name__ == "__main__":
    sys.exit(main())
