"""Separable convolutions: k x 1 x 1 as one product over k neighbouring slices, 1 x k x k plane by plane.

The normalised slices that the products need are kept in a window that wanders through the volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn.functional import conv2d

from .features import Features, Source, read
from .threads import Advance, over_slices

_WINDOW = 2**23  # bytes of normalised slices that are added to the window at once


def separable(sources: Sequence[Source], scales: Sequence[nn.Sequential], advance: Advance) -> Features:
    """All scales (k x 1 x 1, then 1 x k x k) of what the sources hold, one below the other.

    >>> scale = nn.Sequential(nn.Conv3d(1, 2, (3, 1, 1), padding=(1, 0, 0), bias=False),
    ...                       nn.Conv3d(2, 2, (1, 3, 3), padding=(0, 1, 1), bias=False))
    >>> x = torch.rand(1, 1, 4, 4, 4)
    >>> with torch.no_grad():
    ...     y = separable([Source(Features(1, (4, 4, 4), x.view(4, 1, 1, 16)))], [scale], lambda macs: None)
    ...     torch.allclose(y.data[:, 0].transpose(0, 1).reshape(1, 2, 4, 4, 4), scale(x), atol=1e-5)
    True
    """
    size = sources[0].features.size
    height, voxels = size[0], size[1] * size[2]
    rows = sum(source.channels for source in sources)
    radius = max(scale[0].kernel_size[0] for scale in scales) // 2
    out = Features(sum(scale[1].out_channels for scale in scales), size)
    tiles, length = out.data.shape[1], out.data.shape[3]
    weights = [scale[0].weight[..., 0, 0].transpose(1, 2).flatten(1).contiguous() for scale in scales]
    work = sum(convolution.weight.numel() for scale in scales for convolution in scale)

    def part(begin: int, end: int) -> Iterator[int]:
        step = min(end - begin, max(2 * radius, _WINDOW // (4 * max(rows, out.channels) * voxels), 1))
        # Of each tile the slices first - radius ... first + step + radius lie together.
        window = torch.zeros(tiles, step + 2 * radius, rows, length)
        filled = begin - radius
        for first in range(begin, end, step):
            if first > begin:
                window[:, : 2 * radius] = window[:, step:]
            last = min(first + step, end)
            for number in range(filled, last + radius):
                _fill(window[:, number - first + radius], sources, number)
            filled, start = last + radius, 0
            for scale, weight in zip(scales, weights, strict=True):
                stop = start + scale[1].out_channels
                planes = _scale(scale, weight, window, radius, (last - first, *size[1:]))
                out.data[first:last, :, start:stop] = planes.unflatten(2, (tiles, length)).transpose(1, 2)
                start = stop
            for number in range(first, last):
                for tile, piece in enumerate(out.data[number]):
                    out.record(piece, number, tile)
                yield work * voxels

    over_slices(height, part, advance, parts=1)
    return out


def _fill(place: torch.Tensor, sources: Sequence[Source], number: int) -> None:
    """Write what the sources hold of a slice into its place (tiles, C, voxels); outside of them, zero."""
    if not 0 <= number < sources[0].features.size[0]:
        place.zero_()
        return
    inputs = [source.features.tiles(number) for source in sources]
    for target, *raw in zip(place, *inputs, strict=True):
        read(sources, raw, target)


def _scale(
    scale: nn.Sequential, weight: torch.Tensor, window: torch.Tensor, radius: int, size: tuple[int, int, int]
) -> torch.Tensor:
    """One scale for the slices of ``size`` in the middle of the window: (slices, M, W * D)."""
    slices, width, depth = size
    reach = scale[0].kernel_size[0] // 2
    along = torch.empty(slices, weight.shape[0], width * depth)
    for number in range(slices):
        near = window[:, number + radius - reach : number + radius + reach + 1].flatten(1, 2)
        for part, result in zip(near, along[number].split(near.shape[2], 1), strict=True):
            torch.mm(weight, part, out=result)
    planes, plane = along.view(slices, -1, width, depth), scale[1]
    return conv2d(planes, plane.weight[:, :, 0], padding=plane.padding[1:]).flatten(2)
