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
from pipeline.experiments.costs import parameters, training_bytes
from pipeline.experiments.jobs import find_networks, make_jobs, recipe_of, training_options
from pipeline.experiments.report import Column, decimals, gib, mega, publish, remarks, rows_of, score_columns
from pipeline.experiments.trainings import evaluate_all, train_all
from pipeline.fitting.networks import OWN, Config, build, full_peers

COLUMNS: tuple[Column, ...] = (
    ("model", "model", str),
    ("params M", "parameters", mega),
    ("steps", "steps", decimals(0)),
    ("seconds", "seconds", decimals(0)),
    ("s/step", "seconds_per_step", decimals(3)),
    ("training GiB", "training_bytes", gib),
)
NOTES = (
    "Training GiB: counted, what lives at most while one volume passes forward and backward in fp32, without "
    "the weights.",
    "One recipe for all, tuned for none of the peers: no statement on what they reach at their best.",
)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = training_options(__doc__, required=True)
    words = "iuinet, its presets or peers (default: iuinet and peers)"
    parser.add_argument("--models", nargs="+", metavar="NAME", help=words)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Train one after another, measure all, print, write."""
    recipe = recipe_of(options)
    names = options.models or [OWN, *full_peers()]
    known = {OWN: recipe.network} | find_networks([name for name in names if name != OWN])
    jobs = make_jobs({name: known[name] for name in names}, recipe, open_prepared(options.data), options)
    with stop_on_signal() as asked:
        count = f"{len(jobs)} training{'s' * (len(jobs) != 1)}"
        console.say(f"{count} at {recipe.network.size}^3 voxels in {options.run}")
        trainings = train_all(jobs, options, lambda: bool(asked), console)
    results = evaluate_all(trainings, options, console)
    costs = {job.model: count_one(job.task.config) for job in jobs if job.seed == jobs[0].seed}
    rows = rows_of(costs, trainings, results)
    notes = [*remarks(trainings, recipe), *NOTES]
    columns = COLUMNS + score_columns(results)
    publish(options, ("compare", "comparison"), recipe, rows, columns, notes, trainings, console.say)


def count_one(config: Config) -> dict[str, int]:
    """Parameters, and the memory of a training's pass."""
    net = build(config)
    return {"parameters": parameters(net), "training_bytes": training_bytes(net.to("meta"), config.size)}


if __name__ == "__main__":
    sys.exit(main())
