"""Tables as smooth profiles and surfaces: outlines by height, the diaphragm, the liver's underside."""

from __future__ import annotations

import numpy as np

from .appearance import table
from .canvas import Window

STEP_MM = 3.0


def lookup(position: np.ndarray, x, y) -> np.ndarray:
    """Piecewise linear function of non-negative positions by a fine table (much faster than np.interp)."""
    fine = np.interp(np.arange(0, x[-1] + 1, 0.5), x, y).astype(np.float32)
    return fine[np.minimum(position * 2, len(fine) - 1).astype(np.int32)]


class Profile:
    """A smooth function of one coordinate through the points of a table; constant beyond its ends."""

    def __init__(self, at, values, smooth_mm: float = 30.0) -> None:
        """Tabulate the function every half millimetre."""
        order = np.argsort(at)
        at, values = np.asarray(at, dtype=float)[order], np.asarray(values, dtype=float)[order]
        self.start = at[0] - 100
        self.values = np.interp(np.arange(self.start, at[-1] + 100, 0.5), at, values)
        self.values = _smooth(self.values, smooth_mm / 0.5, 0).astype(np.float32)

    def __call__(self, position: np.ndarray) -> np.ndarray:
        """The function at the given positions (mm)."""
        index = ((position - np.float32(self.start)) * 2).astype(np.int32)
        return self.values[np.clip(index, 0, len(self.values) - 1)]


class HeightMap:
    """A surface z = h(x, y) on a regular lattice of the body frame."""

    def __init__(self, heights: np.ndarray, x0: float, y0: float) -> None:
        """heights: (y, x) table with its first node at (x0, y0) and a spacing of STEP_MM."""
        self.x0, self.y0 = x0, y0
        slope_y, slope_x = np.gradient(heights, STEP_MM)
        self.heights = heights.astype(np.float32)
        self.tilt = (1 / np.sqrt(1 + slope_x**2 + slope_y**2)).astype(np.float32)

    def signed(self, window: Window) -> np.ndarray:
        """About the distance (mm) above the surface; negative below."""
        rows, columns = self.heights.shape
        u = np.clip((window.x - np.float32(self.x0)) / np.float32(STEP_MM), 0, columns - 1.001)
        v = np.clip((window.y - np.float32(self.y0)) / np.float32(STEP_MM), 0, rows - 1.001)
        i, j = u.astype(np.int32), v.astype(np.int32)
        u -= i
        v -= j
        first = j * columns + i
        flat = self.heights.ravel()
        top = flat[first] * (1 - u) + flat[first + 1] * u
        bottom = flat[first + columns] * (1 - u) + flat[first + columns + 1] * u
        height = top + (bottom - top) * v
        return (window.z - height) * self.tilt.ravel()[first]


def _smooth(values: np.ndarray, width: float, axis: int) -> np.ndarray:
    """Two passes of a moving average over ``width`` samples, edges held."""
    half = max(1, round(width / 4))
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    for _ in range(2):
        pad = [(0, 0)] * values.ndim
        pad[axis] = (half, half)
        padded = np.pad(values, pad, mode="edge")
        values = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="valid")
    return values


def _lattice() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(-190, 190 + STEP_MM, STEP_MM), np.arange(-210, 110 + STEP_MM, STEP_MM)


def diaphragm() -> HeightMap:
    """The upper limit of the abdomen: a high dome on the right, a lower one on the left, a saddle between."""
    x, y = np.meshgrid(*_lattice())

    def dome(top, fall, cx, cy, rx, ry):
        return top - fall * (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) ** 1.3

    right = dome(97, 60, -64, -62, 86, 92)
    left = dome(84, 56, 78, -54, 80, 88)
    saddle = dome(74, 40, 12, -98, 70, 66)
    # A soft maximum of the three, and a recess that ends at the lowest ribs.
    heights = 8 * np.log(sum(np.exp(np.maximum(d, 24) / 8) for d in (right, left, saddle)))
    return HeightMap(_smooth(_smooth(heights, 6, 0), 6, 1), -190, -210)


def liver_underside() -> HeightMap:
    """The lower surface of the liver, from its table."""
    data = table("anatomy")["liver"]
    xs, ys = _lattice()
    rows = np.array([np.interp(xs, data["x"], row) for row in data["lower"]])
    heights = np.array([np.interp(ys, data["y"], column) for column in rows.T]).T
    return HeightMap(_smooth(_smooth(heights, 9, 0), 9, 1), xs[0], ys[0])
