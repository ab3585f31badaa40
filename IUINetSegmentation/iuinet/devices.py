"""Which device the network runs on: a GPU that has proved that it works, or the CPU; and what else is here.

torch is imported inside the functions, so that the rest of the library can import this file without it.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from typing import TYPE_CHECKING, Any

from .errors import DeviceError, IUINetError
from .requirements import requirement, torch_will_do

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """Device for "auto", "cpu", "cuda", "cuda:N" or "mps" (Apple's GPU); auto takes the first GPU that works.

    Raises: DeviceError for another name, and for a device that is absent or does not compute.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    import torch

    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    cuda = kind == "cuda" and (number.isdigit() or name == "cuda")
    if name not in ("auto", "mps") and not cuda:
        raise DeviceError(
            f"{name!r} is not a device", hint="Use auto, cpu, cuda, cuda:N or mps.", code="device-unknown"
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
            hint=gpu["advice"] or "Update the driver or PyTorch, or use the device cpu.",
            code="device-unusable",
        )
    return torch.device(wanted)


def _here(gpus: list[dict]) -> str:
    return ", ".join(gpu["device"] for gpu in gpus) + " were found" if gpus else "no GPU was found"


def unusable_gpus() -> list[str]:
    """A sentence for each GPU that is here and does not compute.

    >>> unusable_gpus()  # doctest: +SKIP
    ['Tesla K40 cannot be used (a test calculation gave a wrong result): the CPU is used instead.']
    """
    return [
        f"{gpu['name'] or gpu['device']} cannot be used ({gpu['reason']}): the CPU is used instead."
        for gpu in probe()["gpus"]
        if not gpu["usable"]
    ]


def device_name(device: torch.device) -> str:
    """The device's name for people; it stays the same after the device has failed.

    >>> import torch
    >>> device_name(torch.device("cpu"))
    'cpu'
    """
    if device.type == "mps":
        return APPLE_NAME
    if device.type != "cuda":
        return device.type
    import torch

    try:
        return torch.cuda.get_device_name(device)
    except RuntimeError:
        return str(device)


# What this computer offers ----------------------------------------------------------------------------


APPLE_NAME = "Apple GPU"
_CHECK_EDGE = 32  # voxels, of the cube of the self check
# Of the largest logit. Two correct devices differ by rounding, some 1e-6 after so many layers.
_TOLERANCE = 1e-3
_WRONG = "a test calculation gave a wrong result"
_INSTALL = f"Install {' '.join(requirement().packages)} for this Python."
# The oldest NVIDIA driver with which a PyTorch that is asked for can use a GPU (CUDA 12).
_OLDEST_DRIVER = {"Linux": 525, "Windows": 528}


def require_torch() -> None:
    """Import torch, or refuse in plain words.

    Raises: IUINetError "torch-missing", "torch-broken", "torch-too-old".

    >>> require_torch()
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise _broken(error) from error
        raise IUINetError("PyTorch is not installed", code="torch-missing", hint=_INSTALL) from error
    except Exception as error:  # a damaged installation fails in many ways (DLLs, symbols, files)
        raise _broken(error) from error
    if not torch_will_do(torch.__version__):
        raise IUINetError(f"PyTorch {torch.__version__} is too old", code="torch-too-old", hint=_INSTALL)


def _broken(error: Exception) -> IUINetError:
    reason = " ".join(str(error).split())[:200]
    return IUINetError(
        f"PyTorch is installed but does not start: {type(error).__name__}: {reason}",
        code="torch-broken",
        hint="Install PyTorch again.",
    )


def cpu_count() -> int:
    """Cores that this process may use.

    >>> cpu_count() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def probe() -> dict[str, Any]:
    """What there is, in JSON's types: torch's version, processor threads, and every GPU.

    A GPU that is not usable has a reason, and where there is one an advice, a sentence.
    A GPU counts as usable only after it has really done a small 3-D convolution: a driver that is too old,
    or a build without code for this GPU, shows only then. Apple's, whose 3-D operations are young, must
    return a whole network's numbers as the CPU does.
    Raises: IUINetError as require_torch does.

    >>> sorted(probe())
    ['cpu', 'cuda', 'gpus', 'torch']
    """
    require_torch()
    import torch

    # device_count lists also the GPUs that a driver too old for this torch cannot open.
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cpu": {"cores": cpu_count(), "threads": torch.get_num_threads()},
        "gpus": [
            *(_probe_cuda(index) for index in range(torch.cuda.device_count())),
            *_probe_apple(),
            *_beside_cpu_build(),
        ],
    }


