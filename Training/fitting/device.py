"""The device of a training: a CUDA GPU that works, or the CPU."""

from __future__ import annotations

import torch

from iuinet.devices import choose_device
from iuinet.errors import UsageError


def training_device(name: str = "auto") -> torch.device:
    """Device for "auto", "cpu", "cuda" or "cuda:N"; auto takes the first CUDA GPU that works.

    Apple's GPU segments but does not train: gradients are added up in float64, which it lacks.
    Raises DeviceError as ``choose_device``, UsageError "device-training" for "mps".
    """
    if name == "mps":
        raise UsageError(
            "Apple's GPU (mps) cannot train: it has no float64, in which gradients are added up",
            hint="Use the device cpu here, or a computer with a CUDA GPU.",
            code="device-training",
        )
    device = choose_device(name)
    return torch.device("cpu") if device.type == "mps" else device
