"""IUINet on a CUDA GPU by kernels of its own, with gradients and without: the plain path's numbers to
rounding.

The walk is the one of a training on the CPU (``fast/learning.py``); here are its operations. Triton, which
PyTorch brings along on Linux, compiles the kernels on the computer where they run: it may be absent, find no
C compiler, or know nothing of this GPU. Once for each device and type ``check`` lets the kernels prove that
they are right and worth it; else the plain path does everything, and ``why_not`` says why.

They have not run on a GPU yet, so they are used only where the environment variable IUINET_GPU_KERNELS is 1.
"""

from __future__ import annotations

import os

import torch
from torch import nn

from ..fast import calculated_type, knows, learning_logits
from .check import refusal

__all__ = ["can_fuse", "fused_logits", "why_not"]

_ASKED = "IUINET_GPU_KERNELS"
_KERNELS = 2  # scales of a block: with its features and its image they are the four reads of one product
_REFUSALS: dict[tuple[torch.device, torch.dtype], str] = {}


def can_fuse(net: nn.Module, x: torch.Tensor) -> bool:
    """Whether ``fused_logits`` shall stand for ``net(x)``: asked for, float32 on a CUDA GPU, autocast or not.

    The first call for a device and type takes as long as the check and the compiler; they are not called
    while a CUDA graph is recorded.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> can_fuse(IUINet(IUINetConfig(width=4, size=32)), torch.zeros(1, 1, 32, 32, 32))  # on the CPU
    False
    """
    if x.device.type != "cuda" or os.environ.get(_ASKED) != "1":
        return False
    if not knows(net) or len(net.config.kernels) > _KERNELS:
        return False
    if any(t.device != x.device or t.dtype != torch.float32 for t in (x, *net.parameters())):
        return False
    place = x.device, calculated_type(x)
    if place not in _REFUSALS:
        if torch.cuda.is_current_stream_capturing():
            return False
        try:
            _REFUSALS[place] = refusal(*place, type(net), net.config)
        except torch.cuda.OutOfMemoryError:
            return False  # another time there may be more
    return not _REFUSALS[place]


def why_not() -> dict[str, str]:
    """For each device and type that was checked why its kernels are not used, "" where they are.

    >>> why_not()
    {}
    """
    return {f"{device} {kind}": reason for (device, kind), reason in _REFUSALS.items()}


def fused_logits(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What ``net.plain(x)`` returns, where ``can_fuse``. Features are stored in the type of autocast.

    x: (B, 1, H, W, D). Raises: UsageError for a size that does not fit the network.

    >>> from iuinet.network import IUINet, PRESETS
    >>> net = IUINet(PRESETS["tiny"]).cuda()  # doctest: +SKIP
    >>> fused_logits(net, torch.rand(1, 1, 128, 128, 128, device="cuda"))[0].shape  # doctest: +SKIP
    torch.Size([1, 14, 128, 128, 128])
    """
    from .operations import GPU

    with torch.cuda.device_of(x):
        return learning_logits(net, x, GPU(calculated_type(x)))
