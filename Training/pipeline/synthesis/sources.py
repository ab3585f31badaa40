"""Reads the published label maps this training uses, as tissue numbers on a 2 mm canonical grid.

The files lie in a data folder in this layout: ``labels/totalsegmentator_*.nii.gz`` with
``labels/totalsegmentator_labels.json``, ``labels/spl/spl_abdominal_atlas.nrrd``, ``labels/amos_*.nii.gz``.
"""

from __future__ import annotations

import json
import os
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from iuinet.reading import read_volume
from iuinet.writing import image_on_grid

from .tissues import NUMBER

SPACING_MM = 2.0
TRAINING = ("s0327", "s0328", "spl")
HELD_OUT = ("amos_0013",)

# The header says 0.9375 x 0.9375 x 1.5 mm, which makes a liver of 239 ml; body width and vertebrae say:
SPL_SPACING_MM = (1.5, 1.5, 3.0)


@cache
def _labels_of(source: str) -> dict:
    """What a source calls its labels: a table of label_maps.toml."""
    return tomllib.loads(Path(__file__).with_name("label_maps.toml").read_text(encoding="utf-8"))[source]


def data_folder() -> Path | None:
    """The folder that the environment variable IUINET_DATA names, None without it."""
    value = os.environ.get("IUINET_DATA")
    return Path(value) if value else None


def read_tissues(name: str, data: Path) -> np.ndarray:
    """Tissue numbers uint8 (k to the head, j to the back, i to the left), 2 mm; fat where unlabelled.

    name: one of TRAINING or HELD_OUT.
    Raises: ValueError for another name, InputRefused from the file reader.
    """
    if name == "spl":
        image = _image(data / "labels" / "spl" / "spl_abdominal_atlas.nrrd")
        image.SetSpacing(SPL_SPACING_MM)
        return _split_duodenum(_resample(image, _spl_table()))
    if name.startswith("amos"):
        table = {label: NUMBER[tissue] for tissue, label in _labels_of("amos").items()}
        return _resample(_image(data / "labels" / f"{name}.nii.gz"), table)
    if name.startswith("s"):
        names = json.loads((data / "labels" / "totalsegmentator_labels.json").read_text())
        table = {int(label): _totalsegmentator_tissue(word) for label, word in names.items()}
        return _resample(_image(data / "labels" / f"totalsegmentator_{name}.nii.gz"), table)
    raise ValueError(f"there is no anatomy {name!r}; known: {', '.join(TRAINING + HELD_OUT)}")


def _image(path: Path) -> sitk.Image:
    volume = read_volume(path)
    return image_on_grid(volume.array, volume.grid)


def _totalsegmentator_tissue(name: str) -> int:
    for tissue, names in _labels_of("totalsegmentator").items():
        if name in names:
            return NUMBER[tissue]
    words = name.split("_")
    if "humerus" in words or "skull" in words or "brain" in words:
        return NUMBER["fat"]  # arms and head would widen the torso's hull
    for word, tissue in _labels_of("words").items():
        if word in words:
            return NUMBER[tissue]
    return NUMBER["bone"]  # ribs, vertebrae, hips, sacrum, sternum, scapulae, femora


def _spl_table() -> dict[int, int]:
    table = {}
    for tissue, entries in _labels_of("spl").items():
        for entry in entries:
            low, high = entry if isinstance(entry, list) else (entry, entry)
            table |= dict.fromkeys(range(low, high + 1), NUMBER[tissue])
    return table


def _resample(image: sitk.Image, table: dict[int, int]) -> np.ndarray:
    """Canonical orientation, 2 mm, nearest neighbour."""
    image = sitk.DICOMOrient(image, "LPS")
    image.SetDirection(np.eye(3).ravel().tolist())
    size = [round(n * s / SPACING_MM) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    origin = [(SPACING_MM - s) / 2 for s in image.GetSpacing()]
    image.SetOrigin((0, 0, 0))
    labels = sitk.GetArrayFromImage(
        sitk.Resample(image, size, sitk.Transform(), sitk.sitkNearestNeighbor, origin, (SPACING_MM,) * 3)
    ).astype(np.int64)
    lookup = np.full(max(int(labels.max()), *table) + 1, NUMBER["fat"], np.uint8)
    for label, tissue in table.items():
        lookup[label] = tissue
    return lookup[labels]


def _split_duodenum(tissue: np.ndarray) -> np.ndarray:
    """The atlas draws stomach and duodenum as one: what is thick is stomach, the rest duodenum."""
    both = tissue == NUMBER["stomach"]
    depth = ndimage.distance_transform_edt(both) * SPACING_MM
    parts, count = ndimage.label(depth > 13)
    largest = 1 + int(np.argmax(ndimage.sum_labels(both, parts, range(1, count + 1))))
    core = parts == largest
    stomach = both & (ndimage.distance_transform_edt(~core) * SPACING_MM < 16)
    tissue[both & ~stomach] = NUMBER["duodenum"]
    return tissue
