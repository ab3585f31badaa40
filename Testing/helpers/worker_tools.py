"""What the worker's tests share: a volume, a model that takes its time, and looks at processes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from helpers.sample_ct import CHALLENGE, sample_ct
from helpers.waiting import wait_until
from iuinet.options import Options
from iuinet.volume import Volume
from iuinet.worker import Run, WorkerClient


def make_volume(shift: int = 0) -> Volume:
    """A small generated CT, moved along i by some voxels; its name must never be seen in a report."""
    small = sample_ct((48, 40, 32))
    array = np.ascontiguousarray(np.roll(small.array, shift, axis=2))
    return dataclasses.replace(small, array=array, name="Nachname^Vorname")


def make_slow_model(path: Path) -> Path:
    """A model of random weights whose one pass takes many seconds on two cores."""
    import torch

    from iuinet.network import PRESETS, IUINet
    from iuinet.weights.load import save_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = IUINet(PRESETS["tiny"])
    document = {
        "format": 1,
        "id": "slow-random",
        "version": "1",
        "organs": [{"name": organ.name, "label": organ.id} for organ in CHALLENGE],
        "preprocessing": {"orientation": "LPS", "size": 128, "window": [-125, 275]},
    }
    save_model(path, net, document)
    return path


def poll_until(run: Run, condition: Callable[[], bool]) -> None:
    """Poll a run until something is so; it must not end before."""

    def step() -> None:
        assert not run.poll(), f"the run ended first: {run.result()}"

    wait_until(condition, step, lambda: (run.stage, run.fraction))


def poll_end(run: Run) -> float:
    """Poll a run until it has ended; returns the counted seconds."""
    return wait_until(run.poll, watched=lambda: (run.stage, run.fraction))


def start_slow_run(client: WorkerClient, model: Path) -> Run:
    """A run that is in the middle of its network."""
    run = client.start(make_volume(), Options(model, "cpu"))
    poll_until(run, lambda: run.stage == "segmenting" and run.fraction > 0)
    return run


def environment_without(*names: str) -> dict[str, str]:
    """This process's environment less some variables."""
    return {name: value for name, value in os.environ.items() if name not in names}


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Same shape, type and values."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a, b))
