"""The part of the command line that compare.py and ablate.py share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from dataset.prepared import open_prepared
from fitting.recipe import Recipe
from fitting.recipe_file import read_recipe
from fitting.recorder import Screen

from iuinet.errors import UsageError

from .budget import Budget
from .jobs import Setting


def add_training_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """required: whether there is nothing to do without data."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="recipe in TOML (see Training/config)")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change the recipe")
    add("--data", type=Path, required=required, metavar="DIR", help="folder that prepare.py made")
    add("--run", type=Path, required=required, metavar="DIR", help="folder of the trainings and tables")
    add("--size", type=int, metavar="N", help="edge of the input in voxels (default: the recipe's)")
    add("--seeds", type=int, nargs="+", metavar="N", help="one training each (default: the recipe's)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    add("--partial", action="store_true", help="go on although cases of the split are missing")
    add("--debug", action="store_true", help="show tracebacks and what libraries say")
    limit = parser.add_mutually_exclusive_group(required=required)
    limit.add_argument("--minutes", type=float, metavar="N", help="of computing steps, per training")
    limit.add_argument("--steps", type=int, metavar="N", help="of the optimiser, per training")


def budget_of(options: argparse.Namespace) -> Budget:
    """Raises UsageError "budget"."""
    seconds = None if options.minutes is None else options.minutes * 60
    return Budget(steps=options.steps, seconds=seconds)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Raises UsageError for a recipe that cannot be compared with."""
    recipe = read_recipe(options.config, options.set)
    if recipe.synthetic:
        raise UsageError(
            "the recipe trains on synthetic CT, and networks are compared on prepared data",
            hint='Choose a recipe whose phases have data "cases" or "pairs".',
            code="no-data",
        )
    return recipe


def setting_of(options: argparse.Namespace, asked: Callable[[], bool], screen: Screen) -> Setting:
    """Opens the data. Raises UsageError, InputRefused."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "networks are compared in one process",
            hint="Start the command without torchrun, once per GPU with --device and a --run of its own.",
            code="processes",
        )
    data = open_prepared(options.data)
    return Setting(data, options.run, budget_of(options), options.device, options.partial, asked, screen)
