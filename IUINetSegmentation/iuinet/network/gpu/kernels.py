"""The GPU's kernels in Triton: what ``fast/gradients.py`` does on the CPU, a tile of voxels a program.

Tensors are (B, C, voxels), contiguous, in float32, bfloat16 or float16. Whatever their type, a tile becomes
float32 in the registers; a product's factors get the result's type again and are added up in float32. What is
read through a norm brings its numbers along, (B, 3, C) in float32: mean, scale and bias. Sums over voxels
leave a kernel as one number per tile, so that their order, and thus every bit, is the same each time.

Only ``operations.py`` imports this file, and calls what is in it: Triton is not everywhere.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _numbers(P, sample, channels, c):
    """Mean, scale and bias of some channels; zero beyond the last."""
    place, inside = P + sample * 3 * channels + c, c < channels
    mean = tl.load(place, mask=inside, other=0.0)
    scale = tl.load(place + channels, mask=inside, other=0.0)
    return mean, scale, tl.load(place + 2 * channels, mask=inside, other=0.0)


@triton.jit
def _place(X, sample, channels, voxels, c, v):
    """Pointers to (channels, voxels), and which of them are there."""
    rows = sample.to(tl.int64) * channels + c
    return X + rows[:, None] * voxels + v[None, :], (c < channels)[:, None] & (v < voxels)[None, :]


@triton.jit
def _read(X, P, sample, channels, voxels, c, v, slope, NORM: tl.constexpr):
    """What is read of some channels and voxels, in float32; zero outside."""
    place, inside = _place(X, sample, channels, voxels, c, v)
    x = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        mean, scale, bias = _numbers(P, sample, channels, c)
        x = (x - mean[:, None]) * scale[:, None] + bias[:, None]
        x = tl.where(inside, tl.where(x > 0, x, slope * x), 0.0)
    return x


@triton.jit
def _through_norm(gradient, X, P, SUMS, sample, channels, voxels, c, v, slope):
    """Gradient of the raw tile from that of the normalised one; the tile's sums for scale and bias go to
    SUMS (B, tiles, 2, C)."""
    place, inside = _place(X, sample, channels, voxels, c, v)
    mean, scale, bias = _numbers(P, sample, channels, c)
    centred = tl.load(place, mask=inside, other=0.0).to(tl.float32) - mean[:, None]
    positive = centred * scale[:, None] + bias[:, None] > 0
    inner = tl.where(inside, tl.where(positive, gradient, slope * gradient), 0.0)
    sums = SUMS + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + c
    tl.store(sums, tl.sum(inner * centred, 1), mask=c < channels)
    tl.store(sums + channels, tl.sum(inner, 1), mask=c < channels)
    return inner * scale[:, None]


# Moments and normalisation --------------------------------------------------------------------------------


@triton.jit
def _moments_of_tiles(OUT, X, voxels, BLOCK: tl.constexpr):
    """Mean and sum of squared deviations of every tile: OUT (B C, tiles, 2)."""
    row, v = tl.program_id(1), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = v < voxels
    x = tl.load(X + row.to(tl.int64) * voxels + v, mask=inside, other=0.0).to(tl.float32)
    count = tl.minimum(voxels - tl.program_id(0) * BLOCK, BLOCK)
    mean = tl.sum(x, 0) / count
    deviation = tl.where(inside, x - mean, 0.0)
    place = OUT + (row * tl.num_programs(0) + tl.program_id(0)) * 2
    tl.store(place, mean)
    tl.store(place + 1, tl.sum(deviation * deviation, 0))


@triton.jit
def _moments_of_all(OUT, PARTS, rows, tiles, voxels, BLOCK: tl.constexpr, TILES: tl.constexpr):
    """OUT (2, B C) in float64, mean and variance, from what ``_moments_of_tiles`` left."""
    row, tile = tl.program_id(0), tl.arange(0, TILES)
    inside = tile < tiles
    place = PARTS + (row * tiles + tile) * 2
    means = tl.load(place, mask=inside, other=0.0).to(tl.float64)
    squares = tl.load(place + 1, mask=inside, other=0.0).to(tl.float64)
    counts = tl.where(inside, tl.minimum(voxels - tile * BLOCK, BLOCK), 0).to(tl.float64)
    total = tl.sum(counts, 0)
    mean = tl.sum(counts * means, 0) / total
    between = counts * (means - mean) * (means - mean)
    tl.store(OUT + row, mean)
    tl.store(OUT + rows + row, tl.sum(squares + between, 0) / total)


@triton.jit
def _normed(OUT, X, P, channels, voxels, slope, BLOCK_C: tl.constexpr, BLOCK_V: tl.constexpr):
    """LeakyReLU of (x - mean) scale + bias."""
    v = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    c, sample = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C), tl.program_id(2)
    place, inside = _place(OUT, sample, channels, voxels, c, v)
    found = _read(X, P, sample, channels, voxels, c, v, slope, True)
    tl.store(place, found.to(OUT.dtype.element_ty), mask=inside)


@triton.jit
def _normed_backward(
    GX, SUMS, G, X, P, channels, voxels, slope, BLOCK_C: tl.constexpr, BLOCK_V: tl.constexpr
):
    """GX of G, and the sums of scale and bias."""
    v = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    c, sample = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C), tl.program_id(2)
    gradient = _read(G, P, sample, channels, voxels, c, v, slope, False)
    gradient = _through_norm(gradient, X, P, SUMS, sample, channels, voxels, c, v, slope)
    place, inside = _place(GX, sample, channels, voxels, c, v)
    tl.store(place, gradient.to(GX.dtype.element_ty), mask=inside)


# Product --------------------------------------------------------------------------------------------------


@triton.jit
def _add(
    total, W, X, P, sample, rows, channels, voxels, m, v, w_row, w_col, slope, NORM: tl.constexpr, LIKE,
    BLOCK_C: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """The total plus weight times one read; W points to the sample's first column for this read. LIKE: points
    to numbers of the type in which both are multiplied."""
    for first in range(0, channels, BLOCK_C):
        c = first + tl.arange(0, BLOCK_C)
        inside = (m < rows)[:, None] & (c < channels)[None, :]
        weight = tl.load(W + m[:, None] * w_row + c[None, :] * w_col, mask=inside, other=0.0)
        read = _read(X, P, sample, channels, voxels, c, v, slope, NORM)
        kind = LIKE.dtype.element_ty
        total = tl.dot(weight.to(kind), read.to(kind), total, input_precision=DOT)
    return total


@triton.jit
def _product(
    OUT, W, BIAS, X0, P0, X1, P1, X2, P2, X3, P3, c0, c1, c2, c3, rows, voxels, w_sample, w_row, w_col,
    slope, HAS_BIAS: tl.constexpr, N0: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_V: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """OUT (B, M, voxels): W (B, M, N) times up to four reads below each other, plus BIAS (B, M). A read that
    is not there has no channels."""
    v = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    m, s = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M), tl.program_id(2)
    total = tl.zeros((BLOCK_M, BLOCK_V), tl.float32)
    W += s * w_sample
    total = _add(total, W, X0, P0, s, rows, c0, voxels, m, v, w_row, w_col, slope, N0, OUT, BLOCK_C, DOT)
    W += c0 * w_col
    total = _add(total, W, X1, P1, s, rows, c1, voxels, m, v, w_row, w_col, slope, N1, OUT, BLOCK_C, DOT)
    W += c1 * w_col
    total = _add(total, W, X2, P2, s, rows, c2, voxels, m, v, w_row, w_col, slope, N2, OUT, BLOCK_C, DOT)
    W += c2 * w_col
    total = _add(total, W, X3, P3, s, rows, c3, voxels, m, v, w_row, w_col, slope, N3, OUT, BLOCK_C, DOT)
    if HAS_BIAS:
        total += tl.load(BIAS + s * rows + m, mask=m < rows, other=0.0)[:, None]
    place, inside = _place(OUT, s, rows, voxels, m, v)
    tl.store(place, total.to(OUT.dtype.element_ty), mask=inside)


@triton.jit
def _product_backward(
    GX, SUMS, G, W, X, P, channels, rows, voxels, w_sample, w_row, w_col, slope, NORM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_V: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Of one read: GX (B, C, voxels), and the sums of scale and bias. W: at its first column for the read."""
    v = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    c, s = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C), tl.program_id(2)
    back = tl.zeros((BLOCK_C, BLOCK_V), tl.float32)
    # The weight's columns become rows, and the gradient is what is read.
    W += s * w_sample
    back = _add(back, W, G, P, s, channels, rows, voxels, c, v, w_col, w_row, slope, False, G, BLOCK_M, DOT)
    if NORM:
        back = _through_norm(back, X, P, SUMS, s, channels, voxels, c, v, slope)
    place, inside = _place(GX, s, channels, voxels, c, v)
    tl.store(place, back.to(GX.dtype.element_ty), mask=inside)


