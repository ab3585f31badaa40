"""Which device the network runs on: a GPU that has proved that it works, or the CPU."""

from __future__ import annotations

import torch

from .errors import DeviceError
from .probe import APPLE_NAME, chosen_gpu, probe


def choose_device(name: str = "auto") -> torch.device:
    """Device for "auto", "cpu", "cuda", "cuda:N" or "mps" (Apple's GPU); auto takes the first GPU that works.

    Raises DeviceError if the name is none of these, or the device is absent or does not compute.
    """
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    cuda = kind == "cuda" and (number.isdigit() or name == "cuda")
    if name not in ("auto", "mps") and not cuda:
        raise DeviceError(
            f"{name!r} is no device", hint="Use auto, cpu, cuda, cuda:N or mps.", code="device-unknown"
        )
    found = probe()
    if name == "auto":
        gpu = chosen_gpu(found, name)
        return torch.device(gpu["device"] if gpu else "cpu")
    gpus = found["gpus"]
    wanted = f"cuda:{int(number or 0)}" if cuda else name
    gpu = next((gpu for gpu in gpus if gpu["device"] == wanted), None)
    if gpu is None:
        raise DeviceError(
            f"the device {name} is not here: {_here(gpus)}",
            hint="Use the device auto or cpu, or install a build of PyTorch for it and a driver.",
            code="device-absent",
        )
    if not gpu["usable"]:
        raise DeviceError(
            f"the device {name} ({gpu['name']}) cannot be used: {gpu['reason']}",
            hint="Update the driver or PyTorch, or use the device cpu.",
            code="device-unusable",
        )
    return torch.device(wanted)


def _here(gpus: list[dict]) -> str:
    return ", ".join(gpu["device"] for gpu in gpus) + " were found" if gpus else "no GPU was found"


def unusable_gpus() -> list[str]:
    """A sentence for each GPU that is here and does not compute."""
    return [
        f"{gpu['name'] or gpu['device']} cannot be used ({gpu['reason']}): the CPU is used instead."
        for gpu in probe()["gpus"]
        if not gpu["usable"]
    ]


def device_name(device: torch.device) -> str:
    """The device's name for people; it stays the same after the device has failed."""
    if device.type == "mps":
        return APPLE_NAME
    if device.type != "cuda":
        return device.type
    try:
        return torch.cuda.get_device_name(device)
    except RuntimeError:
        return str(device)
