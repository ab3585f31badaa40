"""One training of a comparison: trained within its budget, measured on the test cases, and never done twice.

Its folder is a run folder of ``train.py`` with ``plan.json`` and, once it is done, ``result.json``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fitting.activations import checkpoint_activations
from fitting.checkpoint import read_checkpoint
from fitting.device import training_device
from fitting.loop import train
from fitting.precision import Precision
from fitting.task import Task, make_task
from records.run_folder import BEST, LAST
from records.surroundings import environment

from iuinet.errors import IUINetError
from iuinet.ladder import free_cache, is_out_of_memory
from iuinet.writing import write_json

from .budget import cut
from .costs import parameters, training_bytes, versions
from .jobs import Job, Setting, StatusOnly
from .plans import RESULT, check_asked, make_plan, read_document, read_plan, seconds_per_step
from .scores import check_test_cases, score

# What ends one network's training, and is no reason to end the others'.
_OWN_FAILURES = ("loss-not-finite", "gradient-not-finite")


def run_all(jobs: Sequence[Job], setting: Setting) -> list[dict[str, Any]]:
    """The results of all jobs, of which those that are done are not run again.

    A job that ran out of memory or diverged gives {"model", "seed", "failed": why}; it is tried again next
    time. Raises IUINetError before any training for what cannot work; Cancelled.
    """
    tasks = [make_task(job.recipe, setting.data, (), None, setting.partial) for job in jobs]
    for job, task in zip(jobs, tasks, strict=True):
        check_test_cases(task)
        read_plan(job, setting)
    waiting = {
        job.model: (job, task) for job, task in zip(jobs, tasks, strict=True) if not _done(job, setting)
    }
    for job, task in waiting.values():
        _check(job, task, training_device(setting.device))
    results = []
    for job, task in zip(jobs, tasks, strict=True):
        if _done(job, setting):
            setting.screen.say(f"{job.name} is done already")
            results.append(read_document(setting.folder / job.name / RESULT))
            continue
        results.append(_attempt(job, task, setting))
        setting.screen.say(f"{job.name}: {_in_short(results[-1])}")
    return results


def _done(job: Job, setting: Setting) -> bool:
    return (setting.folder / job.name / RESULT).is_file()


def _check(job: Job, task: Task, device: torch.device) -> None:
    """Raise IUINetError now for what would end a comparison when it is this network's turn."""
    Precision(job.recipe.run.precision, device)
    net = job.build(task.config)
    if job.recipe.run.checkpoint_activations:
        checkpoint_activations(net)


def _in_short(result: dict[str, Any]) -> str:
    if "failed" in result:
        return result["failed"]
    dsc = "-" if result["dsc"] is None else f"{result['dsc']:.4f}"
    return f"{result['steps']} steps in {result['seconds']:.0f} s, mean DSC {dsc}"


def _attempt(job: Job, task: Task, setting: Setting) -> dict[str, Any]:
    device = training_device(setting.device)
    try:
        return _run(job, task, setting, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = "out of memory"
    except IUINetError as error:
        if error.code not in _OWN_FAILURES:
            raise
        reason = error.message
    free_cache(device)
    return {"model": job.model, "seed": job.seed, "failed": reason}


def _run(job: Job, task: Task, setting: Setting, device: torch.device) -> dict[str, Any]:
    folder = setting.folder / job.name
    folder.mkdir(parents=True, exist_ok=True)
    plan = read_plan(job, setting) or make_plan(job, setting)
    recipe = job.recipe
    if plan["steps"]:
        recipe = cut(recipe, plan["steps"], [task.steps_per_epoch(phase) for phase in recipe.phases])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    begun_at: list[int] = []

    def stop(seconds: float, steps: int) -> bool:
        if not begun_at:
            begun_at.append(steps)
        return setting.asked() or setting.budget.spent(seconds, steps)

    path = train(
        recipe,
        setting.data,
        folder,
        build=job.build,
        device=setting.device,
        stop=stop,
        console=StatusOnly(setting.screen, job.name),
        partial=setting.partial,
    )
    check_asked(setting)
    progress = read_checkpoint(folder / LAST)[1]["progress"]
    # After a kill between the last step and the result there is nothing left to train, and no peak to tell.
    trained = bool(begun_at) and progress["step"] > begun_at[0]
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" and trained else None
    if setting.budget.limited:
        path = folder / LAST  # all of the budget counts: the last validation may lie long before its end
    task = dataclasses.replace(task, recipe=recipe)
    known = {"peak_bytes": peak} | _facts(job, task, folder, progress)
    result = known | _scores(job, task, path, device)
    write_json(folder / RESULT, result, overwrite=True)
    return result


def _facts(job: Job, task: Task, folder: Path, progress: dict[str, Any]) -> dict[str, Any]:
    """What the training was and took."""
    net = job.build(task.config)
    return {
        "model": job.model,
        "seed": job.seed,
        "network": job.described,
        "parameters": parameters(net),
        "steps": progress["step"],
        "seconds": progress["seconds"],
        "seconds_per_step": seconds_per_step(folder),
        "training_bytes": training_bytes(net.to("meta"), task.config.size),
        "recipe_finished": progress["finished"],
        "reached_last_phase": progress["phase"] + 1 == len(task.recipe.phases),
    }


def _scores(job: Job, task: Task, path: Path, device: torch.device) -> dict[str, Any]:
    """What it reached, with which weights, and on what these were chosen."""
    return {
        "weights": "best" if path.name == BEST else "last",
        "selection": read_checkpoint(path)[1]["selection"],
        "environment": environment(device) | versions(),
        **score(task, job.build, path, device),
    }
