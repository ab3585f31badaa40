"""What the fast path hands from layer to layer: one sample's channels, slices first, with their statistics.

A slice is cut into a few tiles of whole rows, and of each the channels lie together: (H, tiles, C, voxels).
So a tile is a matrix that a product reads and writes in one piece of memory, small enough for the cache.
Mean and deviation are taken from each piece while it is still in the processor's cache, once, for everybody
who reads the features: their normalisations and the attention of every DyFC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import leaky_relu_

# A variance as a difference of squares loses digits where the mean is far larger than the deviation.
LARGEST_MEAN = 30.0  # mean^2 / variance; beyond, the variance is taken again, around the mean
_TILE = 2048  # voxels of a tile: 64 channels of it are half of a usual second-level cache


def tile_rows(size: tuple[int, int, int]) -> int:
    """Rows of a plane in a tile: an even divisor of the plane's, as pooling and upsampling need, or all.

    >>> tile_rows((128, 128, 128))
    16
    """
    width, depth = size[1:]
    most = _TILE // depth
    return max((rows for rows in range(2, most + 1, 2) if width % rows == 0), default=width)


class Features:
    """Channels of one sample, and what is known of them.

    data: (H, tiles, C, voxels) float32. size: (H, W, D) in voxels. tiled: False for a tile per slice.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int, int],
        data: torch.Tensor | None = None,
        tiled: bool = True,
    ) -> None:
        self.size, self._tile = size, tile_rows(size) * size[2]
        voxels = self._tile if tiled else size[1] * size[2]
        shape = size[0], size[1] * size[2] // voxels, channels, voxels
        self.data = torch.empty(shape) if data is None else data
        self._pieces: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor, int]] = {}
        self._moments: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.data.shape[2]

    def tiles(self, number: int) -> Sequence[torch.Tensor]:
        """A slice's voxels, tile by tile (C, n), also where they are not kept so."""
        part = self.data[number]
        return part.unbind(0) if len(part) > 1 else part[0].split(self._tile, 1)

    def record(self, piece: torch.Tensor, number: int, tile: int = 0) -> None:
        """Take the statistics of some voxels of every channel, (C, n), just written into ``data``.

        Slice and tile give the pieces an order that does not depend on which thread was first.
        """
        self._pieces[number, tile] = piece.sum(1), torch.linalg.vector_norm(piece, dim=1), piece.shape[1]

    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance over all voxels, both (C,) in float64; every piece must have been recorded."""
        if self._moments is None:
            if not self._pieces:
                for number, part in enumerate(self.data.flatten(0, 1)):
                    self.record(part, number)
            sums, norms, voxels = zip(*(piece for _, piece in sorted(self._pieces.items())), strict=True)
            counts = torch.tensor(voxels, dtype=torch.float64)[:, None]
            means = torch.stack(sums).double() / counts
            inside = torch.stack(norms).double().square() - counts * means.square()
            mean = (counts * means).sum(0) / counts.sum()
            between = (counts * (means - mean).square()).sum(0)
            variance = (inside.sum(0) + between).clamp(min=0) / counts.sum()
            if bool((mean.square() > LARGEST_MEAN * variance).any()):
                mean, variance = self._around(mean)
            self._moments = mean, variance
        return self._moments

    def _around(self, centre: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance from the differences to a value near the mean."""
        near = centre.float()[:, None]
        first, second = torch.zeros_like(centre), torch.zeros_like(centre)
        for part in self.data.flatten(0, 1):
            difference = part - near
            first += difference.sum(1, dtype=torch.float64)
            second += torch.linalg.vector_norm(difference, dim=1).double().square()
        voxels = self.data[:, :, 0].numel()
        step = first / voxels
        return near[:, 0].double() + step, (second / voxels - step.square()).clamp(min=0)


@dataclass(frozen=True)
class Source:
    """What a layer reads: features, normalised and activated on the way by scale and shift (C, 1), or raw."""

    features: Features
    scale: torch.Tensor | None = None
    shift: torch.Tensor | None = None
    slope: float = 0.0

    @classmethod
    def normed(cls, features: Features, norms: Sequence[nn.Sequential]) -> Source:
        """Read through norms (InstanceNorm3d, LeakyReLU), each over its share of the channels."""
        mean, variance = features.moments()
        weight = torch.cat([norm[0].weight for norm in norms]).double()
        bias = torch.cat([norm[0].bias for norm in norms]).double()
        scale = weight / (variance + norms[0][0].eps).sqrt()
        shift = bias - mean * scale
        return cls(features, scale.float()[:, None], shift.float()[:, None], norms[0][1].negative_slope)

    @classmethod
    def expanded(cls, image: Features, weight: torch.Tensor, norm: nn.Sequential) -> Source:
        """Read weight (C, 1) times an image of one channel through a norm, without writing it to memory."""
        mean, variance = image.moments()
        factor = weight[:, 0].double()
        scale = norm[0].weight.double() / (factor.square() * variance + norm[0].eps).sqrt()
        shift = norm[0].bias.double() - factor * mean * scale
        return cls(image, (factor * scale).float()[:, None], shift.float()[:, None], norm[1].negative_slope)

    @property
    def channels(self) -> int:
        """Channels of what is read."""
        return self.features.channels if self.scale is None else self.scale.shape[0]

    def into(self, buffer: torch.Tensor, raw: torch.Tensor) -> None:
        """Write what is read of these voxels of the features (C, n) into a buffer (channels, n)."""
        if self.scale is None:
            buffer.copy_(raw)
        else:
            torch.mul(raw, self.scale, out=buffer)
            leaky_relu_(buffer.add_(self.shift), self.slope)


def read(sources: Sequence[Source], raw: Sequence[torch.Tensor], buffer: torch.Tensor) -> None:
    """Write what sources hold of their voxels ``raw`` below each other into the first rows of a buffer.

    >>> image, buffer = Features(1, (2, 2, 2), torch.ones(2, 1, 1, 4)), torch.zeros(2, 4)
    >>> read([Source(image), Source(image)], [image.data[0, 0], 3 * image.data[0, 0]], buffer)
    >>> buffer[:, 0]
    tensor([1., 3.])
    """
    start = 0
    for source, voxels in zip(sources, raw, strict=True):
        source.into(buffer[start : start + source.channels], voxels)
        start += source.channels
