"""How long a model's network takes on a device, measured once. Needs torch."""

from __future__ import annotations

import time
from typing import Any

import torch

from iuinet.devices import chosen_gpu
from iuinet.errors import IUINetError
from iuinet.network import IUINet, IUINetConfig
from iuinet.options import Options

_SMALL = 32  # edge of the cube of the pass that warms a device up
# Edge on the CPU, where the whole cube of a large model takes many seconds; a pass costs as many times less
# as the cube has fewer voxels.
_CPU_EDGE = 64


def calibrate(found: dict[str, Any], options: Options) -> dict[str, dict[str, float]]:
    """Seconds that one pass of the network takes in a run with these options.

    found: what ``probe.probe`` returned. Returns them by device, then by the SHA-256 of the model; one that
    is not here, or cannot be measured for want of memory or otherwise, is left out.

    >>> calibrate({"gpus": []}, Options(weights="no-such-model"))
    {'cpu': {}}
    """
    gpu = chosen_gpu(found, options.device)
    device = gpu["device"] if gpu else "cpu"
    try:
        model = options.find_model()
        config = IUINetConfig.from_dict(model.document["network"])
        seconds = _seconds(torch.device(device), config, int(model.document["preprocessing"]["size"]))
    except (IUINetError, KeyError, TypeError, ValueError):
        seconds = None  # a run with this model reports what is wrong with it
    return {device: {} if seconds is None else {model.sha256: seconds}}


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
    net(x)[0].sum().item()  # a GPU has finished only when it can return a number
    return time.perf_counter() - start
