"""What a model is measured on: generated CT of an anatomy that no training saw, and real scans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from iuinet.reading import read_volume
from iuinet.volume import Volume
from iuinet.writing import image_on_grid
from pipeline.synthesis import Anatomy, as_volume, generate
from pipeline.synthesis.chance import Chance
from pipeline.synthesis.tissues import table
from pipeline.synthesis.view import scanner_view

from .references import reference

# Label ids of the slab's reference (TotalSegmentator, version 2) under our organ names.
SLAB_IDS = {
    "spleen": 1,
    "liver": 5,
    "stomach": 6,
    "pancreas": 7,
    "right adrenal gland": 8,
    "aorta": 52,
    "inferior vena cava": 63,
    "portal and splenic veins": 64,
}
REAL = "whole real scans"
PLAIN = "contrast computed away"  # of the slab and the whole scans
NARROW = "narrow fields of view"  # likewise
NARROW_MM = 200.0
REAL_SCANS = ("CRLM-CT-1004", "CRLM-CT-1006")
GENERATED_SIZE = 160


@dataclass(frozen=True)
class Case:
    """A CT with what is known of it. truth: label ids (k, j, i) by ``ids``."""

    name: str
    group: str
    volume: Volume
    truth: np.ndarray
    ids: dict[str, int]


def generated(anatomy: Anatomy, seeds: range, ids: dict[str, int], phases: tuple[str, ...]) -> Iterator[Case]:
    """Generated CTs of one anatomy, every phase with every seed."""
    for phase in phases:
        for seed in seeds:
            view = scanner_view(anatomy, Chance(seed))
            sample = generate(anatomy, seed, GENERATED_SIZE, phase=phase, view=view)
            name = f"{anatomy.name} {phase} {seed}"
            yield Case(name, f"generated {phase}", as_volume(sample, name), sample.labels.numpy(), ids)


def slab(data: Path) -> Case:
    """The real 4 cm slab, with labels that another model drew."""
    folder = data / "ct" / "TotalSegmentator-slab"
    volume = read_volume(folder / "dicom")
    labels = read_volume(folder / "labels.nii.gz")
    truth = image_on_grid(labels.array, labels.grid)
    grid = volume.grid
    reference = image_on_grid(np.zeros(grid.shape, np.uint8), grid)
    # The labels lie on the same grid in another orientation: nearest neighbour only reorders them.
    truth = sitk.Resample(truth, reference, sitk.Transform(), sitk.sitkNearestNeighbor)
    return Case("slab", "real slab", volume, sitk.GetArrayFromImage(truth), SLAB_IDS)


def whole_scans(data: Path) -> Iterator[Case]:
    """Real scans; for five organs a reference was made without a network (``references``)."""
    for name in REAL_SCANS:
        volume = read_volume(data / "ct" / name)
        yield Case(name, REAL, volume, *reference(name, volume))


def plain(case: Case) -> Case:
    """A real scan with its contrast computed away."""
    array = without_contrast(case.volume.array, case.truth, case.ids)
    volume = replace(case.volume, array=array)
    return replace(case, name=f"{case.name} without contrast", group=PLAIN, volume=volume)


def narrow(case: Case) -> Iterator[Case]:
    """A real scan cut in plane to a square of 20 cm around its liver, and around its spleen."""
    grid = case.volume.grid
    i_size, j_size, k_size = grid.size
    for organ in ("liver", "spleen"):
        _, *middle = np.argwhere(case.truth == case.ids[organ]).mean(0)
        halves = [NARROW_MM / 2 / grid.spacing[axis] for axis in (1, 0)]
        j, i = (
            slice(max(0, round(at - half)), min(size, round(at + half)))
            for at, half, size in zip(middle, halves, (j_size, i_size), strict=True)
        )
        origin = tuple((grid.index_to_lps() @ (i.start, j.start, 0, 1))[:3])
        part = replace(grid, size=(i.stop - i.start, j.stop - j.start, k_size), origin=origin)
        volume = replace(case.volume, array=case.volume.array[:, j, i], grid=part)
        name = f"{case.name} around the {organ}"
        yield replace(case, name=name, group=NARROW, volume=volume, truth=case.truth[:, j, i])


# Contrast computed away -------------------------------------------------------------------------------
#
# For want of scans without. Organs of the reference get their usual means, vessels and walls are dimmed,
# noise stays as it is. What contrast in bowel and bone is stays too, and vessels inside organs do not vanish
# wholly: an approximation, which says whether a model leans on contrast, not how it does on real scans.


EDGE_HU = -25.0  # between fat and organ: what it measures does not change
BLOOD_HU = 45.0  # without contrast; of what is brighter a tenth of the difference is left
BRIGHT_HU = 190.0  # bone, and contrast in bowel
LEFT = 0.1


def without_contrast(array: np.ndarray, labels: np.ndarray, ids: dict[str, int]) -> np.ndarray:
    """HU (k, j, i) int16 without intravenous contrast, of a scan with it. labels, ids: its reference."""
    clipped = np.clip(array, -200, 300).astype(np.float32)
    smooth = np.stack([ndimage.gaussian_filter(ndimage.median_filter(part, 5), 1.0) for part in clipped])
    bright = np.stack([ndimage.binary_dilation(part > BRIGHT_HU, iterations=2) for part in smooth])
    wanted = np.where((smooth > BLOOD_HU) & ~bright, BLOOD_HU + LEFT * (smooth - BLOOD_HU), smooth)
    usual = table()["non_contrast"]
    for organ, number in ids.items():
        inside = (labels == number) & (smooth > EDGE_HU)
        if inside.any() and organ in usual:
            mean, aim = float(np.median(smooth[inside])), sum(usual[organ]) / 2
            up_to_mean = EDGE_HU + (smooth - EDGE_HU) * (aim - EDGE_HU) / (mean - EDGE_HU)
            dimmed = np.where(smooth < mean, up_to_mean, aim + LEFT * (smooth - mean))
            wanted = np.where(inside, dimmed, wanted)
    change = ndimage.gaussian_filter(wanted - smooth, (0, 0.7, 0.7))  # no edges where labels end
    return np.where(clipped > -150, array + change, array).round().astype(np.int16)
