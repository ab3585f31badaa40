"""The loss: weighted cross-entropy plus Dice over the classes that are there, at four scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, one_hot

SCALES = (1.0, 0.5, 0.25, 0.125)


def deep_loss(
    outputs: Sequence[torch.Tensor], labels: torch.Tensor, class_weights: torch.Tensor, ignore: int
) -> torch.Tensor:
    """Sum of the loss at the first four scales, weighted by SCALES.

    outputs: logits (B, C, H/2^s, ...), finest first. labels: int64 (B, H, W, D), ``ignore`` where unknown.
    Coarser labels are every second voxel's, taken near each coarse voxel's centre.
    """
    total = outputs[0].new_zeros((), dtype=torch.float32)
    for weight, logits in zip(SCALES, outputs, strict=False):
        step = labels.shape[1] // logits.shape[2]
        at = slice(step // 2, None, step)
        total = total + weight * single_loss(logits.float(), labels[:, at, at, at], class_weights, ignore)
    return total


def single_loss(
    logits: torch.Tensor, labels: torch.Tensor, class_weights: torch.Tensor, ignore: int
) -> torch.Tensor:
    """Cross-entropy and Dice of logits (B, C, H, W, D) against labels (B, H, W, D)."""
    known = labels != ignore
    if not known.any():
        return logits.sum() * 0
    entropy = cross_entropy(logits, labels, class_weights, ignore_index=ignore)
    classes = logits.shape[1]
    truth = one_hot(torch.where(known, labels, 0), classes).movedim(-1, 1) * known[:, None]
    chance = torch.softmax(logits, 1) * known[:, None]
    axes = (0, 2, 3, 4)
    overlap, total = (chance * truth).sum(axes), chance.sum(axes) + truth.sum(axes)
    dice = (2 * overlap + 1) / (total + 1)
    present = truth.sum(axes) > 0
    present[0] = False
    return entropy + (1 - dice[present].mean() if present.any() else 0)
