"""The lower chest for label maps that end at the dome of the liver: most scans show some of it.

What cannot be known is invented: lungs, and a heart before the aorta. None of it is an organ to learn; it
is there so that a heart is not taken for a liver.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .sources import SPACING_MM
from .tissues import NUMBER

CHEST_MM = 80.0
BELOW_THE_DIAPHRAGM = (
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "liver",
    "stomach",
    "portal and splenic veins",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
    "duodenum",
    "colon",
    "small bowel",
)


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


def add_heart(tissue: np.ndarray, hull: np.ndarray) -> None:
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
