"""A run's checkpoint made by hand in the layout that train.py writes: random weights, no training needed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from iuinet.network import PRESETS, IUINet

ORGANS = (
    {"name": "liver", "label": 6},
    {"name": "my own structure", "label": 40, "color": [10, 200, 30]},
)
RECIPE = {
    "network": {"preset": "tiny", "size": 32},
    "phases": [
        {
            "name": "train",
            "data": "cases",
            "size": 32,
            "epochs": 3,
            "learning_rate": 0.001,
            "schedule": "plateau",
            "plateau_patience": 20,
            "plateau_factor": 0.2,
            "stop_patience": 100,
            "augment": True,
        }
    ],
    "optimiser": {"name": "adam", "batch": 1, "clip": 12.0},
    "run": {"seed": 4, "precision": "fp32", "average": 0.9},
}
DATA = {
    "name": "synapse",
    "fingerprint": "ab" * 32,
    "split": "transunet",
    "statement": "Selection and test share the same cases, so that scores are optimistic.",
    "train": ["0005", "0006"],
    "validation": ["0001"],
    "test": ["0001"],
    "pretrain": 0,
    "atlases": "train18",
}


def small_net(seed: int = 0, organs: int = len(ORGANS)) -> IUINet:
    """A network of 32^3 input with random weights whose labels are mixed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return IUINet(dataclasses.replace(PRESETS["tiny"], size=32, classes=organs + 1)).eval()


def write_checkpoint(path: Path, net: IUINet, average: IUINet | None = None, **changes: Any) -> Path:
    """Write a checkpoint. average: the moving average, if kept. changes: replace parts of its document."""
    document = {
        "format": 2,
        "recipe": RECIPE,
        "network": net.config.to_dict(),
        "organs": list(ORGANS),
        "window": [-125.0, 275.0],
        "size": 32,
        "phase": "train",
        "epoch": 2,
        "step": 4,
        "selection": {"dsc": 0.5, "epoch": 2},
        "data": DATA,
        "seed": 4,
        "start": None,
        "environment": {"iuinet": "0.1.0", "torch": torch.__version__, "revision": "c0ffee", "dirty": False},
        **changes,
    }
    tensors = {f"net.{name}": tensor.clone() for name, tensor in net.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor.clone() for name, tensor in average.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"training": json.dumps(document)})
    return path
