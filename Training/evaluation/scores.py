"""Scores of a label map: overlap with a reference, and whether organs lie where they belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

FEWEST_VOXELS = 20


def dice(
    labels: np.ndarray, truth: np.ndarray, ids: Mapping[str, int], ignore: int = 255
) -> dict[str, float]:
    """DSC per organ that the reference holds; voxels that the reference marks ``ignore`` do not count.

    labels, truth: integer arrays of one shape. ids: organ name -> label id.
    """
    if labels.shape != truth.shape:
        raise ValueError(f"labels {labels.shape} and reference {truth.shape} differ in shape")
    known = truth != ignore
    scores = {}
    for name, number in ids.items():
        reference = truth == number
        if reference.sum() >= FEWEST_VOXELS:
            found = (labels == number) & known
            overlap = np.count_nonzero(found & reference)
            scores[name] = 2 * overlap / (np.count_nonzero(found) + np.count_nonzero(reference))
    return scores


def mean_scores(cases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean per organ over the cases that hold it."""
    names = dict.fromkeys(name for case in cases for name in case)
    return {name: float(np.mean([case[name] for case in cases if name in case])) for name in names}


def misplaced(labels: np.ndarray, ids: Mapping[str, int]) -> list[str]:
    """What lies on the wrong side, as sentences; labels in canonical axes (k, j, i to the patient's left)."""
    centres = {}
    for name in ("liver", "spleen", "right kidney", "left kidney", "stomach", "aorta", "inferior vena cava"):
        mask = labels == ids[name]
        if mask.any():
            centres[name] = ndimage.center_of_mass(mask)[2]
    right_of = (
        ("liver", "spleen"),
        ("liver", "stomach"),
        ("right kidney", "left kidney"),
        ("inferior vena cava", "aorta"),
    )
    return [
        f"the {first} is not to the right of the {second}"
        for first, second in right_of
        if first in centres and second in centres and centres[first] >= centres[second]
    ]
