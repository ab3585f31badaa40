"""A small example of own data in nnU-Net's raw layout: liver and lung, with a TOML that colours the lung.

The program's own table of organs knows no lung.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from iuinet.console import Console
from iuinet.files import atomic
from iuinet.labels import organ_by_name
from iuinet.writing import write_json
from pipeline.dataset.parallel import run_all

from .files import claim, make_folder, remove_drafts, turned, write_nifti
from .phantom import Sample, draw_options, make_sample

LABELS = {"background": 0, "liver": 1, "lung": 2}
LUNG_HU = (-940.0, -500.0)
SMALLEST_LUNG_ML = 80.0
ORGANS_FILE = "organs.toml"


@dataclass(frozen=True)
class Job:
    """One scan to write: number, and how many columns, rows and slices (three quarters as many) it has."""

    folder: Path
    number: int
    seed: int
    size: int

    @property
    def name(self) -> str:
        """Of the case."""
        return f"body_{self.number:03d}"

    @property
    def files(self) -> tuple[Path, Path]:
        """Labels and image."""
        labels, images = self.folder / "labelsTr", self.folder / "imagesTr"
        return labels / f"{self.name}.nii.gz", images / f"{self.name}_0000.nii.gz"


def write_own(folder: Path, seed: int, count: int, size: int, workers: int, console: Console) -> int:
    """Write what is missing; returns how many scans were made.

    Raises: as ``write_set`` does.
    """
    jobs = [Job(folder, number, seed, size) for number in range(count)]
    make_folder(folder)
    claim(folder, {"layout": "own", "seed": seed, "size": size})
    remove_drafts(folder)
    missing = [job for job in jobs if not all(file.is_file() for file in job.files)]
    run_all("generating", write_case, missing, workers, console)
    _describe(folder, [job.name for job in jobs])
    return len(missing)


def write_case(job: Job) -> None:
    """Make and write one scan with its labels."""
    size = (job.size, job.size, max(8, 3 * job.size // 4))
    number = 1_000 * job.seed + job.number
    # The couch is filled with foam, which no threshold tells from lung.
    sample = make_sample(number, size, replace(draw_options(number + 1), table=False))
    # Every other file has its columns and rows the other way, as data of several sources have.
    sign = 1 if job.number % 2 == 0 else -1
    placed = turned(sample.volume.grid, (sign, sign, 1))
    for path, array in zip(job.files, (own_labels(sample), sample.volume.array), strict=True):
        write_nifti(path, array, placed)


def own_labels(sample: Sample) -> np.ndarray:
    """uint8 (k, j, i): liver 1 and lung 2, which the sample draws but does not label."""
    result = np.zeros(sample.labels.shape, np.uint8)
    result[sample.labels == organ_by_name("liver").label] = LABELS["liver"]
    low, high = LUNG_HU
    airy = (sample.volume.array > low) & (sample.volume.array < high)
    # The border of skin and air has such values too, but is thin.
    pieces, count = ndimage.label(ndimage.binary_opening(airy))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * sample.volume.grid.voxel_volume_ml
    lungs = np.flatnonzero(sizes >= SMALLEST_LUNG_ML)
    result[np.isin(pieces, lungs[lungs > 0])] = LABELS["lung"]
    return result


def _describe(folder: Path, names: Sequence[str]) -> None:
    """dataset.json as nnU-Net has it, and the TOML of organs with a split."""
    document = {"name": "two organs", "channel_names": {"0": "CT"}, "labels": LABELS}
    document |= {"numTraining": len(names), "file_ending": ".nii.gz"}
    write_json(folder / "dataset.json", document, overwrite=True)
    tests = max(1, len(names) // 4)
    parts = {
        "train": names[: -2 * tests] or names[:1],
        "validation": names[-2 * tests : -tests] or names[-1:],
        "test": names[-tests:],
    }
    lines = ["# Colours of the organs, where the program has none or another is wanted, and a split."]
    lines += ["[[organs]]", 'name = "lung"', "color = [150, 190, 230]", ""]
    lines += ["[splits.example]", *(f"{part} = {_toml(cases)}" for part, cases in parts.items())]
    with atomic(folder / ORGANS_FILE, overwrite=True) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _toml(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
