"""One organ, one piece: loose voxels that painting has cut off are given back to the background."""

from __future__ import annotations

import numpy as np


def keep_largest_pieces(labels: np.ndarray) -> None:
    """Clear, in place, every piece of a label but its largest (neighbours may touch by a corner).

    labels: uint8 (k, j, i).
    """
    for label in np.unique(labels):
        if label:
            _keep_largest(labels, label)


def _keep_largest(labels: np.ndarray, label: int) -> None:
    # A border of background on all sides lets neighbours be found by adding to flat indices.
    open_voxels = np.pad(labels == label, 1)
    row, sheet = open_voxels.shape[2], open_voxels.shape[2] * open_voxels.shape[1]
    steps = np.array([
        k * sheet + j * row + i for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1) if k or j or i
    ])
    flat = open_voxels.ravel()
    pieces = []
    remaining = int(flat.sum())
    largest = 0
    while remaining > largest:
        piece = _flood(flat, int(flat.argmax()), steps)
        pieces.append(piece)
        remaining -= len(piece)
        largest = max(largest, len(piece))
    kept = np.zeros(open_voxels.shape, dtype=bool)
    kept.ravel()[max(pieces, key=len)] = True
    labels[(labels == label) & ~kept[1:-1, 1:-1, 1:-1]] = 0


def _flood(flat: np.ndarray, start: int, steps: np.ndarray) -> np.ndarray:
    """Flat indices of the piece that holds ``start``; its voxels are closed (set False) on the way."""
    front = np.array([start])
    flat[start] = False
    found = [front]
    while front.size:
        near = (front[:, None] + steps).ravel()
        front = np.unique(near[flat[near]])
        flat[front] = False
        found.append(front)
    return np.concatenate(found)