@triton.jit
def _product_weight(
    PARTS, G, X, P, channels, rows, voxels, length, slope, NORM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_V: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Of one read: the gradient of its weight from ``length`` voxels each, PARTS (B, parts, M, C)."""
    tiles = tl.cdiv(channels, BLOCK_C)
    m = tl.program_id(1) // tiles * BLOCK_M + tl.arange(0, BLOCK_M)
    c = tl.program_id(1) % tiles * BLOCK_C + tl.arange(0, BLOCK_C)
    part, s = tl.program_id(0), tl.program_id(2)
    total = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for first in range(part * length, tl.minimum((part + 1) * length, voxels), BLOCK_V):
        v = first + tl.arange(0, BLOCK_V)
        gradient = _read(G, P, s, rows, voxels, m, v, slope, False).to(G.dtype.element_ty)
        read = _read(X, P, s, channels, voxels, c, v, slope, NORM).to(G.dtype.element_ty)
        total = tl.dot(gradient, tl.trans(read), total, input_precision=DOT)
    place = PARTS + (s * tl.num_programs(0) + part) * rows * channels
    inside = (m < rows)[:, None] & (c < channels)[None, :]
    tl.store(place + m[:, None] * channels + c[None, :], total, mask=inside)


# Shift ----------------------------------------------------------------------------------------------------


@triton.jit
def _value(X, h, w, d, height, width, depth, mean, scale, bias, slope, NORM: tl.constexpr):
    """Voxels of a volume, normalised and activated; zero outside of it."""
    inside = (h >= 0) & (h < height) & (w >= 0) & (w < width) & (d >= 0) & (d < depth)
    x = tl.load(X + (h * width + w) * depth + d, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        x = (x - mean) * scale + bias
        x = tl.where(inside, tl.where(x > 0, x, slope * x), 0.0)
    return x


@triton.jit
def _between(
    X, h, w, d, a, b, height, width, depth, mean, scale, bias, slope,
    NORM: tl.constexpr, A: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    """In the plane of the axes A and B, between a voxel and its next ones, a and b of the way."""
    near = _value(X, h, w, d, height, width, depth, mean, scale, bias, slope, NORM)
    far = _value(
        X, h + (B == 0), w + (B == 1), d + (B == 2), height, width, depth, mean, scale, bias, slope, NORM
    )
    first = near + b * (far - near)
    h, w, d = h + (A == 0), w + (A == 1), d + (A == 2)
    near = _value(X, h, w, d, height, width, depth, mean, scale, bias, slope, NORM)
    far = _value(
        X, h + (B == 0), w + (B == 1), d + (B == 2), height, width, depth, mean, scale, bias, slope, NORM
    )
    return first + a * (near + b * (far - near) - first)


@triton.jit
def _corner(OFFSETS, c, axis, sign):
    """Whole voxels and fraction of ``sign`` times a channel's offset along an axis."""
    offset = sign * tl.load(OFFSETS + c * 3 + axis)
    whole = tl.floor(offset)
    return whole.to(tl.int32), offset - whole


@triton.jit
def _at_offset(
    X, OFFSETS, c, h, w, d, sign, height, width, depth, mean, scale, bias, slope, NORM: tl.constexpr
):
    """A volume's values ``sign`` times the channel's offset away."""
    wh, fh = _corner(OFFSETS, c, 0, sign)
    ww, fw = _corner(OFFSETS, c, 1, sign)
    wd, fd = _corner(OFFSETS, c, 2, sign)
    h, w, d = h + wh, w + ww, d + wd
    near = _between(X, h, w, d, fw, fd, height, width, depth, mean, scale, bias, slope, NORM, 1, 2)
    far = _between(X, h + 1, w, d, fw, fd, height, width, depth, mean, scale, bias, slope, NORM, 1, 2)
    return near + fh * (far - near)


@triton.jit
def _shifted(
    OUT, X, P, OFFSETS, channels, height, width, depth, slope, NORM: tl.constexpr, BLOCK: tl.constexpr
):
    """Each channel moved by its offset of OFFSETS (C, 3), in voxels."""
    v = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c, sample, voxels = tl.program_id(1), tl.program_id(2), height * width * depth
    h, w, d = v // (width * depth), v // depth % width, v % depth
    mean, scale, bias = 0.0, 1.0, 0.0
    if NORM:
        mean, scale, bias = _numbers(P, sample, channels, c)
    start = (sample.to(tl.int64) * channels + c) * voxels
    found = _at_offset(
        X + start, OFFSETS, c, h, w, d, 1, height, width, depth, mean, scale, bias, slope, NORM
    )
    tl.store(OUT + start + v, found.to(OUT.dtype.element_ty), mask=v < voxels)


@triton.jit
def _shifted_backward(
    GX, SUMS, G, X, P, OFFSETS, channels, height, width, depth, slope, NORM: tl.constexpr, BLOCK: tl.constexpr
):
    """GX, the adjoint: what lies the opposite way in G. SUMS (B, tiles, 5, C): of scale, bias and offsets.

    Along an axis an offset's gradient is the difference of the neighbours, the other two axes interpolated;
    at a whole offset, RubiksNet's rule, of those on both sides.
    """
    v = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c, sample, voxels = tl.program_id(1), tl.program_id(2), height * width * depth
    h, w, d = v // (width * depth), v // depth % width, v % depth
    mean, scale, bias = 0.0, 1.0, 0.0
    if NORM:
        mean, scale, bias = _numbers(P, sample, channels, c)
    start = (sample.to(tl.int64) * channels + c) * voxels
    X += start
    inner = _at_offset(G + start, OFFSETS, c, h, w, d, -1, height, width, depth, 0.0, 1.0, 0.0, slope, False)
    inner = tl.where(v < voxels, inner, 0.0)
    sums = SUMS + (sample * tl.num_programs(0) + tl.program_id(0)) * 5 * channels + c
    if NORM:
        centred = tl.load(X + v, mask=v < voxels, other=0.0).to(tl.float32) - mean
        inner = tl.where(centred * scale + bias > 0, inner, slope * inner)
        tl.store(sums, tl.sum(inner * centred, 0))
        tl.store(sums + channels, tl.sum(inner, 0))
    tl.store(GX + start + v, (inner * scale).to(GX.dtype.element_ty), mask=v < voxels)

    gradient = tl.load(G + start + v, mask=v < voxels, other=0.0).to(tl.float32)
    wh, fh = _corner(OFFSETS, c, 0, 1)
    ww, fw = _corner(OFFSETS, c, 1, 1)
    wd, fd = _corner(OFFSETS, c, 2, 1)
    h, w, d = h + wh, w + ww, d + wd
    bh, bw, bd = h - (fh == 0), w - (fw == 0), d - (fd == 0)
    far = _between(X, h + 1, w, d, fw, fd, height, width, depth, mean, scale, bias, slope, NORM, 1, 2)
    near = _between(X, bh, w, d, fw, fd, height, width, depth, mean, scale, bias, slope, NORM, 1, 2)
    tl.store(sums + 2 * channels, tl.sum(gradient * (far - near), 0))
    far = _between(X, h, w + 1, d, fh, fd, height, width, depth, mean, scale, bias, slope, NORM, 0, 2)
    near = _between(X, h, bw, d, fh, fd, height, width, depth, mean, scale, bias, slope, NORM, 0, 2)
    tl.store(sums + 3 * channels, tl.sum(gradient * (far - near), 0))
    far = _between(X, h, w, d + 1, fh, fw, height, width, depth, mean, scale, bias, slope, NORM, 0, 1)
    near = _between(X, h, w, bd, fh, fw, height, width, depth, mean, scale, bias, slope, NORM, 0, 1)
    tl.store(sums + 4 * channels, tl.sum(gradient * (far - near), 0))
