"""The learnable shift (``shift.py``) and the pointwise convolution behind it, some slices at a time.

As in ``shift_fast``: the whole voxels of an offset are a block per channel, its fraction three linear
interpolations. Here they stay in the cache: what they give goes straight into the product.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import leaky_relu_

from .features import Features, Source
from .threads import Advance, over_slices

_SLAB = 2**23  # bytes of shifted slices at once


def shifted_product(
    source: Source, offsets: torch.Tensor, weight: torch.Tensor, advance: Advance
) -> Features:
    """weight (M, C) times what the source holds, normalised, shifted by offsets (C, 3).

    Its features have a tile per slice.

    >>> x = Features(1, (1, 2, 2), torch.arange(4.0).reshape(1, 1, 1, 4))
    >>> source = Source(x, torch.ones(1, 1), torch.zeros(1, 1))
    >>> shifted_product(source, torch.tensor([[0, 0, 1.0]]), torch.eye(1), lambda macs: None).data.flatten()
    tensor([1., 0., 3., 0.])
    """
    height, width, depth = source.features.size
    channels, voxels = source.channels, width * depth
    limit = torch.tensor(source.features.size, dtype=offsets.dtype) + 1
    offsets = offsets.clamp(-limit, limit)  # farther outside, everything is zero
    whole = offsets.floor()
    along_h, along_w, along_d = (offsets - whole).t().reshape(3, -1, 1, 1)
    corners = whole.to(torch.int64).tolist()
    out = Features(weight.shape[0], source.features.size)

    def part(start: int, end: int) -> Iterator[int]:
        step = min(end - start, max(_SLAB // (4 * channels * voxels), 1))
        cut = torch.zeros(step + 1, channels, width + 1, depth + 1)
        in_depth = torch.empty(step + 1, channels, width + 1, depth)
        in_plane = torch.empty(step + 1, channels, width, depth)
        between = torch.empty(step, channels, width, depth)
        for first in range(start, end, step):
            last = min(first + step, end)
            begin = 0 if first == start else 1  # the last slab's last slice is this one's first
            if begin:
                in_plane[0] = in_plane[step]
            count = last - first + 1
            _cut(source, corners, first + begin, cut[begin:count])
            near = in_depth[begin:count]
            torch.lerp(cut[begin:count, ..., :-1], cut[begin:count, ..., 1:], along_d, out=near)
            torch.lerp(near[:, :, :-1], near[:, :, 1:], along_w, out=in_plane[begin:count])
            torch.lerp(in_plane[: count - 1], in_plane[1:count], along_h, out=between[: count - 1])
            for number in range(first, last):
                shifted = between[number - first].flatten(1).split(out.data.shape[3], 1)
                for tile, (piece, target) in enumerate(zip(shifted, out.tiles(number), strict=True)):
                    out.record(torch.mm(weight, piece, out=target), number, tile)
                yield weight.numel() * voxels

    over_slices(height, part, advance, parts=1)  # many small calls: each part begins with some of them
    return out


def _cut(source: Source, corners: list[list[int]], first: int, cut: torch.Tensor) -> None:
    """Per channel what the source holds of the voxels from its corner, from slice ``first`` on.

    What lies outside of a plane stays as it is in cut (H, C, W, D): zero, at the same places in every slab.
    """
    height, width, depth = source.features.size
    planes = source.features.data[:, 0].unflatten(2, (width, depth))
    lengths = cut.shape[0], cut.shape[2], cut.shape[3]
    scales, shifts = source.scale.flatten().tolist(), source.shift.flatten().tolist()
    for channel, (h, w, d) in enumerate(corners):
        inside, target = [], []
        for edge, length, start in zip((height, width, depth), lengths, (first + h, w, d), strict=True):
            begin, end = max(start, 0), min(start + length, edge)
            inside.append(slice(begin, max(begin, end)))
            target.append(slice(begin - start, max(begin, end) - start))
        if target[0] != slice(0, lengths[0]):
            cut[:, channel] = 0
        if all(part.start < part.stop for part in inside):
            raw = planes[:, min(channel, planes.shape[1] - 1)][tuple(inside)]
            block = cut[:, channel][tuple(target)]
            leaky_relu_(torch.mul(raw, scales[channel], out=block).add_(shifts[channel]), source.slope)
