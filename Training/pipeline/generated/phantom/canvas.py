"""The picture under construction: positions, Hounsfield units and labels on one grid.

Structures are painted one after the other, from the skin inwards; what is painted later lies in front and
presses into what was there. Each paints its share of a voxel (partial volume), and the label goes to the
structure that takes at least half of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .noise import smooth_field, stream
from .shapes import coverage

# Bending of the body frame moves a structure by no more than this (4.5 standard deviations).
BEND_MARGIN_MM = 16.0
BEND_MM = 3.5
BEND_WAVELENGTH_MM = 130.0


@dataclass(frozen=True)
class Window:
    """A box of the canvas: its slices (k, j, i) and views of the positions in it (mm, body frame)."""

    slices: tuple[slice, slice, slice]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along k, j, i."""
        return self.x.shape

    @property
    def size(self) -> int:
        """Number of voxels; 0 when the box lies outside the picture."""
        return self.x.size

    def relative_to(self, outer: Window) -> tuple[slice, ...]:
        """This window's slices inside the arrays of a window that contains it."""
        return tuple(
            slice(s.start - o.start, s.stop - o.start) for s, o in zip(self.slices, outer.slices, strict=True)
        )


class Canvas:
    """Hounsfield units and labels, with the position of every voxel in the bent body frame."""

    def __init__(
        self,
        axes: tuple[np.ndarray, np.ndarray, np.ndarray],
        softness: tuple[float, float, float],
        seed: int,
        variation: float,
    ) -> None:
        """Lay out the grid.

        axes: positions (mm, body frame) of the voxel centres along k, j and i, increasing.
        softness: slice profile and kernel in voxels along k, j, i.
        """
        self.axes, self.softness, self.seed = axes, softness, seed
        self.voxel_mm = max(float(np.ptp(a)) / max(len(a) - 1, 1) for a in axes)
        self.shape = tuple(len(a) for a in axes)
        self.hu = np.full(self.shape, -1000.0, dtype=np.float32)
        self.labels = np.zeros(self.shape, dtype=np.uint8)
        self._grains: dict[float, np.ndarray] = {}
        z, y, x = np.meshgrid(*(a.astype(np.float32) for a in axes), indexing="ij")
        for name, position in (("x", x), ("y", y), ("z", z)):
            bend = smooth_field(stream(seed, f"bend-{name}"), axes, BEND_WAVELENGTH_MM)
            limit = np.float32(BEND_MARGIN_MM)
            position += np.clip(bend * np.float32(BEND_MM * variation), -limit, limit)
        self.whole = Window(tuple(slice(0, n) for n in self.shape), x, y, z)

    def window(self, low, high, within: Window | None = None) -> Window:
        """The part of the picture that can hold the box from ``low`` to ``high`` (x, y, z, mm).

        The box is moved by the bend at its centre, so that a small box needs a small margin only.
        within: an outer window that the result must not leave.
        """
        low, high = [float(v) for v in low[::-1]], [float(v) for v in high[::-1]]
        centre = tuple(
            min(int(axis.searchsorted((bottom + top) / 2)), len(axis) - 1)
            for axis, bottom, top in zip(self.axes, low, high, strict=True)
        )
        extent = max(top - bottom for bottom, top in zip(low, high, strict=True))
        margin = min(BEND_MARGIN_MM, 4 + 0.12 * extent)
        slices = []
        for n, position in enumerate((self.whole.z, self.whole.y, self.whole.x)):
            axis = self.axes[n]
            bend = float(position[centre]) - float(axis[centre[n]])
            start = int(axis.searchsorted(low[n] - bend - margin))
            stop = int(axis.searchsorted(high[n] - bend + margin))
            if within is not None:
                first, last = within.slices[n].start, within.slices[n].stop
                start, stop = min(max(start, first), last), min(stop, last)
            slices.append(slice(start, max(start, stop)))
        box = tuple(slices)
        return Window(box, self.whole.x[box], self.whole.y[box], self.whole.z[box])

    def grain(self, wavelength_mm: float, window: Window) -> np.ndarray:
        """Smooth noise of unit variance in a window: texture, lobulation, uneven surfaces."""
        if wavelength_mm not in self._grains:
            rng = stream(self.seed, f"grain-{wavelength_mm}")
            self._grains[wavelength_mm] = smooth_field(rng, self.axes, wavelength_mm)
        return self._grains[wavelength_mm][window.slices]

    def paint(
        self,
        window: Window,
        field: np.ndarray,
        hu: float | np.ndarray,
        label: int | None = 0,
        only: np.ndarray | None = None,
    ) -> np.ndarray:
        """Paint the inside of a field; returns the share of each voxel that was painted.

        hu: one number or an array of the window's shape.
        label: id for voxels painted by half or more (0 erases); None keeps the labels (inner detail).
        only: boolean mask of the voxels that may change.
        """
        if window.size == 0:
            return np.zeros(window.shape, dtype=np.float32)
        share = coverage(field, self.softness)
        if only is not None:
            share *= only
        view = self.hu[window.slices]
        view += share * (np.asarray(hu, dtype=np.float32) - view)
        if label is not None:
            self.labels[window.slices][share >= 0.5] = label
        return share
