"""Small trainings: a few steps of a network of three stages, at 16^3 on the eight prepared cases of 32^3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.dataset.prepared import PreparedData
from pipeline.fitting import loop
from pipeline.fitting.checkpoint import read_checkpoint
from pipeline.fitting.recipe import Recipe
from pipeline.fitting.recipe_file import read_recipe
from pipeline.fitting.task import make_task

TRAIN = Path(__file__).resolve().parents[2] / "Training" / "train.py"
# Six of the eight cases train and two select: three steps an epoch, fifteen in all.
SMALL = """
[network]
preset = "tiny"
width = 4
blocks = [1, 1, 1]
size = 16

[data]
organs = ["liver", "spleen"]
split = "fold-0"

[[phases]]
name = "first"
epochs = 2
learning_rate = 3e-3
schedule = "constant"
augment = true

[[phases]]
name = "second"
epochs = 3
learning_rate = 2e-3
schedule = "plateau"
plateau_patience = 1
stop_patience = 20

[optimiser]
batch = 2
clip = 5.0

[run]
average = 0.9
checkpoint_every = 2
threads = 1
"""


def small_recipe(folder: Path, *changes: str) -> Recipe:
    """The recipe above with changes."""
    return read_recipe(recipe_file(folder), changes)


def train(
    recipe: Recipe,
    data: PreparedData | None,
    folder: Path,
    anatomies: Sequence = (),
    start: Path | None = None,
    **options,
) -> Path:
    """Train on the CPU, as the command does. options: of ``loop.train``."""
    return loop.train(make_task(recipe, data, anatomies, start), folder, device="cpu", **options)


def recipe_file(folder: Path) -> Path:
    """The recipe above as a file."""
    path = folder / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def command(folder: Path, data: Path, run: Path, *more: str) -> list[str]:
    """The command line of a small training."""
    words = [sys.executable, TRAIN, "--config", recipe_file(folder), "--data", data, "--run", run]
    return [str(word) for word in (*words, *more)]


def call(folder: Path, data: Path, run: Path, *more: str, **options) -> subprocess.CompletedProcess:
    """Run a small training to its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(folder, data, run, *more), capture_output=True, text=True, env=environment, **options
    )


def losses(run: Path) -> list[float]:
    """Of every step in a run's history."""
    return [entry["loss"] for entry in steps(run)]


def steps(run: Path) -> list[dict]:
    """A run's history."""
    return [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]


def assert_same(one: Path, other: Path) -> None:
    """Two checkpoints hold the same tensors, to the bit."""
    (first, a), (second, b) = read_checkpoint(one), read_checkpoint(other)
    assert first.keys() == second.keys()
    differing = [name for name in first if not torch.equal(first[name], second[name])]
    assert not differing, differing[:5]
    assert a["step"] == b["step"] and a["selection"] == b["selection"]
