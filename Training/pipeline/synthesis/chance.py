"""The random draws of one synthetic scan, all from one seeded generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import interpolate


class Chance:
    """Numbers and smooth noise from one seed; the same seed makes the same scan."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(int(seed))

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def normal(self, deviation: float) -> float:
        """A normal number of mean 0."""
        return deviation * float(torch.randn((), generator=self.generator))

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform(0, 1) < probability

    def choose(self, weights: Sequence[float]) -> int:
        """An index, drawn by weight."""
        return int(torch.multinomial(torch.tensor(weights), 1, generator=self.generator))

    def normals(self, *shape: int) -> torch.Tensor:
        """White noise, standard deviation 1."""
        return torch.randn(shape, generator=self.generator)

    def noise(self, nodes: Sequence[int], size: Sequence[int], channels: int = 1) -> torch.Tensor:
        """(channels, *size): white noise at the nodes, trilinear between them."""
        field = self.normals(1, channels, *(max(2, int(n)) for n in nodes))
        return interpolate(field, size=tuple(size), mode="trilinear", align_corners=True)[0]
