#!/usr/bin/env python3
"""Train IUINet by a recipe, on prepared data or on synthetic CT made from label maps.

    python Training/train.py --config Training/config/better.toml --data /data/prepared --run runs/first
    python Training/train.py --config Training/config/paper.toml --data /data/prepared --run runs/paper \\
        --set data.split=transunet-inner run.seed=2
    python Training/train.py --config Training/config/tiny.toml --anatomy-cache runs/anatomies --run runs/tiny
    torchrun --nproc-per-node 4 Training/train.py --config ... --set optimiser.batch=4

The same command again goes on with a training that was stopped or killed, and does nothing for one that is
finished. Ctrl-C ends it after the step that is under way.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from iuinet.console import Console, Parser, run_command, stop_on_signal
from iuinet.errors import Cancelled, UsageError
from iuinet.memory import keep_memory

if TYPE_CHECKING:
    from pipeline.fitting.recipe import Recipe
    from pipeline.fitting.task import Task
    from pipeline.synthesis import Anatomy


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    # Threads that wait for each other in a loop make a busy computer ten times slower. OpenMP reads this when
    # torch is loaded, so torch is imported below.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_memory()
    return run_command(lambda: _parse(arguments), run)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="recipe in TOML (see Training/config)")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change the recipe")
    add("--data", type=Path, metavar="DIR", help="folder that prepare.py made")
    add("--anatomy-cache", type=Path, metavar="DIR", help="folder for label maps of synthetic phases")
    add("--run", type=Path, required=True, metavar="DIR", help="folder of this training")
    add("--start", metavar="ID|FILE", help="start from the weights of a model, also for other organs")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    add("--partial", action="store_true", help="go on although cases of the split are missing")
    add("--limit-steps", type=int, metavar="N", help="stop after this step; a later run goes on")
    add("--dry-run", action="store_true", help="check recipe and data, say what would be trained, and end")
    add("--debug", action="store_true", help="show tracebacks and what libraries say")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--resume", action="store_true", help="go on although the recipe has changed")
    choice.add_argument("--restart", action="store_true", help="remove the training in --run, begin again")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> None:
    """Read, check, train."""
    from pipeline.dataset.prepared import open_prepared
    from pipeline.fitting.device import leave
    from pipeline.fitting.loop import train
    from pipeline.fitting.recipe_file import read_recipe
    from pipeline.fitting.recorder import clear_run
    from pipeline.fitting.run_folder import CURVES
    from pipeline.fitting.task import make_task

    if options.limit_steps is not None and options.limit_steps < 1:
        raise UsageError(f"--limit-steps is {options.limit_steps}", hint="Give a number above 0.")
    recipe = read_recipe(options.config, options.set, started=options.start is not None)
    data = open_prepared(options.data) if options.data else None
    anatomies = _anatomies(recipe, options.anatomy_cache)
    task = make_task(recipe, data, anatomies, options.start, options.partial)
    if _first():
        _show(task, console)
    if options.dry_run:
        _rehearse(task, options, console)
        return
    if options.restart:
        clear_run(options.run, console.say)
    with stop_on_signal() as asked:
        try:
            how = {key: getattr(options, key) for key in ("device", "limit_steps", "resume")}
            train(task, options.run, console=console, asked=lambda: bool(asked), **how)
        finally:
            leave()
    if asked:
        raise Cancelled(
            "the training was stopped", hint="A checkpoint was written: the same command goes on from there."
        )
    if _first():
        console.say(f"The run is in {options.run}; its curves are in {CURVES}.")


def _rehearse(task: Task, options: argparse.Namespace, console: Console) -> None:
    """What the command would do without --dry-run. Raises: what it would refuse."""
    from pipeline.fitting.loop import rehearse

    if options.restart:
        console.say("run       would be removed where there is one, and begun again")
        return
    progress = rehearse(task, options.run, options.device, options.resume)
    said = "would begin" if progress is None else f"would go on after step {progress.step}"
    said = "is finished, and nothing would be done" if progress and progress.finished else said
    console.say(f"run       {said}")


def _first() -> bool:
    """Whether this is the one process that reports."""
    return int(os.environ.get("RANK", "0")) == 0


def _anatomies(recipe: Recipe, cache: Path | None) -> tuple[Anatomy, ...]:
    from pipeline.synthesis import data_folder, load

    if not recipe.synthetic:
        return ()
    if cache is None:
        raise UsageError(
            "the recipe trains on synthetic CT, and no folder for its label maps was named",
            hint="Name one: --anatomy-cache FOLDER. It is filled from the data in IUINET_DATA.",
            code="no-anatomies",
        )
    try:
        return tuple(load(name, data_folder(), cache) for name in recipe.synthesis.anatomies)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(
            f"a label map cannot be had: {error}",
            hint="Set IUINET_DATA to the folder with the label maps, or correct synthesis.anatomies.",
            code="no-anatomies",
        ) from error


def _show(task: Task, console: Console) -> None:
    """What is trained on what."""
    recipe = task.recipe
    network = recipe.network
    name = network.preset if network.name == "iuinet" else network.name
    console.say(f"network   {name}, input {task.config.size}^3, {len(task.names)} organs")
    console.say(f"organs    {', '.join(task.names)}")
    data = task.provenance
    parts = (("train", "train"), ("validation", "select"), ("test", "test"))
    counts = ", ".join(f"{len(data[part])} to {use}" for part, use in parts)
    if task.data is None and recipe.synthesis.validation:
        counts += f"; {recipe.synthesis.validation} generated scans more to select"
    console.say(f"data      {data['name']}, split {data['split']}: {counts}")
    console.say(f"          {data['statement']}")
    for phase in recipe.phases:
        steps = task.steps_per_epoch(phase)
        sources = ", ".join(f"{name} {share:g}" for name, share in phase.shares.items())
        sources = phase.data if isinstance(phase.data, str) else f"a mixture ({sources})"
        words = f"{sources}, up to {phase.epochs} epochs of {steps} steps, learning rate"
        console.say(f"phase     {phase.name}: {words} {phase.learning_rate:g}")
    run = recipe.run
    if run.budget_steps or run.budget_seconds:
        what = f"{run.budget_steps} steps" if run.budget_steps else f"{run.budget_seconds:g} seconds of steps"
        console.say(f"budget    {what}, shared by the phases as their steps are")
    for sentence in task.start.sentences if task.start else ():
        console.say(f"start     {sentence}")


if __name__ == "__main__":
    sys.exit(main())
