"""Bodies at a low resolution, in their own frame: drawn by formulas, or synthesised from a real label map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pipeline.generated.phantom import make_sample
from pipeline.generated.phantom.noise import stream
from scipy import ndimage

from iuinet.labels import organ_by_name
from iuinet.volume import Grid

MATRIX = 128  # columns and rows at which bodies are made; slices are about as thick as here:
SLICE_MM = 5.0
_FAT_HU, _FAT_DEVIATION_HU = -100.0, 12.0
_SYNTHESIS_SIZE = 160
_ABOVE_LIVER_MM = (20.0, 60.0)


@dataclass(frozen=True)
class Body:
    """hu: float32 (k, j, i). labels: uint8, organ ids. grid: canonical, in the frame of the body."""

    hu: np.ndarray
    labels: np.ndarray
    grid: Grid


@dataclass(frozen=True)
class Anatomy:
    """A label map of ``synthesis`` by its name, and the folder where its prepared form is kept."""

    name: str
    cache: Path


def low_grid(scan, matrix: int) -> Grid:
    """The scan's field of view at the resolution at which bodies are made, never finer than its own."""
    slices = min(scan.slices, round(scan.slices * scan.slice_mm / SLICE_MM))
    return scan.body_grid(min(MATRIX, matrix), slices)


def make_body(scan, matrix: int, anatomy: Anatomy | None = None) -> Body:
    """The body of a scan whose file has matrix x matrix voxels per slice."""
    if anatomy is not None:
        return synthesised_body(scan, anatomy)
    grid = low_grid(scan, matrix)
    sample = make_sample(scan.seed, grid.size, scan.options)
    hu, labels = sample.volume.array.astype(np.float32), sample.labels.copy()
    for organ in scan.absent:
        _take_out(hu, labels, organ_by_name(organ).label, scan.seed)
    return Body(hu, labels, grid)


def _take_out(hu: np.ndarray, labels: np.ndarray, label: int, seed: int) -> None:
    """Fat where an organ was, and where it shared voxels with what is not labelled."""
    organ = labels == label
    place = ndimage.binary_dilation(organ) & ((labels == 0) | organ)
    noise = stream(seed, f"without-{label}").standard_normal(np.count_nonzero(place), dtype=np.float32)
    hu[place] = _FAT_HU + _FAT_DEVIATION_HU * noise
    labels[organ] = 0


def synthesised_body(scan, anatomy: Anatomy) -> Body:
    """A deformed anatomy under the scan's field of view; beyond the label map its last slices go on."""
    from synthesis import IGNORE, generate
    from synthesis.view import View

    loaded = load_anatomy(anatomy)
    extent = (scan.slices * scan.slice_mm, scan.field_mm, scan.field_mm)
    middle = [size / 2 for size in loaded.extent_mm]
    above_liver = stream(scan.seed, "top").uniform(*_ABOVE_LIVER_MM)
    middle[0] = loaded.boxes["liver"][1][0] + above_liver - extent[0] / 2
    low = tuple(centre - size / 2 for centre, size in zip(middle, extent, strict=True))
    high = tuple(start + size for start, size in zip(low, extent, strict=True))
    sample = generate(loaded, scan.seed, _SYNTHESIS_SIZE, phase="portal", view=View(low, high))
    labels = sample.labels.numpy().copy()
    labels[labels == IGNORE] = 0
    hu = sample.image[0, 0].numpy().astype(np.float32)
    return Body(hu, labels, scan.body_grid(_SYNTHESIS_SIZE, _SYNTHESIS_SIZE))


@lru_cache(maxsize=1)
def load_anatomy(anatomy: Anatomy):
    """The prepared label map; the first call in a folder prepares it."""
    from synthesis import data_folder, load

    return load(anatomy.name, data_folder(), anatomy.cache)
