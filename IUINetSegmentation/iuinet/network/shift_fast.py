"""A faster shift on the CPU: the numbers of ``shift_reference`` to rounding, with its own backward pass.

An offset is the same for all voxels of a channel, so the whole-voxel part is one block copy per channel
and the fraction is three linear interpolations, one per axis, over all channels at once. The adjoint of a
shift is the shift by the opposite offset; the gradient of an offset is the product of the incoming
gradient with the difference of neighbours along its axis, the other two axes interpolated.
"""

from __future__ import annotations

import torch

AXES = (2, 3, 4)


def can_shift_fast(x: torch.Tensor, offsets: torch.Tensor) -> bool:
    """True where the fast path has the reference's numbers: on the CPU, in floating point, and away from
    whole-voxel offsets, where the reference's gradient looks at both neighbours.

    >>> can_shift_fast(torch.zeros(1, 1, 4, 4, 4), torch.tensor([[0.5, 0.5, 1.0]]))
    False
    """
    return x.device.type == "cpu" and x.is_floating_point() and not bool((offsets == offsets.round()).any())


def shift_fast(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Shift x (B, C, H, W, D) by offsets (C, 3), voxels along H, W, D; zero outside.

    >>> shift_fast(torch.arange(4.0).reshape(1, 1, 1, 1, 4), torch.tensor([[0, 0, 0.5]])).flatten()
    tensor([0.5000, 1.5000, 2.5000, 1.5000])
    """
    return _Shift.apply(x, offsets)


def _window(x: torch.Tensor, corner: list[list[int]]) -> torch.Tensor:
    """Per channel the voxels corner ... corner + size, one more than x along each axis; zero outside x."""
    size = x.shape[2:]
    window = x.new_zeros(x.shape[0], x.shape[1], *(edge + 1 for edge in size))
    for channel, start in enumerate(corner):
        source, target = [], []
        for edge, first in zip(size, start, strict=True):
            begin, end = max(first, 0), min(first + edge + 1, edge)
            source.append(slice(begin, max(begin, end)))
            target.append(slice(begin - first, max(begin, end) - first))
        if all(part.start < part.stop for part in source):
            window[:, channel][(slice(None), *target)] = x[:, channel][(slice(None), *source)]
    return window


def _split(offsets: torch.Tensor, x: torch.Tensor) -> tuple[list[list[int]], torch.Tensor]:
    """Whole voxels as numbers and fractions (3, 1, C, 1, 1, 1) in x's dtype."""
    limit = torch.tensor(x.shape[2:], dtype=offsets.dtype) + 1
    offsets = offsets.detach().clamp(-limit, limit)  # farther outside, everything is zero
    whole = offsets.floor()
    fraction = (offsets - whole).to(x.dtype).t().reshape(3, 1, -1, 1, 1, 1)
    return whole.to(torch.int64).tolist(), fraction


def _interpolate(x: torch.Tensor, fraction: torch.Tensor, axis: int) -> torch.Tensor:
    """Between neighbours along one axis, which becomes one shorter."""
    edge = x.shape[axis] - 1
    return torch.lerp(x.narrow(axis, 0, edge), x.narrow(axis, 1, edge), fraction)


def _difference(x: torch.Tensor, axis: int) -> torch.Tensor:
    edge = x.shape[axis] - 1
    return x.narrow(axis, 1, edge) - x.narrow(axis, 0, edge)


def _shift(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    corner, fraction = _split(offsets, x)
    result = _window(x, corner)
    for part, axis in zip(fraction, AXES, strict=True):
        result = _interpolate(result, part, axis)
    return result


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, offsets)
        return _shift(x, offsets)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        x, offsets = ctx.saved_tensors
        grad_x = _shift(gradient, -offsets) if ctx.needs_input_grad[0] else None
        grad_offsets = _offset_gradient(x, offsets, gradient) if ctx.needs_input_grad[1] else None
        return grad_x, grad_offsets


def _offset_gradient(x: torch.Tensor, offsets: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """(C, 3): along each axis the neighbours' difference, the other two axes interpolated, times gradient."""
    corner, (along_h, along_w, along_d) = _split(offsets, x)
    window = _window(x, corner)
    h, w, d = AXES
    only_d = _interpolate(window, along_d, d)
    terms = (
        _difference(_interpolate(only_d, along_w, w), h),
        _difference(_interpolate(only_d, along_h, h), w),
        _difference(_interpolate(_interpolate(window, along_h, h), along_w, w), d),
    )
    dtype = torch.promote_types(x.dtype, torch.float32)
    sums = [(term * gradient).sum((0, 2, 3, 4), dtype=dtype) for term in terms]
    return torch.stack(sums, 1).to(offsets.dtype)
