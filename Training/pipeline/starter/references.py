"""References for the real scans that no one labelled: a watershed from discs set by hand, slice by slice.

The discs (``references/*.toml``) say which organ lies where; edges of the image say where it ends. So liver,
spleen, kidneys and gallbladder can be measured; no other organ has edges that such a method finds. Nobody
trained in radiology has drawn or checked them, and no network had a part in them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from iuinet.geometry import canonical_axes, from_canonical, to_canonical
from iuinet.islands import keep_largest_components
from iuinet.volume import Volume

FOLDER = Path(__file__).with_name("references")
ORGANS = ("liver", "spleen", "right kidney", "left kidney", "gallbladder")
OTHER = len(ORGANS) + 1
FAT_HU = -25.0  # and everything below, gas too, is none of the organs
NOISE_HU = 1.2  # gradients up to it, in HU per voxel, are noise

# What an organ's inside measures in the portal venous phase, smoothed, and its edge towards fat at least, HU.
INSIDE_HU = {
    "liver": (72, 215),
    "spleen": (75, 230),
    "right kidney": (30, 400),
    "left kidney": (30, 400),
    "gallbladder": (-25, 60),
}
EDGE_HU = {"gallbladder": -45.0}
USUAL_EDGE_HU = 5.0


def reference(name: str, volume: Volume) -> tuple[np.ndarray, dict[str, int]]:
    """Labels uint8 (k, j, i) on the volume's grid, and the organs' numbers in them.

    name: of the scan whose discs are at hand.
    Raises: FileNotFoundError for others.
    """
    discs = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    axes = canonical_axes(volume.grid.direction)
    labels = grow(to_canonical(volume.array, axes), discs)
    return from_canonical(labels, axes), {organ: number for number, organ in enumerate(ORGANS, start=1)}


def grow(array: np.ndarray, discs: dict[str, list[list[int]]]) -> np.ndarray:
    """Labels uint8 (k, j, i) of a canonical HU array, numbered as in ORGANS. discs: [k, i, j, radius]."""
    clipped = np.clip(array, -60, 260).astype(np.float32)
    hu = np.stack([ndimage.median_filter(part, 7) for part in clipped])
    hu = ndimage.gaussian_filter(hu, (0.3, 1.0, 1.0))
    # Slices lie further apart than voxels in them, so that the way along the body counts for less.
    slopes = [weight / 8 * ndimage.sobel(hu, axis) for axis, weight in ((0, 0.25), (1, 1), (2, 1))]
    steepness = np.maximum(0, np.sqrt(sum(slope**2 for slope in slopes)) - NOISE_HU)
    basins = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(steepness),
        sitk.GetImageFromArray(_markers(hu, discs)),
        markWatershedLine=False,
        fullyConnected=False,
    )
    found = sitk.GetArrayFromImage(basins)
    labels = np.zeros(array.shape, np.uint8)
    for number, organ in enumerate(ORGANS, start=1):
        labels[_clean(organ, found == number, hu, found == OTHER) & (labels == 0)] = number
    return labels


def _markers(hu: np.ndarray, discs: dict[str, list[list[int]]]) -> np.ndarray:
    markers = np.where(hu < FAT_HU, OTHER, 0).astype(np.uint8)
    rows, columns = np.mgrid[: hu.shape[1], : hu.shape[2]]
    for organ, places in discs.items():
        number = OTHER if organ == "other" else ORGANS.index(organ) + 1
        for k, i, j, radius in places:
            markers[k][(columns - i) ** 2 + (rows - j) ** 2 <= radius**2] = number
    return markers


def _clean(organ: str, basin: np.ndarray, hu: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The organ in its basin: without ribs and wall that hang on it, with its vessels and lesions."""
    low, high = INSIDE_HU[organ]
    disc = _disc(5 if organ == "liver" else 3)
    inside = [ndimage.binary_opening(part, disc) for part in basin & (hu > low) & (hu < high)]
    if organ == "liver":
        inside = [_without_small(part, 350) for part in inside]
    body = keep_largest_components(np.stack(inside).astype(np.uint8), (1,))[0]
    body = np.stack([ndimage.binary_fill_holes(_closed(part, disc)) for part in body])
    body = np.stack([ndimage.median_filter(part.astype(np.uint8), 5) > 0 for part in body])
    rim = np.stack([ndimage.binary_dilation(part, _disc(2)) for part in body])
    rim &= basin & (hu > EDGE_HU.get(organ, USUAL_EDGE_HU))
    return (body & (basin | other)) | rim


def _closed(part: np.ndarray, disc: np.ndarray) -> np.ndarray:
    width = len(disc)
    return ndimage.binary_closing(np.pad(part, width), disc)[width:-width, width:-width]


def _disc(radius: int) -> np.ndarray:
    across = np.arange(-radius, radius + 1)
    return across[:, None] ** 2 + across**2 <= radius**2


def _without_small(part: np.ndarray, voxels: int) -> np.ndarray:
    pieces, _ = ndimage.label(part)
    counts = np.bincount(pieces.ravel())
    counts[0] = 0
    return (counts >= voxels)[pieces]
