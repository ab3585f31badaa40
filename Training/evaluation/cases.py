"""What a model is measured on: generated CT of an anatomy that no training saw, and real scans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from synthesis import Anatomy, as_volume, generate
from synthesis.chance import Chance
from synthesis.view import scanner_view

from iuinet.reading import read_volume
from iuinet.volume import Volume

from .references import reference
from .without_contrast import without_contrast

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
    truth = sitk.ReadImage(str(folder / "labels.nii.gz"))
    grid = volume.grid
    reference = sitk.Image(list(grid.size), sitk.sitkUInt8)
    reference.SetSpacing(grid.spacing)
    reference.SetOrigin(grid.origin)
    reference.SetDirection(np.asarray(grid.direction).ravel().tolist())
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
    return replace(
        case, name=f"{case.name} without contrast", group=PLAIN, volume=replace(case.volume, array=array)
    )
