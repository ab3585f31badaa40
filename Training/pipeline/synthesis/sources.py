"""Reads the published label maps this training uses, as tissue numbers on a 2 mm canonical grid.

The files lie in a data folder in this layout: ``labels/totalsegmentator_*.nii.gz`` with
``labels/totalsegmentator_labels.json``, ``labels/spl/spl_abdominal_atlas.nrrd``, ``labels/amos_*.nii.gz``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .tissues import NUMBER

SPACING_MM = 2.0
TRAINING = ("s0327", "s0328", "spl")
HELD_OUT = ("amos_0013",)

# The header says 0.9375 x 0.9375 x 1.5 mm, which gives a liver of 239 ml; body width and vertebrae say:
SPL_SPACING_MM = (1.5, 1.5, 3.0)

_TOTALSEGMENTATOR = {
    "spleen": "spleen",
    "kidney_right": "right kidney",
    "kidney_left": "left kidney",
    "gallbladder": "gallbladder",
    "esophagus": "esophagus",
    "liver": "liver",
    "stomach": "stomach",
    "aorta": "aorta",
    "inferior_vena_cava": "inferior vena cava",
    "portal_vein_and_splenic_vein": "portal and splenic veins",
    "pancreas": "pancreas",
    "adrenal_gland_right": "right adrenal gland",
    "adrenal_gland_left": "left adrenal gland",
    "duodenum": "duodenum",
    "colon": "colon",
    "small_bowel": "small bowel",
    "urinary_bladder": "bladder",
    "heart": "heart",
    "spinal_cord": "spinal canal",
    "trachea": "airway",
    "prostate": "gland",
    "thyroid_gland": "gland",
    "costal_cartilages": "cartilage",
}
_BY_WORD = {
    "lung": "lung",
    "artery": "artery",
    "trunk": "artery",
    "vena": "vein",
    "vein": "vein",
    "appendage": "heart",
    "cyst": "lesion",
    "autochthon": "muscle",
    "gluteus": "muscle",
    "iliopsoas": "muscle",
}

_SPL = {
    "spleen": [4],
    "right kidney": [51],
    "left kidney": [52],
    "gallbladder": [10],
    "liver": [3],
    "stomach": [13],
    "aorta": [7],
    "inferior vena cava": [8],
    "portal and splenic veins": [12, 117],
    "pancreas": [6],
    "right adrenal gland": [111],
    "left adrenal gland": [112],
    "small bowel": [9],
    "renal sinus": [145, 146, 141, 142],
    "artery": [*range(16, 30), *range(71, 77), 126, 127, 227],
    "vein": [11, 128, 129, *range(81, 87)],
    "muscle": [32, *range(131, 141), 143, *range(231, 242)],
    "bone": [2, 299, *range(301, 413), *range(501, 506), 600, *range(681, 701)],
    "cartilage": [*range(551, 560)],
}
_SPL_IN_LIVER = [151, 152, 153]  # hepatic veins count as liver

_AMOS = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "esophagus",
    6: "liver",
    7: "stomach",
    8: "aorta",
    9: "inferior vena cava",
    10: "pancreas",
    11: "right adrenal gland",
    12: "left adrenal gland",
    13: "duodenum",
    14: "bladder",
    15: "gland",
}


def data_folder() -> Path | None:
    """The folder that the environment variable IUINET_DATA names, None without it."""
    value = os.environ.get("IUINET_DATA")
    return Path(value) if value else None


def read_tissues(name: str, data: Path) -> np.ndarray:
    """Tissue numbers uint8 (k to the head, j to the back, i to the left), 2 mm; fat where unlabelled.

    name: one of TRAINING or HELD_OUT. Raises: ValueError for another name, RuntimeError from the file reader.
    """
    if name == "spl":
        image = sitk.ReadImage(str(data / "labels" / "spl" / "spl_abdominal_atlas.nrrd"))
        image.SetSpacing(SPL_SPACING_MM)
        return _split_duodenum(_resample(image, _spl_table()))
    if name.startswith("amos"):
        table = {label: NUMBER[tissue] for label, tissue in _AMOS.items()}
        return _resample(sitk.ReadImage(str(data / "labels" / f"{name}.nii.gz")), table)
    if name.startswith("s"):
        names = json.loads((data / "labels" / "totalsegmentator_labels.json").read_text())
        table = {int(label): _totalsegmentator_tissue(word) for label, word in names.items()}
        return _resample(sitk.ReadImage(str(data / "labels" / f"totalsegmentator_{name}.nii.gz")), table)
    raise ValueError(f"there is no anatomy {name!r}; known: {', '.join(TRAINING + HELD_OUT)}")


def _totalsegmentator_tissue(name: str) -> int:
    if name in _TOTALSEGMENTATOR:
        return NUMBER[_TOTALSEGMENTATOR[name]]
    words = name.split("_")
    if "humerus" in words or "skull" in words or "brain" in words:
        return NUMBER["fat"]  # arms and head would widen the torso's hull
    for word, tissue in _BY_WORD.items():
        if word in words:
            return NUMBER[tissue]
    return NUMBER["bone"]  # ribs, vertebrae, hips, sacrum, sternum, scapulae, femora


def _spl_table() -> dict[int, int]:
    table = {label: NUMBER[tissue] for tissue, labels in _SPL.items() for label in labels}
    return table | {label: NUMBER["liver"] for label in _SPL_IN_LIVER}


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
