"""The operations of ``fast/learning.py`` on a GPU: ``kernels.py`` with backward passes.

As in ``fast/gradients.py``, of what is normalised the raw tensor alone is kept. Features are stored in one
type, of autocast; statistics are float32 inside a tile and float64 between tiles, so are the norms' numbers.
The convolutions k x 1 x 1 and 1 x k x k stay cuDNN's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv3d

from ..fast import Read
from ..shift import Shift
from . import kernels

MOST_READS = 4  # of one product; a kernel's arguments are counted
_ROW = 4096  # voxels of a tile of the moments
_TILE = 128  # of a product
_SHIFTED = 256  # of a shift
_PARTS = 256  # into which a weight's gradient is cut at most: some for each of a large GPU's processors


class GPU:
    """The operations with features stored as ``kind``: float32, bfloat16 or float16."""

    def __init__(self, kind: torch.dtype) -> None:
        self.kind = kind

    def moments(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance (B, C) over the voxels of x (B, C, H, W, D), in float64."""
        return _Moments.apply(x.contiguous())

    def product(
        self, reads: Sequence[Read], weight: torch.Tensor, bias: torch.Tensor | None, slope: float
    ) -> torch.Tensor:
        """weight (B, M, sum of C) times what is read, plus bias (B, M): (B, M, H, W, D)."""
        return _Product.apply(self.kind, slope, weight, bias, *_packed(reads))

    def normed(self, read: Read, slope: float) -> torch.Tensor:
        """What is read, as a tensor."""
        if read.scale is None:
            return read.x.to(self.kind)
        return _Normed.apply(self.kind, slope, *_packed([read]))

    def shifted(self, read: Read, shift: Shift, slope: float) -> torch.Tensor:
        """What is read, each channel moved by the shift's offset for it."""
        if not shift.enabled:
            return self.normed(read, slope)
        # Farther outside, everything is zero. No tensor of limits: a CUDA graph could not hold its copy.
        axes = zip(shift.offsets.float().unbind(1), read.x.shape[2:], strict=True)
        offsets = torch.stack([along.clamp(-edge - 1, edge + 1) for along, edge in axes], 1)
        return _Shifted.apply(self.kind, slope, offsets, *_packed([read]))

    def along_slices(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Convolution of x (B, C, H, W, D) with weight (M, C, k, 1, 1), zero outside."""
        return conv3d(x, weight.to(x.dtype), padding=(weight.shape[2] // 2, 0, 0))


def _packed(reads: Sequence[Read]) -> list[torch.Tensor | None]:
    """Of each read the tensor, and mean, scale and bias (B, 3, C) in float64, None where there are none."""
    parts: list[torch.Tensor | None] = []
    for x, *numbers in reads:
        parts += [x.contiguous(), None if numbers[0] is None else torch.stack(numbers, 1)]
    return parts


def _single(numbers: torch.Tensor | None) -> torch.Tensor | None:
    return None if numbers is None else numbers.float()


def _power(channels: int, most: int) -> int:
    """A block's edge for so many channels: a power of two from 16, as tensor cores want, to ``most``."""
    return min(max(triton.next_power_of_2(channels), 16), most)


def _step(kind: torch.dtype) -> tuple[int, int]:
    """Channels of a product's step and voxels of its tile. Products of float32 the compiler writes out one by
    one: with larger steps it takes many seconds for each kernel."""
    return (16, _TILE // 2) if kind == torch.float32 else (32, _TILE)


def _voxels(x: torch.Tensor) -> int:
    return x[0, 0].numel()


def _of_numbers(sums: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Gradient of mean, scale and bias (B, 3, C) from the tiles' sums (B, tiles, 2, C) for scale and bias, in
    float64: of a normalised tensor's gradient most cancels out."""
    of_scale, of_bias = sums.sum(1, dtype=torch.float64).unbind(1)
    return torch.stack([-numbers[:, 1] * of_bias, of_scale, of_bias], 1)


def _normed(x: torch.Tensor, numbers: torch.Tensor, slope: float, kind: torch.dtype) -> torch.Tensor:
    out, channels, voxels = torch.empty_like(x, dtype=kind), x.shape[1], _voxels(x)
    grid = triton.cdiv(voxels, _TILE), triton.cdiv(channels, 16), len(x)
    kernels._normed[grid](out, x, numbers, channels, voxels, slope, 16, _TILE)
    return out


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows, voxels = x.shape[0] * x.shape[1], _voxels(x)
        tiles = triton.cdiv(voxels, _ROW)
        parts = torch.empty(rows, tiles, 2, dtype=torch.float32, device=x.device)
        kernels._moments_of_tiles[(tiles, rows)](parts, x, voxels, _ROW)
        found = torch.empty(2, *x.shape[:2], dtype=torch.float64, device=x.device)
        power = triton.next_power_of_2(tiles)
        kernels._moments_of_all[(rows,)](found, parts, rows, tiles, voxels, _ROW, power)
        mean, variance = found.unbind(0)
        ctx.save_for_backward(x, mean)
        return mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mean: torch.Tensor, grad_variance: torch.Tensor) -> torch.Tensor:
        x, mean = ctx.saved_tensors
        voxels = _voxels(x)
        numbers = torch.stack([mean, 2 / voxels * grad_variance, grad_mean / voxels], 1).float()
        return _normed(x, numbers, 1.0, x.dtype)  # the same line; an activation of slope one is none


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kind: torch.dtype, slope: float, x: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        ctx.slope, numbers = slope, numbers.float()
        ctx.save_for_backward(x, numbers)
        return _normed(x, numbers, slope, kind)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, numbers = ctx.saved_tensors
        channels, voxels, tiles = x.shape[1], _voxels(x), triton.cdiv(_voxels(x), _TILE)
        grad_x, sums = torch.empty_like(x), numbers.new_empty(len(x), tiles, 2, channels)
        kernels._normed_backward[(tiles, triton.cdiv(channels, 16), len(x))](
            grad_x, sums, gradient.contiguous(), x, numbers, channels, voxels, ctx.slope, 16, _TILE
        )
        return None, None, grad_x, _of_numbers(sums, numbers)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        kind: torch.dtype,
        slope: float,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        *parts: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.slope, ctx.precision, ctx.biased = slope, _precision(), bias is not None
        parts = [_single(part) if number % 2 else part for number, part in enumerate(parts)]
        ctx.save_for_backward(weight, *parts)
        x, rows, voxels = parts[0], weight.shape[1], _voxels(parts[0])
        out = torch.empty(len(x), rows, *x.shape[2:], dtype=kind, device=x.device)
        absent = MOST_READS - len(parts) // 2
        reads = [x if part is None else part for part in parts] + 2 * absent * [x]
        channels = [part.shape[1] for part in parts[::2]] + absent * [0]
        normed = [part is not None for part in parts[1::2]] + absent * [False]
        block, (inner, tile) = _power(rows, 64), _step(kind)
        kernels._product[(triton.cdiv(voxels, tile), triton.cdiv(rows, block), len(x))](
            out, weight, x if bias is None else bias.contiguous(), *reads, *channels, rows, voxels,
            *weight.stride(), slope, ctx.biased, *normed,
            block, _power(max(channels), inner), tile, ctx.precision,
        )  # fmt: skip
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, *parts = ctx.saved_tensors
        gradient = gradient.contiguous()
        grad_bias = gradient.flatten(2).sum(2, dtype=torch.float32) if ctx.biased else None
        grads, columns, start = [], [], 0
        for number, (x, numbers) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            rest = weight[:, :, start : start + x.shape[1]]
            columns.append(_of_weight(gradient, x, numbers, ctx.slope, ctx.precision))
            wanted = numbers is not None or ctx.needs_input_grad[4 + 2 * number]
            read = gradient, rest, x, numbers, ctx.slope, ctx.precision
            grads += _of_read(*read) if wanted else (None, None)
            start += x.shape[1]
        return None, None, torch.cat(columns, 2).to(weight.dtype), grad_bias, *grads


def _precision() -> str:
    """How products of float32 are calculated: as torch was told to."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"


def _of_read(
    gradient: torch.Tensor,
    weight: torch.Tensor,
    x: torch.Tensor,
    numbers: torch.Tensor | None,
    slope: float,
    precision: str,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradients of one of a product's reads, and of its numbers. weight (B, M, C): for this read."""
    rows, channels, voxels = *weight.shape[1:], _voxels(x)
    inner, tile = _step(gradient.dtype)
    tiles, block = triton.cdiv(voxels, tile), _power(channels, 64)
    grad_x = torch.empty_like(x)
    sums = grad_x if numbers is None else numbers.new_empty(len(x), tiles, 2, channels)
    kernels._product_backward[(tiles, triton.cdiv(channels, block), len(x))](
        grad_x, sums, gradient, weight, x, x if numbers is None else numbers, channels, rows, voxels,
        *weight.stride(), slope, numbers is not None, _power(rows, inner), block, tile, precision,
    )  # fmt: skip
    return grad_x, None if numbers is None else _of_numbers(sums, numbers)


def _of_weight(
    gradient: torch.Tensor, x: torch.Tensor, numbers: torch.Tensor | None, slope: float, precision: str
) -> torch.Tensor:
    """Gradient (B, M, C) of the weight of one of a product's reads, in float64."""
    rows, channels, voxels = gradient.shape[1], x.shape[1], _voxels(x)
    # Both factors of a step lie in shared memory, twice or more: float32 has a shorter step.
    step = _TILE if gradient.element_size() == 2 else _TILE // 4
    length = triton.cdiv(triton.cdiv(voxels, step), _PARTS) * step
    parts = triton.cdiv(voxels, length)
    found = torch.empty(len(x), parts, rows, channels, dtype=torch.float32, device=x.device)
    of_rows, of_channels = _power(rows, 64), _power(channels, 64)
    blocks = triton.cdiv(rows, of_rows) * triton.cdiv(channels, of_channels)
    kernels._product_weight[(parts, blocks, len(x))](
        found, gradient, x, x if numbers is None else numbers, channels, rows, voxels, length, slope,
        numbers is not None, of_rows, of_channels, step, precision,
    )  # fmt: skip
    return found.sum(1, dtype=torch.float64)


class _Shifted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        kind: torch.dtype,
        slope: float,
        offsets: torch.Tensor,
        x: torch.Tensor,
        numbers: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.slope, numbers = slope, _single(numbers)
        ctx.save_for_backward(offsets, x, numbers)
        out = torch.empty_like(x, dtype=kind)
        kernels._shifted[(triton.cdiv(_voxels(x), _SHIFTED), x.shape[1], len(x))](
            out, x, x if numbers is None else numbers, offsets, *x.shape[1:], slope,
            numbers is not None, _SHIFTED,
        )  # fmt: skip
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        offsets, x, numbers = ctx.saved_tensors
        tiles, normed = triton.cdiv(_voxels(x), _SHIFTED), numbers is not None
        grad_x, sums = torch.empty_like(x), offsets.new_empty(len(x), tiles, 5, x.shape[1])
        kernels._shifted_backward[(tiles, x.shape[1], len(x))](
            grad_x, sums, gradient.contiguous(), x, numbers if normed else x, offsets, *x.shape[1:],
            ctx.slope, normed, _SHIFTED,
        )  # fmt: skip
        of_offsets = sums[:, :, 2:].sum((0, 1), dtype=torch.float64).t().to(offsets.dtype)
        return None, None, of_offsets, grad_x, _of_numbers(sums[:, :, :2], numbers) if normed else None