def chosen_gpu(found: dict[str, Any], device: str) -> dict[str, Any] | None:
    """The GPU that a run on this device would take, None for the CPU.

    found: what ``probe`` returned. device: "auto" takes the first GPU that works.

    >>> gpus = [{"device": "cuda:0", "usable": False}, {"device": "cuda:1", "usable": True}]
    >>> chosen_gpu({"gpus": gpus}, "auto")["device"]
    'cuda:1'
    """
    usable = [gpu for gpu in found.get("gpus", []) if gpu["usable"] and device in ("auto", gpu["device"])]
    return usable[0] if usable else None


def _reason(error: Exception) -> tuple[str, str]:
    """Why a GPU failed, in few words, torch's own sentence where there are none; and what to do about it."""
    import torch

    text = " ".join(str(error).split())
    old = re.search(r"driver on your system is too old \(found version (\d+)\)", text)
    if old is None:
        return text[:200], ""
    version = int(old.group(1))  # 11040 is CUDA 11.4
    has = f"{version // 1000}.{version % 1000 // 10}"
    reason = f"its driver is too old: it has CUDA {has}, PyTorch needs {torch.version.cuda}"
    return reason, "Update the NVIDIA driver to use it."


def _probe_cuda(index: int) -> dict[str, Any]:
    """Name, free and total memory in bytes, whether it works, and if not, why."""
    import torch

    gpu = _unknown(f"cuda:{index}", "")
    try:
        gpu["name"] = torch.cuda.get_device_name(index)
        gpu["free"], gpu["total"] = torch.cuda.mem_get_info(index)
        with torch.no_grad():
            device = torch.device("cuda", index)
            # Small whole numbers, so that any correct GPU returns exactly 27.
            found = torch.nn.functional.conv3d(
                torch.ones(1, 1, 5, 5, 5, device=device), torch.ones(1, 1, 3, 3, 3, device=device)
            )
            gpu["usable"] = bool((found == 27).all())
        gpu["reason"] = "" if gpu["usable"] else _WRONG
    except Exception as error:  # drivers fail in many ways, and none may stop the probe
        gpu["reason"], gpu["advice"] = _reason(error)
    return gpu


def _probe_apple() -> list[dict[str, Any]]:
    """Apple's GPU in a list, where there is one."""
    import torch

    if not torch.backends.mps.is_available():
        return []
    gpu = _unknown("mps", APPLE_NAME)
    try:
        # First, since a PyTorch without 3-D convolutions for it cannot tell its memory either.
        usable = _agrees_with_cpu(torch.device("mps"))
        gpu["total"] = torch.mps.recommended_max_memory()
        gpu["free"] = gpu["total"] - torch.mps.driver_allocated_memory()
        gpu["usable"], gpu["reason"] = usable, "" if usable else _WRONG
    except Exception as error:  # as above
        gpu["reason"], gpu["advice"] = _reason(error)
    return [gpu]


def _beside_cpu_build() -> list[dict[str, Any]]:
    """The NVIDIA GPUs that a PyTorch for the CPU alone leaves unused: torch itself does not see them."""
    import torch

    if torch.version.cuda or torch.version.hip or torch.cuda.device_count():
        return []
    return [_unused(index, *gpu) for index, gpu in enumerate(_nvidia_gpus())]


def _nvidia_gpus() -> list[tuple[str, str]]:
    """Name and driver version of each GPU, as the driver's own program tells; none where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=5.0,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    lines = [line.rpartition(",") for line in told.stdout.splitlines()]
    return [(name.strip(), driver.strip()) for name, _, driver in lines if name.strip()]


def _unused(index: int, name: str, driver: str) -> dict[str, Any]:
    gpu = _unknown(f"cuda:{index}", name)
    gpu["reason"] = "PyTorch here is a CPU build"
    gpu["advice"] = "Install a build of PyTorch for CUDA to use it, in Slicer by the module PyTorch Utils."
    oldest, has = _OLDEST_DRIVER.get(platform.system(), 0), re.match(r"\d+", driver)
    if has and int(has.group()) < oldest:
        gpu["reason"] += f", and the driver {driver} is too old for any other"
        gpu["advice"] = f"Update the NVIDIA driver to {oldest} or newer first. {gpu['advice']}"
    return gpu


def _agrees_with_cpu(device: torch.device) -> bool:
    """Whether a small network returns the same logits on the device as on the CPU, to rounding."""
    import torch

    from .network import PRESETS, IUINet

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        net, x = IUINet(PRESETS["tiny"]).eval(), torch.rand(1, 1, *[_CHECK_EDGE] * 3)
        expected = net(x)[0]
        found = net.to(device)(x.to(device))[0].cpu()
        # A comparison with NaN is false.
        return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def _unknown(device: str, name: str) -> dict[str, Any]:
    gpu = {"device": device, "name": name, "free": 0, "total": 0, "usable": False}
    return gpu | {"reason": "", "advice": ""}
