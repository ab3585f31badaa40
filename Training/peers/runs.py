"""One training of a comparison: trained within its budget, measured on the test cases, and never done twice.

Its folder is a run folder of ``train.py`` with ``plan.json`` (what was asked for, and the steps that the time
was found to be good for) and, once it is done, ``result.json``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from dataset.prepared import PreparedData
from fitting.checkpoint import read_checkpoint
from fitting.loop import train
from fitting.recipe import Recipe
from fitting.recorder import Screen
from fitting.task import Task, make_task
from records.run_folder import BEST, LAST, STEPS
from records.surroundings import environment

from iuinet.devices import choose_device
from iuinet.errors import Cancelled, IUINetError, UsageError
from iuinet.writing import write_json

from .budget import Budget, cut
from .builders import Build
from .costs import parameters, versions
from .scores import check_test_cases, score

PLAN, RESULT = "plan.json", "result.json"
_WARM_UP_STEPS, _MEASURED_STEPS = 2, 6
# What ends one network's training, and is no reason to end the others'.
_OWN_FAILURES = ("loss-not-finite", "gradient-not-finite")


def run_all(jobs: Sequence[Job], setting: Setting) -> list[dict[str, Any]]:
    """The results of all jobs, of which those that are done are not run again.

    A job that ran out of memory or diverged gives {"model", "seed", "failed": why}; it is tried again next
    time. Raises UsageError before any training for what cannot work; Cancelled.
    """
    tasks = [make_task(job.recipe, setting.data, (), None, setting.partial) for job in jobs]
    for job, task in zip(jobs, tasks, strict=True):
        check_test_cases(task)
        _plan(job, setting)
    for job, task in {job.model: (job, task) for job, task in zip(jobs, tasks, strict=True)}.values():
        job.build(task.config)  # a size that does not fit, or MONAI that is absent, is told now
    results = []
    for job, task in zip(jobs, tasks, strict=True):
        done = setting.folder / job.name / RESULT
        if done.is_file():
            setting.screen.say(f"{job.name} is done already")
            results.append(_read(done))
            continue
        results.append(_attempt(job, task, setting))
        setting.screen.say(f"{job.name}: {_in_short(results[-1])}")
    return results


def _in_short(result: dict[str, Any]) -> str:
    if "failed" in result:
        return result["failed"]
    dsc = "-" if result["dsc"] is None else f"{result['dsc']:.4f}"
    return f"{result['steps']} steps in {result['seconds']:.0f} s, mean DSC {dsc}"


def _attempt(job: Job, task: Task, setting: Setting) -> dict[str, Any]:
    try:
        return _run(job, task, setting)
    except torch.OutOfMemoryError:
        reason = "out of memory"
    except IUINetError as error:
        if error.code not in _OWN_FAILURES:
            raise
        reason = error.message
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {"model": job.model, "seed": job.seed, "failed": reason}


def _run(job: Job, task: Task, setting: Setting) -> dict[str, Any]:
    folder = setting.folder / job.name
    folder.mkdir(parents=True, exist_ok=True)
    plan = _plan(job, setting) or _make_plan(job, task, setting)
    recipe = job.recipe
    if plan["steps"]:
        recipe = cut(recipe, plan["steps"], [task.steps_per_epoch(phase) for phase in recipe.phases])
    device = choose_device(setting.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    path = train(
        recipe,
        setting.data,
        folder,
        build=job.build,
        device=setting.device,
        stop=lambda seconds, steps: setting.asked() or setting.budget.spent(seconds, steps),
        console=StatusOnly(setting.screen, job.name),
        partial=setting.partial,
    )
    _check_asked(setting)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    result = _result(job, dataclasses.replace(task, recipe=recipe), path, device, peak)
    write_json(folder / RESULT, result, overwrite=True)
    return result


def _result(job: Job, task: Task, path: Path, device: torch.device, peak: int | None) -> dict[str, Any]:
    progress = read_checkpoint(path.parent / LAST)[1]["progress"]
    return {
        "model": job.model,
        "seed": job.seed,
        "network": job.described,
        "parameters": parameters(job.build(task.config)),
        "steps": progress["step"],
        "seconds": progress["seconds"],
        "seconds_per_step": seconds_per_step(path.parent),
        "peak_bytes": peak,
        # Which weights were measured, and on what they were chosen.
        "weights": "best" if path.name == BEST else "last",
        "selection": read_checkpoint(path)[1]["selection"],
        "recipe_finished": progress["finished"],
        "environment": environment(device) | versions(),
        **score(task, job.build, path, device),
    }
