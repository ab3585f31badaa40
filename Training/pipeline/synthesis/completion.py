"""Adds to a label map what it does not draw, from what it does: chest, atrium, lungs, esophagus, spine.

Invented parts are never learnt as organs: the esophagus' place is marked "unknown esophagus", which the
labels call "ignore".
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .sources import SPACING_MM
from .tissues import NUMBER, ORGANS

FAT = NUMBER["fat"]
CHEST_MM = 80.0
# All organs but those that pass through the diaphragm, and the bowel.
_THROUGH_IT = {"esophagus", "aorta", "inferior vena cava"}
BELOW_THE_DIAPHRAGM = {*ORGANS, "duodenum", "colon", "small bowel"} - _THROUGH_IT


def extend_chest(tissue: np.ndarray) -> np.ndarray:
    """tissue (k, j, i) with its top slice repeated until it reaches CHEST_MM above the liver.

    In the new slices the organs of the abdomen become lung, and the vena cava the right atrium.
    """
    liver = np.flatnonzero((tissue == NUMBER["liver"]).any((1, 2)))
    missing = int(liver[-1]) + round(CHEST_MM / SPACING_MM) - len(tissue) if len(liver) else 0
    if missing <= 0:
        return tissue
    top = tissue[-1].copy()
    lungs_known = (tissue == NUMBER["lung"]).any()
    below = np.isin(top, [NUMBER[name] for name in BELOW_THE_DIAPHRAGM])
    top[below] = NUMBER["lung"] if lungs_known else NUMBER["fat"]
    top[top == NUMBER["inferior vena cava"]] = NUMBER["right atrium"]
    return np.concatenate([tissue, np.repeat(top[None], missing, 0)])


def complete(tissue: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """tissue uint8 (k, j, i) and the hull's distance in mm -> tissue with the missing parts."""
    tissue = tissue.copy()
    if not (tissue == NUMBER["lung"]).any():
        _add_lungs(tissue, hull)
    if not (tissue == NUMBER["esophagus"]).any():
        _add_esophagus(tissue)
    _add_heart(tissue, hull)
    _split_atrium(tissue)
    return tissue


def _add_heart(tissue: np.ndarray, hull: np.ndarray) -> None:
    """A heart from the dome upwards, in place, where the label map has none or only its lowest part."""
    heart, aorta = tissue == NUMBER["heart"], tissue == NUMBER["aorta"]
    liver = np.flatnonzero((tissue == NUMBER["liver"]).any((1, 2)))
    if not len(liver) or not aorta.any() or heart.sum() * SPACING_MM**3 > 400e3:
        return
    dome = int(liver[-1])
    if heart.any():
        _, j, i = ndimage.center_of_mass(heart)
    else:
        _, j, i = ndimage.center_of_mass(aorta[max(0, dome - 20) :])
        j -= 70 / SPACING_MM
    soft = [NUMBER["lung"], NUMBER["fat"], NUMBER["unknown esophagus"]]
    rows, columns = np.mgrid[: tissue.shape[1], : tissue.shape[2]]
    distance = np.hypot(rows - j, (columns - i) / 1.25) * SPACING_MM
    # Room for the esophagus and the spine, which lie behind the heart.
    front = rows < j + 55 / SPACING_MM
    for k in range(max(0, dome - 4), len(tissue)):
        radius = np.interp((k - dome) * SPACING_MM, [-10, 15, 50], [12, 40, 54])
        room = front & (hull[k] < -10)
        tissue[k][(distance < radius) & room & np.isin(tissue[k], soft)] = NUMBER["heart"]


def _split_atrium(tissue: np.ndarray) -> None:
    """The heart within 32 mm of the end of the inferior vena cava is the right atrium."""
    cava, heart = tissue == NUMBER["inferior vena cava"], tissue == NUMBER["heart"]
    if not cava.any() or not heart.any():
        return
    top = int(np.flatnonzero(cava.any((1, 2)))[-1])
    end = np.zeros(tissue.shape, bool)
    end[max(0, top - 2) : top + 1] = cava[max(0, top - 2) : top + 1]
    near = ndimage.distance_transform_edt(~end) * SPACING_MM < 32
    tissue[heart & near] = NUMBER["right atrium"]


def _add_lungs(tissue: np.ndarray, hull: np.ndarray) -> None:
    """Above the upper faces of liver, spleen and stomach everything unlabelled inside the ribs is lung."""
    upper = np.isin(tissue, [NUMBER[name] for name in ("liver", "spleen", "stomach")])
    if not upper.any():
        return
    height = np.where(upper.any(0), len(tissue) - np.argmax(upper[::-1], axis=0), -1)
    # Beside the organs the diaphragm slopes down towards the ribs: 1 mm down per mm out.
    distance, (j, i) = ndimage.distance_transform_edt(height < 0, return_indices=True)
    floor = height[j, i] - distance + 2
    k = np.arange(len(tissue))[:, None, None]
    top = int(np.flatnonzero(upper.any((1, 2)))[-1])
    lung = (k >= floor[None]) & (k >= top - 50) & (hull < -12) & (tissue == FAT)
    lung &= ndimage.distance_transform_edt(tissue == FAT) > 2
    tissue[lung] = NUMBER["lung"]


def _add_esophagus(tissue: np.ndarray) -> None:
    """From 30 mm below the dome upwards, before and to the left of the aorta: somewhere there it must be."""
    aorta = tissue == NUMBER["aorta"]
    upper = np.flatnonzero((tissue == NUMBER["stomach"]).any((1, 2)))
    if not len(upper) or not aorta.any():
        return
    rows, columns = np.mgrid[: tissue.shape[1], : tissue.shape[2]] * SPACING_MM
    for k in range(max(0, int(upper[-1]) - 15), len(tissue)):
        if aorta[k].any():
            j, i = (np.argwhere(aorta[k]).mean(0)) * SPACING_MM
            near = (rows - (j - 22)) ** 2 + (columns - (i + 4)) ** 2 < 11**2
            tissue[k][near & np.isin(tissue[k], [FAT, NUMBER["lung"]])] = NUMBER["unknown esophagus"]


def add_spine(tissue: np.ndarray) -> bool:
    """A column of vertebrae behind the aorta, with its canal and muscles, in place, for a label map of organs
    alone; returns whether it was one."""
    aorta = tissue == NUMBER["aorta"]
    known = np.flatnonzero(aorta.any((1, 2)))
    if (tissue == NUMBER["bone"]).any() or not len(known):
        return False
    centres = np.array([np.argwhere(aorta[k]).mean(0) for k in known]) * SPACING_MM
    j = np.interp(np.arange(len(tissue)), known, ndimage.gaussian_filter1d(centres[:, 0], 8))
    i = np.interp(np.arange(len(tissue)), known, ndimage.gaussian_filter1d(centres[:, 1], 20)) - 12
    rows, columns = np.mgrid[: tissue.shape[1], : tissue.shape[2]] * SPACING_MM
    for k in range(len(tissue)):
        free = tissue[k] == FAT
        down, across = rows - j[k], columns - i[k]
        tissue[k][free & ((down - 30) ** 2 + (across / 1.2) ** 2 < 18**2)] = NUMBER["bone"]
        tissue[k][free & ((down - 56) ** 2 + across**2 < 9**2)] = NUMBER["spinal canal"]
        back = (np.abs(across) - 28) ** 2 + (down - 68) ** 2 < 20**2
        tissue[k][(tissue[k] == FAT) & back] = NUMBER["muscle"]
    return True
