#!/usr/bin/env python3
"""Train IUINet and networks of others alike, and compare what they reach.

    python Training/compare.py --config Training/config/better.toml --data /data/prepared --run runs/peers \\
        --minutes 60 --seeds 1 2 3
    python Training/compare.py --config Training/config/demo.toml --data /data/prepared --run runs/few \\
        --models iuinet unet dynunet --size 64 --steps 200

All get the same cases, augmentation, loss, optimiser, learning rate, input size and budget: either the same
time for steps (--minutes) or the same number of steps (--steps); the recipe's phases are cut to it, and the
weights at its end are measured. The model "iuinet" is the recipe's own network. No network's settings are
tuned, which favours the one that the recipe was made for. The same command again goes on after a stop, and
trains nothing twice.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from peers.budget import alike
from peers.catalogue import full_peers
from peers.jobs import Job
from peers.models import OWN, find_models
from peers.options import add_training_options, budget_of, recipe_of, setting_of
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
from peers.tables import Column, decimals, gib, mega
from train import stop_on_signal

from iuinet.cli.console import Console
from iuinet.cli.frame import run_command
from iuinet.network import IUINet

COLUMNS: tuple[Column, ...] = (
    ("model", "model", str),
    ("params M", "parameters", mega),
    ("steps", "steps", decimals(0)),
    ("seconds", "seconds", decimals(0)),
    ("s/step", "seconds_per_step", decimals(3)),
    ("counted GiB", "training_bytes", gib),
    ("peak GiB", "peak_bytes", gib),
)
MEMORY_NOTE = (
    "Counted GiB: what lives at most while one volume passes forward and backward in fp32, without the "
    "weights, on any machine. Peak GiB: all that a GPU gave for the training."
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
    """Train one after another, print, write."""
    jobs = make_jobs(options)
    with stop_on_signal() as asked:
        setting = setting_of(options, lambda: bool(asked), console)
        size = jobs[0].recipe.network.config(1).size
        console.say(f"{len(jobs)} trainings at {size}^3 voxels in {options.run}")
        results = run_all(jobs, setting)
    about = describe(setting, recipe_of(options), size)
    notes = [
        *remarks(results, about),
        MEMORY_NOTE,
        "One recipe for all, tuned for none of the peers: no statement on what they reach at their best.",
        *failures(results),
    ]
    document = {"format": 1, "kind": "comparison", **about, "results": results}
    columns = COLUMNS + organ_columns(organs_of(results))
    publish(options.run, "compare", document, summarise(results), columns, notes, console.say)
    check_failures(results)


def make_jobs(options: argparse.Namespace) -> list[Job]:
    """A training per model and seed. Raises UsageError for what cannot work."""
    recipe, budget = recipe_of(options), budget_of(options)
    size = options.size or recipe.network.config(1).size
    names = list(dict.fromkeys(options.models or [OWN, *full_peers()]))
    found = {model.name: model for model in find_models([name for name in names if name != OWN])}
    jobs = []
    for name in names:
        for seed in dict.fromkeys(options.seeds or [recipe.run.seed]):
            own = alike(recipe, size, seed, budget)
            model = found.get(name)
            if model is None:
                jobs.append(Job(name, IUINet, own, {"kind": "IUINet"}))
                continue
            model.configuration(size)
            own = dataclasses.replace(own, network=model.network(size))
            jobs.append(Job(name, model.build, own, model.describe()))
    return jobs


if __name__ == "__main__":
    sys.exit(main())
