"""From a body at low resolution to the voxels of a real scan: linear, extents aligned, smooth labels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from iuinet.preprocessing import HIGHEST_HU, LOWEST_HU, resize, resize_weights

Shape = tuple[int, int, int]


def enlarge_image(hu: np.ndarray, shape: Shape) -> np.ndarray:
    """HU (k, j, i) on a grid of the same extent and another shape, int16."""
    return resize(hu, shape).round_().clamp_(LOWEST_HU, HIGHEST_HU).numpy().astype(np.int16)


def enlarge_labels(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """Labels (k, j, i) on a grid of the same extent, where an organ's interpolated mask is over a half."""
    weights = [resize_weights(n, m).numpy() for n, m in zip(labels.shape, shape, strict=True)]
    result = np.zeros(shape, np.uint8)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        parts, places = [], []
        for axis, part in enumerate(box):
            columns = weights[axis][:, part]
            rows = np.flatnonzero(columns.any(axis=1))
            parts.append(columns[rows[0] : rows[-1] + 1])
            places.append(slice(rows[0], rows[-1] + 1))
        mask = (labels[box] == label).astype(np.float32)
        share = parts[1] @ (mask @ parts[2].T)
        share = np.tensordot(parts[0], share, axes=1)
        result[tuple(places)][share > 0.5] = label
    return result
