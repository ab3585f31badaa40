"""Distances between the surfaces of two masks in millimetres, on scipy's exact Euclidean distance transform.

A mask's surface is its voxels that share a face with the background (what erosion with 6 neighbours takes
away); beyond the array lies background, so where an organ is cut by the scan's edge, the cut is surface.
A distance runs from the centre of one surface voxel to the centre of the nearest surface voxel of the other
mask, and each surface voxel counts once, however large its faces are. MedPy and MONAI mean the same by these
words, and differ only in how the distances become one number:

* HD95: ours is the larger of the two directions' 95th percentiles, as in MONAI. MedPy's ``hd95`` takes the
  percentile over both directions pooled (``pooled_hd95``): smaller where one direction is much the worse, as
  for a spur of the result that ours sees and the pooled one may not.
* ASSD: the mean over both directions' distances pooled (Heimann et al., IEEE TMI 28(8), 2009), as in MedPy
  0.5 and MONAI. Others take the mean of the two directions' means, which weighs the smaller surface more.
* NSD: the share of both surfaces that lies within a tolerance of the other (Nikolov et al., J Med Internet
  Res 23(7), 2021), counted in voxels as in MONAI without subvoxels, where the first authors weigh by area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# A distance that is the tolerance but for rounding, such as of three steps of 0.7 mm, is within it.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances of two surfaces, mm.

    forward: from each surface voxel of the first mask to the second mask's surface; backward: the other way.
    """

    forward: np.ndarray
    backward: np.ndarray

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles (with linear interpolation between ranks), mm."""
        return float(max(np.percentile(self.forward, 95), np.percentile(self.backward, 95)))

    @property
    def pooled_hd95(self) -> float:
        """The 95th percentile of both directions' distances together, mm: MedPy's hd95."""
        return float(np.percentile(np.concatenate([self.forward, self.backward]), 95))

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean of both directions' distances together, mm."""
        return float((self.forward.sum() + self.backward.sum()) / (self.forward.size + self.backward.size))

    def nsd(self, tolerance: float) -> float:
        """Normalised surface distance: the share of both surfaces within the tolerance (mm, inclusive)."""
        limit = tolerance * (1 + _ROUNDING)
        within = np.count_nonzero(self.forward <= limit) + np.count_nonzero(self.backward <= limit)
        return float(within / (self.forward.size + self.backward.size))


def surface_distances(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> SurfaceDistances:
    """Distances between the surfaces of two masks.

    first, second: bool arrays of one shape, each with at least one voxel set. spacing: mm along the array's
    axes. Raises ValueError for other input.
    """
    if first.shape != second.shape or first.ndim != len(spacing):
        raise ValueError(f"masks {first.shape} and {second.shape} with spacing {tuple(spacing)} do not fit")
    if not first.any() or not second.any():
        raise ValueError("an empty mask has no surface")
    # Outside the box that holds both masks is background, as beyond the array: cropping changes no surface.
    box = ndimage.find_objects((first | second).view(np.uint8))[0]
    borders = border(first[box]), border(second[box])
    return SurfaceDistances(
        _to_nearest(borders[0], borders[1], spacing), _to_nearest(borders[1], borders[0], spacing)
    )


def border(mask: np.ndarray) -> np.ndarray:
    """The mask's voxels that share a face with the background or with the array's outside; bool."""
    return mask & ~ndimage.binary_erosion(mask)


def _to_nearest(sources: np.ndarray, targets: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance from each voxel set in ``sources`` to the nearest one set in ``targets``, mm, in memory order.

    The transform gives the nearest voxel's indices; distances are made of them for the sources alone, which
    needs a fraction of the memory that a distance for every voxel does.
    """
    nearest = ndimage.distance_transform_edt(
        ~targets, sampling=spacing, return_distances=False, return_indices=True
    )
    steps = (nearest[:, sources] - np.stack(np.nonzero(sources))) * np.asarray(spacing, float)[:, None]
    return np.sqrt((steps**2).sum(0))
