"""Random changes of training samples, in torch, on whatever device the samples are.

    image, labels = augment(image, labels, size=128, settings=Augmentation(), seed=7)

A function of its arguments. Left and right are never mirrored: the liver is on one side.
"""

from __future__ import annotations

import torch

from .intensity import change_intensities
from .settings import Augmentation
from .spatial import draw_motion, identity_motion, resample

__all__ = ["Augmentation", "augment"]


def augment(
    image: torch.Tensor,
    labels: torch.Tensor,
    size: int,
    settings: Augmentation,
    seed: int,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> tuple[torch.Tensor, torch.Tensor]:
    """A changed sample: image float32 HU and labels uint8, both (size, size, size).

    image: HU, any float type, (S, S, S) in canonical axes. labels: uint8, the same shape; 255 is unknown.
    spacing: of those voxels in mm, so that a turned body keeps its shape. Numbers are drawn on the CPU: a
    seed means the same on every device.
    """
    image = image.float()
    chance = torch.Generator().manual_seed(seed)
    extent = tuple(n * step for n, step in zip(image.shape, spacing, strict=True))
    motion = draw_motion(settings, extent, chance)
    if motion is None:
        if tuple(image.shape) == (size,) * 3:
            return change_intensities(image, settings, chance), labels
        motion = identity_motion(extent)
    image, labels = resample(image, labels, size, motion, extent)
    return change_intensities(image, settings, chance), labels
