"""How well trained weights segment a split's test cases, at the size of the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from augmentation import Augmentation
from fitting.checkpoint import read_weights
from fitting.precision import Precision
from fitting.samples import PreparedSamples
from fitting.task import Task
from fitting.validation import case_dsc

from iuinet.errors import UsageError
from iuinet.preprocessing import apply_window

from .builders import Build


def check_test_cases(task: Task) -> None:
    """Raise UsageError "no-test" for a split that has nothing to compare on."""
    if task.split is None or not task.split.test:
        name = task.split.name if task.split else "none"
        raise UsageError(
            f"the split {name!r} has no test cases to compare on",
            hint="Choose another one: --set data.split=NAME.",
            code="no-test",
        )


@torch.inference_mode()
def score(task: Task, build: Build, checkpoint: Path, device: torch.device) -> dict[str, Any]:
    """DSC of a checkpoint on the test cases, augmentation off, nothing removed after the argmax.

    Gives {"dsc": mean over the organs, "organs": {name: mean over cases}, "cases": {id: {name: DSC}}}; None
    for an organ that is neither in a case nor said to be.
    """
    tensors, _ = read_weights(checkpoint)
    net = build(task.config)
    net.load_state_dict(tensors)
    net.to(device).eval()
    precision = Precision(task.recipe.run.precision, device)
    samples = PreparedSamples(task.data, task.split.test, task.channels, Augmentation.off(), device=device)
    cases = {}
    for id in task.split.test:
        image, labels = samples.take(id, task.config.size)
        with precision.autocast():
            outputs = net(apply_window(image, task.recipe.data.window)[None, None])
        finest = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        values = case_dsc(finest[0].argmax(0), labels, len(task.names))
        cases[id] = dict(zip(task.names, values, strict=True))
    organs = {name: mean([values[name] for values in cases.values()]) for name in task.names}
    return {"dsc": mean(list(organs.values())), "organs": organs, "cases": cases}


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that exist; None if none does."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
