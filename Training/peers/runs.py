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


@dataclass(frozen=True)
class Job:
    """model: the row that it belongs to. recipe: before it is cut. described: what makes the network."""

    model: str
    build: Build
    recipe: Recipe
    described: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.recipe.run.seed

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.model.replace(' ', '-')}-seed{self.seed}"


@dataclass(frozen=True)
class Setting:
    """What all jobs share. asked: whether the user asked to stop."""

    data: PreparedData
    folder: Path
    budget: Budget
    device: str
    partial: bool
    asked: Callable[[], bool]
    screen: Screen


class StatusOnly:
    """A screen that shows a training's live line alone, with the job's name before it."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen, self._name = screen, name

    @property
    def on_terminal(self) -> bool:
        """As the screen's."""
        return self._screen.on_terminal

    def status(self, line: str) -> None:
        """The live line."""
        self._screen.status(f"{self._name}: {line}")

    def say(self, text: str = "") -> None:
        """Nothing."""


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


def seconds_per_step(folder: Path) -> float | None:
    """Median of a run's steps, the first ones left out; None for a run that has no others."""
    lines = (folder / STEPS).read_text(encoding="utf-8").splitlines()[_WARM_UP_STEPS:]
    return statistics.median(json.loads(line)["seconds"] for line in lines) if lines else None


# Plans --------------------------------------------------------------------------------------------------


def _asked(job: Job, setting: Setting) -> dict[str, Any]:
    return {
        "network": job.described,
        "recipe": job.recipe.to_dict(),
        "budget": setting.budget.to_json(),
        "data": setting.data.fingerprint,
    }


def _plan(job: Job, setting: Setting) -> dict[str, Any] | None:
    """The plan of a job that was begun before, None for a new one. Raises UsageError "comparison-other"."""
    path = setting.folder / job.name / PLAN
    if not path.is_file():
        return None
    plan = _read(path)
    now = json.loads(json.dumps(_asked(job, setting)))
    changed = [key for key in now if plan["asked"].get(key) != now[key]]
    if changed:
        raise UsageError(
            f"{path.parent} holds a training of another comparison: its {' and '.join(changed)} differ",
            hint="Choose another folder for --run, or remove that one.",
            code="comparison-other",
        )
    return plan


def _make_plan(job: Job, task: Task, setting: Setting) -> dict[str, Any]:
    """Find out how many steps the budget is good for, and write it down."""
    budget, steps = setting.budget, setting.budget.steps
    folder = setting.folder / job.name
    if budget.seconds is not None:
        steps = max(1, round(budget.seconds / _pace(job, setting, folder)))
    plan = {"asked": _asked(job, setting), "steps": steps}
    write_json(folder / PLAN, plan, overwrite=True)
    return plan


def _pace(job: Job, setting: Setting, folder: Path) -> float:
    """Seconds per step, from a few steps of a training that is thrown away."""
    place = folder / "pace"
    shutil.rmtree(place, ignore_errors=True)
    try:
        train(
            job.recipe,
            setting.data,
            place,
            build=job.build,
            device=setting.device,
            limit_steps=_WARM_UP_STEPS + _MEASURED_STEPS,
            stop=lambda seconds, steps: setting.asked(),
            console=StatusOnly(setting.screen, f"{job.name} (finding its pace)"),
            partial=setting.partial,
        )
        _check_asked(setting)
        return seconds_per_step(place) or 1.0
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _check_asked(setting: Setting) -> None:
    if setting.asked():
        raise Cancelled("stopped", hint="What is done is kept: the same command goes on from there.")


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read",
            hint="Remove its folder: the training is then done anew.",
            code="damaged",
        ) from error
