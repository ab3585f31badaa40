"""IUINet's forward pass by operations that have backward passes of their own: the plain path's numbers and
gradients to rounding.

It walks through the modules as the plain path does, but reads every tensor through its operations: statistics
once for all who need them, normalisation and activation in front of the product that reads them, and nothing
joined in memory but in front of a k x 1 x 1 convolution. Who does the operations is handed to it: on the CPU
``gradients``, on a GPU ``network/gpu``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from torch.nn.functional import avg_pool3d, max_pool3d

from ..blocks import DecoderStage, SeparableBlock, ShiftBlock, depth_to_space
from ..dyfc import NEGATIVE_SLOPE, STATISTICS_EPS, DyFC, full_precision
from ..shift import Shift
from . import gradients
from .gradients import Read

__all__ = ["Operations", "learning_logits"]


class Operations(Protocol):
    """What the walk is made of; ``gradients`` says what each does."""

    def moments(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...

    def product(
        self, reads: Sequence[Read], weight: torch.Tensor, bias: torch.Tensor | None, slope: float
    ) -> torch.Tensor: ...

    def normed(self, read: Read, slope: float) -> torch.Tensor: ...

    def shifted(self, read: Read, shift: Shift, slope: float) -> torch.Tensor: ...

    def along_slices(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor: ...


class _Features:
    """A tensor (B, C, H, W, D) with its statistics, which all who read it share, and its operations."""

    def __init__(self, x: torch.Tensor, operations: Operations) -> None:
        self.x, self.operations = x, operations
        self._moments: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance (B, C), in float64."""
        if self._moments is None:
            self._moments = self.operations.moments(self.x)
        return self._moments

    def through(self, norm: nn.Module) -> Read:
        """Read through a norm (InstanceNorm3d, LeakyReLU), or raw through an identity."""
        if isinstance(norm, nn.Identity):
            return Read(self.x)
        mean, variance = self.moments
        scale = norm[0].weight / (variance + norm[0].eps).sqrt()
        return Read(self.x, mean, scale, norm[0].bias.double().expand_as(scale))


def learning_logits(
    net: nn.Module, x: torch.Tensor, operations: Operations = gradients
) -> list[torch.Tensor]:
    """What ``net.plain(x)`` returns. x: (B, 1, H, W, D).

    Raises: UsageError for a size that does not fit the network.

    >>> from iuinet.network import IUINet, IUINetConfig
    >>> net, x = IUINet(IUINetConfig(width=8, size=32)), torch.rand(1, 1, 32, 32, 32)
    >>> torch.allclose(learning_logits(net, x)[0], net.plain(x)[0], atol=1e-2)
    True
    """
    net.config.check_size(tuple(x.shape[2:]))
    fused = _encode(net, _Features(x, operations))
    features = [fused[-1]]
    for stage, skip in reversed(list(zip(net.decoder, fused, strict=False))):
        features.insert(0, _decode(stage, features[0], skip))
    return [_head(head, f) for head, f in zip(net.mapping, features, strict=True)]


def _encode(net: nn.Module, image: _Features) -> list[_Features]:
    """Fused features of every stage, finest first."""
    a, b, fused = [image], [image], []
    for stage, fusion in enumerate(net.fusion):
        for block in net.shift_stream[stage].blocks:
            a = [_shift_block(block, a)]
        for block in net.separable_stream[stage].blocks:
            b = [_separable_block(block, b)]
        fused.append(_dynamic(fusion, [*a, *b]))
        if stage + 1 < net.config.stages:
            image = _like(image, avg_pool3d(image.x, 2))
            a, b = ([_like(f, max_pool3d(f.x, 2)), image] for f in (*a, *b))
    return fused


def _decode(stage: DecoderStage, coarse: _Features, fused: _Features) -> _Features:
    raised = _pointwise(coarse, [coarse.through(stage.upsample.norm)], stage.upsample.expand)
    fine = _like(coarse, depth_to_space(raised.x))
    return _separable_block(stage.refine, [_dynamic(stage.skip, [fine, fused])])


def _head(head: nn.Module, features: _Features) -> torch.Tensor:
    return _dynamic(head, [features]).x if isinstance(head, DyFC) else head(features.x)


def _dynamic(layer: DyFC, inputs: list[_Features]) -> _Features:
    """A DyFC (``dyfc.py``), equations 2 to 6."""
    mean, variance = (torch.cat(parts, 1) for parts in zip(*(f.moments for f in inputs), strict=True))
    with full_precision(mean):
        weight, bias = layer.mixed(layer.attend(mean, (variance + STATISTICS_EPS).sqrt()))
    reads = [f.through(norm) for f, norm in zip(inputs, layer.norms, strict=True)]
    product = inputs[0].operations.product
    return _like(inputs[0], product(reads, weight.transpose(1, 2), bias, NEGATIVE_SLOPE))


def _shift_block(block: ShiftBlock, inputs: list[_Features]) -> _Features:
    expanded = _pointwise(inputs[0], _stage_input(block, inputs), block.expand)
    shifted = expanded.operations.shifted(expanded.through(block.norm), block.shift, NEGATIVE_SLOPE)
    return _dynamic(block.residual, [*inputs, _pointwise(expanded, [Read(shifted)], block.pointwise)])


def _separable_block(block: SeparableBlock, inputs: list[_Features]) -> _Features:
    operations = inputs[0].operations
    parts = [operations.normed(read, NEGATIVE_SLOPE) for read in _stage_input(block, inputs)]
    h = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
    scales = [plane(operations.along_slices(h, line.weight)) for line, plane in block.scales]
    return _dynamic(block.residual, [*inputs, *(_like(inputs[0], scale) for scale in scales)])


def _stage_input(block: ShiftBlock | SeparableBlock, inputs: list[_Features]) -> list[Read]:
    """What a block's convolutions read (``blocks.StageInput``)."""
    if block.input.norm is None:
        return [Read(inputs[0].x)]
    return [inputs[0].through(block.input.norm), *(Read(f.x) for f in inputs[1:])]


def _pointwise(like: _Features, reads: list[Read], convolution: nn.Conv3d) -> _Features:
    """A 1 x 1 x 1 convolution of what is read."""
    weight = convolution.weight.flatten(1).expand(len(reads[0].x), -1, -1)
    return _like(like, like.operations.product(reads, weight, None, NEGATIVE_SLOPE))


def _like(features: _Features, x: torch.Tensor) -> _Features:
    """x with whoever calculates with the features."""
    return _Features(x, features.operations)
