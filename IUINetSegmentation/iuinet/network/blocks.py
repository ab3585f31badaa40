"""The building blocks: Shift_Block, SAMC and Conv module, sub-pixel upsampling, and the stages made of them
(network of figure 2).

All are pre-activation: a block normalises what it reads and returns raw features. A block's input is a
list: features first, then, where a stage begins, the image at that resolution, which is never normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .dyfc import DyFC, NormActivation
from .shift import Shift


class StageInput(nn.Module):
    """Normalises the features of a block's input, leaves the image as it is, and joins both."""

    def __init__(self, features: int, image: int) -> None:
        super().__init__()
        self.channels = [channels for channels in (features, image) if channels]
        self.raw = [len(self.channels) - 1] if image else []
        self.norm = NormActivation(features) if features else None

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """[(B, C, H, W, D), (B, 1, H, W, D)] -> (B, C + 1, H, W, D)."""
        if self.norm is None:
            return inputs[0]
        return torch.cat([self.norm(inputs[0]), *inputs[1:]], 1)


class ShiftBlock(nn.Module):
    """Shift_Block (section 3.2): convolution, learnable shift, pointwise convolution, DyFC as residual."""

    def __init__(self, features: int, image: int, out: int, basis: int, shift: bool) -> None:
        super().__init__()
        self.input = StageInput(features, image)
        self.expand = nn.Conv3d(features + image, out, 1, bias=False)
        self.norm = NormActivation(out)
        self.shift = Shift(out, enabled=shift)
        self.pointwise = nn.Conv3d(out, out, 1, bias=False)
        self.residual = DyFC([*self.input.channels, out], out, basis, raw=self.input.raw)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """List of (B, C_i, H, W, D) -> (B, out, H, W, D)."""
        h = self.expand(self.input(inputs))
        h = self.pointwise(self.shift(self.norm(h)))
        return self.residual(*inputs, h)


class SeparableBlock(nn.Module):
    """SAMC (section 3.3): each k^3 kernel split in k x 1 x 1 (slice axis) and 1 x k x k (plane), for several
    k, fused with the residual by DyFC. With one kernel at full width it is the decoder's Conv module."""

    def __init__(self, features: int, image: int, out: int, kernels: Sequence[int], basis: int) -> None:
        super().__init__()
        self.input = StageInput(features, image)
        share = out // len(kernels)
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(features + image, share, (k, 1, 1), padding=(k // 2, 0, 0), bias=False),
                nn.Conv3d(share, share, (1, k, k), padding=(0, k // 2, k // 2), bias=False),
            )
            for k in kernels
        )
        self.residual = DyFC([*self.input.channels, *[share] * len(kernels)], out, basis, raw=self.input.raw)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """List of (B, C_i, H, W, D) -> (B, out, H, W, D)."""
        h = self.input(inputs)
        return self.residual(*inputs, *[scale(h) for scale in self.scales])


class SubpixelUpsampling(nn.Module):
    """Doubles the resolution and halves the channels: a 1 x 1 x 1 convolution, then depth to space.

    Equal to a transposed convolution of kernel and stride 2, but every complexity counter reads it alike.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = NormActivation(channels)
        self.expand = nn.Conv3d(channels, 4 * channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W, D) -> (B, C / 2, 2 H, 2 W, 2 D)."""
        return depth_to_space(self.expand(self.norm(x)))


def depth_to_space(x: torch.Tensor) -> torch.Tensor:
    """(B, 8 M, H, W, D) -> (B, M, 2 H, 2 W, 2 D).

    >>> depth_to_space(torch.arange(8.0).reshape(1, 8, 1, 1, 1))[0, 0, 1]
    tensor([[4., 5.],
            [6., 7.]])
    """
    batch, channels, h, w, d = x.shape
    x = x.reshape(batch, channels // 8, 2, 2, 2, h, w, d)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels // 8, 2 * h, 2 * w, 2 * d)


class EncoderStage(nn.Module):
    """One resolution of one stream: a first block that also reads the image, then further blocks."""

    def __init__(self, first: nn.Module, rest: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([first, *rest])

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """[features (B, C, H, W, D), image (B, 1, H, W, D)], at the first stage the image alone."""
        for block in self.blocks:
            inputs = [block(inputs)]
        return inputs[0]


class DecoderStage(nn.Module):
    """Upsamples the coarser features, joins them with the skip layer's by DyFC, refines them."""

    def __init__(self, channels: int, basis: int) -> None:
        super().__init__()
        self.upsample = SubpixelUpsampling(2 * channels)
        self.skip = DyFC([channels, channels], channels, basis)
        self.refine = SeparableBlock(channels, 0, channels, (3,), basis)

    def forward(self, coarse: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
        """(B, 2 C, H/2, W/2, D/2), (B, C, H, W, D) -> (B, C, H, W, D)."""
        return self.refine([self.skip(self.upsample(coarse), fused)])
