"""The plain way from logits to labels, and the arithmetic of torch's trilinear upsampling.

``plain_labels`` is what the fast path (``upsampling``) must equal, voxel for voxel: it upsamples all
logits and takes the argmax, which for a whole scan needs tens of bytes per voxel and class.

To equal it to the last bit one has to round where torch rounds. torch interpolates along the last axis first
and along the first axis last, each time ``a * w0 + b * w1`` in float32 (aten/native/cpu/UpSampleKernel.cpp);
but whether its compiler fused the multiplications and additions (one rounding instead of two) depends on the
build and on the processor: fused on x86 with AVX2 or AVX-512, separate on older ones. So ``torch_arithmetic``
tries the known variants once per process on a small example and takes the one that gives torch's bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn import functional

Lerp = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def plain_labels(logits: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Exact labels by the shortest code: logits (C, H, W, D) -> int64 labels of shape ``size``."""
    dense = logits.detach().float().cpu().contiguous()[None]
    return functional.interpolate(dense, size=size, mode="trilinear", align_corners=False)[0].argmax(0)


def fused_multiply_add(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """float32 ``a * b + c`` rounded once, as one FMA instruction does, on any processor.

    The product of two float32 is exact in float64, but rounding the sum to float64 and then to float32
    rounds twice. That matters only where the float64 sum lies just between two float32 (its last 29 bits
    are 1000...), or among the denormals, whose spacing is another: those few sums are done with care.
    """
    product = a.double() * b.double()
    addend = c.double()
    total = product + addend
    halfway = (total.view(torch.int64) & 0x1FFFFFFF) == 0x10000000
    careful = (halfway | (total.abs() < 2.0**-125)).nonzero(as_tuple=True)
    result = total.float()
    if len(careful[0]):
        result[careful] = _sum_rounded_once(product[careful], addend.expand_as(product)[careful])
    return result


def _sum_rounded_once(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """float64 x + y rounded to float32 in one step.

    Where the float64 sum is inexact it is moved to its odd neighbour ("round to odd", Boldo and Melquiond,
    IEEE Transactions on Computers 57(4), 2008), after which rounding to float32 gives the right result.
    """
    total = x + y
    # Knuth's TwoSum: what the rounding of the sum lost, exactly.
    back = total - x
    lost = (x - (total - back)) + (y - back)
    neighbour = torch.nextafter(total, torch.copysign(torch.full_like(lost, torch.inf), lost))
    even = (total.view(torch.int64) & 1) == 0
    return torch.where((lost != 0) & even, neighbour, total).float()


def separate(a: torch.Tensor, b: torch.Tensor, w0: torch.Tensor, w1: torch.Tensor) -> torch.Tensor:
    """float32 ``a * w0 + b * w1`` with each operation rounded."""
    return a * w0 + b * w1


def fused_first(a: torch.Tensor, b: torch.Tensor, w0: torch.Tensor, w1: torch.Tensor) -> torch.Tensor:
    return fused_multiply_add(a, w0, b * w1)


def fused_second(a: torch.Tensor, b: torch.Tensor, w0: torch.Tensor, w1: torch.Tensor) -> torch.Tensor:
    return fused_multiply_add(b, w1, a * w0)


@dataclass(frozen=True)
class Arithmetic:
    """One way to round an upsampling.

    lerp: ``(a, b, w0, w1) -> a * w0 + b * w1`` in float32.
    fused_source: source positions ``scale * (index + 0.5) - 0.5`` are rounded once, not twice.
    verified: it gave the bits of ``torch.nn.functional.interpolate`` on this machine.
    """

    lerp: Lerp
    fused_source: bool
    verified: bool = False


@dataclass(frozen=True)
class AxisWeights:
    """Linear interpolation along one axis of n_out voxels: ``w0 * x[lower] + w1 * x[upper]``.

    lower, upper: (n_out,) int64, source indices; lower never decreases.
    w0, w1: (n_out,) float32.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    w0: torch.Tensor
    w1: torch.Tensor


def axis_weights(n_in: int, n_out: int, fused_source: bool) -> AxisWeights:
    """Source indices and weights by torch's half-voxel rule (align_corners=False), in its float32."""
    index = torch.arange(n_out)
    if n_in == n_out:
        return AxisWeights(index, index, torch.ones(n_out), torch.zeros(n_out))
    scale = torch.tensor(n_in, dtype=torch.float32) / torch.tensor(n_out, dtype=torch.float32)
    if fused_source:
        # Exact in float64 (24 bits of scale, 1 + log2(n_out) of the index), so rounded once.
        source = (scale.double() * (index.double() + 0.5) - 0.5).float()
    else:
        source = scale * (index.float() + 0.5) - 0.5
    source = source.clamp(min=0)
    lower = source.long().clamp(max=n_in - 1)
    w1 = (source - lower.float()).clamp(0, 1)
    upper = lower + (lower < n_in - 1).long()
    return AxisWeights(lower, upper, 1 - w1, w1)


def explicit_upsampling(
    logits: torch.Tensor, size: tuple[int, int, int], arithmetic: Arithmetic
) -> torch.Tensor:
    """Trilinear upsampling with every operation spelt out: float32 (C, H, W, D) -> (C, *size).

    Dense and slow: it is here to be read, and to find out which arithmetic torch uses.
    """
    values = logits
    for axis in (3, 2, 1):
        weights = axis_weights(logits.shape[axis], size[axis - 1], arithmetic.fused_source)
        along = [1, 1, 1, 1]
        along[axis] = -1
        lower, upper = values.index_select(axis, weights.lower), values.index_select(axis, weights.upper)
        values = arithmetic.lerp(lower, upper, weights.w0.view(along), weights.w1.view(along))
    return values


@lru_cache(maxsize=1)
def torch_arithmetic() -> Arithmetic:
    """The arithmetic of ``torch.nn.functional.interpolate`` in this process, found by trying.

    On a build that follows none of the known variants the one with separate roundings is returned with
    ``verified=False``; labels can then differ from torch's only where the two best upsampled logits are
    within a few units in the last place of the largest logit nearby.
    """
    generator = torch.Generator().manual_seed(1)
    examples = [
        (torch.randn(channels, *shape, generator=generator) * 8, size)
        for channels, shape, size in ((3, (5, 6, 7), (21, 31, 37)), (2, (9, 4, 11), (7, 19, 67)))
    ]
    expected = [
        functional.interpolate(logits[None], size=size, mode="trilinear", align_corners=False)[0]
        for logits, size in examples
    ]
    for lerp in (fused_first, fused_second, separate):
        for fused_source in (True, False):
            found = Arithmetic(lerp, fused_source, verified=True)
            computed = (explicit_upsampling(logits, size, found) for logits, size in examples)
            if all(torch.equal(ours, theirs) for ours, theirs in zip(computed, expected, strict=True)):
                return found
    return Arithmetic(separate, fused_source=False)
