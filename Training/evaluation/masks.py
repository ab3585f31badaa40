"""One organ in a label map and in its reference, cut out of the volume: what all scores are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

UNKNOWN = 255  # in a reference: nobody knows what is there


@dataclass(frozen=True)
class Masks:
    """One organ in both label maps, cropped to the box that holds both.

    result, reference: bool (k, j, i). spacing: mm along k, j, i. voxel_ml: volume of a voxel.
    diagonal: of the whole image, mm.
    """

    result: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, float, float]
    voxel_ml: float
    diagonal: float

    @property
    def voxels(self) -> tuple[int, int, int]:
        """Voxels of the result, of the reference, and of both at once."""
        counted = self.result, self.reference, self.result & self.reference
        return tuple(int(np.count_nonzero(mask)) for mask in counted)

    @property
    def state(self) -> str:
        """ "both", "missed", "extra" or "absent"."""
        found, expected, _ = self.voxels
        if found and expected:
            return "both"
        return "missed" if expected else "extra" if found else "absent"

    @property
    def dsc(self) -> float:
        """Dice similarity coefficient; one of the masks must have voxels."""
        found, expected, both = self.voxels
        return 2 * both / (found + expected)


def crops(
    labels: np.ndarray,
    reference: np.ndarray,
    organs: Mapping[str, int],
    spacing: tuple[float, float, float],
    voxel_ml: float,
) -> Iterator[tuple[str, Masks]]:
    """Each organ's masks in the box that holds both, which makes all that follows quick."""
    if labels.shape != reference.shape:
        raise ValueError(f"labels {labels.shape} and reference {reference.shape} differ in shape")
    diagonal = float(np.linalg.norm(np.multiply(labels.shape, spacing)))
    known = reference != UNKNOWN
    if not known.all():
        labels = np.where(known, labels, 0)
    boxes = [ndimage.find_objects(array, max_label=255) for array in (labels, reference)]
    for name, number in organs.items():
        found = [box[number - 1] for box in boxes if box[number - 1] is not None]
        box = (
            tuple(
                slice(min(part.start for part in parts), max(part.stop for part in parts))
                for parts in zip(*found, strict=True)
            )
            or (slice(0, 0),) * labels.ndim
        )
        yield name, Masks(labels[box] == number, reference[box] == number, spacing, voxel_ml, diagonal)
