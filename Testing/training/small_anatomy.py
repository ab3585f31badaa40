"""A small torso of ellipsoids as a label map, so that synthesis and training are tested without data."""

from __future__ import annotations

from functools import cache

import numpy as np

from pipeline.synthesis import Anatomy, prepare
from pipeline.synthesis.tissues import NUMBER

SHAPE = (90, 90, 130)  # (k, j, i) of 2 mm

# Centre (k, j, i) and half axes in mm; what comes later covers what came before.
PARTS = {
    "muscle": ((90, 90, 130), (200, 78, 118)),
    "fat": ((90, 90, 130), (200, 66, 106)),
    "lung": ((190, 90, 130), (50, 60, 98)),
    "bone": ((90, 138, 130), (200, 16, 20)),
    "liver": ((110, 80, 80), (55, 48, 48)),
    "stomach": ((110, 62, 165), (32, 24, 30)),
    "spleen": ((110, 118, 200), (32, 24, 16)),
    "right kidney": ((55, 120, 85), (30, 15, 15)),
    "left kidney": ((60, 120, 175), (30, 15, 15)),
    "gallbladder": ((75, 50, 105), (14, 9, 9)),
    "pancreas": ((85, 88, 145), (8, 9, 30)),
    "aorta": ((90, 112, 137), (200, 9, 9)),
    "inferior vena cava": ((60, 108, 112), (105, 9, 10)),
    "portal and splenic veins": ((95, 95, 130), (6, 6, 24)),
    "right adrenal gland": ((92, 118, 108), (8, 7, 5)),
    "left adrenal gland": ((92, 118, 155), (8, 7, 5)),
    "colon": ((35, 50, 190), (30, 16, 14)),
    "small bowel": ((30, 55, 130), (25, 22, 30)),
}


def small_tissues() -> np.ndarray:
    """Tissue numbers uint8 (k, j, i), 2 mm."""
    tissue = np.full(SHAPE, NUMBER["fat"], np.uint8)
    position = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]) * 2.0
    for name, (centre, half) in PARTS.items():
        away = (position - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(half, (3, 1, 1, 1))
        tissue[(away**2).sum(0) < 1] = NUMBER[name]
    return tissue


@cache
def small_anatomy() -> Anatomy:
    """The torso prepared, under the name "small"."""
    return prepare("small", small_tissues())
