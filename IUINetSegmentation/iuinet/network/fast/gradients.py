"""The layers of a training on the CPU with backward passes of their own: less memory kept, less moved.

Nothing is kept that is computed again in the cache: of a normalised, activated input the raw one alone, which
its producer keeps anyway. Products go through the volume in tiles of voxels, a thread for each core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu_

from ..shift import Shift
from .features import LARGEST_MEAN
from .threads import over_slices

_TILE = 16384  # voxels of a tile: in the cache, and long enough that calls do not count
_PIECE = 2048  # voxels that are added up in float32


class Read(NamedTuple):
    """What a product reads: x (B, C, H, W, D), raw, or LeakyReLU of (x - mean) scale + bias, (B, C) each.

    These three are float64, and so are their gradients: of a normalised tensor's gradient most cancels out.
    """

    x: torch.Tensor
    mean: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    bias: torch.Tensor | None = None


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (B, C) over the voxels of x (B, C, H, W, D), in float64.

    >>> moments(torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 1, 2))
    (tensor([[1.]], dtype=torch.float64), tensor([[1.]], dtype=torch.float64))
    """
    return _Moments.apply(x)


def product(
    reads: Sequence[Read], weight: torch.Tensor, bias: torch.Tensor | None, slope: float
) -> torch.Tensor:
    """weight (B, M, sum of C) times what is read, plus bias (B, M): (B, M, H, W, D). slope: of LeakyReLU.

    >>> x = torch.ones(1, 1, 1, 1, 2)
    >>> product([Read(x), Read(x)], torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1), 0.01).flatten()
    tensor([4., 4.])
    """
    if bias is not None:  # as the weight of a row of ones
        weight = torch.cat([weight, bias[..., None]], 2)
    return _Product.apply(weight, slope, *(part for read in reads for part in read))


def normed(read: Read, slope: float) -> torch.Tensor:
    """What is read, as a tensor; x alone is kept for the backward pass.

    >>> zero = torch.zeros(1, 1).double()
    >>> normed(Read(torch.ones(1, 1, 1, 1, 1), zero, zero - 2, zero), 0.5).item()
    -1.0
    """
    return read.x if read.scale is None else _Normed.apply(slope, *read)


def shifted(read: Read, shift: Shift, slope: float) -> torch.Tensor:
    """What is read, each channel moved by the shift's offset for it.

    >>> read = Read(torch.arange(4.0).reshape(1, 1, 1, 1, 4))
    >>> shifted(read, Shift(1, enabled=False), 0.01).flatten()
    tensor([0., 1., 2., 3.])
    """
    return shift(normed(read, slope))


def along_slices(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Convolution of x (B, C, H, W, D) with weight (M, C, k, 1, 1), zero outside.

    >>> weight = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1, 1)
    >>> along_slices(torch.ones(1, 1, 2, 1, 1), weight).flatten()
    tensor([6., 3.])
    """
    return _AlongSlices.apply(x, weight[..., 0, 0])


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        voxels = x[0, 0].numel()
        mean, square = (total / voxels for total in _totals(x))
        variance = square - mean.square()
        if bool((mean.square() > LARGEST_MEAN * variance).any()):
            near = mean.to(x.dtype)
            step, square = (total / voxels for total in _totals(x - _spread(near, x)))
            mean, variance = near.double() + step, square - step.square()
        ctx.save_for_backward(x, mean)
        return mean, variance.clamp(min=0)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mean: torch.Tensor, grad_variance: torch.Tensor) -> torch.Tensor:
        x, mean = ctx.saved_tensors
        voxels = x[0, 0].numel()
        gradient = x - _spread(mean, x)  # a small deviation around a large mean keeps its digits
        return gradient.mul_(_spread(2 / voxels * grad_variance, x)).add_(_spread(grad_mean / voxels, x))


def _totals(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum and sum of squares (B, C) of x (B, C, H, W, D) in float64.

    Within pieces of a row in x's type: a norm is added up one by one, and loses digits in long rows.
    """
    flat = x.flatten(2)
    pieces = flat.unflatten(2, (-1, math.gcd(flat.shape[2], _PIECE)))
    return pieces.sum(3).double().sum(2), torch.linalg.vector_norm(pieces, dim=3).double().square().sum(2)


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, slope: float, *read: torch.Tensor) -> torch.Tensor:
        ctx.slope = slope
        ctx.save_for_backward(*read)
        return leaky_relu_(_affine(*read), slope)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, mean, scale, bias = ctx.saved_tensors
        inner = torch.ops.aten.leaky_relu_backward(gradient, _affine(x, mean, scale, bias), ctx.slope, False)
        of_bias = inner.flatten(2).sum(2).double()
        of_scale = (x - _spread(mean, x)).mul_(inner).flatten(2).sum(2).double()
        return None, inner.mul_(_spread(scale, x)), -scale * of_bias, of_scale, of_bias


