"""The plan of a training in a comparison: what was asked for, and the steps that its time was found good for.

It is written before the first step and kept, so that a training that goes on after a stop goes on unchanged.
"""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from fitting.loop import train
from fitting.recorder import clear_run
from records.run_folder import BEST, LAST, STEPS, differences

from iuinet.errors import Cancelled, UsageError
from iuinet.writing import write_json

from .jobs import Job, Setting, StatusOnly

PLAN, RESULT = "plan.json", "result.json"
_WARM_UP_STEPS, _MEASURED_STEPS = 2, 6
_SHOWN = 3  # differences between two plans


def read_plan(job: Job, setting: Setting) -> dict[str, Any] | None:
    """The plan of a training that was begun before and goes on; None for a new one.

    A plan of which nothing was kept, such as one that was refused at its first step, may be replaced.
    Raises UsageError "comparison-other", "damaged".
    """
    folder = setting.folder / job.name
    if not (folder / PLAN).is_file():
        return None
    plan = read_document(folder / PLAN)
    before, now = plan["asked"], json.loads(json.dumps(_asked(job, setting)))
    changed = [line for key in now for line in differences(before.get(key), now[key], key)]
    if not changed:
        return plan
    if not any((folder / name).exists() for name in (LAST, BEST, RESULT)):
        return None
    raise UsageError(
        f"{folder} holds a training of another comparison: {'; '.join(changed[:_SHOWN])}",
        hint="Choose another folder for --run, or remove that one.",
        code="comparison-other",
    )


def make_plan(job: Job, setting: Setting) -> dict[str, Any]:
    """Find out how many steps the budget is good for, and write it down. Raises IUINetError."""
    folder = setting.folder / job.name
    if (folder / PLAN).is_file():  # replaced: nothing of its training was kept
        clear_run(folder, lambda text: None)
    budget, steps = setting.budget, setting.budget.steps
    if budget.seconds is not None:
        steps = max(1, round(budget.seconds / _pace(job, setting, folder)))
    plan = {"asked": _asked(job, setting), "steps": steps}
    write_json(folder / PLAN, plan, overwrite=True)
    return plan


def read_document(path: Path) -> dict[str, Any]:
    """A plan or result. Raises UsageError "damaged"."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read",
            hint="Remove its folder: the training is then done anew.",
            code="damaged",
        ) from error


def seconds_per_step(folder: Path) -> float | None:
    """Median of a run's steps, the first ones left out; None for a run that has no others."""
    lines = (folder / STEPS).read_text(encoding="utf-8").splitlines()[_WARM_UP_STEPS:]
    return statistics.median(json.loads(line)["seconds"] for line in lines) if lines else None


def check_asked(setting: Setting) -> None:
    """Raise Cancelled if the user asked to stop."""
    if setting.asked():
        raise Cancelled("stopped", hint="What is done is kept: the same command goes on from there.")


def _asked(job: Job, setting: Setting) -> dict[str, Any]:
    return {
        "network": job.described,
        "recipe": job.recipe.to_dict(),
        "budget": setting.budget.to_json(),
        "data": setting.data.fingerprint,
    }


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
        check_asked(setting)
        return seconds_per_step(place) or 1.0
    finally:
        shutil.rmtree(place, ignore_errors=True)
