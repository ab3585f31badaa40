"""The learnable 3-D shift (paper, section 3.2; RubiksNet): each channel moves by its own offset.

    y[c, p] = x[c, p + offset_c], trilinear between voxels, zero outside the volume

``shift_reference`` is the definition: along one axis, trilinear interpolation at a constant offset is a
convolution with the hat function around that offset, so a shift is three depthwise convolutions. It works
on any device and dtype, and autograd differentiates it. ``shift_fast`` computes the same with less work.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import conv3d

from .shift_fast import can_shift_fast, shift_fast


def hat_kernel(offset: torch.Tensor, radius: int) -> torch.Tensor:
    """Weights (C, 2 radius + 1) of the taps -radius ... radius for offsets (C,), in voxels.

    Written with ``clamp``: at an integer offset its gradient is x[+1] - x[-1], RubiksNet's rule.

    >>> hat_kernel(torch.tensor([0.25]), radius=1)
    tensor([[0.0000, 0.7500, 0.2500]])
    """
    taps = torch.arange(-radius, radius + 1, device=offset.device, dtype=offset.dtype)
    return (1 - (taps - offset[:, None]).abs()).clamp(min=0)


def _reach(offset: torch.Tensor) -> int:
    """Voxels that a kernel for these offsets must reach to either side; meta tensors hold no numbers."""
    return 2 if offset.is_meta else int(offset.detach().abs().max().ceil()) + 1


def shift_reference(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Shift x (B, C, H, W, D) by offsets (C, 3), voxels along H, W, D; zero outside.

    >>> shift_reference(torch.arange(4.0).reshape(1, 1, 1, 1, 4), torch.tensor([[0, 0, 0.5]])).flatten()
    tensor([0.5000, 1.5000, 2.5000, 1.5000])
    """
    channels = x.shape[1]
    for axis in range(3):
        # Farther than one voxel outside, everything is zero: the clamp only bounds the kernel's length.
        limit = x.shape[2 + axis] + 1
        offset = offsets[:, axis].clamp(-limit, limit)
        radius = _reach(offset)
        shape, padding = [channels, 1, 1, 1, 1], [0, 0, 0]
        shape[2 + axis], padding[axis] = 2 * radius + 1, radius
        kernel = hat_kernel(offset, radius).to(x.dtype).reshape(shape)
        x = conv3d(x, kernel, padding=padding, groups=channels)
    return x


class Shift(nn.Module):
    """Learnable shift of ``channels`` channels; offsets start uniformly in (-1, 1) voxels.

    enabled=False bypasses the operation and keeps the offsets as parameters (ablation of table 4).
    """

    def __init__(self, channels: int, enabled: bool = True) -> None:
        super().__init__()
        self.enabled = enabled
        self.offsets = nn.Parameter(torch.empty(channels, 3).uniform_(-1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W, D) -> the same shape."""
        if not self.enabled:
            return x
        if can_shift_fast(x, self.offsets):
            return shift_fast(x, self.offsets)
        return shift_reference(x, self.offsets)

    def extra_repr(self) -> str:
        return f"channels={self.offsets.shape[0]}, enabled={self.enabled}"