def _affine(x: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return (x * _spread(scale, x)).add_(_spread(bias - mean * scale, x))


def _spread(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(B, C) -> (B, C, 1, 1, 1) in x's type."""
    return values.to(x.dtype)[..., None, None, None]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: torch.Tensor, slope: float, *reads: torch.Tensor | None) -> torch.Tensor:
        ctx.slope = slope
        ctx.save_for_backward(weight, *reads)
        reads = _reads(reads)
        out = reads[0].x.new_empty(len(weight), weight.shape[1], *reads[0].x.shape[2:])
        flat = out.flatten(2)

        def one(sample: int, voxels: slice, buffer: torch.Tensor) -> None:
            _fill(buffer, reads, sample, voxels, slope)
            torch.mm(weight[sample], buffer, out=flat[sample, :, voxels])

        _over_tiles(flat, weight.shape[2], one)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, *parts = ctx.saved_tensors
        reads, gradient = _reads(parts), gradient.contiguous().flatten(2)
        pairs = zip(parts, ctx.needs_input_grad[2:], strict=True)
        grads = [torch.empty_like(part) if wanted else None for part, wanted in pairs]
        # What is summed over voxels, tile by tile: of the weight, then of scale and bias of every channel.
        sums: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        transposed = weight.transpose(1, 2).contiguous()

        def one(sample: int, voxels: slice, buffer: torch.Tensor) -> None:
            _fill(buffer, reads, sample, voxels, ctx.slope)
            tile = gradient[sample, :, voxels]
            of_weight = torch.mm(tile, buffer.t())
            back = torch.mm(transposed[sample], tile)
            of_norms = back.new_zeros(2, len(back))
            start = 0
            for number, (x, mean, scale, _) in enumerate(reads):
                rows = slice(start, start + x.shape[1])
                start = rows.stop
                target = grads[4 * number]
                if scale is None:
                    if target is not None:
                        target.flatten(2)[sample, :, voxels] = back[rows]
                    continue
                inner = torch.ops.aten.leaky_relu_backward(back[rows], buffer[rows], ctx.slope, True)
                raw, centre = x.flatten(2)[sample, :, voxels], _column(mean[sample], x)
                centred = torch.sub(raw, centre, out=buffer[rows])
                of_norms[0, rows] = torch.linalg.vecdot(inner, centred)
                of_norms[1, rows] = inner.sum(1)
                if target is not None:
                    factor = _column(scale[sample], x)
                    torch.mul(inner, factor, out=target.flatten(2)[sample, :, voxels])
            sums[sample, voxels.start] = of_weight, of_norms

        _over_tiles(gradient, weight.shape[2], one)
        grad_weight = torch.zeros_like(weight, dtype=torch.float64)
        of_norms = torch.zeros(len(weight), 2, weight.shape[2], dtype=torch.float64)
        for (sample, _), (part, norms) in sorted(sums.items()):
            grad_weight[sample] += part
            of_norms[sample] += norms
        start = 0
        for number, (x, _, scale, _) in enumerate(reads):
            if scale is not None:
                of_scale, of_bias = of_norms[:, :, start : start + x.shape[1]].unbind(1)
                grads[4 * number + 1 : 4 * number + 4] = -scale * of_bias, of_scale, of_bias
            start += x.shape[1]
        return grad_weight.to(weight.dtype), None, *grads


def _reads(parts: Sequence[torch.Tensor | None]) -> list[Read]:
    return [Read(*parts[start : start + 4]) for start in range(0, len(parts), 4)]


def _fill(buffer: torch.Tensor, reads: Sequence[Read], sample: int, voxels: slice, slope: float) -> None:
    """Write what is read of some voxels below each other into the first rows of a buffer (N, voxels)."""
    start = 0
    for x, mean, scale, bias in reads:
        rows = buffer[start : start + x.shape[1]]
        raw = x.flatten(2)[sample, :, voxels]
        if scale is None:
            rows.copy_(raw)
        else:
            shift = bias[sample] - mean[sample] * scale[sample]
            torch.mul(raw, _column(scale[sample], x), out=rows).add_(_column(shift, x))
            leaky_relu_(rows, slope)
        start += x.shape[1]


def _column(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(C,) -> (C, 1) in x's type."""
    return values.to(x.dtype)[:, None]


def _over_tiles(flat: torch.Tensor, rows: int, one: Callable[[int, slice, torch.Tensor], None]) -> None:
    """Call ``one`` for every tile of voxels of every sample of flat (B, C, n), with a buffer (rows, voxels)
    that is one where nothing is written."""
    voxels = flat.shape[2]
    tiles = [
        (sample, slice(first, min(first + _TILE, voxels)))
        for sample in range(len(flat))
        for first in range(0, voxels, _TILE)
    ]

    def part(first: int, last: int) -> tuple[()]:
        whole = flat.new_ones(rows, min(_TILE, voxels))
        for sample, tile in tiles[first:last]:
            one(sample, tile, whole[:, : tile.stop - tile.start])
        return ()

    over_slices(len(tiles), part, lambda macs: None)


class _AlongSlices(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _along_slices(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        mirrored = weight.flip(2).transpose(0, 1)
        grad_x = _along_slices(gradient, mirrored) if ctx.needs_input_grad[0] else None
        sums: dict[tuple[int, int], torch.Tensor] = {}
        plane = x[0, 0, 0].numel()

        def one(sample: int, first: int, last: int) -> None:
            found = weight.new_zeros(weight.shape[2], *weight.shape[:2])
            for tap, begin, end, near in _meetings(weight.shape[2], first, last, x.shape[2]):
                there = _slices(x, sample, near, near + end - begin)
                torch.mm(_slices(gradient, sample, begin, end), there.t(), out=found[tap])
            sums[sample, first] = found

        _over_slabs(len(x), x.shape[2], plane, one)
        total = torch.stack([found for _, found in sorted(sums.items())]).double().sum(0)
        return grad_x, total.permute(1, 2, 0).to(weight.dtype)


def _along_slices(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x (B, C, H, W, D), weight (M, C, k) -> (B, M, H, W, D)."""
    out = x.new_empty(len(x), len(weight), *x.shape[2:])
    taps = weight.permute(2, 0, 1).contiguous()
    middle = len(taps) // 2

    def one(sample: int, first: int, last: int) -> None:
        torch.mm(taps[middle], _slices(x, sample, first, last), out=_slices(out, sample, first, last))
        for tap, begin, end, near in _meetings(len(taps), first, last, x.shape[2]):
            if tap != middle:
                target = _slices(out, sample, begin, end)
                target.addmm_(taps[tap], _slices(x, sample, near, near + end - begin))

    _over_slabs(len(x), x.shape[2], x[0, 0, 0].numel(), one)
    return out


def _slices(x: torch.Tensor, sample: int, first: int, last: int) -> torch.Tensor:
    """Some slices of one sample as a matrix (C, voxels)."""
    return x[sample, :, first:last].flatten(1)


def _meetings(taps: int, first: int, last: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each tap of a kernel that lies on slices first ... last, those whose neighbour is inside the volume
    (tap, begin, end), and the first neighbour."""
    for tap in range(taps):
        away = tap - taps // 2
        begin, end = max(first, -away), min(last, height - away)
        if begin < end:
            yield tap, begin, end, begin + away


def _over_slabs(samples: int, height: int, plane: int, one: Callable[[int, int, int], None]) -> None:
    """Call ``one(sample, first, last)`` for slabs of every sample: a few slices of ``plane`` voxels."""
    step = max(_TILE // plane, 1)
    slabs = [(sample, first) for sample in range(samples) for first in range(0, height, step)]

    def part(begin: int, end: int) -> tuple[()]:
        for sample, first in slabs[begin:end]:
            one(sample, first, min(first + step, height))
        return ()

    over_slices(len(slabs), part, lambda macs: None)
