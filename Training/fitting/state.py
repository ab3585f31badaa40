"""A run's state on disk: safetensors and JSON, never pickle; complete or absent after any kill.

One file holds weights, their moving average and Adam's moments as tensors, and the step, options and
losses as JSON in its metadata, so that no two files can disagree.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from .options import Options

CHECKPOINT = "checkpoint.safetensors"


class Average:
    """Moving average of a network's weights; the decay starts short so that early steps do not linger."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}

    def update(self, net: nn.Module, step: int) -> None:
        """Take the weights after this step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in net.state_dict().items():
            self.tensors[name].lerp_(tensor.detach().to(self.tensors[name].dtype), 1 - decay)


def save_state(
    folder: Path,
    net: nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    step: int,
    options: Options,
) -> Path:
    """Write the checkpoint after ``step`` steps; replaces the one before in one rename."""
    tensors = {f"net.{name}": tensor.detach() for name, tensor in net.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.tensors.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    document = {"format": 1, "step": step, "options": dataclasses.asdict(options)}
    part, path = folder / (CHECKPOINT + ".part"), folder / CHECKPOINT
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, part, metadata={"training": json.dumps(document)})
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    return path


def load_state(folder: Path, net: nn.Module, average: Average, optimiser: torch.optim.Optimizer) -> int:
    """Restore the checkpoint in the folder in place; returns the steps done, 0 where there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    net.load_state_dict(_part(tensors, "net."))
    average.tensors = _part(tensors, "average.")
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in _part(tensors, "adam.").items():
        index, key = name.split(".")
        moments.setdefault(int(index), {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
    return document["step"]


def read_average(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The averaged weights of a checkpoint file and its document (step, options)."""
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["training"])
        names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118
        return {name.removeprefix("average."): file.get_tensor(name) for name in names}, document


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
