"""Whether a device gives what the CPU gives, and how long a model's network takes on it. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from .errors import IUINetError, WeightsError
from .network import PRESETS, IUINet, IUINetConfig
from .weights import list_models, resolve

_SMALL = 32  # edge of the cube of the self check, and of the pass that warms a device up
# Edge on the CPU, where the whole cube of a large model takes many seconds; a pass costs as many times less
# as the cube has fewer voxels.
_CPU_EDGE = 64
# Of the largest logit. Two correct devices differ by rounding, some 1e-6 after so many layers.
_TOLERANCE = 1e-3


def agrees_with_cpu(device: torch.device) -> bool:
    """Whether a small network gives the same logits on the device as on the CPU, to rounding."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        net, x = IUINet(PRESETS["tiny"]).eval(), torch.rand(1, 1, *[_SMALL] * 3)
        expected = net(x)[0]
        found = net.to(device)(x.to(device))[0].cpu()
        # A comparison with NaN is false.
        return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def calibrate(found: dict[str, Any], check: Callable[[], None]) -> dict[str, dict[str, float]]:
    """Seconds of one pass of the network: by device, then by the SHA-256 of each model that is here.

    found: what ``probe.probe`` gave. check: called between the passes; it may raise to stop. A model that
    cannot be measured, for want of memory or otherwise, is left out.
    """
    devices = ["cpu", *(gpu["device"] for gpu in found["gpus"] if gpu["usable"])]
    measured: dict[tuple[str, IUINetConfig, int], float | None] = {}
    seconds: dict[str, dict[str, float]] = {name: {} for name in devices}
    for sha256, config, size in _models_here():
        for name in devices:
            key = (name, config, size)
            if key not in measured:
                check()
                measured[key] = _seconds(torch.device(name), config, size)
            if measured[key] is not None:
                seconds[name][sha256] = measured[key]
    return seconds


def _models_here() -> list[tuple[str, IUINetConfig, int]]:
    models = []
    try:
        entries = list_models()
    except WeightsError:
        return []  # the panel's list of models says what is wrong with it
    for entry in entries:
        if entry.path is None:
            continue
        try:
            document = resolve(entry.id).document
            config = IUINetConfig.from_dict(document["network"])
            models.append((entry.sha256, config, int(document["preprocessing"]["size"])))
        except (IUINetError, KeyError, TypeError, ValueError):
            continue  # a run with this model says what is wrong with it
    return models


def _seconds(device: torch.device, config: IUINetConfig, size: int) -> float | None:
    """Seconds of one pass of size^3 voxels, None where it failed."""
    edge = min(size, _CPU_EDGE) if device.type == "cpu" else size
    try:
        with torch.inference_mode():
            with torch.device("meta"):
                net = IUINet(config)
            net = net.to_empty(device=device).eval()
            for tensor in net.state_dict().values():
                tensor.fill_(0.01)  # any number will do, but for those that processors are slow with
            _pass(net, device, _SMALL)
            return _pass(net, device, edge) * (size / edge) ** 3
    except (RuntimeError, IUINetError):
        return None


def _pass(net: IUINet, device: torch.device, edge: int) -> float:
    x = torch.rand(1, 1, edge, edge, edge).to(device)
    start = time.perf_counter()
    net(x)[0].sum().item()  # a GPU has finished only when it can give a number
    return time.perf_counter() - start
