"""Which device the network runs on: a CUDA device that has proved that it works, or the CPU."""

from __future__ import annotations

import torch

from .errors import DeviceError
from .probe import probe


def choose_device(name: str = "auto") -> torch.device:
    """Device for "auto", "cpu", "cuda" or "cuda:N"; auto takes the first CUDA device that works.

    Raises DeviceError if the name is none of these, or the device is absent or does not compute.
    """
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if name != "auto" and (kind != "cuda" or not (number.isdigit() or name == "cuda")):
        raise DeviceError(
            f"{name!r} is no device", hint="Use auto, cpu, cuda, or cuda:N.", code="device-unknown"
        )
    gpus = probe()["gpus"]
    if name == "auto":
        usable = next((gpu["device"] for gpu in gpus if gpu["usable"]), "cpu")
        return torch.device(usable)
    index = int(number or 0)
    if index >= len(gpus):
        raise DeviceError(
            f"the device {name} is not here: {len(gpus)} CUDA devices were found",
            hint="Use the device auto or cpu, or install a CUDA build of PyTorch and a driver.",
            code="device-absent",
        )
    if not gpus[index]["usable"]:
        raise DeviceError(
            f"the device {name} ({gpus[index]['name']}) cannot be used: {gpus[index]['reason']}",
            hint="Update the driver or PyTorch, or use the device cpu.",
            code="device-unusable",
        )
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """The device's name for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
