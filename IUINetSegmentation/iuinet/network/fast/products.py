"""Products with one weight for all voxels: 1 x 1 x 1 convolutions, DyFC, and sub-pixel upsampling.

Tile by tile, features are normalised into a buffer in the cache, multiplied, and their statistics
taken, so that memory is read once and written once. Several inputs lie below each other in the buffer:
nothing is concatenated in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..dyfc import STATISTICS_EPS, DyFC
from .features import Features, Source, read
from .threads import Advance, over_slices


def product(
    sources: Sequence[Source],
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    out: Features,
    advance: Advance,
    last: bool = False,
) -> Features:
    """weight (M, sum of C) times what the sources hold, plus bias (M,), into out, with its statistics.

    last: nobody will read them.

    >>> image, out = Features(1, (2, 2, 2), torch.ones(2, 1, 1, 4)), Features(2, (2, 2, 2))
    >>> product([Source(image)], torch.tensor([[1.0], [3.0]]), torch.ones(2), out, print).moments()[0]
    16
    16
    tensor([2., 4.], dtype=torch.float64)
    """
    if bias is not None:  # as the weight of a row of ones: adding it would be a way through memory more
        weight = torch.cat([weight, bias[:, None]], 1)

    def part(first: int, end: int) -> Iterator[int]:
        buffer = torch.ones(weight.shape[1], out.tiles(0)[0].shape[1])
        for number in range(first, end):
            inputs = [source.features.tiles(number) for source in sources]
            for tile, (*raw, target) in enumerate(zip(*inputs, out.tiles(number), strict=True)):
                read(sources, raw, buffer)
                torch.mm(weight, buffer, out=target)
                if not last:
                    out.record(target, number, tile)
            yield weight.numel() * out.size[1] * out.size[2]

    over_slices(out.size[0], part, advance)
    return out


def dynamic(
    layer: DyFC, sources: Sequence[Source], advance: Advance, out: Features | None = None
) -> Features:
    """A DyFC (``dyfc.py``) over sources in the order of its inputs; ``out`` is given for logits alone.

    >>> layer, x = DyFC([1], 2, raw=[0]), torch.rand(1, 1, 2, 2, 2)
    >>> with torch.no_grad():
    ...     y = dynamic(layer, [Source(Features(1, (2, 2, 2), x.view(2, 1, 1, 4)))], lambda macs: None)
    ...     torch.allclose(y.data[:, 0].transpose(0, 1).reshape(1, 2, 2, 2, 2), layer(x), atol=1e-5)
    True
    """
    moments = [source.features.moments() for source in sources]
    mean = torch.cat([mean for mean, _ in moments])
    deviation = (torch.cat([variance for _, variance in moments]) + STATISTICS_EPS).sqrt()
    weight, bias = layer.mixed(layer.attend(mean.float()[None], deviation.float()[None]))
    last, out = out is not None, out or Features(layer.out_channels, sources[0].features.size)
    return product(sources, weight[0].t().contiguous(), bias[0], out, advance, last)


def upsampled(source: Source, weight: torch.Tensor, advance: Advance) -> Features:
    """weight (8 M, C) times the source, then depth to space: M channels on twice as many voxels per axis.

    >>> coarse = Features(1, (1, 1, 1), torch.ones(1, 1, 1, 1))
    >>> upsampled(Source(coarse), torch.arange(8.0)[:, None], lambda macs: None).data.view(2, 2, 2)[1]
    tensor([[4., 5.],
            [6., 7.]])
    """
    coarse = source.features
    height, width, depth = coarse.size
    channels = weight.shape[0] // 8
    out = Features(channels, (2 * height, 2 * width, 2 * depth))
    rows = width // out.data.shape[1]
    fine = out.data.view(height, 2, -1, channels, rows, 2, depth, 2).permute(0, 3, 1, 5, 7, 2, 4, 6)

    def part(first: int, last: int) -> Iterator[int]:
        raised = torch.empty(weight.shape[0], width * depth)
        for number in range(first, last):
            tiles = coarse.tiles(number)
            for tile, result in zip(tiles, raised.split(tiles[0].shape[1], 1), strict=True):
                buffer = torch.empty_like(tile)
                source.into(buffer, tile)
                torch.mm(weight, buffer, out=result)
            fine[number] = raised.view(channels, 2, 2, 2, -1, rows, depth)
            out.record(raised.view(channels, -1), number)
            yield weight.numel() * width * depth

    over_slices(height, part, advance)
    return out
