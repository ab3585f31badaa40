"""The learnable shift (``shift.py``) and the pointwise convolution behind it, some slices at a time.

As in ``shift_fast``: the whole voxels of an offset are a block copy per channel, its fraction three linear
interpolations. Here they stay in the cache: what they give goes straight into the product.
"""

from __future__ import annotations

import torch

from .features import Advance, Features, Source

_SLAB = 2**23  # bytes of shifted slices at once


def shifted_product(
    source: Source, offsets: torch.Tensor, weight: torch.Tensor, advance: Advance
) -> Features:
    """weight (M, C) times what the source holds, shifted by offsets (C, 3); may overwrite its features,
    which have a tile per slice.

    >>> x = Features(1, (1, 2, 2), torch.arange(4.0).reshape(1, 1, 1, 4))
    >>> source = Source(x, torch.ones(1, 1), torch.zeros(1, 1))
    >>> shifted_product(source, torch.tensor([[0, 0, 1.0]]), torch.eye(1), lambda macs: None).data.flatten()
    tensor([1., 0., 3., 0.])
    """
    inner = source.features
    if inner.channels != source.channels:
        inner = Features(source.channels, inner.size, tiled=False)
    height, width, depth = inner.size
    channels, voxels = inner.channels, width * depth
    limit = torch.tensor(inner.size, dtype=offsets.dtype) + 1
    offsets = offsets.clamp(-limit, limit)  # farther outside, everything is zero
    whole = offsets.floor()
    along_h, along_w, along_d = (offsets - whole).t().reshape(3, -1, 1, 1)
    corners = whole.to(torch.int64).tolist()
    ahead = max(corner[0] for corner in corners) + 1
    step = min(height, max(_SLAB // (4 * channels * voxels), 1))
    out = Features(weight.shape[0], inner.size)
    planes = inner.data[:, 0].unflatten(2, (width, depth))
    cut = torch.zeros(step + 1, channels, width + 1, depth + 1)
    in_depth = torch.empty(step + 1, channels, width + 1, depth)
    in_plane = torch.empty(step + 1, channels, width, depth)
    between = torch.empty(step, channels, width, depth)
    normed = 0
    for first in range(0, height, step):
        last = min(first + step, height)
        for number in range(normed, min(height, last + ahead + 1)):
            source.into(inner.data[number, 0], source.features.data[number, 0])
            normed = number + 1
        begin = 0 if first == 0 else 1  # the last slab's last slice is this one's first
        if begin:
            in_plane[0] = in_plane[step]
        count = last - first + 1
        _cut(planes, corners, first + begin, cut[begin:count])
        torch.lerp(cut[begin:count, ..., :-1], cut[begin:count, ..., 1:], along_d, out=in_depth[begin:count])
        near = in_depth[begin:count]
        torch.lerp(near[:, :, :-1], near[:, :, 1:], along_w, out=in_plane[begin:count])
        torch.lerp(in_plane[: count - 1], in_plane[1:count], along_h, out=between[: count - 1])
        for number in range(first, last):
            shifted = between[number - first].flatten(1)
            for part, target in zip(shifted.split(out.data.shape[3], 1), out.tiles(number), strict=True):
                out.record(torch.mm(weight, part, out=target))
            advance(weight.numel() * voxels)
    return out


def _cut(planes: torch.Tensor, corners: list[list[int]], first: int, cut: torch.Tensor) -> None:
    """Per channel of planes (H, C, W, D) the voxels from its corner, from slice ``first`` on.

    What lies outside of a plane stays as it is in cut: zero, at the same places in every slab.
    """
    sizes = planes.shape[0], planes.shape[2], planes.shape[3]
    lengths = cut.shape[0], cut.shape[2], cut.shape[3]
    for channel, (h, w, d) in enumerate(corners):
        source, target = [], []
        for edge, length, start in zip(sizes, lengths, (first + h, w, d), strict=True):
            begin, end = max(start, 0), min(start + length, edge)
            source.append(slice(begin, max(begin, end)))
            target.append(slice(begin - start, max(begin, end) - start))
        if target[0] != slice(0, lengths[0]):
            cut[:, channel] = 0
        if all(part.start < part.stop for part in source):
            cut[:, channel][tuple(target)] = planes[:, channel][tuple(source)]
