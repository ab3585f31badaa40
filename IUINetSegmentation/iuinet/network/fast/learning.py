"""IUINet's forward pass in a training on the CPU: the plain path's numbers and gradients to rounding.

It walks through the modules as the plain path does, but reads every tensor through ``gradients``: statistics
once for all who need them, normalisation and activation in front of the product that reads them, and nothing
joined in memory but in front of a k x 1 x 1 convolution.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool3d, max_pool3d

from ..blocks import DecoderStage, SeparableBlock, ShiftBlock, depth_to_space
from ..dyfc import NEGATIVE_SLOPE, STATISTICS_EPS, DyFC
from . import gradients
from .gradients import Read, along_slices

__all__ = ["learning_logits"]


class _Features:
    """A tensor (B, C, H, W, D) with its statistics, which all who read it share."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x
        self._moments: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance (B, C), in float64."""
        if self._moments is None:
            self._moments = gradients.moments(self.x)
        return self._moments

    def through(self, norm: nn.Module) -> Read:
        """Read through a norm (InstanceNorm3d, LeakyReLU), or raw through an identity."""
        if isinstance(norm, nn.Identity):
            return Read(self.x)
        mean, variance = self.moments
        scale = norm[0].weight / (variance + norm[0].eps).sqrt()
        return Read(self.x, mean, scale, norm[0].bias.double().expand_as(scale))


def learning_logits(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What ``net.plain(x)`` returns. x: (B, 1, H, W, D).

    Raises: UsageError for a size that does not fit the network.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> net, x = IUINet(IUINetConfig(width=8, size=32)), torch.rand(1, 1, 32, 32, 32)
    >>> torch.allclose(learning_logits(net, x)[0], net.plain(x)[0], atol=1e-2)
    True
    """
    net.config.check_size(tuple(x.shape[2:]))
    fused = _encode(net, x)
    features = [fused[-1]]
    for stage, skip in reversed(list(zip(net.decoder, fused, strict=False))):
        features.insert(0, _decode(stage, features[0], skip))
    return [_head(head, f) for head, f in zip(net.mapping, features, strict=True)]


def _encode(net: nn.Module, x: torch.Tensor) -> list[_Features]:
    """Fused features of every stage, finest first."""
    image = _Features(x)
    a, b, fused = [image], [image], []
    for stage, fusion in enumerate(net.fusion):
        for block in net.shift_stream[stage].blocks:
            a = [_shift_block(block, a)]
        for block in net.separable_stream[stage].blocks:
            b = [_separable_block(block, b)]
        fused.append(_dynamic(fusion, [*a, *b]))
        if stage + 1 < net.config.stages:
            image = _Features(avg_pool3d(image.x, 2))
            a, b = ([_Features(max_pool3d(f.x, 2)), image] for f in (*a, *b))
    return fused


def _decode(stage: DecoderStage, coarse: _Features, fused: _Features) -> _Features:
    raised = _pointwise([coarse.through(stage.upsample.norm)], stage.upsample.expand)
    fine = _Features(depth_to_space(raised))
    return _separable_block(stage.refine, [_dynamic(stage.skip, [fine, fused])])


def _head(head: nn.Module, features: _Features) -> torch.Tensor:
    return _dynamic(head, [features]).x if isinstance(head, DyFC) else head(features.x)


def _dynamic(layer: DyFC, inputs: list[_Features]) -> _Features:
    """A DyFC (``dyfc.py``), equations 2 to 6."""
    mean, variance = (torch.cat(parts, 1) for parts in zip(*(f.moments for f in inputs), strict=True))
    weight, bias = layer.mixed(layer.attend(mean, (variance + STATISTICS_EPS).sqrt()))
    reads = [f.through(norm) for f, norm in zip(inputs, layer.norms, strict=True)]
    return _Features(gradients.product(reads, weight.transpose(1, 2), bias, NEGATIVE_SLOPE))


def _shift_block(block: ShiftBlock, inputs: list[_Features]) -> _Features:
    expanded = _Features(_pointwise(_stage_input(block, inputs), block.expand))
    shifted = block.shift(gradients.normed(expanded.through(block.norm), NEGATIVE_SLOPE))
    return _dynamic(block.residual, [*inputs, _Features(_pointwise([Read(shifted)], block.pointwise))])


def _separable_block(block: SeparableBlock, inputs: list[_Features]) -> _Features:
    parts = [gradients.normed(read, NEGATIVE_SLOPE) for read in _stage_input(block, inputs)]
    h = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
    scales = [_Features(plane(along_slices(h, line.weight))) for line, plane in block.scales]
    return _dynamic(block.residual, [*inputs, *scales])


def _stage_input(block: ShiftBlock | SeparableBlock, inputs: list[_Features]) -> list[Read]:
    """What a block's convolutions read (``blocks.StageInput``)."""
    if block.input.norm is None:
        return [Read(inputs[0].x)]
    return [inputs[0].through(block.input.norm), *(Read(f.x) for f in inputs[1:])]


def _pointwise(reads: list[Read], convolution: nn.Conv3d) -> torch.Tensor:
    """A 1 x 1 x 1 convolution of what is read."""
    weight = convolution.weight.flatten(1).expand(len(reads[0].x), -1, -1)
    return gradients.product(reads, weight, None, NEGATIVE_SLOPE)
