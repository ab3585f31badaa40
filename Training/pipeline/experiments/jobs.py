"""What an experiment trains: networks by their names, once per network and seed, all by one recipe."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iuinet.errors import UsageError
from iuinet.network import PRESETS
from pipeline.dataset.prepared import PreparedData
from pipeline.fitting.networks import OWN, Config, full_peers, peers
from pipeline.fitting.recipe import NetworkRecipe, Recipe, wrong
from pipeline.fitting.recipe_file import read_recipe
from pipeline.fitting.task import Task, make_task

# The ablations of the paper's tables 2 to 4: title, ending of a network's name, what is changed.
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("full model", "", {"shift": True, "head": "dyfc"}),
    ("without shift and DyFC head", "-no-shift-conv-head", {"shift": False, "head": "conv"}),
    ("without DyFC head", "-conv-head", {"shift": True, "head": "conv"}),
    ("without shift", "-no-shift", {"shift": False, "head": "dyfc"}),
)


def find_networks(names: Sequence[str]) -> dict[str, NetworkRecipe]:
    """The networks of these names: ``iuinet-<preset>[-no-shift][-conv-head]`` and the peers.

    Raises: UsageError "unknown-model".
    """
    known = {
        f"{OWN}-{preset}{ending}": NetworkRecipe(preset=preset, **changes)
        for preset in PRESETS
        for _, ending, changes in VARIANTS
    }
    known |= {name: NetworkRecipe(name=name) for name in peers()}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise UsageError(
                f"there is no model {name!r} to compare",
                hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}.",
                code="unknown-model",
            )
    return {name: known[name] for name in names}


def configuration(network: NetworkRecipe, size: int | None = None, classes: int | None = None) -> Config:
    """The network's configuration at an input edge (voxels); what is not given is as in the preset.

    Raises: UsageError for a size that does not fit.
    """
    if size:
        network = dataclasses.replace(network, size=size)
    return network.config((classes or PRESETS[network.preset].classes) - 1)


def default_names() -> list[str]:
    """What ``complexity.py`` shows: the paper's four rows, the other presets, the peers."""
    rows = [f"{OWN}-paper{ending}" for _, ending, _ in VARIANTS]
    return [*rows, *(f"{OWN}-{preset}" for preset in PRESETS if preset != "paper"), *full_peers()]


# Trainings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One training. model: the row that it belongs to."""

    model: str
    task: Task

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.task.recipe.run.seed

    @property
    def name(self) -> str:
        """Of its run folder."""
        return f"{self.model.replace(' ', '-')}-seed{self.seed}"


def training_options(description: str, required: bool) -> argparse.ArgumentParser:
    """What compare.py and ablate.py share. required: whether there is nothing to do without data."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form, allow_abbrev=False)
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
    return parser


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe with the budget and input edge of the options.

    All phases run at one edge, since not every network can change it.
    Raises: UsageError for a recipe or a budget that networks cannot be compared by.
    """
    recipe = read_recipe(options.config, options.set)
    if recipe.synthetic:
        raise UsageError(
            "the recipe trains on synthetic CT, and networks are compared on prepared data",
            hint='Choose a recipe whose phases have data "cases" or "pairs".',
            code="no-data",
        )
    if recipe.network.name != OWN:
        raise wrong("network.name", recipe.network.name, f"Leave it at {OWN} here.")
    run = recipe.run
    for name in ("minutes", "steps"):
        value = getattr(options, name)
        if value is None:
            continue
        if not value > 0:
            raise UsageError(f"a budget of {value} {name}", hint="Give a number above 0.", code="budget")
        limits = {"budget_steps": 0, "budget_seconds": 0.0}
        limits |= {"budget_steps": value} if name == "steps" else {"budget_seconds": value * 60}
        run = dataclasses.replace(run, **limits)
    return dataclasses.replace(
        recipe,
        network=dataclasses.replace(recipe.network, size=options.size or recipe.network.config(1).size),
        phases=tuple(dataclasses.replace(phase, size=0) for phase in recipe.phases),
        run=run,
    )


def make_jobs(
    networks: Mapping[str, NetworkRecipe], recipe: Recipe, data: PreparedData, options: argparse.Namespace
) -> list[Job]:
    """A training per network and seed, at the recipe's input edge.

    Raises: UsageError for what does not fit together, "processes", "no-test" for a split without test cases.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "networks are compared in one process",
            hint="Start the command without torchrun, once per GPU with --device and a --run of its own.",
            code="processes",
        )
    jobs = []
    for model, network in networks.items():
        for seed in dict.fromkeys(options.seeds or [recipe.run.seed]):
            network = dataclasses.replace(network, size=recipe.network.size)
            run = dataclasses.replace(recipe.run, seed=seed)
            own = dataclasses.replace(recipe, network=network, run=run)
            jobs.append(Job(model, make_task(own, data, partial=options.partial)))
    if not jobs[0].task.split.test:
        raise UsageError(
            f"the split {jobs[0].task.split.name!r} has no test cases to compare on",
            hint="Choose another one: --set data.split=NAME.",
            code="no-test",
        )
    return jobs
