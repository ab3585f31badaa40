"""The trainings of an experiment, one after the other, and their evaluation, as the scripts do them.

No training is done twice.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from iuinet.console import Console
from iuinet.errors import Cancelled, IUINetError, UsageError
from iuinet.inference.fallback import free_cache, is_out_of_memory
from pipeline.exporting.model import find_checkpoint
from pipeline.fitting.checkpoint import read_checkpoint
from pipeline.fitting.device import Precision, checkpoint_activations, training_device
from pipeline.fitting.loop import train
from pipeline.fitting.networks import build
from pipeline.fitting.recorder import find_run
from pipeline.fitting.run_folder import BEST, LAST

from .jobs import Job

# What ends one network's training, but not the others'.
_OWN_FAILURES = ("loss-not-finite", "gradient-not-finite")


def train_all(
    jobs: Sequence[Job], options: argparse.Namespace, asked: Callable[[], bool], console: Console
) -> list[dict[str, Any]]:
    """Train them in run folders below --run. asked: whether the user asked to stop.

    Returns what each training was and took, JSON-ready. One that ran out of memory or diverged has
    {"model", "seed", "failed": why}; the next time it is tried again.
    Raises: IUINetError before any training for what cannot work; Cancelled.
    """
    device = training_device(options.device)
    for job in jobs:
        _check(job, options, device)
    done = []
    for number, job in enumerate(jobs, start=1):
        console.say(f"{job.name} ({number} of {len(jobs)})")
        done.append(_train(job, options, asked, console))
        if "failed" in done[-1]:
            free_cache(device)
            console.say(done[-1]["failed"])
    return done


def _check(job: Job, options: argparse.Namespace, device: torch.device) -> None:
    """Raises: IUINetError for what would end the experiment when it is this network's turn."""
    try:
        checkpoint = find_run(options.run / job.name, job.task.document(), resume=False)
    except UsageError as error:
        hint = "Choose another folder for --run, or remove that one."
        raise UsageError(error.message, hint=hint, code="comparison-other") from error
    if checkpoint and checkpoint[1]["progress"]["finished"]:
        return
    Precision(job.task.recipe.run.precision, device)
    net = build(job.task.config)
    if job.task.recipe.run.checkpoint_activations:
        checkpoint_activations(net)


def _train(
    job: Job, options: argparse.Namespace, asked: Callable[[], bool], console: Console
) -> dict[str, Any]:
    head = {"model": job.model, "seed": job.seed}
    try:
        train(job.task, options.run / job.name, device=options.device, console=console, asked=asked)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return {**head, "failed": "out of memory"}
    except IUINetError as error:
        if error.code not in _OWN_FAILURES:
            raise
        return {**head, "failed": error.message}
    if asked():
        raise Cancelled("stopped", hint="What is done is kept: the same command goes on from there.")
    folder = options.run / job.name
    document = read_checkpoint(folder / LAST)[1]
    progress = document["progress"]
    return head | {
        "run": job.name,
        "steps": progress["step"],
        "seconds": progress["seconds"],
        "seconds_per_step": progress["seconds"] / progress["step"],
        "reached_last_phase": progress["phase"] + 1 == len(job.task.recipe.phases),
        "weights": "best" if find_checkpoint(folder).name == BEST else "last",
        "environment": document["environment"],
    }


def evaluate_all(
    trainings: Sequence[dict[str, Any]], options: argparse.Namespace, console: Console
) -> dict[str, Any] | None:
    """Measure all runs that did not fail into --run/evaluation; returns its results.json, None for no run."""
    # With all that it needs, such as jinja2, only where something is measured.
    from pipeline.evaluation.measuring import Choices, measure
    from pipeline.evaluation.runner import Settings, usual_threads

    runs = [options.run / training["run"] for training in trainings if "run" in training]
    if not runs:
        return None
    settings = Settings(device=options.device, workers=usual_threads())
    out = options.run / "evaluation"
    choices = Choices(options.data, out, runs=runs, partial=options.partial, settings=settings)
    # Days of training are not to end in a refusal: where a recipe let models see cases, the tables say so.
    return measure(dataclasses.replace(choices, allow_seen=True), console)
