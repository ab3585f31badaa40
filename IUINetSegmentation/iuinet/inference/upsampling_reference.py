"""What exact labels are: the argmax of the trilinearly upsampled logits, in an arithmetic stated here.

Logits are upsampled along the last axis first and along the first axis last, each time ``a * w0 + b * w1``.
Positions, weights and values are float32, and each operation is rounded by itself. IEEE 754 then leaves
nothing open: every processor and every build of torch returns the same bits. (In torch's own ``interpolate``
it depends on both whether multiplications and additions are fused.)

``plain_labels`` is the dense way: every class at every voxel. The fast way (``upsampling``) does the
same operations where they decide, and equals it in every voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class AxisWeights:
    """Linear interpolation along one axis of n_out voxels: ``x[lower] * w0 + x[upper] * w1``.

    lower, upper: (n_out,) int64, source indices; lower never decreases.
    w0, w1: (n_out,) float32.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    w0: torch.Tensor
    w1: torch.Tensor


def axis_weights(n_in: int, n_out: int) -> AxisWeights:
    """Source indices and weights of an axis: voxels are boxes of equal size, and the outermost are repeated.

    This is the rule of ``interpolate(..., align_corners=False)``.

    >>> axis_weights(2, 4).w1  # at the end, lower and upper are the same voxel
    tensor([0.0000, 0.2500, 0.7500, 0.2500])
    """
    index = torch.arange(n_out)
    if n_in == n_out:
        return AxisWeights(index, index, torch.ones(n_out), torch.zeros(n_out))
    scale = torch.tensor(n_in, dtype=torch.float32) / torch.tensor(n_out, dtype=torch.float32)
    source = (scale * (index.float() + 0.5) - 0.5).clamp(min=0)
    lower = source.long().clamp(max=n_in - 1)
    w1 = (source - lower.float()).clamp(0, 1)
    upper = lower + (lower < n_in - 1).long()
    return AxisWeights(lower, upper, 1 - w1, w1)


def interpolate(a: torch.Tensor, b: torch.Tensor, w0: torch.Tensor, w1: torch.Tensor) -> torch.Tensor:
    """float32 ``a * w0 + b * w1``: three operations, each rounded.

    >>> interpolate(*torch.tensor([2.0, 4.0, 0.75, 0.25]))
    tensor(2.5000)
    """
    return a * w0 + b * w1


def upsample(values: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Dense trilinear upsampling: float32 (H, W, D) -> float32 of shape ``size``.

    >>> upsample(torch.tensor([[[0.0, 4.0]]]), (1, 1, 4))
    tensor([[[0., 1., 3., 4.]]])
    """
    for axis in (2, 1, 0):
        weights = axis_weights(values.shape[axis], size[axis])
        along = [1, 1, 1]
        along[axis] = -1
        lower, upper = values.index_select(axis, weights.lower), values.index_select(axis, weights.upper)
        values = interpolate(lower, upper, weights.w0.view(along), weights.w1.view(along))
    return values


def plain_labels(logits: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Exact labels by the shortest code: logits (C, H, W, D) -> uint8 labels of shape ``size``.

    A voxel gets the class with the highest upsampled logit, the lowest of several.

    >>> logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).reshape(2, 1, 1, 2)
    >>> plain_labels(logits, (1, 1, 6))
    tensor([[[1, 1, 1, 0, 0, 0]]], dtype=torch.uint8)
    """
    best = torch.full(size, -torch.inf)
    labels = torch.zeros(size, dtype=torch.uint8)
    for label, logit in enumerate(logits.detach().float().cpu()):
        value = upsample(logit, size)
        labels.masked_fill_(value > best, label)
        torch.maximum(best, value, out=best)
    return labels
