"""Real scans as they might look without contrast: the contrast computed away, for want of such scans.

Organs of the reference get their usual means, vessels and walls are dimmed, noise stays as it is. What
contrast in bowel and bone is stays too, and vessels inside organs do not vanish wholly: an approximation,
which says whether a model leans on contrast, and not how it does on real scans without.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from synthesis.tissues import table

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
