"""Moves one body onto the grid of another, image and labels by one and the same smooth warp.

The result is what a registration of two patients gives: the moving patient's picture, roughly in the size and
place of the fixed one, with organs that do not quite match.
"""

from __future__ import annotations

import numpy as np
from pipeline.generated.phantom.noise import smooth_field, stream
from scipy import ndimage

from iuinet.volume import Grid

from .bodies import Body

WAVELENGTH_MM = 130.0
DEVIATION_MM = 6.0  # of the displacement along each axis: steep enough to see, too flat to fold
OUTSIDE_HU = -1024.0


def warp(
    grid: Grid,
    stretch: tuple[float, float, float],
    seed: int,
    slip_mm: float = 0.0,
    deviation_mm: float = DEVIATION_MM,
) -> np.ndarray:
    """For each voxel of a grid in the fixed body's frame the position in the moving body's, mm.

    grid: canonical. stretch: size of the moving body relative to the fixed one along x, y, z.
    slip_mm: shift along the body, as of a registration that failed. deviation_mm: how far it bends.
    Returns float32 (3, k, j, i): x, y, z.
    """
    x, y, z = (
        start + step * np.arange(size)
        for start, step, size in zip(grid.origin, grid.spacing, grid.size, strict=True)
    )
    axes = (z, y, x)
    result = np.empty((3, *grid.shape), np.float32)
    for number, (name, place) in enumerate(
        (("x", x[None, None, :]), ("y", y[None, :, None]), ("z", z[:, None, None]))
    ):
        bend = smooth_field(stream(seed, f"registration-{name}"), axes, WAVELENGTH_MM)
        result[number] = deviation_mm * bend + stretch[number] * place
    result[2] += slip_mm
    return result


def resample(body: Body, positions: np.ndarray, grid: Grid) -> Body:
    """The body at positions (3, k, j, i), mm in its frame; linear. grid: what the result lies on.

    What the body does not cover is OUTSIDE_HU, without labels. An organ is where its mask is more than half.
    """
    index = np.empty_like(positions)
    for number in range(3):
        index[2 - number] = (positions[number] - body.grid.origin[number]) / body.grid.spacing[number]
    hu = ndimage.map_coordinates(body.hu, index, order=1, cval=OUTSIDE_HU)
    labels = np.zeros(grid.shape, np.uint8)
    for label, box in enumerate(ndimage.find_objects(body.labels), start=1):
        if box is None:
            continue
        start = [max(0, part.start - 1) for part in box]
        stop = [part.stop + 1 for part in box]
        crop = body.labels[tuple(map(slice, start, stop))] == label
        near = np.ones(grid.shape, bool)
        for axis in range(3):
            near &= (index[axis] >= start[axis]) & (index[axis] <= start[axis] + crop.shape[axis] - 1)
        there = index[:, near] - np.array(start, np.float32)[:, None]
        share = ndimage.map_coordinates(crop.astype(np.float32), there, order=1)
        labels[near] = np.where(share > 0.5, np.uint8(label), labels[near])
    return Body(hu, labels, grid)
