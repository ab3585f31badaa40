"""Smooth random fields: the bending of the anatomy, the grain of tissues, the noise of the scanner."""

from __future__ import annotations

import zlib

import numpy as np

# The lattice of every field covers this box (mm, body frame), whatever part of it is pictured: the
# anatomy of a seed must not change with the size or the field of view.
LATTICE_HALF_MM = 300.0


def stream(seed: int, purpose: str) -> np.random.Generator:
    """An own random stream per purpose, so that a change in one part leaves the others as they are."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(purpose.encode())]))


def smooth_field(
    rng: np.random.Generator, axes: tuple[np.ndarray, np.ndarray, np.ndarray], wavelength_mm: float
) -> np.ndarray:
    """A random field of about unit variance that varies over ``wavelength_mm``, shape (k, j, i), float32.

    axes: positions (mm) along k, j and i. A cubic B-spline with normal coefficients every half wavelength.
    """
    step = wavelength_mm / 2
    nodes = int(np.ceil(2 * LATTICE_HALF_MM / step)) + 4
    field = rng.standard_normal((nodes, nodes, nodes), dtype=np.float32)
    for axis, positions in enumerate(axes):
        field = _interpolate(field, (positions + LATTICE_HALF_MM) / step, axis)
    # A cubic B-spline keeps about 0.479 of a variance per axis, averaged over the cell.
    return field * np.float32(0.479**-1.5)


def _interpolate(field: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Uniform cubic B-spline along one axis at fractional node positions, edges held."""
    nodes = field.shape[axis]
    base = np.clip(np.floor(position), 0, nodes - 4).astype(int)
    t = np.clip(position - base, 0, 1)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    shape = [1, 1, 1]
    shape[axis] = -1
    total = None
    for offset, weight in enumerate(weights):
        part = np.take(field, base + offset, axis=axis)
        part *= (weight / 6).reshape(shape).astype(np.float32)
        total = part if total is None else np.add(total, part, out=total)
    return total


def blurred_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], sigmas: tuple[float, float, float]
) -> np.ndarray:
    """Gaussian noise of unit variance, smoothed by ``sigmas`` voxels along k, j, i; float32.

    The kernels are scaled to keep the variance, so the amount of noise does not depend on its softness.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    for axis, sigma in enumerate(sigmas):
        if sigma <= 0.05:
            continue
        radius = max(1, int(np.ceil(2.5 * sigma)))
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        kernel /= np.sqrt((kernel**2).sum())
        noise = _convolve(noise, kernel.astype(np.float32), axis)
    return noise


def _convolve(array: np.ndarray, kernel: np.ndarray, axis: int) -> np.ndarray:
    """Convolution along one axis that wraps around, so that the edges have the variance of the middle."""
    radius = len(kernel) // 2
    total = array * kernel[radius]
    for offset in range(1, radius + 1):
        pair = np.roll(array, offset, axis) + np.roll(array, -offset, axis)
        total += pair * kernel[radius + offset]
    return total
